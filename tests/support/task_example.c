/* See task_example.h. */
#include "support/task_example.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text_buffer.h"

const struct task_draws example_pinned = {.pinned = true};

void example_add_object(struct record *record, const char *name, const char *attribute)
{
    size_t n = (size_t)record->n_objects + 1;
    record->objects = memory_resize(record->objects, n, sizeof *record->objects);
    record->regions = memory_resize(record->regions, n, sizeof *record->regions);
    double x = (double)record->n_objects;
    record->regions[record->n_regions] = (struct record_region){.box = {x, 0, x + 1, 10}};
    struct record_object *object = &record->objects[record->n_objects++];
    *object = (struct record_object){.name = text_copy(name), .region = record->n_regions++};
    if (!attribute) return;
    object->attributes = memory_new(1, sizeof *object->attributes);
    object->attributes[object->n_attributes++] = text_copy(attribute);
}

void example_add_relation(struct record *record, int64_t subject, int64_t object,
                          const char *predicate)
{
    size_t n = (size_t)record->n_relations + 1;
    record->relations = memory_resize(record->relations, n, sizeof *record->relations);
    record->relations[record->n_relations++] =
        (struct record_relation){subject, object, text_copy(predicate), text_copy("spatial")};
}

void example_add_text(struct record *record, const char *task, int64_t region, const char *question,
                      const char *answer)
{
    size_t n = (size_t)record->n_texts + 1;
    record->texts = memory_resize(record->texts, n, sizeof *record->texts);
    struct record_text *text = &record->texts[record->n_texts++];
    *text = (struct record_text){.task = text_copy(task), .region = region, .n_turns = 1};
    text->turns = memory_new(1, sizeof *text->turns);
    text->turns[0] =
        (struct record_turn){.question = text_copy(question), .answer = text_copy(answer)};
}

/* A picture of 10 x 10 with three things. */
struct record example_record(void)
{
    struct record record = {.id = text_copy("test/1"), .source = text_copy("test")};
    record.height = record.width = 10;
    record.image = memory_new(1, 1);
    record.image_size = 1;
    example_add_object(&record, "man", "tall");
    example_add_object(&record, "dog", NULL);
    example_add_object(&record, "sky-other-merged", "blue");
    example_add_relation(&record, 0, 1, "walking");
    example_add_relation(&record, 1, 0, "beside");
    example_add_relation(&record, 0, 2, "below");
    example_add_relation(&record, 0, 1, "walking");
    return record;
}

struct task_sample example_make(const char *name, const struct record *record,
                                const struct task_options *options)
{
    struct task_sample sample;
    const struct task *task = task_find(name);
    assert_non_null(task);
    if (task_make(&sample, record, task, options, example_pinned) != OK)
        fail_msg("%s", status_message());
    return sample;
}

/* All turns, one behind the other, "|" between them. */
void example_says(const char *name, const struct record *record, const struct task_options *options,
                  const char *want)
{
    struct task_sample sample = example_make(name, record, options);
    struct text_buffer text = {0};
    for (int64_t i = 0; i < sample.conversation.n_turns; i++) {
        assert_int_equal(sample.conversation.turns[i].role, i % 2 ? CHAT_ASSISTANT : CHAT_USER);
        text_printf(&text, "%s%s", i ? "|" : "", sample.conversation.turns[i].text);
    }
    assert_string_equal(text_of(&text), want);
    text_release(&text);
    task_sample_release(&sample);
}

void example_refused(const struct record *record, const char *name, const char *sentence)
{
    struct task_sample sample;
    struct task_options options = task_options_default();
    assert_true(task_make(&sample, record, task_find(name), &options, example_pinned) != OK);
    if (!strstr(status_message(), sentence)) fail_msg("it says: %s", status_message());
    assert_null(sample.regions);
}
