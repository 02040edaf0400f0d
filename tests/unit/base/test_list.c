#include "base/list.h"

#include <criterion/criterion.h>

struct item {
    int number;
    struct list_node node;
};

static struct item *item_of(struct list_node *node)
{
    return container_of(node, struct item, node);
}

Test(list, keeps_order_at_both_ends)
{
    struct list list;
    struct item items[4] = {{.number = 0}, {.number = 1}, {.number = 2}, {.number = 3}};
    list_init(&list);
    cr_assert(list_is_empty(&list));
    cr_assert_null(list_first(&list));
    cr_assert_null(list_last(&list));

    list_push_back(&list, &items[2].node);
    list_push_back(&list, &items[3].node);
    list_push_front(&list, &items[0].node);
    list_insert_before(&items[2].node, &items[1].node);
    int expected = 0;
    list_each (&list, node)
        cr_assert_eq(item_of(node)->number, expected++);
    cr_assert_eq(expected, 4);
    cr_assert_eq(item_of(list_first(&list))->number, 0);
    cr_assert_eq(item_of(list_last(&list))->number, 3);
}

Test(list, lets_go_in_one_step)
{
    struct list list;
    struct item items[3] = {0};
    list_init(&list);
    for (int i = 0; i < 3; i++) {
        cr_assert_not(list_has(&items[i].node));
        list_push_back(&list, &items[i].node);
        cr_assert(list_has(&items[i].node));
    }
    list_remove(&items[1].node);
    list_remove(&items[1].node); /* is in no list: nothing */
    cr_assert_not(list_has(&items[1].node));
    cr_assert_eq(list_first(&list), &items[0].node);
    cr_assert_eq(list_last(&list), &items[2].node);

    list_each (&list, node)
        list_remove(node);
    cr_assert(list_is_empty(&list));
}
