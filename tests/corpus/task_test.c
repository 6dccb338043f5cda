/* Every task on a small record, word for word, and on scenes: what a sample must always be. The
 * scene-graph tasks against the reference: golden family text. */
#include "corpus/task.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/text_buffer.h"
#include "corpus/region_mask.h"
#include "corpus/scenes.h"
#include "support/task_example.h"

static void graphs(void **state)
{
    (void)state;
    struct record record = example_record();
    struct task_options options = task_options_default();
    example_says("sg", &record, &options,
                 LIST_3 "Generate scene graph for given regions.|Objects:\nregion1: man is tall\n"
                        "region2: dog\nregion3: sky-other-merged is blue\n\nRelations:\n"
                        "region1: region2 walking, region2 walking, region3 below\n"
                        "region2: region1 beside\n");
    options.max_relations = 1;
    options.max_attributes = 0;
    example_says("psg", &record, &options,
                 LIST_3 "Generate scene graph for given regions.|Objects:\nregion1: man\n"
                        "region2: dog\nregion3: sky\n\nRelations:\nregion1: region2 walking\n"
                        "region2: region1 beside\n");
    options = task_options_default();
    options.max_regions = 2;
    example_says("sg_detection", &record, &options,
                 WHOLE "Generate scene graph with proposed regions in bbox coordinates.|Objects:\n"
                       "region1: man in tall <|box_start|>(0,0),(100,1000)<|box_end|>\n"
                       "region2: dog <|box_start|>(100,0),(200,1000)<|box_end|>\n\nRelations:\n"
                       "region1: region2 walking\nregion2: region1 beside\n");
    struct task_sample sample = example_make("sg_detection", &record, &options);
    assert_int_equal(sample.n_dropped_relations, 2);
    task_sample_release(&sample);
    record_release(&record);
}

/* psg cuts in the order of annotation and then sorts; sg sorts first. */
static void what_the_limit_leaves(void **state)
{
    (void)state;
    struct record record = {.id = text_copy("test/3"), .height = 10, .width = 10, .image_size = 1};
    struct task_options options = task_options_default();
    example_add_object(&record, "a", NULL);
    example_add_object(&record, "b", NULL);
    example_add_object(&record, "c", NULL);
    example_add_relation(&record, 0, 2, "second");
    example_add_relation(&record, 0, 1, "first");
    options.max_relations = 1;
    struct task_sample psg = example_make("psg", &record, &options),
                       sg = example_make("sg", &record, &options);
    assert_non_null(strstr(psg.conversation.turns[1].text, "region1: region3 second\n"));
    assert_null(strstr(psg.conversation.turns[1].text, "first"));
    assert_non_null(strstr(sg.conversation.turns[1].text, "region1: region2 first\n"));
    assert_null(strstr(sg.conversation.turns[1].text, "second"));
    task_sample_release(&psg);
    task_sample_release(&sg);
    record_release(&record);
}

static void relations(void **state)
{
    (void)state;
    struct record record = example_record();
    struct task_options options = task_options_default();
    example_says("relation", &record, &options,
                 LIST_3
                 "Generate list of relationships for: region1.|region2 walking, region3 below");
    options.max_relations = 1;
    example_says("relation", &record, &options,
                 LIST_3 "Generate list of relationships for: region1.|region2 walking");
    example_add_text(&record, "description", 0, "", "A man.");
    example_says("relation", &record, &options,
                 LIST_3
                 "Generate a description for: region1.|A man.|Generate list of relationships "
                 "for: region1.|region2 walking");
    example_says("description", &record, &options,
                 BEGIN "There are 1 regions in the image: region1 <mask><pos>.\nGenerate a "
                       "description for: region1.|A man.");
    static const char *const ignored[] = {"below"};
    options = task_options_default();
    options.ignored_predicates = ignored;
    options.n_ignored_predicates = 1;
    example_says("relation_pair", &record, &options,
                 "<image>\nHow is <mask><pos> related to <mask><pos>?|walking");
    options.n_ignored_predicates = 0;
    example_says("relation_pair", &record, &options,
                 "<image>\nHow is <mask><pos> related to <mask><pos>?|walking|How is <mask><pos> "
                 "related to <mask><pos>?|below");
    record_release(&record);
}

/* Every question lists both ends of a relation, and a pair is asked about once. */
static void lines_of_listed_regions(void **state)
{
    (void)state;
    struct record record = example_record();
    struct task_options options = task_options_default();
    example_says(
        "relation_lines", &record, &options,
        "<image>\nregion1 <mask><pos>, region2 <mask><pos>|region1: region2 walking, region2 "
        "walking\nregion2: region1 beside|region1 <mask><pos>, region2 <mask><pos>|region1: "
        "region2 below");
    options.max_regions = 3;
    int64_t n_listed[4] = {0};
    for (uint64_t i = 0; i < 100; i++) {
        struct task_sample sample;
        assert_int_equal(
            task_make(&sample, &record, task_find("relation_lines"), &options, task_draws(1, i, 0)),
            OK);
        assert_int_equal(sample.conversation.n_turns, 4);
        const int64_t *listed = sample.regions;
        for (int64_t t = 0; t < 4; t += 2) {
            const struct chat_turn *turns = &sample.conversation.turns[t];
            const int64_t n = strstr(turns[0].text, "region3") ? 3 : 2;
            int64_t subject = 0; /* "below" and "walking" are said of object 0 */
            while (listed[subject] != 0) subject++;
            char *line = text_format("region%d: region", (int)subject + 1);
            assert_non_null(strstr(turns[1].text, line));
            assert_true(n == 2 ||
                        (strstr(turns[1].text, "below") && strstr(turns[1].text, "beside")));
            free(line);
            n_listed[n]++;
            listed += n;
        }
        assert_ptr_equal(listed, sample.regions + sample.n_regions);
        task_sample_release(&sample);
    }
    assert_true(n_listed[2] > 50 && n_listed[3] > 50);
    options.max_regions = 1;
    struct task_sample sample = example_make("relation_lines", &record, &options);
    assert_non_null(sample.skipped);
    task_sample_release(&sample);
    record_release(&record);
}

/* However few regions are listed, the one that is asked about is among them. */
static void the_subject_is_listed(void **state)
{
    (void)state;
    struct record record = example_record();
    struct task_options options = task_options_default();
    int64_t n_made = 0;
    options.max_regions = 2;
    for (uint64_t i = 0; i < 200; i++) {
        struct task_sample sample;
        assert_int_equal(
            task_make(&sample, &record, task_find("relation"), &options, task_draws(1, i, 0)), OK);
        if (!sample.skipped) {
            const char *question = strrchr(sample.conversation.turns[0].text, '\n');
            assert_int_equal(sample.n_regions, 2);
            assert_true(strstr(question, "region1") || strstr(question, "region2"));
            assert_null(strstr(sample.conversation.turns[1].text, "region3"));
            n_made++;
        }
        task_sample_release(&sample);
    }
    assert_in_range(n_made, 100, 199);
    record_release(&record);
}

static void single_regions(void **state)
{
    (void)state;
    struct record record = example_record();
    struct task_options options = task_options_default();
    options.max_turns = 2;
    example_says("region_label", &record, &options, "<image>\n<mask><pos>|man|<mask><pos>|dog");
    example_says("region_attribute", &record, &options,
                 "<image>\nWhat colour is <mask><pos>?|tall|What colour is <mask><pos>?|blue");
    options.max_regions = 1;
    options.box_text = true;
    example_says("coco", &record, &options,
                 "<image>\nIn the conversation below, you simply answer the category name based on "
                 "what you see in the imagery inside a particular region. I will give you only one "
                 "region each time.\n<mask><pos> <|box_start|>(0,0),(100,1000)<|box_end|>|man");
    example_add_text(&record, "caption", 2, "", "a blue sky");
    example_says("region_caption", &record, &options,
                 BEGIN "Give me a short description of <mask><pos> <|box_start|>(200,0),(300,1000)"
                       "<|box_end|>. Answer the question using a short phrase.|a blue sky");
    record_release(&record);
}

static void sentences(void **state)
{
    (void)state;
    struct record record = example_record();
    struct task_options options = task_options_default();
    example_add_text(&record, "refexp", 1, "", "the animal");
    example_says("refexp", &record, &options,
                 LIST_3 "Please provide the region this sentence describes: the animal|region1");
    example_says("refexp_reverse", &record, &options,
                 LIST_3 "Give me a short description of region1.|the animal");
    options.box_text = true;
    example_says("refexp", &record, &options,
                 WHOLE "Please provide the region this sentence describes: the animal|"
                       "<|box_start|>(100,0),(200,1000)<|box_end|>");
    options.box_text = false;
    example_add_text(&record, "vqa", -1, "Is region3 above region2 in this region?", "region3 is");
    example_says("vqa", &record, &options,
                 BEGIN
                 "There are 2 regions in the image: region1 <mask><pos>, region2 <mask><pos>.\n"
                 "Is region1 above region2 in this region?\nAnswer the question using a single "
                 "word or phrase.|region1 is");
    struct task_sample sample = example_make("vqa", &record, &options);
    assert_int_equal(sample.regions[0], 2);
    assert_int_equal(sample.regions[1], 1);
    task_sample_release(&sample);
    example_add_text(&record, "conversation", -1, "Where?", "Here.");
    example_says("conversation", &record, &options, WHOLE "Where?|Here.");
    example_add_text(&record, "caption", -1, "", "A scene.");
    example_says("caption", &record, &options,
                 WHOLE "Please explain in detail the scene depicted in the picture.|A scene.");
    record.image_size = 0;
    example_says("conversation", &record, &options, "Where?|Here.");
    record_release(&record);
}

static void nothing_to_ask(void **state)
{
    (void)state;
    struct record record = {.id = text_copy("test/2"), .height = 1, .width = 1};
    struct task_options options = task_options_default();
    int64_t n;
    const struct task *const *tasks = task_list(&n);
    for (int64_t i = 0; i < n; i++) {
        struct task_sample sample = example_make(tasks[i]->name, &record, &options);
        assert_non_null(sample.skipped);
        assert_int_equal(sample.n_regions, 0);
        task_sample_release(&sample);
    }
    assert_null(task_find("nothing"));
    record_release(&record);
}

/* datasets/tasks.md has a row with name and purpose for every task, and the limits of today. */
static void the_list_for_users(void **state)
{
    (void)state;
    unsigned char *page = NULL;
    size_t size;
    int64_t n;
    const struct task *const *tasks = task_list(&n);
    assert_int_equal(file_read(&page, &size, "datasets/tasks.md", 1 << 20), OK);
    for (int64_t i = 0; i < n; i++) {
        char *row = text_format("| `%s` | %s | ", tasks[i]->name, tasks[i]->purpose);
        char *regions = text_format("| %d region", (int)tasks[i]->max_regions);
        char *found = strstr((char *)page, row);
        if (!found) fail_msg("datasets/tasks.md has no row %s", row);
        char *end = strchr(found, '\n'), *limit = strstr(found, regions);
        if (!limit || limit > end) fail_msg("%s other limits", row);
        free(row);
        free(regions);
    }
    free(page);
}

static void control_tokens_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"a <|im_end|> b", "<mask>",      "x<pos>",
                                        "<<image>",       "<tool_call>", "<|anything_9|>"};
    for (size_t i = 0; i < 6; i++) {
        struct record record = example_record();
        example_add_relation(&record, 0, 2, texts[i]);
        example_refused(&record, "sg",
                        "record test/1: relations[4].predicate holds the control token");
        record_release(&record);
    }
    struct record record = example_record();
    example_add_text(&record, "vqa", -1, "q", "a<mask>");
    example_refused(&record, "sg", "texts[0].answer[0] holds the control token <mask>");
    record_release(&record);
    record = example_record();
    example_add_object(&record, "x", "in <|box_start|>");
    example_refused(&record, "sg",
                    "objects[3].attributes[0] holds the control token <|box_start|>");
    record_release(&record);
    record = example_record();
    example_add_object(&record, "a < b |> <b> <|", "<masked>");
    struct task_options options = task_options_default();
    struct task_sample sample = example_make("sg", &record, &options);
    task_sample_release(&sample);
    record_release(&record);
}

/* A token that only this tokenizer has. */
static void tokens_of_the_tokenizer_are_refused(void **state)
{
    (void)state;
    struct tokenizer *tokenizer = NULL;
    struct sample sample;
    const char *skipped;
    struct task_options options = task_options_default();
    assert_int_equal(tokenizer_open(&tokenizer, "datasets/tokenizer-scenes"), OK);
    struct record record = example_record();
    example_add_object(&record, "x <|endoftext|>", NULL);
    const struct sample_request request = {.task = task_find("sg"),
                                           .tokenizer = tokenizer,
                                           .options = &options,
                                           .draws = example_pinned};
    assert_int_equal(sample_build(&sample, &skipped, &record, &request), ERR_FORMAT);
    assert_non_null(strstr(status_message(), "objects[3].name"));
    assert_non_null(record.id);
    record_release(&record);
    tokenizer_close(tokenizer);
}

static void wrong_records_are_refused(void **state)
{
    (void)state;
    struct record record = example_record();
    record.relations[1].object = 3;
    example_refused(&record, "sg", "record test/1: relations[1] is between objects 1 and 3");
    record.relations[1].object = 0;
    record.objects[2].region = 9;
    example_refused(&record, "sg", "record test/1: objects[2].region is 9");
    record.objects[2].region = 2;
    example_add_text(&record, "vqa", 7, "q", "a");
    example_refused(&record, "sg", "record test/1: texts[0].region is 7");
    record.texts[0].region = -1;
    example_add_text(&record, "vqa", -1, "What is region4?", "a");
    struct task_options options = task_options_default();
    struct task_sample sample = example_make("vqa", &record, &options);
    assert_string_equal(sample.skipped, "speaks of a region that it does not have");
    task_sample_release(&sample);
    record_release(&record);
}

static void many_regions(void **state)
{
    (void)state;
    struct record record = example_record();
    for (int i = 0; i < 497; i++) example_add_object(&record, "leaf", NULL);
    struct task_options options = task_options_default();
    struct task_sample sample = example_make("sg", &record, &options);
    assert_int_equal(sample.n_regions, 99);
    task_sample_release(&sample);
    record_release(&record);
}

static void assert_sample(const struct sample *sample, const struct tokenizer *tokenizer,
                          bool blind)
{
    int32_t mask = tokenizer_id(tokenizer, "<mask>"), pos = tokenizer_id(tokenizer, "<pos>");
    int64_t n_masks = 0, n_targets = 0;
    assert_int_equal(sample->ids.n, sample->labels.n);
    for (int64_t i = 0; i < sample->ids.n; i++) {
        int32_t id = sample->ids.ids[i], label = sample->labels.ids[i];
        if (id == mask) {
            assert_int_equal(sample->ids.ids[i + 1], pos);
            n_masks++;
        }
        if (id == mask || id == pos || id == IMAGE_TOKEN_ID) assert_int_equal(label, IGNORE_LABEL);
        assert_true(label == IGNORE_LABEL || label == id);
        n_targets += label != IGNORE_LABEL;
    }
    assert_int_equal(n_masks, sample->n_regions);
    assert_true(n_targets > 0);
    assert_int_equal(sample->has_image, !blind);
    if (blind) assert_int_equal(sample->n_regions, 0);
    for (int64_t i = 0; i < sample->n_regions; i++)
        assert_in_range(sample->regions[i] + 1, 0, sample->record.n_regions);
}

static struct sample build(const struct task *task, const struct tokenizer *tokenizer,
                           int64_t index, uint64_t epoch)
{
    struct record record = {0};
    struct sample sample;
    const char *skipped;
    struct scenes_options scenes = scenes_options_default();
    struct task_options options = task_options_default();
    assert_int_equal(scenes_record(&record, &scenes, index), OK);
    const struct sample_request request = {.id = (uint64_t)index,
                                           .task = task,
                                           .tokenizer = tokenizer,
                                           .options = &options,
                                           .draws = task_draws(1, (uint64_t)index, epoch)};
    if (sample_build(&sample, &skipped, &record, &request) != OK) fail_msg("%s", status_message());
    assert_int_equal(skipped == NULL, sample.ids.n > 0);
    assert_null(record.id);
    return sample;
}

/* The same draws give the same sample; epochs differ, but not in what is drawn once. */
static void samples_of_scenes(void **state)
{
    (void)state;
    struct tokenizer *tokenizer = NULL;
    int64_t n, n_made = 0, n_changed = 0;
    const struct task *const *tasks = task_list(&n);
    assert_int_equal(tokenizer_open(&tokenizer, "datasets/tokenizer-scenes"), OK);
    for (int64_t t = 0; t < n; t++)
        for (int64_t index = 0; index < 20; index++) {
            struct sample first = build(tasks[t], tokenizer, index, 0);
            struct sample again = build(tasks[t], tokenizer, index, 0);
            struct sample later = build(tasks[t], tokenizer, index, 1);
            size_t size = (size_t)first.ids.n * sizeof *first.ids.ids;
            assert_int_equal(first.ids.n, again.ids.n);
            if (first.ids.n > 0) {
                assert_sample(&first, tokenizer, strncmp(tasks[t]->name, "blind", 5) == 0);
                assert_memory_equal(first.ids.ids, again.ids.ids, size);
                n_changed +=
                    first.ids.n != later.ids.n || memcmp(first.ids.ids, later.ids.ids, size) != 0;
                n_made++;
            }
            sample_release(&first);
            sample_release(&again);
            sample_release(&later);
        }
    assert_true(n_made > 12 * 20 / 2);
    assert_true(n_changed > n_made / 2);
    tokenizer_close(tokenizer);
}

/* Every order of three and every list text comes up, about equally often. */
static void draws_are_fair(void **state)
{
    (void)state;
    struct record record = example_record();
    struct task_options options = task_options_default();
    int first[3] = {0};
    for (uint64_t i = 0; i < 3000; i++) {
        struct task_sample sample;
        assert_int_equal(
            task_make(&sample, &record, task_find("sg"), &options, task_draws(9, i, 0)), OK);
        first[sample.regions[0]]++;
        task_sample_release(&sample);
    }
    for (int i = 0; i < 3; i++) assert_in_range(first[i], 900, 1100);
    record_release(&record);
}

static void masks(void **state)
{
    (void)state;
    struct record record = example_record();
    struct rle mask = {0};
    const uint32_t runs[] = {2, 3, 95}, small[] = {4, 5};
    assert_int_equal(region_mask(&mask, &record, -1, REGION_SEGMENTATION), OK);
    assert_int_equal(rle_area(&mask), 100);
    rle_release(&mask);
    assert_int_equal(region_mask(&mask, &record, 1, REGION_SEGMENTATION), OK);
    assert_int_equal(rle_area(&mask), 10);
    rle_release(&mask);
    assert_int_equal(rle_from_runs(&record.regions[1].mask, runs, 3, 10, 10), OK);
    assert_int_equal(region_mask(&mask, &record, 1, REGION_SEGMENTATION), OK);
    assert_int_equal(rle_area(&mask), 3);
    rle_release(&mask);
    assert_int_equal(region_mask(&mask, &record, 1, REGION_BOX), OK);
    assert_int_equal(rle_area(&mask), 10);
    rle_release(&mask);
    assert_int_equal(region_mask(&mask, &record, 1, REGION_BOX_SEGMENTATION), OK);
    assert_true(rle_area(&mask) > 10);
    rle_release(&mask);
    assert_int_equal(rle_from_runs(&record.regions[2].mask, small, 2, 3, 3), OK);
    assert_int_equal(region_mask(&mask, &record, 2, REGION_SEGMENTATION), ERR_SHAPE);
    assert_non_null(strstr(status_message(), "record test/1: regions[2].mask is 3 x 3"));
    record_release(&record);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(graphs),
        cmocka_unit_test(what_the_limit_leaves),
        cmocka_unit_test(relations),
        cmocka_unit_test(lines_of_listed_regions),
        cmocka_unit_test(the_subject_is_listed),
        cmocka_unit_test(single_regions),
        cmocka_unit_test(sentences),
        cmocka_unit_test(nothing_to_ask),
        cmocka_unit_test(the_list_for_users),
        cmocka_unit_test(control_tokens_are_refused),
        cmocka_unit_test(tokens_of_the_tokenizer_are_refused),
        cmocka_unit_test(wrong_records_are_refused),
        cmocka_unit_test(many_regions),
        cmocka_unit_test(samples_of_scenes),
        cmocka_unit_test(draws_are_fair),
        cmocka_unit_test(masks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
