#include "proxy/client.h"

static void set_end(union client_end *end, const struct address *address)
{
    *end = (union client_end){.any.sa_family = address->as.any.sa_family};
    if (end->any.sa_family == AF_INET)
        end->v4 = address->as.v4;
    else if (end->any.sa_family == AF_INET6)
        end->v6 = address->as.v6;
}

void client_set_ends(struct client *client, const struct address *peer, const struct address *local)
{
    char text[ADDRESS_TEXT_SIZE];

    set_end(&client->peer, peer);
    set_end(&client->local, local);
    client->local_port = address_port(local);
    address_format_ip(peer, text);
    slice_copy_text(slice_of(text), client->peer_ip, sizeof(client->peer_ip));
}
