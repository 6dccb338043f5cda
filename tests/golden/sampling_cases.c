/* Folder text, sampling.json: region augmentation, and how often each sample is drawn. There a
 * shuffle reverses and a random number is its lower end. */
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "corpus/region_order.h"
#include "golden.h"
#include "golden_builder.h"
#include "golden_text.h"
#include "train/order.h"

static double area_of(const json_t *region)
{
    const json_t *corners = json_object_get(region, "xyxy"), *box = json_object_get(region, "bbox");
    const struct box b = corners ? golden_box(corners) : golden_box_by_size(box);
    if (!corners && !box) return json_number_value(json_object_get(region, "area"));
    return (b.x2 - b.x1) * (b.y2 - b.y1);
}

static enum region_order kind_of(const char *name)
{
    static const char *const names[] = {"none", "shuffle", "truncate", "shuffle_and_truncate",
                                        "sort_by_size"};
    for (int k = 0; k < 5; k++)
        if (strcmp(name, names[k]) == 0) return (enum region_order)k;
    return REGION_ORDER_NONE;
}

/* Names in order, and where each old index went. */
static bool same_order(const json_t *row, const int64_t *order, int64_t n)
{
    const json_t *regions = json_object_get(row, "regions"),
                 *out = json_object_get(row, "regions_out");
    bool same = (int64_t)json_array_size(out) == n;
    for (int64_t i = 0; i < n && same; i++)
        same = strcmp(json_string_value(json_array_get(out, (size_t)i)),
                      golden_text_string(json_array_get(regions, (size_t)order[i]), "name")) == 0;
    json_t *mapping = json_object_get(row, "mapping"), *value;
    const json_t *mapped = json_object_get(row, "mapping_out");
    const char *key;
    json_object_foreach(mapping, key, value)
    {
        int64_t place = -1;
        for (int64_t i = 0; i < n; i++)
            if (order[i] == json_integer_value(value)) place = i;
        const json_t *want = json_object_get(mapped, key);
        same = same && (want ? json_integer_value(want) : -1) == place;
    }
    return same;
}

static void check_augmentation(const json_t *row, struct golden_report *report)
{
    const json_t *regions = json_object_get(row, "regions");
    const int64_t n = (int64_t)json_array_size(regions);
    const double share = json_number_value(json_object_get(row, "min_region_keep_ratio"));
    double *areas = memory_new((size_t)n + 1, sizeof *areas);
    int64_t *order = memory_new((size_t)n + 1, sizeof *order);
    int64_t *reversed = memory_new((size_t)n + 1, sizeof *reversed);
    for (int64_t i = 0; i < n; i++) {
        areas[i] = area_of(json_array_get(regions, (size_t)i));
        reversed[i] = n - 1 - i;
    }
    const int64_t n_kept = region_order(order, kind_of(golden_text_string(row, "kind")), areas, n,
                                        reversed, region_order_fewest(n, share));
    golden_report_case(report, "region order", same_order(row, order, n_kept), "%s",
                       golden_text_string(row, "id"));
    free(areas);
    free(order);
    free(reversed);
}

/* Each of n samples is drawn equally often but for one, and never fewer than the target; where the
 * release has an answer, as often as there. */
static void check_draws(const json_t *row, struct golden_report *report)
{
    const int64_t n = json_integer_value(json_object_get(row, "n"));
    const int64_t target = json_integer_value(json_object_get(row, "target"));
    const json_t *indices = json_object_get(row, "indices");
    const struct order_source source = {
        .name = "golden", .n_records = n, .n_tasks = 1, .count = target};
    struct order *order = NULL;
    int64_t *drawn = memory_new((size_t)n + 1, sizeof *drawn);
    const bool made = order_create(&order, 1, 1, &source, 1) == OK;
    bool same = made == (target > 0);
    for (int64_t i = 0; i < target && made; i++) drawn[order_item_at(order, i).record]++;
    int64_t n_more = 0, n_more_released = 0;
    for (int64_t i = 0; i < n && made; i++) {
        int64_t released = 0;
        for (size_t k = 0; k < json_array_size(indices); k++)
            released += json_integer_value(json_array_get(indices, k)) == i;
        same = same && (drawn[i] == target / n || drawn[i] == target / n + 1);
        n_more += drawn[i] > target / n;
        n_more_released += released > target / n;
    }
    same = same && (!made || n_more == target % n);
    if (json_is_array(indices) && made) same = same && n_more == n_more_released;
    golden_report_case(report, "draws of a source", same, "%s", golden_text_string(row, "id"));
    order_destroy(order);
    free(drawn);
}

enum status golden_check_sampling(const char *directory, struct golden_report *report)
{
    enum status status = OK;
    json_t *rows = NULL;
    TRY(golden_text_cases(&rows, directory, "sampling.json"));
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        if (json_object_get(row, "kind"))
            check_augmentation(row, report);
        else
            check_draws(row, report);
    }
out:
    json_decref(rows);
    return status;
}
