/* A doubly linked list through a node inside the object: no allocation, removal in one step. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include "base/check.h"

#include <stdbool.h>

struct list_node {
    struct list_node *next, *previous; /* both NULL while in no list */
};

struct list {
    struct list_node head;
};

static inline void list_init(struct list *list)
{
    list->head.next = list->head.previous = &list->head;
}

static inline bool list_is_empty(const struct list *list)
{
    return list->head.next == &list->head;
}

static inline bool list_has(const struct list_node *node)
{
    return node->next != NULL;
}

static inline void list_insert_before(struct list_node *at, struct list_node *node)
{
    node->next = at;
    node->previous = at->previous;
    at->previous->next = node;
    at->previous = node;
}

static inline void list_push_front(struct list *list, struct list_node *node)
{
    list_insert_before(list->head.next, node);
}

static inline void list_push_back(struct list *list, struct list_node *node)
{
    list_insert_before(&list->head, node);
}

/* Does nothing to a node that is in no list. */
static inline void list_remove(struct list_node *node)
{
    if (node->next == NULL)
        return;
    node->previous->next = node->next;
    node->next->previous = node->previous;
    node->next = node->previous = NULL;
}

static inline struct list_node *list_first(const struct list *list)
{
    return list_is_empty(list) ? NULL : list->head.next;
}

static inline struct list_node *list_last(const struct list *list)
{
    return list_is_empty(list) ? NULL : list->head.previous;
}

/* The body may remove `node`, nothing else. */
#define list_each(list, node)                                                    \
    for (struct list_node *node = (list)->head.next, *node##_after = node->next; \
         node != &(list)->head; node = node##_after, node##_after = node->next)

#endif
