/* The door: admission asked for what was accepted, and those who are not let in told so and
 * counted.
 */
#ifndef PROXY_DOOR_H
#define PROXY_DOOR_H

#include "proxy/admission.h"
#include "proxy/client.h"
#include "proxy/proxy_env.h"

/* False: turned away, and its socket closed. */
bool door_let_in(struct proxy_env *env, const struct arrival *arrival, struct admission_pass *pass);
/* Of one that was let in nothing could be made, for want of memory; its socket is closed already.
 */
void door_lack_memory(struct proxy_env *env, const struct arrival *arrival,
                      struct admission_pass *pass);
/* For one that came in without an address, once its PROXY header has told it. False: turned away;
 * the caller closes. */
bool door_charge(struct proxy_env *env, const struct client *client, int fd,
                 struct admission_pass *pass);
/* HTTP/2: one more request on a connection that has some. False: it gets 503. */
bool door_let_in_request(struct proxy_env *env, const struct client *client);
/* Its connection is ended for what it did: tells it now and then. */
void door_note_flood(struct proxy_env *env, const struct client *client);

#endif
