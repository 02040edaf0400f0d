/* One name for each file and folder, however it is written. */
#ifndef CONFIG_TIDY_PATH_H
#define CONFIG_TIDY_PATH_H

#include "base/arena.h"

/* An absolute path without the steps that lead nowhere ("/./", "//", "/folder/../"), terminated, in
 * the arena. ".." behind a symlink, or behind what is not there, is left as it is. */
struct slice tidy_path(struct arena *arena, struct slice path);

#endif
