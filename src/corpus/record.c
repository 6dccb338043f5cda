/* Records in memory: what a valid one is, and the checksum over all of its fields. The layout on
 * disk is shard_schema.h's. */
#include "corpus/record.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/crc32c.h"
#include "image/image.h"

static void object_release(struct record_object *object)
{
    for (int64_t i = 0; i < object->n_attributes; i++) free(object->attributes[i]);
    free(object->attributes);
    free(object->name);
}

static void text_release_turns(struct record_text *text)
{
    for (int64_t i = 0; i < text->n_turns; i++) {
        struct record_turn *turn = &text->turns[i];
        for (int64_t c = 0; c < turn->n_choices; c++) free(turn->choices[c]);
        free(turn->choices);
        free(turn->objects);
        free(turn->question);
        free(turn->answer);
    }
    free(text->turns);
    free(text->origin);
    free(text->task);
}

void record_release(struct record *record)
{
    for (int64_t i = 0; i < record->n_regions; i++) rle_release(&record->regions[i].mask);
    for (int64_t i = 0; i < record->n_objects; i++) object_release(&record->objects[i]);
    for (int64_t i = 0; i < record->n_relations; i++) {
        free(record->relations[i].predicate);
        free(record->relations[i].kind);
    }
    for (int64_t i = 0; i < record->n_texts; i++) text_release_turns(&record->texts[i]);
    free(record->regions);
    free(record->objects);
    free(record->relations);
    free(record->texts);
    free(record->points);
    free(record->image);
    free(record->source);
    free(record->id);
    *record = (struct record){0};
}

/* A string that a shard may hold; `field` and `index` are for the sentence. */
static enum status check_string(const char *string, const char *field, int64_t index)
{
    enum status status = OK;
    if (string == NULL) FAIL(ERR_FORMAT, "%s of %lld is missing", field, (long long)index);
    const size_t size = strlen(string);
    if (size > RECORD_MAX_STRING_BYTES)
        FAIL(ERR_LIMIT, "%s of %lld has %zu bytes; the limit is %u", field, (long long)index, size,
             RECORD_MAX_STRING_BYTES);
    for (size_t at = 0; at < size;) {
        if ((unsigned char)string[at] < 0x80) { /* nearly all of them */
            at++;
            continue;
        }
        utf8proc_int32_t code;
        const utf8proc_ssize_t step = utf8proc_iterate((const utf8proc_uint8_t *)string + at,
                                                       (utf8proc_ssize_t)(size - at), &code);
        if (step <= 0)
            FAIL(ERR_FORMAT, "%s of %lld is not UTF-8 at byte %zu", field, (long long)index, at);
        at += (size_t)step;
    }
out:
    return status;
}

static enum status check_count(int64_t count, const char *field)
{
    if (count < 0 || count > RECORD_MAX_ITEMS)
        return status_fail(ERR_LIMIT, "%s: %lld of them; the limit is %d", field, (long long)count,
                           RECORD_MAX_ITEMS);
    return OK;
}

static enum status check_mask(const struct rle *mask, int64_t index, const struct record *record)
{
    enum status status = OK;
    if (mask->height != record->height || mask->width != record->width)
        FAIL(ERR_FORMAT, "mask of region %lld is %lld x %lld; the picture is %lld x %lld",
             (long long)index, (long long)mask->height, (long long)mask->width,
             (long long)record->height, (long long)record->width);
    uint64_t sum = 0;
    uint64_t set = 0;
    for (int64_t run = 0; run < mask->n_runs; run++) {
        sum += mask->runs[run];
        if (run % 2 == 1) set += mask->runs[run];
    }
    if (sum != (uint64_t)record->height * (uint64_t)record->width)
        FAIL(ERR_FORMAT, "mask of region %lld: its runs sum to %llu, not to %lld x %lld",
             (long long)index, (unsigned long long)sum, (long long)record->height,
             (long long)record->width);
    if (set == 0) FAIL(ERR_FORMAT, "mask of region %lld holds no pixel", (long long)index);
out:
    return status;
}

static enum status check_regions(const struct record *record)
{
    enum status status = OK;
    for (int64_t i = 0; i < record->n_regions; i++) {
        const struct box box = record->regions[i].box;
        /* written so that NaN fails it */
        if (!(box.x1 >= 0 && box.x1 < box.x2 && box.x2 <= (double)record->width && box.y1 >= 0 &&
              box.y1 < box.y2 && box.y2 <= (double)record->height))
            FAIL(ERR_FORMAT,
                 "box of region %lld is (%g, %g, %g, %g): not a box inside the picture of %lld x "
                 "%lld (width x height)",
                 (long long)i, box.x1, box.y1, box.x2, box.y2, (long long)record->width,
                 (long long)record->height);
        if (record->regions[i].mask.n_runs != 0)
            TRY(check_mask(&record->regions[i].mask, i, record));
    }
out:
    return status;
}

static enum status check_objects(const struct record *record)
{
    enum status status = OK;
    int64_t n_attributes = 0;
    for (int64_t i = 0; i < record->n_objects; i++) {
        const struct record_object *object = &record->objects[i];
        TRY(check_string(object->name, "name of object", i));
        if (object->name[0] == '\0') FAIL(ERR_FORMAT, "name of object %lld is empty", (long long)i);
        if (object->region < 0 || object->region >= record->n_regions)
            FAIL(ERR_FORMAT, "region of object %lld is %lld; there are %lld regions", (long long)i,
                 (long long)object->region, (long long)record->n_regions);
        n_attributes += object->n_attributes;
        TRY(check_count(n_attributes, "attributes"));
        for (int64_t j = 0; j < object->n_attributes; j++)
            TRY(check_string(object->attributes[j], "attribute of object", i));
    }
out:
    return status;
}

static bool kind_is_known(const char *kind)
{
    static const char *const kinds[] = {"",           "spatial", "interactional",
                                        "functional", "social",  "emotional"};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kind, kinds[i]) == 0) return true;
    }
    return false;
}

static enum status check_relations(const struct record *record)
{
    enum status status = OK;
    for (int64_t i = 0; i < record->n_relations; i++) {
        const struct record_relation *relation = &record->relations[i];
        if (relation->subject < 0 || relation->subject >= record->n_objects)
            FAIL(ERR_FORMAT, "subject of relation %lld is %lld; there are %lld objects",
                 (long long)i, (long long)relation->subject, (long long)record->n_objects);
        if (relation->object < 0 || relation->object >= record->n_objects)
            FAIL(ERR_FORMAT, "object of relation %lld is %lld; there are %lld objects",
                 (long long)i, (long long)relation->object, (long long)record->n_objects);
        TRY(check_string(relation->predicate, "predicate of relation", i));
        if (relation->predicate[0] == '\0')
            FAIL(ERR_FORMAT, "predicate of relation %lld is empty", (long long)i);
        TRY(check_string(relation->kind, "kind of relation", i));
        if (!kind_is_known(relation->kind))
            FAIL(ERR_FORMAT,
                 "kind of relation %lld is '%s'; it must be spatial, interactional, functional, "
                 "social, emotional or empty",
                 (long long)i, relation->kind);
    }
out:
    return status;
}

static enum status check_turn(const struct record_turn *turn, int64_t text, int64_t n_objects)
{
    enum status status = OK;
    TRY(check_string(turn->question, "question of text", text));
    TRY(check_string(turn->answer, "answer of text", text));
    for (int64_t i = 0; i < turn->n_choices; i++)
        TRY(check_string(turn->choices[i], "choice of text", text));
    if (turn->choice < 0 || turn->choice >= (turn->n_choices > 0 ? turn->n_choices : 1))
        FAIL(ERR_FORMAT, "choice of text %lld is %lld; it has %lld choices", (long long)text,
             (long long)turn->choice, (long long)turn->n_choices);
    if (turn->n_choices > 0 && strcmp(turn->answer, turn->choices[turn->choice]) != 0)
        FAIL(ERR_FORMAT, "answer of text %lld is not its choice %lld", (long long)text,
             (long long)turn->choice);
    for (int64_t i = 0; i < turn->n_objects; i++)
        if (turn->objects[i] < 0 || turn->objects[i] >= n_objects)
            FAIL(ERR_FORMAT, "objects of text %lld has %lld; there are %lld objects",
                 (long long)text, (long long)turn->objects[i], (long long)n_objects);
out:
    return status;
}

static enum status check_points(const struct record *record)
{
    for (int64_t i = 0; i < record->n_points; i++) {
        const struct record_point p = record->points[i];
        if (!(p.x >= 0 && p.x <= (double)record->width && p.y >= 0 &&
              p.y <= (double)record->height))
            return status_fail(
                ERR_FORMAT, "point %lld is (%g, %g); the picture is %lld x %lld (width x height)",
                (long long)i, p.x, p.y, (long long)record->width, (long long)record->height);
    }
    return OK;
}

static enum status check_texts(const struct record *record)
{
    enum status status = OK;
    int64_t n_turns = 0;
    for (int64_t i = 0; i < record->n_texts; i++) {
        const struct record_text *text = &record->texts[i];
        TRY(check_string(text->task, "task of text", i));
        if (text->task[0] == '\0') FAIL(ERR_FORMAT, "task of text %lld is empty", (long long)i);
        if (text->region < -1 || text->region >= record->n_regions)
            FAIL(ERR_FORMAT, "region of text %lld is %lld; there are %lld regions", (long long)i,
                 (long long)text->region, (long long)record->n_regions);
        if (text->n_turns < 1) FAIL(ERR_FORMAT, "text %lld has no turn", (long long)i);
        n_turns += text->n_turns;
        TRY(check_count(n_turns, "turns"));
        if (text->origin != NULL) TRY(check_string(text->origin, "origin of text", i));
        for (int64_t j = 0; j < text->n_turns; j++)
            TRY(check_turn(&text->turns[j], i, record->n_objects));
    }
    const struct record_extras extras = record_count_extras(record);
    TRY(check_count(extras.n_choices, "choices"));
    TRY(check_count(extras.n_references, "objects of turns"));
out:
    return status;
}

static enum status check_picture(const struct record *record)
{
    enum status status = OK;
    if (record->image_size > RECORD_MAX_IMAGE_BYTES)
        FAIL(ERR_LIMIT, "image has %zu bytes; the limit is %u", record->image_size,
             RECORD_MAX_IMAGE_BYTES);
    const int64_t least = record->image_size == 0 ? 0 : 1;
    const int64_t most = record->image_size == 0 ? 0 : IMAGE_MAX_SIDE;
    if (record->height < least || record->height > most || record->width < least ||
        record->width > most)
        FAIL(ERR_FORMAT,
             "height and width are %lld and %lld; with %zu bytes of image they must be "
             "%lld .. %lld",
             (long long)record->height, (long long)record->width, record->image_size,
             (long long)least, (long long)most);
out:
    return status;
}

enum status record_check(const struct record *record)
{
    enum status status = OK;
    TRY(check_string(record->id, "id", 0));
    if (record->id[0] == '\0') FAIL(ERR_FORMAT, "id is empty");
    TRY(check_string(record->source, "source", 0));
    TRY(check_picture(record));
    TRY(check_count(record->n_regions, "regions"));
    TRY(check_count(record->n_objects, "objects"));
    TRY(check_count(record->n_relations, "relations"));
    TRY(check_count(record->n_texts, "texts"));
    TRY(check_count(record->n_points, "points"));
    TRY(check_regions(record));
    TRY(check_objects(record));
    TRY(check_relations(record));
    TRY(check_texts(record));
    TRY(check_points(record));
out:
    if (status != OK) status_add_context("record %s", record->id == NULL ? "?" : record->id);
    return status;
}

static uint32_t add_integer(uint32_t crc, int64_t value)
{
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)((uint64_t)value >> (8 * i));
    return crc32c(crc, bytes, sizeof bytes);
}

static uint32_t add_real(uint32_t crc, double value)
{
    int64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return add_integer(crc, bits);
}

static uint32_t add_bytes(uint32_t crc, const void *bytes, size_t size)
{
    crc = add_integer(crc, (int64_t)size);
    return size == 0 ? crc : crc32c(crc, bytes, size);
}

static uint32_t add_string(uint32_t crc, const char *string)
{
    return add_bytes(crc, string, strlen(string));
}

static uint32_t add_region(uint32_t crc, const struct record_region *region)
{
    crc = add_real(crc, region->box.x1);
    crc = add_real(crc, region->box.y1);
    crc = add_real(crc, region->box.x2);
    crc = add_real(crc, region->box.y2);
    crc = add_integer(crc, region->mask.n_runs);
    for (int64_t i = 0; i < region->mask.n_runs; i++) crc = add_integer(crc, region->mask.runs[i]);
    return crc;
}

static uint32_t add_object(uint32_t crc, const struct record_object *object)
{
    crc = add_string(crc, object->name);
    crc = add_integer(crc, object->region);
    crc = add_integer(crc, object->n_attributes);
    for (int64_t i = 0; i < object->n_attributes; i++) crc = add_string(crc, object->attributes[i]);
    return crc;
}

static uint32_t add_relation(uint32_t crc, const struct record_relation *relation)
{
    crc = add_integer(crc, relation->subject);
    crc = add_integer(crc, relation->object);
    crc = add_string(crc, relation->predicate);
    return add_string(crc, relation->kind);
}

static uint32_t add_text(uint32_t crc, const struct record_text *text)
{
    crc = add_string(crc, text->task);
    crc = add_integer(crc, text->region);
    crc = add_integer(crc, text->n_turns);
    for (int64_t i = 0; i < text->n_turns; i++) {
        crc = add_string(crc, text->turns[i].question);
        crc = add_string(crc, text->turns[i].answer);
    }
    return crc;
}

struct record_extras record_count_extras(const struct record *record)
{
    struct record_extras extras = {0};
    for (int64_t i = 0; i < record->n_texts; i++) {
        const struct record_text *text = &record->texts[i];
        extras.n_origins += text->origin != NULL && text->origin[0] != '\0';
        for (int64_t j = 0; j < text->n_turns; j++) {
            extras.n_choices += text->turns[j].n_choices;
            extras.n_references += text->turns[j].n_objects;
        }
    }
    return extras;
}

static uint32_t add_turn_extras(uint32_t crc, const struct record_turn *turn)
{
    crc = add_integer(crc, turn->n_choices);
    for (int64_t i = 0; i < turn->n_choices; i++) crc = add_string(crc, turn->choices[i]);
    crc = add_integer(crc, turn->choice);
    crc = add_integer(crc, turn->n_objects);
    for (int64_t i = 0; i < turn->n_objects; i++) crc = add_integer(crc, turn->objects[i]);
    return crc;
}

/* Nothing is added for a record without any of it: schema 1 had none. */
static uint32_t add_extras(uint32_t crc, const struct record *record)
{
    const struct record_extras extras = record_count_extras(record);
    if (record->n_points + extras.n_choices + extras.n_references + extras.n_origins == 0)
        return crc;
    crc = add_integer(crc, record->n_points);
    for (int64_t i = 0; i < record->n_points; i++) {
        crc = add_real(crc, record->points[i].x);
        crc = add_real(crc, record->points[i].y);
    }
    for (int64_t i = 0; i < record->n_texts; i++) {
        const struct record_text *text = &record->texts[i];
        crc = add_string(crc, text->origin == NULL ? "" : text->origin);
        for (int64_t j = 0; j < text->n_turns; j++) crc = add_turn_extras(crc, &text->turns[j]);
    }
    return crc;
}

uint32_t record_checksum(const struct record *record)
{
    uint32_t crc = add_string(0, record->id);
    crc = add_string(crc, record->source);
    crc = add_integer(crc, record->height);
    crc = add_integer(crc, record->width);
    crc = add_bytes(crc, record->image, record->image_size);
    crc = add_integer(crc, record->n_regions);
    for (int64_t i = 0; i < record->n_regions; i++) crc = add_region(crc, &record->regions[i]);
    crc = add_integer(crc, record->n_objects);
    for (int64_t i = 0; i < record->n_objects; i++) crc = add_object(crc, &record->objects[i]);
    crc = add_integer(crc, record->n_relations);
    for (int64_t i = 0; i < record->n_relations; i++)
        crc = add_relation(crc, &record->relations[i]);
    crc = add_integer(crc, record->n_texts);
    for (int64_t i = 0; i < record->n_texts; i++) crc = add_text(crc, &record->texts[i]);
    return add_extras(crc, record);
}
