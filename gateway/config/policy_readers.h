/* Who reads what stands at each key of a policy's: one file a kind. Each returns a new policy with
 * one reference, or NULL with a problem. */
#ifndef CONFIG_POLICY_READERS_H
#define CONFIG_POLICY_READERS_H

#include "config/policies.h"

typedef struct policy *policy_reader(struct reader *reader, const struct json_node *node,
                                     const struct policy_place *place);

policy_reader allow_read, deny_read; /* config/ip_filter.c */
policy_reader errors_read;           /* config/error_pages.c */
policy_reader hsts_read;             /* config/hsts.c */
policy_reader rate_limit_read;
policy_reader auth_read; /* config/auth.c: one of its methods, each read by a file of its own */
policy_reader basic_auth_read, cert_auth_read;
policy_reader forward_auth_read;
policy_reader jwt_auth_read;
policy_reader cache_read;
policy_reader compress_read;

#endif
