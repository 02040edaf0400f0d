/* Something that changes while others look at it, and which of its values an observer may see: the
 * newest that is in force, or one that is on its way. */
#ifndef E2E_HISTORY_H
#define E2E_HISTORY_H

#include <stdbool.h>

struct history;

/* The value of what is not there. */
#define HISTORY_ABSENT (-1)

/* In force from the beginning. Lives until the test ends. */
struct history *history_new(int value);
/* Called before the change is made: from here on the value may be seen. */
void history_begin(struct history *history, int value);
/* Called once the gateway has said that it is in force: who looks from here on sees nothing older.
 */
void history_settle(struct history *history);

/* Taken before looking. */
int history_moment(struct history *history);
/* Whether who looked then, and has seen the value by now, saw what was so at some time between. */
bool history_allows(struct history *history, int moment, int value);
/* The newest value, in force or on its way. */
int history_newest(struct history *history);

#endif
