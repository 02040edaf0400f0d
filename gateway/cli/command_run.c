#include "cli/commands.h"
#include "cli/route_file.h"
#include "control/gateway.h"

int command_run(const struct arguments *arguments)
{
    if (!route_file_is_named(arguments))
        return EXIT_INVALID;
    const struct gateway_options options = {.config_file = arguments->config,
                                            .workers = arguments->workers};
    return gateway_run(&options);
}
