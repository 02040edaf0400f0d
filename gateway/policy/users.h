/* Who may come, and by which password: a file of lines "name:hash", as htpasswd writes it. */
#ifndef POLICY_USERS_H
#define POLICY_USERS_H

#include "policy/source.h"

/* One file's. Immutable. */
struct users;

/* A source_content, which a struct users begins with. */
source_parse users_parse;

/* What is stored for the name, as crypt takes it, terminated; NULL: nobody is called that. */
const char *users_hash(const struct users *users, struct slice name);
/* One that fits nobody, and costs what most of the file's cost. */
const char *users_dummy(const struct users *users);
size_t users_count(const struct users *users);

#endif
