/* `auth` by name and password (RFC 7617), held against a users file. */
#ifndef POLICY_BASIC_AUTH_H
#define POLICY_BASIC_AUTH_H

#include "policy/policy.h"

struct basic_auth {
    struct policy policy;
    struct source *users;    /* the policy's */
    struct slice users_text; /* as written; in the policy's arena, as all below */
    struct slice realm;
    struct slice challenge; /* WWW-Authenticate */
    struct slice copy;      /* the field that tells the backend the name; empty: none does */
};

struct basic_auth *basic_auth_new(void);
/* Sets the realm and what follows from it. */
void basic_auth_set_realm(struct basic_auth *auth, struct slice realm);

/* Name and password of an Authorization field's value; both lie in `room`, which the caller wipes.
 * False: it is none of this scheme, or not exactly as the scheme has it. */
enum { BASIC_ROOM = 1024 };
bool basic_auth_parse(struct slice value, uint8_t room[BASIC_ROOM], struct slice *name,
                      struct slice *password);

#endif
