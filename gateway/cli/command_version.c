#include "cli/commands.h"
#include "tls/tls_server.h"
#include "version.h"

#include <stdio.h>

int command_version(const struct arguments *arguments)
{
    if (arguments->as_json)
        printf("{\"version\":\"%s\",\"build\":\"%s\",\"tls\":\"%s\",\"boringssl\":\"%s\","
               "\"boringssl_api\":%d,\"llhttp\":\"%s\",\"libev\":\"%s\",\"c-ares\":\"%s\","
               "\"nghttp2\":\"%s\",\"jansson\":\"%s\",\"hiredis\":\"%s\",\"zlib\":\"%s\","
               "\"brotli\":\"%s\",\"zstd\":\"%s\",\"libcrypt\":\"%s\"}\n",
               SALLYPORT_VERSION, SALLYPORT_BUILD_TYPE, tls_library_version(),
               SALLYPORT_BORINGSSL_VERSION, SALLYPORT_BORINGSSL_API, SALLYPORT_LLHTTP_VERSION,
               SALLYPORT_LIBEV_VERSION, SALLYPORT_CARES_VERSION, SALLYPORT_NGHTTP2_VERSION,
               SALLYPORT_JANSSON_VERSION, SALLYPORT_HIREDIS_VERSION, SALLYPORT_ZLIB_VERSION,
               SALLYPORT_BROTLI_VERSION, SALLYPORT_ZSTD_VERSION, SALLYPORT_CRYPT_VERSION);
    else
        printf("sallyport %s (%s)\nBoringSSL %s, API %d\nllhttp %s, libev %s, c-ares %s, nghttp2 "
               "%s, jansson %s\nhiredis %s, zlib %s, brotli %s, zstd %s, libcrypt %s\n",
               SALLYPORT_VERSION, SALLYPORT_BUILD_TYPE, SALLYPORT_BORINGSSL_VERSION,
               SALLYPORT_BORINGSSL_API, SALLYPORT_LLHTTP_VERSION, SALLYPORT_LIBEV_VERSION,
               SALLYPORT_CARES_VERSION, SALLYPORT_NGHTTP2_VERSION, SALLYPORT_JANSSON_VERSION,
               SALLYPORT_HIREDIS_VERSION, SALLYPORT_ZLIB_VERSION, SALLYPORT_BROTLI_VERSION,
               SALLYPORT_ZSTD_VERSION, SALLYPORT_CRYPT_VERSION);
    return EXIT_FINE;
}
