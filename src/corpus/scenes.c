/* A scene as a record: drawn, measured, told. */
#include "corpus/scenes.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/text_buffer.h"
#include "corpus/scenes_crowd.h"
#include "corpus/scenes_relations.h"
#include "corpus/scenes_text.h"

struct scenes_options scenes_options_default(void)
{
    return (struct scenes_options){
        .seed = 1, .size = 128, .min_things = 3, .max_things = SCENES_MAX_THINGS, .quality = 90};
}

enum status scenes_options_check(const struct scenes_options *options)
{
    enum status status = OK;
    if (options->size < 64 || options->size > 1024)
        FAIL(ERR_ARGUMENT, "scenes: size is %" PRId64 " pixels; it must be 64 .. 1024",
             options->size);
    if (options->min_things < 2 || options->min_things > options->max_things ||
        options->max_things > SCENES_MAX_THINGS)
        FAIL(ERR_ARGUMENT,
             "scenes: %" PRId64 " to %" PRId64 " things in a scene; both must be 2 .. %d, in order",
             options->min_things, options->max_things, SCENES_MAX_THINGS);
    if (options->quality < 1 || options->quality > 100)
        FAIL(ERR_ARGUMENT, "scenes: JPEG quality is %d; it must be 1 .. 100", options->quality);
    if (options->crowd_objects != 0 &&
        (options->crowd_objects < 2 || options->crowd_objects > SCENES_MAX_CROWD))
        FAIL(ERR_ARGUMENT, "scenes: %g things in a crowd on average; it must be 2 .. %d",
             options->crowd_objects, SCENES_MAX_CROWD);
    if (options->crowd_relations < 0 ||
        (options->crowd_objects == 0) != (options->crowd_relations == 0))
        FAIL(ERR_ARGUMENT,
             "scenes: %g things and %g relations in a crowd on average; give both or neither",
             options->crowd_objects, options->crowd_relations);
    if (options->first < 0)
        FAIL(ERR_ARGUMENT, "scenes: the first index is %" PRId64 "; it must be >= 0",
             options->first);
out:
    return status;
}

/* Region k of the record is thing order[k]. */
static enum status add_regions(struct record *record, const struct scenes_layout *layout,
                               const struct scenes_picture *picture,
                               const struct scenes_extent *extents, const int64_t *order)
{
    enum status status = OK;
    int64_t n = layout->n_things, n_pixels = record->height * record->width;
    uint8_t *mask = malloc((size_t)n_pixels);
    if (!mask) FAIL(ERR_MEMORY, "no memory for a mask of %" PRId64 " pixels", n_pixels);
    record->regions = memory_new((size_t)n, sizeof *record->regions);
    record->objects = memory_new((size_t)n, sizeof *record->objects);
    record->n_regions = record->n_objects = n;
    for (int64_t k = 0; k < n; k++) {
        const struct scenes_thing *thing = &layout->things[order[k]];
        const struct scenes_extent *extent = &extents[order[k]];
        for (int64_t p = 0; p < n_pixels; p++) mask[p] = picture->owner[p] == order[k];
        TRY(rle_from_mask(&record->regions[k].mask, mask, record->height, record->width));
        record->regions[k].box = (struct box){(double)extent->x1, (double)extent->y1,
                                              (double)extent->x2, (double)extent->y2};
        struct record_object *object = &record->objects[k];
        object->name = text_copy(scenes_name_text(thing->name));
        object->attributes = memory_new(1, sizeof *object->attributes);
        object->attributes[object->n_attributes++] = text_copy(scenes_colour(thing->colour)->name);
        object->region = k;
    }
out:
    free(mask);
    return status;
}

static void add_statements(struct record *record, const struct scenes_statement *statements,
                           int64_t n, const struct scenes_layout *layout, const int64_t *order)
{
    int64_t number[SCENES_MAX_CROWD];
    for (int64_t k = 0; k < layout->n_things; k++) number[order[k]] = k;
    record->relations = memory_new((size_t)n + 1, sizeof *record->relations);
    record->n_relations = n;
    for (int64_t i = 0; i < n; i++) {
        const struct scenes_predicate *predicate = scenes_predicate(statements[i].relation);
        record->relations[i] = (struct record_relation){
            .subject = number[statements[i].subject],
            .object = number[statements[i].object],
            .predicate = text_copy(predicate->text),
            .kind = text_copy(predicate->kind),
        };
    }
}

static void add_relations(struct record *record, const struct scenes_layout *layout,
                          const struct scenes_extent *extents, const int64_t *order)
{
    struct scenes_statement statements[SCENES_MAX_STATEMENTS];
    int64_t n = scenes_statements(statements, layout, extents, order, record->height);
    add_statements(record, statements, n, layout, order);
}

static void add_crowd_relations(struct record *record, const struct scenes_layout *layout,
                                const struct scenes_extent *extents, const int64_t *order,
                                struct random_stream stream, const struct scenes_options *options)
{
    struct scenes_statement statements[SCENES_MAX_STATEMENTS];
    int64_t n = scenes_statements(statements, layout, extents, order, record->height);
    struct scenes_statement *chosen =
        scenes_crowd_choose(&n, statements, n, layout->n_things, stream, options);
    add_statements(record, chosen, n, layout, order);
    free(chosen);
}

enum status scenes_record(struct record *record_out, const struct scenes_options *options,
                          int64_t index)
{
    enum status status = OK;
    struct record record = {0};
    struct scenes_picture picture = {0};
    struct scenes_layout layout;
    struct scenes_extent extents[SCENES_MAX_CROWD];
    int64_t order[SCENES_MAX_CROWD], scene = options->first + index;
    TRY(scenes_options_check(options));
    struct random_stream stream =
        random_substream(random_stream(options->seed, "scenes"), (uint64_t)scene);
    struct scenes_draws draws = {.stream = random_substream(stream, 0)};
    const bool crowd = options->crowd_objects > 0;
    if (crowd)
        scenes_crowd_draw(&layout, &draws, options);
    else
        scenes_layout_draw(&layout, &draws, options);
    TRY(scenes_picture_draw(&picture, &layout, options, random_substream(stream, 1)));
    scenes_measure(extents, &picture, layout.n_things);
    for (int64_t k = 0; k < layout.n_things; k++) {
        int64_t other = scenes_draw_below(&draws, k + 1);
        order[k] = order[other];
        order[other] = k;
    }
    record.id = text_format("scenes-%" PRIu64 "/%" PRId64, options->seed, scene);
    record.source =
        text_format("scenes: seed %" PRIu64 ", size %" PRId64, options->seed, options->size);
    record.height = record.width = options->size;
    TRY(image_encode_jpeg(&record.image, &record.image_size, &picture.image, options->quality));
    TRY(add_regions(&record, &layout, &picture, extents, order));
    if (crowd)
        add_crowd_relations(&record, &layout, extents, order, random_substream(stream, 2), options);
    else
        add_relations(&record, &layout, extents, order);
    scenes_texts(&record);
    *record_out = record;
    record = (struct record){0};
out:
    if (status != OK) status_add_context("scene %" PRId64, scene);
    scenes_picture_release(&picture);
    record_release(&record);
    return status;
}
