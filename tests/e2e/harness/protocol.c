#include "protocol.h"

#include "workplace.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

bool speaks_h2(void)
{
    const char *name = getenv("SALLYPORT_TEST_PROTOCOL");

    if (name == NULL || *name == '\0' || strcmp(name, "h1") == 0)
        return false;
    workplace_require(strcmp(name, "h2") == 0, "SALLYPORT_TEST_PROTOCOL is h1 or h2, not %s", name);
    return true;
}

const char *protocol_name(void)
{
    return speaks_h2() ? "HTTP/2.0" : "HTTP/1.1";
}

void needs_http1(const char *why)
{
    if (speaks_h2())
        cr_skip_test("%s", why);
}
