#include "control/certificates.h"

#include "support/route_folder.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct route_folder folder;
static struct cert_library *library;
static struct cert_problems broken;
static struct arena arena;
static struct certificate_rows rows;
static json_t *printed; /* all that a test had printed */

static void begin(void)
{
    route_folder_init(&folder);
    library = cert_library_new();
    printed = json_array();
}

static void end(void)
{
    json_decref(printed);
    cert_problems_clear(&broken);
    arena_clear(&arena);
    cert_library_free(library);
    route_folder_clear(&folder);
}

TestSuite(certificates, .init = begin, .fini = end);

static void load(const char *routes)
{
    char text[1024];
    const struct load_options options = {.keys = folder.keys, .certs = library, .broken = &broken};

    snprintf(text, sizeof(text), "{ 'certs': 'certs', 'routes': { %s } }", routes);
    route_folder_write(&folder, "routes.json", text);
    snapshot_unref(folder.snapshot);
    problems_clear(&folder.problems);
    folder.snapshot = snapshot_load(folder.file, &options, &folder.problems);
    cr_assert(folder.snapshot);
    cert_library_commit(library);
    certificates_list(&arena, folder.snapshot, &broken, &rows);
}

static const struct certificate_row *row(const char *file)
{
    for (size_t i = 0; i < rows.count; i++)
        if (strstr(rows.list[i].file, file))
            return &rows.list[i];
    cr_assert_fail("no row for %s", file);
    return NULL;
}

static void rename_certificate(const char *from, const char *to)
{
    static const char *const kinds[] = {"crt", "key"};
    char old[256], new[256];

    for (size_t i = 0; i < 2; i++) {
        snprintf(old, sizeof(old), "%s/certs/%s.%s", folder.path, from, kinds[i]);
        snprintf(new, sizeof(new), "%s/certs/%s.%s", folder.path, to, kinds[i]);
        cr_assert_eq(rename(old, new), 0);
    }
}

Test(certificates, every_state)
{
    route_folder_certify(&folder, "old", "old.test", -5);
    load("'a.test': 'x:1'");
    cr_expect_eq(rows.count, 2);
    cr_expect_eq(row("test.crt")->state, CERTIFICATE_SERVING);
    cr_expect_eq(row("old.crt")->state, CERTIFICATE_EXPIRED);
    route_folder_write(&folder, "certs/test.key", "half");
    route_folder_write(&folder, "certs/never.pem", "nonsense");
    load("'a.test': 'x:1'");
    cr_expect_eq(rows.count, 3);
    cr_expect_eq(row("test.crt")->state, CERTIFICATE_QUARANTINED);
    cr_expect(row("test.crt")->certificate);
    cr_expect(row("test.crt")->why);
    cr_expect_gt(row("test.crt")->since, 0);
    cr_expect_eq(row("never.pem")->state, CERTIFICATE_QUARANTINED);
    cr_expect_null(row("never.pem")->certificate);
    certificates_list(&arena, NULL, &broken, &rows);
    cr_expect_eq(rows.count, 1, "without a generation nothing is served");
}

static json_t *print(uint64_t within_s)
{
    struct buffer out = {0};
    certificates_print(folder.snapshot, &broken, within_s, false, &out);
    json_t *json =
        json_loadb(buffer_content(&out).at, buffer_length(&out), JSON_REJECT_DUPLICATES, NULL);
    cr_assert(json);
    json_array_append_new(printed, json);
    buffer_clear(&out);
    return json_object_get(json, "certificates");
}

static json_t *entry(json_t *list, const char *file)
{
    size_t index;
    json_t *element;

    json_array_foreach (list, index, element)
        if (strstr(json_string_value(json_object_get(element, "file")), file))
            return element;
    return NULL;
}

/* "host covered_by-file-or--" of each, joined. */
static const char *hosts_of(json_t *certificate)
{
    static char text[512];
    size_t index, length = 0;
    json_t *element;

    text[0] = '\0';
    json_array_foreach (json_object_get(certificate, "hosts"), index, element) {
        const char *by = json_string_value(json_object_get(element, "covered_by"));
        length += (size_t)snprintf(text + length, sizeof(text) - length, "%s %s;",
                                   json_string_value(json_object_get(element, "host")),
                                   by ? strrchr(by, '/') + 1 : "-");
    }
    return text;
}

Test(certificates, hosts_that_would_go_dark)
{
    route_folder_certify(&folder, "soon", "a.test b.test", 10);
    route_folder_certify(&folder, "wild", "*.other.org", 20);
    load("'a.test': 'x:1', 'b.test': 'x:1', 'c.test': 'x:1', '*.other.org': 'x:1', 'q.org': 'x:1',"
         "'*': 'x:1'");
    json_t *all = print(0);
    cr_expect_eq(json_array_size(all), 3);
    cr_expect_str_eq(hosts_of(entry(all, "soon.crt")), "a.test test.crt;b.test test.crt;");
    cr_expect_str_eq(hosts_of(entry(all, "test.crt")), "c.test -;");
    cr_expect_str_eq(hosts_of(entry(all, "wild.crt")), "*.other.org -;");
    json_int_t left = json_integer_value(json_object_get(entry(all, "soon.crt"), "days_left"));
    cr_expect(left == 9 || left == 10);
    json_t *some = print(11 * 24 * 3600);
    cr_expect_eq(json_array_size(some), 1);
    cr_expect(entry(some, "soon.crt"));
    some = print(21 * 24 * 3600);
    cr_expect_eq(json_array_size(some), 2);
    cr_expect(entry(some, "wild.crt"));
    cr_expect_eq(json_array_size(print(3600)), 0);
    cr_expect_eq(json_array_size(print(UINT64_MAX)), 3);
}

Test(certificates, quarantined_ones_are_always_within)
{
    load("'a.test': 'x:1'");
    route_folder_write(&folder, "certs/test.key", "half");
    load("'a.test': 'x:1'");
    cr_expect(entry(print(3600), "test.crt"));
}

/* Programs find every key, also where nothing is served. */
Test(certificates, keys_of_one_that_is_not_served)
{
    static const char *const keys[] = {"key", "not_before", "not_after", "days_left"};

    route_folder_write(&folder, "certs/never.pem", "nonsense");
    load("'a.test': 'x:1'");
    json_t *never = entry(print(0), "never.pem");
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        cr_expect(json_is_null(json_object_get(never, keys[i])), "%s", keys[i]);
}

Test(certificates, names_of_files_do_not_reach_the_terminal_raw)
{
    struct buffer out = {0};

    route_folder_write(&folder, "certs/\033[2J.pem", "nonsense");
    load("'a.test': 'x:1'");
    certificates_print(folder.snapshot, &broken, 0, true, &out);
    buffer_append(&out, slice_make("", 1));
    cr_expect_null(strchr(buffer_content(&out).at, '\033'));
    cr_expect(strstr(buffer_content(&out).at, "/\\x1b[2J.pem: quarantined"));
    buffer_clear(&out);
}

Test(certificates, as_text)
{
    struct buffer out = {0};

    load("'a.test': 'x:1'");
    certificates_print(folder.snapshot, &broken, 0, true, &out);
    buffer_append(&out, slice_make("", 1));
    const char *text = buffer_content(&out).at;
    cr_expect(strstr(text, "*.test, localhost\n"), "%s", text);
    cr_expect(strstr(text, "test.crt: serving, ECDSA P-256, until 20"), "%s", text);
    cr_expect(strstr(text, "    a.test: goes dark with it"), "%s", text);
    buffer_clear(&out);
}

/* What is served was read before a load that was refused read something else from the same files;
 * they are as they were again, and then they break. */
Test(certificates, quarantined_though_it_was_read_twice)
{
    const struct load_options options = {.keys = folder.keys, .certs = library};
    struct problems problems;
    struct snapshot *served;
    load("'a.test': 'x:1'");
    served = snapshot_ref(folder.snapshot);
    rename_certificate("test", "aside");
    route_folder_certify(&folder, "test", "other.test", 90);
    problems_init(&problems);
    route_folder_write(&folder, "routes.json", "{ 'certs': 'certs', 'routes': 5 }");
    cr_assert_null(snapshot_load(folder.file, &options, &problems));
    problems_clear(&problems);
    rename_certificate("aside", "test");
    load("'a.test': 'x:1'");
    cr_expect_eq(folder.snapshot->fingerprint, served->fingerprint);
    route_folder_write(&folder, "certs/test.key", "half");
    load("'a.test': 'x:1'");
    cr_assert_eq(broken.count, 1);
    cr_expect_eq(folder.snapshot->fingerprint, served->fingerprint);
    certificates_list(&arena, served, &broken, &rows);
    cr_expect_eq(row("test.crt")->state, CERTIFICATE_QUARANTINED);
    snapshot_unref(served);
}

/* A certificate is known by its file. */
Test(certificates, one_that_is_called_otherwise_is_a_change)
{
    load("'a.test': 'x:1'");
    uint64_t before = folder.snapshot->fingerprint;
    rename_certificate("test", "renamed");
    load("'a.test': 'x:1'");
    cr_expect_neq(folder.snapshot->fingerprint, before);
    cr_expect_str_eq(row("renamed.crt")->file, rows.list[0].file);
}
