#include "policy/compress.h"
#include "proxy/exchange_state.h"

static bool is_event_stream(const struct http_fields *fields)
{
    const struct http_field *type = http_fields_find(fields, slice_of("content-type"));
    struct slice name = slice_of("text/event-stream");

    return type != NULL && type->value.len >= name.len &&
           slice_equal_nocase(slice_make(type->value.at, name.len), name);
}

static struct encoder_wish wish_for(const struct compress_policy *policy, enum coding coding,
                                    const struct http_head *response)
{
    return (struct encoder_wish){
        .coding = coding,
        .level = policy->levels[coding],
        .bytes = response->framing == BODY_LENGTH ? response->content_length : UINT64_MAX,
        .trickles = is_event_stream(&response->fields),
    };
}

/* False: it has to do without. */
static bool begin_encoding(struct exchange *x, const struct encoder_wish *wish)
{
    struct compression *compression = x->env->policies.compression;
    struct loop *loop = x->env->loop;

    if (thread_load_is_high(&compression->load, loop_now_us(loop)))
        return false;
    x->encoded = encoded_stream_new(loop, &compression->encoders, wish, x->source);
    if (x->encoded == NULL)
        return false;
    x->source = encoded_stream_http(x->encoded);
    return true;
}

/* What is kept in that coding already is not made again. */
static void encode(struct exchange *x, const struct compress_policy *policy,
                   struct compress_choice *choice)
{
    struct encoder_wish wish = wish_for(policy, choice->coding, &x->response);
    bool is_encoded = exchange_give_encoded(x, choice->coding);

    if (!is_encoded && begin_encoding(x, &wish)) {
        exchange_keep_encoded(x, choice->coding);
        is_encoded = true;
    }
    exchange_count_policy(x, POLICY_COMPRESS, is_encoded ? OUTCOME_APPLIED : OUTCOME_BYPASSED);
    if (!is_encoded)
        choice->coding = CODING_IDENTITY;
}

void exchange_compress(struct exchange *x)
{
    const struct policy *policy = exchange_policy(x, POLICY_COMPRESS);
    const struct compress_policy *compress = (const struct compress_policy *)policy;
    struct compress_choice choice;

    if (policy == NULL)
        return;
    if (x->response.status == 304) {
        compress_edit_unchanged(&x->arena, &x->request.fields, &x->response.fields);
        return;
    }
    choice = compress_choose(compress, &x->request, &x->response);
    if (choice.coding != CODING_IDENTITY && x->request.method != METHOD_HEAD)
        encode(x, compress, &choice);
    compress_edit_head(&choice, &x->arena, &x->response);
    exchange_announce_encoded(x);
}

void exchange_end_encoding(struct exchange *x)
{
    if (x->encoded == NULL)
        return;
    encoded_stream_free(x->encoded);
    x->encoded = NULL;
    x->source = NULL;
}
