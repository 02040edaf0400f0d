#include "base/error.h"

#include <criterion/criterion.h>
#include <string.h>

Test(error, holds_a_sentence_and_its_prefix)
{
    struct error error;
    error_set(&error, "port %d is taken", 443);
    cr_assert_str_eq(error.message, "port 443 is taken");
    error_prefix(&error, "listen.%s", "https");
    cr_assert_str_eq(error.message, "listen.https: port 443 is taken");
}

Test(error, may_be_of_no_interest)
{
    error_set(NULL, "nobody asks");
    error_prefix(NULL, "nobody");
}

Test(error, cuts_what_is_too_long)
{
    struct error error;
    char text[2000];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    error_set(&error, "%s", text);
    cr_assert_eq(strlen(error.message), sizeof(error.message) - 1);
    error_prefix(&error, "short");
    cr_assert_eq(strlen(error.message), sizeof(error.message) - 1);
    cr_assert_eq(strncmp(error.message, "short: xxx", 10), 0);
    error_prefix(&error, "%s", text);
    cr_assert_eq(strlen(error.message), sizeof(error.message) - 1);
}
