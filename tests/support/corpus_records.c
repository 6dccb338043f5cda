/* See corpus_records.h. */
#include "support/corpus_records.h"

#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "base/text_buffer.h"

static const char *const names[] = {"man", "Hund", "\xe7\x8c\xab", "\xf0\x9f\x9a\xb2 bike", "a b"};
static const char *const kinds[] = {"",           "spatial", "interactional",
                                    "functional", "social",  "emotional"};

static void add_regions(struct record *record, int n)
{
    record->regions = memory_new((size_t)n, sizeof *record->regions);
    record->n_regions = n;
    for (int i = 0; i < n; i++) {
        struct record_region *region = &record->regions[i];
        region->box = (struct box){i, 0.5, i + 1.25, (double)record->height};
        if (i % 2 == 1) continue;
        const uint32_t pixels = (uint32_t)(record->height * record->width);
        region->mask.height = record->height;
        region->mask.width = record->width;
        region->mask.n_runs = 3;
        region->mask.runs = memory_new(3, sizeof(uint32_t));
        region->mask.runs[0] = (uint32_t)i;
        region->mask.runs[1] = 5;
        region->mask.runs[2] = pixels - 5 - (uint32_t)i;
    }
}

static void add_objects(struct record *record, int n, int index)
{
    record->objects = memory_new((size_t)n, sizeof *record->objects);
    record->n_objects = n;
    for (int i = 0; i < n; i++) {
        struct record_object *object = &record->objects[i];
        object->name = text_copy(names[(i + index) % 5]);
        object->region = n - 1 - i;
        object->n_attributes = i % 3;
        if (i % 3 == 0) continue;
        object->attributes = memory_new(2, sizeof *object->attributes);
        for (int j = 0; j < i % 3; j++)
            object->attributes[j] = text_format("attribute %d of %d", j, index);
    }
}

static void add_relations(struct record *record, int n)
{
    record->relations = memory_new((size_t)n, sizeof *record->relations);
    record->n_relations = n;
    for (int i = 0; i < n; i++) {
        struct record_relation *relation = &record->relations[i];
        relation->subject = i % record->n_objects;
        relation->object = (i + 1) % record->n_objects;
        relation->predicate = text_format("beside %d", i);
        relation->kind = text_copy(kinds[i % 6]);
    }
}

static void add_texts(struct record *record, int n)
{
    record->texts = memory_new((size_t)n, sizeof *record->texts);
    record->n_texts = n;
    for (int i = 0; i < n; i++) {
        struct record_text *text = &record->texts[i];
        text->task = text_copy(i == 0 ? "caption" : "vqa");
        text->region = i == 0 ? -1 : 0;
        text->n_turns = i + 1;
        text->turns = memory_new((size_t)i + 1, sizeof *text->turns);
        for (int j = 0; j <= i; j++) {
            text->turns[j].question = j == 0 ? text_copy("") : text_format("What is region%d?", j);
            text->turns[j].answer = text_format("\xc3\xa9 answer %d\n", j);
        }
    }
}

static void add_choices(struct record_turn *turn, int n)
{
    turn->choices = memory_new((size_t)n, sizeof *turn->choices);
    for (; turn->n_choices < n; turn->n_choices++)
        turn->choices[turn->n_choices] = text_format("choice %d", (int)turn->n_choices);
    turn->choice = n / 2;
    free(turn->answer);
    turn->answer = text_copy(turn->choices[turn->choice]);
}

/* Points, choices, objects of turns, origins: in some records, in some of their texts. */
static void add_extras(struct record *record, int index)
{
    if (index % 2 == 1) {
        record->points = memory_new(2, sizeof *record->points);
        record->points[record->n_points++] = (struct record_point){0, 0.25};
        record->points[record->n_points++] = (struct record_point){(double)record->width, 3};
    }
    for (int64_t i = 0; i < record->n_texts; i++) {
        struct record_turn *last = &record->texts[i].turns[record->texts[i].n_turns - 1];
        if ((index + i) % 2 == 0) record->texts[i].origin = text_format("train %d", index);
        if (i == 0) continue;
        add_choices(last, 2 + index % 3);
        last->objects = memory_new(2, sizeof *last->objects);
        last->objects[last->n_objects++] = record->n_objects - 1;
        last->objects[last->n_objects++] = 0;
    }
}

struct record test_record(int index)
{
    struct record record = {0};
    record.id = text_format("test/%d", index);
    record.source = text_copy("tests");
    if (index % 5 == 4) { /* text alone */
        add_texts(&record, 1);
        record.texts[0].region = -1;
        return record;
    }
    const int picture = index % 3 == 1 ? index - 1 : index;
    const struct random_stream stream = random_stream((uint64_t)picture, "picture");
    record.height = 7 + picture % 3;
    record.width = 11;
    record.image_size = 40 + (size_t)picture % 17;
    record.image = memory_new(record.image_size, 1);
    for (size_t i = 0; i < record.image_size; i++) record.image[i] = (uint8_t)random_u64(stream, i);
    if (index % 7 == 6) return record; /* a picture alone */
    add_regions(&record, 1 + index % 4);
    add_objects(&record, 1 + index % 4, index);
    add_relations(&record, index % 9);
    add_texts(&record, index % 3);
    if (index % 4 != 0) add_extras(&record, index);
    return record;
}

static bool regions_equal(const struct record_region *a, const struct record_region *b)
{
    return memcmp(&a->box, &b->box, sizeof a->box) == 0 && a->mask.n_runs == b->mask.n_runs &&
           a->mask.height == b->mask.height && a->mask.width == b->mask.width &&
           (a->mask.n_runs == 0 ||
            memcmp(a->mask.runs, b->mask.runs, (size_t)a->mask.n_runs * sizeof(uint32_t)) == 0);
}

static bool objects_equal(const struct record_object *a, const struct record_object *b)
{
    if (strcmp(a->name, b->name) != 0 || a->region != b->region ||
        a->n_attributes != b->n_attributes)
        return false;
    for (int64_t i = 0; i < a->n_attributes; i++) {
        if (strcmp(a->attributes[i], b->attributes[i]) != 0) return false;
    }
    return true;
}

static bool turns_equal(const struct record_turn *a, const struct record_turn *b)
{
    if (strcmp(a->question, b->question) != 0 || strcmp(a->answer, b->answer) != 0 ||
        a->n_choices != b->n_choices || a->choice != b->choice || a->n_objects != b->n_objects)
        return false;
    for (int64_t i = 0; i < a->n_choices; i++)
        if (strcmp(a->choices[i], b->choices[i]) != 0) return false;
    for (int64_t i = 0; i < a->n_objects; i++)
        if (a->objects[i] != b->objects[i]) return false;
    return true;
}

static bool texts_equal(const struct record_text *a, const struct record_text *b)
{
    const char *a_origin = a->origin ? a->origin : "", *b_origin = b->origin ? b->origin : "";
    if (strcmp(a->task, b->task) != 0 || a->region != b->region || a->n_turns != b->n_turns ||
        strcmp(a_origin, b_origin) != 0)
        return false;
    for (int64_t i = 0; i < a->n_turns; i++)
        if (!turns_equal(&a->turns[i], &b->turns[i])) return false;
    return true;
}

static bool relations_equal(const struct record_relation *a, const struct record_relation *b)
{
    return a->subject == b->subject && a->object == b->object &&
           strcmp(a->predicate, b->predicate) == 0 && strcmp(a->kind, b->kind) == 0;
}

bool test_records_equal(const struct record *a, const struct record *b)
{
    if (strcmp(a->id, b->id) != 0 || strcmp(a->source, b->source) != 0 || a->height != b->height ||
        a->width != b->width || a->image_size != b->image_size || a->n_regions != b->n_regions ||
        a->n_objects != b->n_objects || a->n_relations != b->n_relations ||
        a->n_texts != b->n_texts || a->n_points != b->n_points)
        return false;
    bool equal = a->image_size == 0 || memcmp(a->image, b->image, a->image_size) == 0;
    for (int64_t i = 0; i < a->n_regions; i++)
        equal = equal && regions_equal(&a->regions[i], &b->regions[i]);
    for (int64_t i = 0; i < a->n_objects; i++)
        equal = equal && objects_equal(&a->objects[i], &b->objects[i]);
    for (int64_t i = 0; i < a->n_relations; i++)
        equal = equal && relations_equal(&a->relations[i], &b->relations[i]);
    for (int64_t i = 0; i < a->n_points; i++)
        equal = equal && a->points[i].x == b->points[i].x && a->points[i].y == b->points[i].y;
    for (int64_t i = 0; i < a->n_texts; i++)
        equal = equal && texts_equal(&a->texts[i], &b->texts[i]);
    return equal;
}

char *test_folder(void)
{
    const char *top = getenv("TMPDIR");
    char *folder = text_format("%s/robin-test-XXXXXX", top == NULL ? "/tmp" : top);
    return mkdtemp(folder);
}
