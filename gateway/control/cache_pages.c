#include "control/cache_pages.h"

#include "base/json_text.h"
#include "base/terminal.h"
#include "control/metrics_text.h"

static void print_number(struct buffer *out, const char *name, uint64_t value)
{
    buffer_printf(out, ",\"%s\":%llu", name, (unsigned long long)value);
}

void cache_print_json(const struct status_page *page, struct buffer *out)
{
    buffer_append_text(out, "\"cache\":[");
    for (unsigned i = 0; i < page->zone_count; i++) {
        const struct cache_zone_report *zone = &page->zones[i];
        buffer_append_text(out, i > 0 ? ",{\"zone\":" : "{\"zone\":");
        json_append_string(out, zone->name);
        print_number(out, "size", zone->size);
        print_number(out, "bytes", zone->bytes);
        print_number(out, "objects", zone->objects);
        print_number(out, "found", zone->hits);
        print_number(out, "fetched", zone->misses);
        print_number(out, "waited", zone->waits);
        print_number(out, "passed", zone->passes);
        print_number(out, "waiting", zone->waiting);
        print_number(out, "stored", zone->stored);
        print_number(out, "evicted", zone->evictions);
        print_number(out, "purged", zone->purged);
        print_number(out, "refused", zone->refused);
        buffer_append_text(out, "}");
    }
    buffer_append_text(out, "]");
}

void cache_print_text(const struct status_page *page, struct buffer *out)
{
    if (page->zone_count > 0)
        buffer_append_text(out, "\ncache\n");
    for (unsigned i = 0; i < page->zone_count; i++) {
        const struct cache_zone_report *zone = &page->zones[i];
        buffer_append_text(out, "  ");
        terminal_append(out, zone->name);
        buffer_printf(out,
                      "  %llu responses in %llu of %llu bytes; %llu found, %llu fetched, "
                      "%llu evicted, %llu purged\n",
                      (unsigned long long)zone->objects, (unsigned long long)zone->bytes,
                      (unsigned long long)zone->size, (unsigned long long)zone->hits,
                      (unsigned long long)zone->misses, (unsigned long long)zone->evictions,
                      (unsigned long long)zone->purged);
    }
}

static void print_family(const struct status_page *page, struct buffer *out, const char *name,
                         const char *type, const char *help, size_t member)
{
    struct metrics_family family = metrics_begin(out, name, type, help);

    for (unsigned i = 0; i < page->zone_count; i++) {
        const struct cache_zone_report *zone = &page->zones[i];
        const char *report = (const void *)zone;
        uint64_t value;
        memcpy(&value, report + member, sizeof(value));
        family.labels[0] = (struct metrics_label){"zone", zone->name};
        metrics_sample(&family, value);
    }
}

void cache_metrics_print(const struct status_page *page, struct buffer *out)
{
    static const struct {
        const char *name, *type, *help;
        size_t member;
    } families[] = {
        {"sallyport_cache_size_bytes", "gauge", "Memory that the cache may take, by zone.",
         offsetof(struct cache_zone_report, size)},
        {"sallyport_cache_bytes", "gauge", "Memory that it takes, with all that belongs to it.",
         offsetof(struct cache_zone_report, bytes)},
        {"sallyport_cache_objects", "gauge", "Responses that are kept.",
         offsetof(struct cache_zone_report, objects)},
        {"sallyport_cache_stored_total", "counter", "Responses that were put in whole.",
         offsetof(struct cache_zone_report, stored)},
        {"sallyport_cache_evictions_total", "counter", "Those that went to make room.",
         offsetof(struct cache_zone_report, evictions)},
        {"sallyport_cache_purged_total", "counter",
         "Those that were purged, or changed by a request.",
         offsetof(struct cache_zone_report, purged)},
        {"sallyport_cache_refused_total", "counter", "Times that no room could be made.",
         offsetof(struct cache_zone_report, refused)},
    };

    for (size_t i = 0; page->zone_count > 0 && i < sizeof(families) / sizeof(families[0]); i++)
        print_family(page, out, families[i].name, families[i].type, families[i].help,
                     families[i].member);
}
