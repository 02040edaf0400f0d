/* A path of some length, for a bench: tests/support/delay_relay as a program.
 *
 * usage: relay PORT DELAY_MS [RATE]   to PORT on 127.0.0.1, each way that late; back at most RATE
 *                                     bytes a second. Prints its port and serves until it is killed
 */
#include "support/delay_relay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    char to[32];
    struct delay_options options = {.to = to};

    if (argc < 3)
        return 2;
    snprintf(to, sizeof(to), "127.0.0.1:%d", atoi(argv[1]));
    options.delay_ms = (unsigned)atoi(argv[2]);
    options.rate = argc > 3 ? (uint64_t)atoll(argv[3]) : 0;
    struct delay_relay *relay = delay_relay_start(&options);
    printf("%s\n", strrchr(delay_relay_address(relay), ':') + 1);
    fflush(stdout);
    for (;;)
        pause();
}
