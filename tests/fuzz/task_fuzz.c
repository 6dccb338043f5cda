/* Texts of a record as an importer may have taken them from anywhere: every task makes a
 * conversation or says why not, and no text becomes a control token of it. */
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "base/text_buffer.h"
#include "corpus/task.h"
#include "fuzz/fuzz.h"

enum { N_REGIONS = 4, N_OBJECTS = 3, MAX_TEXTS = 12 };

static const char *const kinds[] = {
    "caption", "refexp", "description", "name",  "summary",   "vqa",          "grounded",
    "cot",     "choice", "vcr",         "llava", "statement", "conversation",
};
enum { N_KINDS = sizeof kinds / sizeof kinds[0] };

static void add_objects(struct record *record, const uint8_t *bytes)
{
    record->regions = memory_new(N_REGIONS, sizeof *record->regions);
    record->objects = memory_new(N_OBJECTS, sizeof *record->objects);
    record->relations = memory_new(N_OBJECTS, sizeof *record->relations);
    record->points = memory_new(1, sizeof *record->points);
    record->n_points = 1;
    for (; record->n_regions < N_REGIONS; record->n_regions++)
        record->regions[record->n_regions].box = (struct box){(double)record->n_regions, 1, 8, 9};
    for (int64_t i = 0; i < N_OBJECTS; i++) {
        record->objects[record->n_objects++] =
            (struct record_object){.name = text_copy("dog"), .region = bytes[i] % N_REGIONS};
        record->relations[record->n_relations++] =
            (struct record_relation){.subject = bytes[i] / 16 % N_OBJECTS,
                                     .object = i,
                                     .predicate = text_copy("on"),
                                     .kind = text_copy("spatial")};
    }
}

/* One line: kind, region and object in its first bytes; question, answer and choices by tabs. */
static void add_text(struct record *record, char *line)
{
    const uint8_t *head = (const uint8_t *)line;
    if (strlen(line) < 3) return;
    struct record_text *text = &record->texts[record->n_texts++];
    *text = (struct record_text){.task = text_copy(kinds[head[0] % N_KINDS]),
                                 .region = head[1] % (N_REGIONS + 1) - 1};
    text->turns = memory_new(2, sizeof *text->turns);
    text->n_turns = head[2] % 2 + 1;
    char *at = line + 3;
    for (int64_t t = 0; t < text->n_turns; t++) {
        struct record_turn *turn = &text->turns[t];
        char *parts[4] = {"", "", "", ""};
        for (int k = 0; k < 4 && at != NULL; k++) parts[k] = strsep(&at, "\t");
        turn->question = text_copy(parts[0]);
        turn->choices = memory_new(3, sizeof *turn->choices);
        turn->n_choices = head[2] / 2 % 4;
        for (int64_t c = 0; c < turn->n_choices; c++) turn->choices[c] = text_copy(parts[1 + c]);
        turn->choice = turn->n_choices > 0 ? turn->n_choices - 1 : 0;
        turn->answer = text_copy(parts[turn->n_choices > 0 ? turn->n_choices : 1]);
        turn->objects = memory_new(2, sizeof *turn->objects);
        turn->objects[turn->n_objects++] = head[1] % N_OBJECTS;
        turn->objects[turn->n_objects++] = head[2] % N_OBJECTS;
    }
}

static int64_t count(const struct conversation *conversation, const char *word)
{
    int64_t n = 0;
    for (int64_t i = 0; i < conversation->n_turns; i++)
        for (const char *at = conversation->turns[i].text; (at = strstr(at, word)); at++) n++;
    return n;
}

static void check_sample(const struct task_sample *sample)
{
    const struct conversation *said = &sample->conversation;
    const int64_t n_turns = said->n_turns;
    fuzz_require(n_turns > 0 && n_turns % 2 == 0, "questions have answers");
    fuzz_require(count(said, "<mask><pos>") == sample->n_regions || sample->plain,
                 "as many <mask><pos> as regions");
    fuzz_require(count(said, "<mask>") == count(said, "<pos>"), "<mask> and <pos> come in pairs");
    fuzz_require(count(said, "<image>") == (sample->uses_image ? 1 : 0), "one <image>, or none");
    fuzz_require(count(said, "<|im_end|>") + count(said, "<|im_start|>") == 0, "no control token");
    for (int64_t i = 0; i < sample->n_regions; i++)
        fuzz_require(sample->regions[i] >= -1 && sample->regions[i] < N_REGIONS,
                     "regions are those of the record");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    uint8_t bytes[N_OBJECTS];
    const uint64_t switches = fuzz_integer(&input, 256);
    const int64_t limit = (int64_t)fuzz_integer(&input, 8);
    for (int i = 0; i < N_OBJECTS; i++) bytes[i] = (uint8_t)fuzz_integer(&input, 256);
    size_t n_bytes;
    char *text = fuzz_rest(&input, &n_bytes), *rest = text;
    struct record record = {.id = text_copy("fuzz"), .height = 10, .width = 10, .image_size = 1};
    record.image = memory_new(1, 1);
    record.texts = memory_new(MAX_TEXTS, sizeof *record.texts);
    add_objects(&record, bytes);
    while (rest != NULL && record.n_texts < MAX_TEXTS) add_text(&record, strsep(&rest, "\n"));
    struct task_options options = task_options_default();
    options.max_regions = limit > 0 ? limit : TASK_DEFAULT;
    options.box_text = switches & 1;
    options.fresh_draws = switches & 2;
    options.compat = (struct task_compat){.angle_brackets = switches & 4,
                                          .cot_relations = switches & 8,
                                          .description_line = switches & 16,
                                          .doubled_prefix = switches & 32,
                                          .statement_wording = switches & 64,
                                          .unlisted_regions = switches & 128};
    int64_t n_tasks;
    const struct task *const *tasks = task_list(&n_tasks);
    for (int64_t t = 0; t < n_tasks; t++) {
        struct task_sample sample;
        if (task_make(&sample, &record, tasks[t], &options, task_draws(1, 2, switches)) != OK)
            status_clear();
        else if (sample.skipped == NULL)
            check_sample(&sample);
        task_sample_release(&sample);
    }
    record_release(&record);
    free(text);
    return 0;
}
