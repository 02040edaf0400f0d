/* Where the process begins. */
#include "cli/commands.h"

#include <fcntl.h>
#include <unistd.h>

/* A socket must never become "standard error" because that was closed. */
static void open_standard_descriptors(void)
{
    int fd;
    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO)
        close(fd);
}

int main(int argc, char **argv)
{
    open_standard_descriptors();
    return command_line_run(argc, argv);
}
