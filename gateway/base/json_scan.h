/* The scanner below base/json.h: text to a tree of places, without values. */
#ifndef BASE_JSON_SCAN_H
#define BASE_JSON_SCAN_H

#include "base/json.h"

/* Builds the tree in `arena`, comments left out. Keys hold
 * their escapes decoded. NULL: *mistake says where and why. */
struct json_node *json_scan(struct slice text, struct arena *arena, struct json_mistake *mistake);

#endif
