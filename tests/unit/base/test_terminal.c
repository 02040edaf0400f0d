#include "base/terminal.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* The end of a new terminal that a program writes to. */
static int open_terminal(int *other_end)
{
    *other_end = posix_openpt(O_RDWR | O_NOCTTY);
    cr_assert_geq(*other_end, 0);
    cr_assert(grantpt(*other_end) == 0 && unlockpt(*other_end) == 0);
    int fd = open(ptsname(*other_end), O_RDWR | O_NOCTTY);
    cr_assert_geq(fd, 0);
    return fd;
}

Test(terminal, colours_only_for_those_who_see_and_want_them)
{
    int other_end, ends[2], fd = open_terminal(&other_end);

    setenv("TERM", "xterm", 1);
    unsetenv("NO_COLOR");
    cr_expect(terminal_takes_colour(fd));
    setenv("NO_COLOR", "", 1);
    cr_expect(terminal_takes_colour(fd), "empty is as good as not set");
    setenv("NO_COLOR", "1", 1);
    cr_expect_not(terminal_takes_colour(fd));
    unsetenv("NO_COLOR");
    setenv("TERM", "dumb", 1);
    cr_expect_not(terminal_takes_colour(fd));
    setenv("TERM", "xterm", 1);
    cr_assert_eq(pipe(ends), 0);
    cr_expect_not(terminal_takes_colour(ends[1]));
    cr_expect_not(terminal_takes_colour(-1));
    close(ends[0]);
    close(ends[1]);
    close(fd);
    close(other_end);
}

Test(terminal, what_a_terminal_would_obey_is_escaped)
{
    struct buffer out = {0};

    terminal_append_text(&out, "/\033[2J\r\n\x7f|\x9b"
                               "1m|\xc2\x9b|gr\xc3\xbc\xc3\x9f|\xff\\");
    buffer_append(&out, slice_make("", 1));
    cr_expect_str_eq(buffer_content(&out).at, "/\\x1b[2J\\x0d\\x0a\\x7f|\\x9b"
                                              "1m|\\xc2\\x9b|gr\xc3\xbc\xc3\x9f|"
                                              "\\xff\\");
    buffer_clear(&out);
    buffer_cache_clear();
}
