/* Replies of Redis, as hiredis makes them, but for lists. */
#include "net/redis_internal.h"

#if HIREDIS_MAJOR < 1
typedef int list_length;
#else
typedef size_t list_length;
#endif

/* hiredis makes room for as many values as a list says that it has, before any of them comes, and
 * looks at the room for each when it goes: of billions, for seconds. */
static void *make_list(const redisReadTask *task, list_length length)
{
    const struct redis_client *client = task->privdata;

    return length <= REDIS_VALUES_MOST ? client->usual.createArray(task, length) : NULL;
}

redisReader *redis_reader_new(struct redis_client *client)
{
    redisReader *reader = redisReaderCreate();

    if (reader == NULL)
        return NULL;
    client->usual = client->making = *reader->fn;
    client->making.createArray = make_list;
    reader->fn = &client->making;
    reader->privdata = client;
    return reader;
}
