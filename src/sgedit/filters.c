/* See filters.h. */
#include "sgedit/filters.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "corpus/import_common.h"
#include "image/image.h"

const char *const filter_names[] = {"spatial", "depth", "region_iou", "judge"};

#define LEAST_INSIDE    0.5 /* share of the subject's box within the object's */
#define DEFAULT_DEPTH   0.02
#define DEFAULT_OVERLAP 0.5

/* ---- words ---- */

static const struct {
    const char *words;
    enum spatial_word what;
} spatial_words[] = {
    {"left of", SPATIAL_LEFT},        {"right of", SPATIAL_RIGHT},    {"to the left", SPATIAL_LEFT},
    {"to the right", SPATIAL_RIGHT},  {"above", SPATIAL_ABOVE},       {"on top of", SPATIAL_ABOVE},
    {"below", SPATIAL_BELOW},         {"beneath", SPATIAL_BELOW},     {"underneath", SPATIAL_BELOW},
    {"under", SPATIAL_BELOW},         {"inside", SPATIAL_INSIDE},     {"within", SPATIAL_INSIDE},
    {"contained in", SPATIAL_INSIDE}, {"in front of", SPATIAL_FRONT}, {"behind", SPATIAL_BEHIND},
};
#define N_SPATIAL_WORDS (sizeof spatial_words / sizeof spatial_words[0])

/* Whole words only: "thunder" is not "under". */
static bool holds_words(const char *text, const char *words)
{
    const size_t n = strlen(words);
    for (const char *at = strcasestr(text, words); at != NULL; at = strcasestr(at + 1, words)) {
        const bool begins = at == text || !isalpha((unsigned char)at[-1]);
        if (begins && !isalpha((unsigned char)at[n])) return true;
    }
    return false;
}

/* Two different directions in one predicate ("above and left of"), or a "not", say nothing here. */
enum spatial_word spatial_word_of(const char *predicate)
{
    enum spatial_word found = SPATIAL_NONE;
    if (holds_words(predicate, "not")) return SPATIAL_NONE;
    for (size_t i = 0; i < N_SPATIAL_WORDS; i++) {
        if (!holds_words(predicate, spatial_words[i].words)) continue;
        if (found != SPATIAL_NONE && found != spatial_words[i].what) return SPATIAL_NONE;
        found = spatial_words[i].what;
    }
    return found;
}

/* ---- where things are ---- */

struct centre {
    double x, y;
};

/* Of the mask's pixels, or of the box. */
static struct centre centre_of(const struct record_region *region)
{
    const struct rle *mask = &region->mask;
    double x = 0, y = 0, n = 0;
    int64_t at = 0;
    for (int64_t run = 0; run < mask->n_runs; run++) {
        const int64_t end = at + mask->runs[run];
        while (run % 2 == 1 && at < end) {
            const int64_t row = at % mask->height, left = mask->height - row;
            const int64_t length = end - at < left ? end - at : left;
            x += (double)length * ((double)(at / mask->height) + 0.5);
            y += (double)length * ((double)row + (double)length / 2);
            n += (double)length;
            at += length;
        }
        at = end;
    }
    if (n > 0) return (struct centre){x / n, y / n};
    return (struct centre){(region->box.x1 + region->box.x2) / 2,
                           (region->box.y1 + region->box.y2) / 2};
}

static double share_inside(struct box inner, struct box outer)
{
    const double x1 = inner.x1 > outer.x1 ? inner.x1 : outer.x1;
    const double y1 = inner.y1 > outer.y1 ? inner.y1 : outer.y1;
    const double x2 = inner.x2 < outer.x2 ? inner.x2 : outer.x2;
    const double y2 = inner.y2 < outer.y2 ? inner.y2 : outer.y2;
    const double area = (inner.x2 - inner.x1) * (inner.y2 - inner.y1);
    return x2 <= x1 || y2 <= y1 || area <= 0 ? 0 : (x2 - x1) * (y2 - y1) / area;
}

/* How far the subject is the wrong way, in sides of the picture. */
static double wrong_way(const struct record *record, const struct edit_relation *relation,
                        enum spatial_word what)
{
    const struct centre a = centre_of(&record->regions[relation->subject]);
    const struct centre b = centre_of(&record->regions[relation->object]);
    const double dx = (a.x - b.x) / (double)record->width;
    const double dy = (a.y - b.y) / (double)record->height;
    if (what == SPATIAL_LEFT) return dx;
    if (what == SPATIAL_RIGHT) return -dx;
    return what == SPATIAL_ABOVE ? dy : -dy;
}

static void drop(struct edit_relation *relation, const char *by, char *why)
{
    edit_relation_end(relation, EDGE_DROPPED, by, why);
    free(why);
}

/* ---- the filters ---- */

static void judge_spatial(const struct filtering *filtering, int64_t index, double threshold)
{
    struct edit_relation *relation = &filtering->graph->relations[index];
    const struct record *record = filtering->record;
    const enum spatial_word what = spatial_word_of(relation->predicate);
    if (what == SPATIAL_NONE || what == SPATIAL_FRONT || what == SPATIAL_BEHIND) return;
    filtering->decided[index] = true;
    if (what == SPATIAL_INSIDE) {
        const double share = share_inside(record->regions[relation->subject].box,
                                          record->regions[relation->object].box);
        if (share < LEAST_INSIDE)
            drop(relation, filter_names[CONFIG_FILTER_SPATIAL],
                 text_format("%.3f of its box is inside, less than %.3f", share, LEAST_INSIDE));
        return;
    }
    const double wrong = wrong_way(record, relation, what);
    if (wrong > threshold)
        drop(relation, filter_names[CONFIG_FILTER_SPATIAL],
             text_format("%.3f of the picture the wrong way, more than %.3f", wrong, threshold));
}

/* Mean brightness within a region, 0 .. 1. */
static double depth_of(const struct image *depth, const struct record_region *region)
{
    const struct rle *mask = &region->mask;
    double sum = 0, n = 0;
    int64_t at = 0;
    for (int64_t run = 0; run < mask->n_runs; at += mask->runs[run++])
        for (int64_t i = at; run % 2 == 1 && i < at + mask->runs[run]; i++, n++)
            sum += depth->rgb[3 * (i % mask->height * depth->width + i / mask->height)];
    for (int64_t y = (int64_t)region->box.y1; mask->n_runs == 0 && y < (int64_t)region->box.y2; y++)
        for (int64_t x = (int64_t)region->box.x1; x < (int64_t)region->box.x2; x++, n++)
            sum += depth->rgb[3 * (y * depth->width + x)];
    return n > 0 ? sum / n / 255 : 0;
}

static void judge_depth(const struct filtering *filtering, int64_t index, double threshold,
                        const struct image *depth)
{
    struct edit_relation *relation = &filtering->graph->relations[index];
    const enum spatial_word what = spatial_word_of(relation->predicate);
    if (what != SPATIAL_FRONT && what != SPATIAL_BEHIND) return;
    const struct record_region *regions = filtering->record->regions;
    const double nearer =
        depth_of(depth, &regions[relation->subject]) - depth_of(depth, &regions[relation->object]);
    const double wrong = what == SPATIAL_FRONT ? -nearer : nearer;
    filtering->decided[index] = true;
    if (wrong > threshold)
        drop(relation, filter_names[CONFIG_FILTER_DEPTH],
             text_format("%.3f of the depth the wrong way, more than %.3f", wrong, threshold));
}

static enum status read_depth(struct image *depth, const struct filtering *filtering)
{
    enum status status = OK;
    const struct record *record = filtering->record;
    char *name = text_format("%s.png", record->id), *path = NULL;
    TRY(import_path(&path, filtering->config->depth, name));
    TRY(image_read(depth, path));
    if (depth->width != record->width || depth->height != record->height)
        FAIL(ERR_SHAPE, "%s is %" PRId64 " x %" PRId64 ", the picture %" PRId64 " x %" PRId64, path,
             depth->width, depth->height, record->width, record->height);
out:
    free(path);
    free(name);
    return status;
}

static double overlap_of(const struct record_region *region, const struct rle *proposal)
{
    return region->mask.n_runs > 0 ? rle_iou(&region->mask, proposal, 0)
                                   : box_iou(region->box, rle_box(proposal), 0);
}

static double best_overlap(const struct filtering *filtering, const struct record_region *region)
{
    double best = 0;
    for (int64_t i = 0; i < filtering->n_proposals; i++) {
        const double iou = overlap_of(region, &filtering->proposals[i]);
        if (iou > best) best = iou;
    }
    return best;
}

static double overlap_threshold(const struct config_generate *config)
{
    for (int64_t i = 0; i < config->n_filters; i++)
        if (config->filters[i].kind == CONFIG_FILTER_REGION_IOU &&
            config->filters[i].threshold >= 0)
            return config->filters[i].threshold;
    return DEFAULT_OVERLAP;
}

void filter_count_proposals(const struct filtering *filtering)
{
    const double threshold = overlap_threshold(filtering->config);
    const struct record *record = filtering->record;
    struct edit_graph *graph = filtering->graph;
    graph->n_proposals = filtering->n_proposals;
    graph->n_unannotated = 0;
    for (int64_t i = 0; i < filtering->n_proposals; i++) {
        bool annotated = false;
        for (int64_t r = 0; r < record->n_regions && !annotated; r++)
            annotated = overlap_of(&record->regions[r], &filtering->proposals[i]) > threshold;
        graph->n_unannotated += !annotated;
    }
}

static void drop_object(struct edit_graph *graph, int64_t index, char *why)
{
    struct edit_object *object = &graph->objects[index];
    const char *by = filter_names[CONFIG_FILTER_REGION_IOU];
    object->dropped = true;
    free(object->by);
    free(object->why);
    object->by = text_copy(by);
    object->why = why;
    for (int64_t i = 0; i < graph->n_relations; i++) {
        struct edit_relation *relation = &graph->relations[i];
        if (relation->fate != EDGE_KEPT) continue;
        if (relation->subject == index || relation->object == index)
            edit_relation_end(relation, EDGE_DROPPED, by, "one of its objects was dropped");
    }
}

static void filter_regions(const struct filtering *filtering, double threshold)
{
    struct edit_graph *graph = filtering->graph;
    for (int64_t i = 0; i < graph->n_objects; i++) {
        if (graph->objects[i].dropped) continue;
        const double overlap = best_overlap(filtering, &filtering->record->regions[i]);
        if (overlap > threshold) continue;
        drop_object(graph, i,
                    text_format("best overlap with a proposal is %.3f, not above %.3f", overlap,
                                threshold));
    }
}

enum status filter_apply(const struct filtering *filtering, int64_t index)
{
    enum status status = OK;
    const struct config_filter *filter = &filtering->config->filters[index];
    const bool given = filter->threshold >= 0;
    const struct edit_graph *graph = filtering->graph;
    struct image depth = {0};
    if (filter->kind == CONFIG_FILTER_REGION_IOU)
        filter_regions(filtering, given ? filter->threshold : DEFAULT_OVERLAP);
    if (filter->kind == CONFIG_FILTER_DEPTH) TRY(read_depth(&depth, filtering));
    for (int64_t i = 0; i < graph->n_relations; i++) {
        if (graph->relations[i].fate != EDGE_KEPT) continue;
        if (filter->kind == CONFIG_FILTER_SPATIAL)
            judge_spatial(filtering, i, given ? filter->threshold : 0);
        if (filter->kind == CONFIG_FILTER_DEPTH)
            judge_depth(filtering, i, given ? filter->threshold : DEFAULT_DEPTH, &depth);
    }
out:
    image_release(&depth);
    return status;
}

int64_t *filter_to_judge(const struct filtering *filtering, int64_t index, int64_t *n_out)
{
    const struct config_strings *words = &filtering->config->filters[index].predicates;
    const struct edit_graph *graph = filtering->graph;
    int64_t *asked = memory_new((size_t)graph->n_relations + 1, sizeof *asked);
    *n_out = 0;
    for (int64_t i = 0; i < graph->n_relations; i++) {
        bool wanted = words->n == 0 && !filtering->decided[i];
        for (int64_t w = 0; w < words->n && !wanted; w++)
            wanted = holds_words(graph->relations[i].predicate, words->values[w]);
        if (wanted && graph->relations[i].fate == EDGE_KEPT) asked[(*n_out)++] = i;
    }
    return asked;
}
