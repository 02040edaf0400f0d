#include "cli/commands.h"
#include "tls/tls_server.h"
#include "version.h"

#include <stdio.h>

int command_version(const struct arguments *arguments)
{
    if (arguments->as_json)
        printf("{\"version\":\"%s\",\"build\":\"%s\",\"tls\":\"%s\",\"boringssl\":\"%s\","
               "\"boringssl_api\":%d,\"llhttp\":\"%s\",\"libev\":\"%s\",\"c-ares\":\"%s\","
               "\"jansson\":\"%s\"}\n",
               SALLYPORT_VERSION, SALLYPORT_BUILD_TYPE, tls_library_version(),
               SALLYPORT_BORINGSSL_VERSION, SALLYPORT_BORINGSSL_API, SALLYPORT_LLHTTP_VERSION,
               SALLYPORT_LIBEV_VERSION, SALLYPORT_CARES_VERSION, SALLYPORT_JANSSON_VERSION);
    else
        printf(
            "sallyport %s (%s)\nBoringSSL %s, API %d\nllhttp %s, libev %s, c-ares %s, jansson %s\n",
            SALLYPORT_VERSION, SALLYPORT_BUILD_TYPE, SALLYPORT_BORINGSSL_VERSION,
            SALLYPORT_BORINGSSL_API, SALLYPORT_LLHTTP_VERSION, SALLYPORT_LIBEV_VERSION,
            SALLYPORT_CARES_VERSION, SALLYPORT_JANSSON_VERSION);
    return EXIT_FINE;
}
