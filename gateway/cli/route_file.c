#include "cli/route_file.h"

#include "config/reader.h"
#include "config/snapshot.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

bool route_file_is_named(const struct arguments *arguments)
{
    if (arguments->config != NULL)
        return true;
    fputs("sallyport: there is no route file: neither $SALLYPORT_CONFIG names one nor is there "
          "routes/routes.json or /etc/sallyport/routes.json; name one with -c FILE\n",
          stderr);
    return false;
}

static bool read_file(const char *file, struct buffer *text)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : 1;
    while (got > 0 && buffer_reserve(text, BUFFER_LARGE)) {
        got = read(fd, buffer_tail(text), buffer_room(text));
        if (got > 0)
            buffer_added(text, (size_t)got);
    }
    if (fd >= 0)
        close(fd);
    return got == 0;
}

static void add_address(struct peeked_listen *peeked, const struct json_node *node)
{
    const struct json_node *bind = json_member(node, "bind");
    struct slice text = reader_node_text(bind != NULL ? bind : node);
    if (peeked->count < PEEKED_MAX && text.len > 0 && text.len < ADDRESS_TEXT_SIZE &&
        !slice_equal(text, slice_of("off")))
        slice_copy_text(text, peeked->addresses[peeked->count++], ADDRESS_TEXT_SIZE);
}

static void peek_at(const struct json_node *listen, const char *kind, struct peeked_listen *peeked)
{
    const struct json_node *node = listen != NULL ? json_member(listen, kind) : NULL;
    peeked->is_named = node != NULL;
    if (node == NULL)
        return;
    bool is_list = node->first != NULL && node->first->key.at == NULL;
    if (!is_list)
        add_address(peeked, node);
    for (const struct json_node *element = node->first; is_list && element != NULL;
         element = element->next)
        add_address(peeked, element);
}

bool route_file_peek(const char *file, const char *kind, struct peeked_listen *peeked)
{
    *peeked = (struct peeked_listen){0};
    struct buffer text = {0};
    struct json_document document;
    struct json_mistake mistake;
    bool is_json =
        read_file(file, &text) && json_document_read(&document, buffer_content(&text), &mistake);
    buffer_clear(&text);
    if (!is_json)
        return false;
    struct problems problems; /* not asked about */
    problems_init(&problems);
    struct reader reader = {
        .file = file, .folder = "/", .problems = &problems, .arena = &document.arena};
    reader_prepare(&reader, &document);
    peek_at(json_member(document.root, "listen"), kind, peeked);
    problems_clear(&problems);
    json_document_clear(&document);
    return true;
}
