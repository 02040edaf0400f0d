/* Any bytes as a route file: refused with problems, or a snapshot; printed both ways. */
#include "config/snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static struct ticket_keys *keys;
static char file[] = "/tmp/sallyport-fuzz-XXXXXX";

static void remove_file(void)
{
    unlink(file);
    ticket_keys_free(keys);
}

static void prepare(void)
{
    int fd = mkstemp(file);

    if (fd < 0)
        abort();
    close(fd);
    keys = ticket_keys_new(3600);
    atexit(remove_file);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct problems problems;
    struct buffer out = {0};

    if (!keys)
        prepare();
    FILE *stream = fopen(file, "w");
    if (!stream || (length && fwrite(bytes, 1, length, stream) != length) || fclose(stream) != 0)
        abort();
    problems_init(&problems);
    struct snapshot *snapshot =
        snapshot_load(file, &(struct load_options){.keys = keys}, &problems);
    if ((snapshot == NULL) != (problems.errors > 0))
        abort();
    problems_print(&problems, &out, true);
    problems_print_json(&problems, &out);
    buffer_clear(&out);
    buffer_cache_clear();
    snapshot_unref(snapshot);
    problems_clear(&problems);
    return 0;
}
