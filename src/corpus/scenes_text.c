/* A caption, referring expressions and questions, all read off the graph of the record. */
#include "corpus/scenes_text.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/text_buffer.h"

static void add_turn(struct record_text *text, char *question, char *answer)
{
    text->turns = memory_resize(text->turns, (size_t)text->n_turns + 1, sizeof *text->turns);
    text->turns[text->n_turns++] = (struct record_turn){.question = question, .answer = answer};
}

static struct record_text *add_text(struct record *record, const char *task, int64_t region)
{
    record->texts =
        memory_resize(record->texts, (size_t)record->n_texts + 1, sizeof *record->texts);
    struct record_text *text = &record->texts[record->n_texts++];
    *text = (struct record_text){.task = text_copy(task), .region = region};
    return text;
}

static const char *colour_of(const struct record_object *object)
{
    return object->attributes[0];
}

static bool look_alike(const struct record_object *a, const struct record_object *b)
{
    return strcmp(a->name, b->name) == 0 && strcmp(colour_of(a), colour_of(b)) == 0;
}

/* "a red star", "an orange cup" */
static void append_thing(struct text_buffer *out, const struct record_object *object)
{
    text_printf(out, "%s %s %s", strchr("aeiou", colour_of(object)[0]) ? "an" : "a",
                colour_of(object), object->name);
}

static void add_caption(struct record *record)
{
    struct text_buffer caption = {0};
    for (int64_t i = 0; i < record->n_objects; i++) {
        text_append(&caption, i == 0 ? "There is " : i + 1 < record->n_objects ? ", " : " and ");
        append_thing(&caption, &record->objects[i]);
    }
    text_append(&caption, ".");
    for (int64_t i = 0; i < record->n_relations; i++) {
        const struct record_relation *relation = &record->relations[i];
        const struct record_object *subject = &record->objects[relation->subject];
        const struct record_object *object = &record->objects[relation->object];
        text_printf(&caption, " The %s %s is %s the %s %s.", colour_of(subject), subject->name,
                    relation->predicate, colour_of(object), object->name);
    }
    add_turn(add_text(record, "caption", -1), text_copy(""), text_take(&caption));
}

/* True if no other relation with this predicate joins a pair that looks the same. */
static bool relation_singles_out(const struct record *record, int64_t index)
{
    const struct record_relation *relation = &record->relations[index];
    for (int64_t i = 0; i < record->n_relations; i++) {
        const struct record_relation *other = &record->relations[i];
        if (i != index && strcmp(other->predicate, relation->predicate) == 0 &&
            look_alike(&record->objects[other->subject], &record->objects[relation->subject]) &&
            look_alike(&record->objects[other->object], &record->objects[relation->object]))
            return false;
    }
    return true;
}

/* "the red star", or if there are two: "the red star that is inside the blue box"; nothing where
 * neither singles the thing out. */
static void add_refexp(struct record *record, int64_t index)
{
    const struct record_object *object = &record->objects[index];
    int64_t n_alike = 0, by = -1;
    for (int64_t i = 0; i < record->n_objects; i++)
        n_alike += look_alike(&record->objects[i], object);
    for (int64_t i = 0; i < record->n_relations && by < 0; i++)
        if (record->relations[i].subject == index && relation_singles_out(record, i)) by = i;
    if (n_alike > 1 && by < 0) return;
    struct text_buffer phrase = {0};
    text_printf(&phrase, "the %s %s", colour_of(object), object->name);
    if (n_alike > 1) {
        const struct record_relation *relation = &record->relations[by];
        const struct record_object *other = &record->objects[relation->object];
        text_printf(&phrase, " that is %s the %s %s", relation->predicate, colour_of(other),
                    other->name);
    }
    add_turn(add_text(record, "refexp", object->region), text_copy(""), text_take(&phrase));
}

static void add_questions(struct record *record)
{
    struct record_text *text = add_text(record, "vqa", -1);
    for (int64_t i = 0; i < record->n_objects; i++) {
        const struct record_object *object = &record->objects[i];
        add_turn(text, text_format("What is region%" PRId64 "?", object->region + 1),
                 text_copy(object->name));
        add_turn(text, text_format("What color is region%" PRId64 "?", object->region + 1),
                 text_copy(colour_of(object)));
    }
    for (int64_t i = 0; i < record->n_relations; i++) {
        const struct record_relation *relation = &record->relations[i];
        add_turn(text,
                 text_format("What is the relation of region%" PRId64 " to region%" PRId64 "?",
                             record->objects[relation->subject].region + 1,
                             record->objects[relation->object].region + 1),
                 text_copy(relation->predicate));
    }
    for (int64_t i = 0; i + 1 < record->n_objects; i += 2) {
        bool same = strcmp(colour_of(&record->objects[i]), colour_of(&record->objects[i + 1])) == 0;
        add_turn(text,
                 text_format("Do region%" PRId64 " and region%" PRId64 " have the same color?",
                             record->objects[i].region + 1, record->objects[i + 1].region + 1),
                 text_copy(same ? "yes" : "no"));
    }
    add_turn(text, text_copy("How many things are there?"),
             text_format("%" PRId64, record->n_objects));
}

void scenes_texts(struct record *record)
{
    add_caption(record);
    for (int64_t i = 0; i < record->n_objects; i++) add_refexp(record, i);
    add_questions(record);
}
