#include "control/certificates.h"

#include "base/clock.h"

#include <stdlib.h>

/* A certificate that a broken file keeps being served, and that file's entry. */
struct stand_in {
    const struct certificate *certificate;
    const struct cert_problem *problem;
};

/* By content and file: what is served may have been parsed by an earlier load than what is known of
 * the same files now. */
static int compare_stand_ins(const void *a, const void *b)
{
    const struct certificate *one = ((const struct stand_in *)a)->certificate;
    const struct certificate *other = ((const struct stand_in *)b)->certificate;
    uint64_t left = certificate_fingerprint(one), right = certificate_fingerprint(other);

    if (left != right)
        return left < right ? -1 : 1;
    return strcmp(certificate_file(one), certificate_file(other));
}

static size_t list_stand_ins(struct arena *arena, const struct cert_problems *broken,
                             struct stand_in **list)
{
    size_t count = 0;

    for (size_t i = 0; i < broken->count; i++)
        count += broken->list[i].served_count;
    *list = arena_alloc(arena, (count + 1) * sizeof(**list));
    count = 0;
    for (size_t i = 0; i < broken->count; i++)
        for (size_t k = 0; k < broken->list[i].served_count; k++)
            (*list)[count++] = (struct stand_in){.certificate = broken->list[i].served[k],
                                                 .problem = &broken->list[i]};
    qsort(*list, count, sizeof(**list), compare_stand_ins);
    return count;
}

static void describe(struct arena *arena, const struct certificate *certificate,
                     const struct stand_in *stand_in, int64_t now_s, struct certificate_row *row)
{
    *row =
        (struct certificate_row){.certificate = certificate, .file = certificate_file(certificate)};
    if (stand_in != NULL) {
        row->state = CERTIFICATE_QUARANTINED;
        row->why = arena_text(arena, slice_of(stand_in->problem->message));
        row->since = stand_in->problem->since;
    } else if (certificate_not_after(certificate) < now_s) {
        row->state = CERTIFICATE_EXPIRED;
    }
}

void certificates_list(struct arena *arena, const struct snapshot *snapshot,
                       const struct cert_problems *broken, struct certificate_rows *rows)
{
    const struct cert_store *store =
        snapshot != NULL && snapshot->tls != NULL ? tls_server_certs(snapshot->tls) : NULL;
    size_t served = store != NULL ? cert_store_count(store) : 0, stand_ins;
    int64_t now_s = clock_wall_ms() / 1000;
    struct stand_in *list;

    rows->count = 0;
    rows->list = arena_alloc(arena, (served + broken->count + 1) * sizeof(*rows->list));
    stand_ins = list_stand_ins(arena, broken, &list);
    for (size_t i = 0; i < served; i++) {
        const struct stand_in wanted = {.certificate = cert_store_at(store, i)};
        const struct stand_in *found =
            stand_ins > 0 ? bsearch(&wanted, list, stand_ins, sizeof(*list), compare_stand_ins)
                          : NULL;
        describe(arena, wanted.certificate, found, now_s, &rows->list[rows->count++]);
    }
    for (size_t i = 0; i < broken->count; i++) {
        const struct cert_problem *problem = &broken->list[i];
        if (problem->served_count == 0)
            rows->list[rows->count++] =
                (struct certificate_row){.file = arena_text(arena, slice_of(problem->file)),
                                         .state = CERTIFICATE_QUARANTINED,
                                         .why = arena_text(arena, slice_of(problem->message)),
                                         .since = problem->since,
                                         .is_client_ca = problem->is_client_ca};
    }
}

const char *certificate_state_name(enum certificate_state state)
{
    switch (state) {
    case CERTIFICATE_SERVING: return "serving";
    case CERTIFICATE_EXPIRED: return "expired";
    case CERTIFICATE_QUARANTINED: return "quarantined";
    case CERTIFICATE_STATES: break;
    }
    return "";
}
