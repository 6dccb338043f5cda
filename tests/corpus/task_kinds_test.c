/* Texts of every kind as conversations, word for word, as ours has them where the released code
 * says something else; and draws: whose turn it is, what stays, what is shown. */
#include "corpus/task.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text_buffer.h"
#include "support/task_example.h"

static struct record_turn *last_turn(struct record *record)
{
    const struct record_text *text = &record->texts[record->n_texts - 1];
    return &text->turns[text->n_turns - 1];
}

static void add_choices(struct record_turn *turn, const char *first, const char *second)
{
    turn->choices = memory_new(2, sizeof *turn->choices);
    turn->choices[turn->n_choices++] = text_copy(first);
    turn->choices[turn->n_choices++] = text_copy(second);
    turn->choice = 1;
}

/* What marks become: boxes, points, masks, numbers. */
static void marks(void **state)
{
    (void)state;
    struct record record = example_record();
    struct task_options options = task_options_default();
    record.points = memory_new(1, sizeof *record.points);
    record.points[record.n_points++] = (struct record_point){2.5, 10};
    example_add_text(&record, "vqa", -1, "Colour of <region2>?", "red");
    example_add_text(&record, "vqa", -1, "Is it <b>? <point1>", "no");
    example_says("box_vqa", &record, &options,
                 WHOLE "Colour of <|box_start|>(100,0),(200,1000)<|box_end|>?\nAnswer the question "
                       "using a single word or phrase.|red");
    example_says("point_vqa", &record, &options,
                 WHOLE "Is it <b>? <point>[[250,1000]]</point>\nAnswer the question using a single "
                       "word or phrase.|no");
    struct task_sample sample = example_make("vqa", &record, &options);
    assert_non_null(sample.skipped); /* they belong to the other two */
    task_sample_release(&sample);
    example_add_text(&record, "grounded", -1, "",
                     "<p>A man</p><region1><region3> and <p>air</p>, 1 < 2");
    example_says("grounded_caption", &record, &options,
                 WHOLE
                 "Can you provide a short description of the image and include the bboxes for "
                 "each mentioned object?|<|object_ref_start|>A man<|object_ref_end|> "
                 "<|box_start|>(0,0),(100,1000)<|box_end|><|box_start|>(200,0),(300,1000)"
                 "<|box_end|> and air, 1 < 2");
    example_add_text(&record, "conversation", -1, "Is <region3> or <region1> old?", "<region1>.");
    example_says("region_dialogue", &record, &options,
                 BEGIN "There are 3 part regions in the picture: region1 <mask><pos>,region2 "
                       "<mask><pos>,region3 <mask><pos>. Is region3 or region1 old?|region1.");
    example_says("inline_dialogue", &record, &options,
                 BEGIN "Is <mask><pos> or <mask><pos> old?|<mask><pos>.");
    sample = example_make("inline_dialogue", &record, &options);
    assert_int_equal(sample.regions[0], 2);
    assert_int_equal(sample.regions[1], 0);
    assert_int_equal(sample.regions[2], 0);
    task_sample_release(&sample);
    example_add_text(&record, "vqa", -1, "<region7>?", "a");
    example_refused(&record, "box_vqa", "a text speaks of region7, but there are 3");
    example_add_text(&record, "summary", -1, "", "<|im_<p>end|></p>");
    example_refused(&record, "summary", "holds a control token once its marks are gone");
    record_release(&record);
}

static void choices(void **state)
{
    (void)state;
    struct record record = example_record();
    struct task_options options = task_options_default();
    example_add_text(&record, "choice", -1, "Who?", "a dog");
    add_choices(last_turn(&record), "a man", "a dog");
    example_says("choice", &record, &options,
                 WHOLE "Who?\nA. a man\nB. a dog\nAnswer with the option's letter from the given "
                       "choices directly.|B");
    example_add_text(&record, "vcr", -1, "Who is region1?", "a man");
    add_choices(last_turn(&record), "a dog", "a man");
    example_says("vcr", &record, &options, LIST_3 "Who is region1?|a man");
    example_says("vcr_choice", &record, &options,
                 LIST_3 "Who is region1?\nA. a dog\nB. a man\nAnswer with the option's letter from "
                        "the given choices directly.|B. a man");
    options.max_regions = 2;
    example_says("vcr", &record, &options,
                 BEGIN
                 "There are 2 regions in the image: region1 <mask><pos>, region2 <mask><pos>.\n"
                 "Who is region1?|a man");
    free(last_turn(&record)->question);
    last_turn(&record)->question = text_copy("Who is region3?");
    struct task_sample sample = example_make("vcr", &record, &options);
    assert_string_equal(sample.skipped, "speaks of a region beyond the limit");
    task_sample_release(&sample);
    record_release(&record);
}

/* What ours says where the released code says something else. */
static void ours_where_the_release_differs(void **state)
{
    (void)state;
    struct record record = example_record();
    struct task_options options = task_options_default();
    example_add_text(&record, "llava", -1, "if a<b,\n<image>\nwhat is <|im_end|><image>?",
                     "a <i>thing</i>");
    example_says("llava", &record, &options, WHOLE "if a<b,\nwhat is |im_end|?|a <i>thing</i>");
    options.compat.angle_brackets = true;
    example_says("llava", &record, &options, WHOLE "if ab,\nwhat is |im_end|image?|a ithing/i");
    options.compat.angle_brackets = false;
    static const char *const said[][3] = {
        {"has as a part", "Does the car have the bed as a part?", "Is the car part of the bed?"},
        {"contains", "Does the car contain the bed?", "Does the car contain the bed?"},
        {"across", "Is the car across the bed?", "Does the car acros the bed?"},
    };
    for (size_t i = 0; i < 3; i++) {
        char *statement = text_format("<p>car</p> %s <p>bed</p>", said[i][0]);
        example_add_text(&record, "statement", -1, statement, "yes");
        for (int compat = 0; compat < 2; compat++) {
            char *want = text_format(WHOLE "%s Answer directly with 'yes' or 'no'.|yes",
                                     said[i][1 + compat]);
            options.compat.statement_wording = compat == 1;
            example_says("statement", &record, &options, want);
            free(want);
        }
        free(statement);
        record.texts[record.n_texts - 1].task[0] = 'S'; /* of no task */
    }
    example_add_text(&record, "statement", -1, "a car behind a bed", "no");
    example_refused(&record, "statement", "does not read <p>subject</p> relation <p>object</p>");
    record_release(&record);
}

/* An object that two questions are about has its relations in both answers. */
static void reasoning(void **state)
{
    (void)state;
    struct record record = example_record();
    struct task_options options = task_options_default();
    example_add_text(&record, "vqa", -1, "Who?", "man");
    example_add_text(&record, "vqa", -1, "Where?", "here");
    for (int64_t i = 0; i < 2; i++) {
        record.texts[i].turns[0].objects = memory_new(2, sizeof(int64_t));
        record.texts[i].turns[0].objects[0] = i; /* dog, man; then dog alone */
        record.texts[i].turns[0].objects[1] = 1;
        record.texts[i].turns[0].n_objects = 2;
    }
    example_says("graph_vqa", &record, &options,
                 LIST_3
                 "Generate a scene graph with relevant objects to answer the question using a "
                 "single word or phrase. Who?|Objects:\nregion1: man is tall\nregion2: dog\n\n"
                 "Relations:\nregion1: region2 walking, region2 walking, region3 below\n"
                 "region2: region1 beside\nAnswer: man|Where?|Objects:\nregion2: dog\n\n"
                 "Relations:\nregion2: region1 beside\nAnswer: here");
    example_says("graph_answer", &record, &options,
                 LIST_3
                 "Answer the question using a single word or phrase. Who?|Answer: man|Where?|"
                 "Answer: here");
    options.relevant_relations = true;
    example_says("graph_literal_vqa", &record, &options,
                 LIST_3
                 "Generate a scene graph with relevant objects to answer the question using a "
                 "single word or phrase. Who?|region1: {'name': 'man', 'attributes': ['tall'], "
                 "'relations': [{'object': 2, 'name': 'walking'}, {'object': 2, 'name': "
                 "'walking'}]}\nregion2: {'name': 'dog', 'relations': [{'object': 1, 'name': "
                 "'beside'}]}\nAnswer: man|Where?|region2: {'name': 'dog'}\nAnswer: here");
    example_says(
        "blind_vqa", &record, &options,
        "Objects:\nregion1: man is tall\nregion2: dog\nregion3: sky-other-merged is blue\n\n"
        "Relations:\nregion1: region2 walking, region3 below\nregion2: region1 beside\n\n"
        "Who?\nAnswer the question using a single word or phrase.|man|Where?\nAnswer the "
        "question using a single word or phrase.|here");
    record_release(&record);
}

/* Every subject of a record has its turn before any has a second one. */
static void subjects_take_turns(void **state)
{
    (void)state;
    struct record record = example_record();
    struct task_options options = task_options_default();
    options.region_setup = REGION_SETUP_OBJECTS;
    options.keep_order = true;
    example_add_relation(&record, 2, 0, "above");
    for (uint64_t sample = 0; sample < 20; sample++) {
        int seen[3] = {0};
        for (uint64_t epoch = 0; epoch < 6; epoch++) {
            struct task_sample made;
            assert_int_equal(task_make(&made, &record, task_find("relation"), &options,
                                       task_draws(3, sample, epoch)),
                             OK);
            const char *asked = strrchr(made.conversation.turns[0].text, '\n');
            seen[0] += strstr(asked, "region1") != NULL;
            seen[1] += strstr(asked, "region2") != NULL;
            seen[2] += strstr(asked, "region3") != NULL;
            task_sample_release(&made);
        }
        for (int i = 0; i < 3; i++) assert_int_equal(seen[i], 2);
    }
    record_release(&record);
}

/* The four setups, and what a small limit keeps. */
static void region_setups(void **state)
{
    (void)state;
    struct record record = example_record();
    struct task_options options = task_options_default();
    static const int64_t n_listed[] = {2, 3, 4, 5}; /* of the second subject */
    struct task_draws second = example_pinned;
    second.epoch = 1;
    example_add_object(&record, "tree", NULL);
    record.regions = memory_resize(record.regions, 5, sizeof *record.regions);
    record.regions[record.n_regions++] = (struct record_region){.box = {7, 7, 9, 9}};
    for (int setup = 0; setup < 4; setup++) {
        struct task_sample sample;
        options.region_setup = (enum region_setup)(REGION_SETUP_SUBJECT + setup);
        assert_int_equal(task_make(&sample, &record, task_find("relation"), &options, second), OK);
        assert_int_equal(sample.n_regions, n_listed[setup]);
        assert_int_equal(sample.n_dropped_relations, 0);
        task_sample_release(&sample);
        options.max_regions = 2; /* the dog and the man, whoever else there is */
        assert_int_equal(task_make(&sample, &record, task_find("relation"), &options, second), OK);
        assert_int_equal(sample.n_regions, 2);
        assert_non_null(strstr(sample.conversation.turns[1].text, " beside"));
        task_sample_release(&sample);
        options.max_regions = TASK_DEFAULT;
    }
    record_release(&record);
}

/* Wordings and orders that are drawn once stay from epoch to epoch, unless draws are fresh. */
static void fixed_and_fresh_draws(void **state)
{
    (void)state;
    struct record record = example_record();
    struct task_options options = task_options_default();
    int n_changed[2] = {0};
    for (int fresh = 0; fresh < 2; fresh++) {
        options.fresh_draws = fresh == 1;
        for (uint64_t sample = 0; sample < 60; sample++) {
            int64_t first[2];
            for (uint64_t epoch = 0; epoch < 2; epoch++) {
                struct task_sample made;
                assert_int_equal(task_make(&made, &record, task_find("sg"), &options,
                                           task_draws(4, sample, epoch)),
                                 OK);
                first[epoch] = made.regions[0];
                task_sample_release(&made);
            }
            n_changed[fresh] += first[0] != first[1];
        }
    }
    assert_int_equal(n_changed[0], 0);
    assert_in_range(n_changed[1], 25, 55); /* two of three */
    record_release(&record);
}

/* Augmentation keeps at least its share, and each object has what was its own. */
static void augmented_graphs(void **state)
{
    (void)state;
    struct record record = example_record();
    struct task_options options = task_options_default();
    bool seen[4] = {false};
    options.region_order = REGION_ORDER_SHUFFLE_AND_TRUNCATE;
    options.min_region_keep = 0.4;
    for (uint64_t sample = 0; sample < 60; sample++) {
        struct task_sample made;
        assert_int_equal(
            task_make(&made, &record, task_find("sg"), &options, task_draws(5, sample, 0)), OK);
        seen[made.n_regions] = true;
        for (int64_t i = 0; i < made.n_regions; i++) {
            char *line =
                text_format("region%d: %s", (int)i + 1, record.objects[made.regions[i]].name);
            assert_non_null(strstr(made.conversation.turns[1].text, line));
            free(line);
        }
        task_sample_release(&made);
    }
    assert_true(!seen[0] && seen[1] && seen[2] && seen[3]);
    record_release(&record);
}

/* LLaVA's pre-training form: picture, caption, line end; all but the picture learnt. */
static void plain_captions(void **state)
{
    (void)state;
    struct tokenizer *tokenizer = NULL;
    struct sample sample;
    const char *skipped;
    struct token_list want = {0};
    struct task_options options = task_options_default();
    assert_int_equal(tokenizer_open(&tokenizer, "datasets/tokenizer-scenes"), OK);
    struct record record = example_record();
    example_add_text(&record, "caption", -1, "", "A man.");
    const struct sample_request request = {.task = task_find("plain_caption"),
                                           .tokenizer = tokenizer,
                                           .options = &options,
                                           .draws = example_pinned};
    assert_int_equal(sample_build(&sample, &skipped, &record, &request), OK);
    assert_int_equal(tokenizer_encode(tokenizer, "A man.\n", 7, &want), OK);
    assert_int_equal(sample.ids.n, want.n + 1);
    assert_int_equal(sample.ids.ids[0], IMAGE_TOKEN_ID);
    assert_int_equal(sample.labels.ids[0], IGNORE_LABEL);
    assert_int_equal(sample.n_regions, 0);
    const size_t size = (size_t)want.n * sizeof *want.ids;
    assert_memory_equal(sample.ids.ids + 1, want.ids, size);
    assert_memory_equal(sample.labels.ids + 1, want.ids, size);
    token_list_release(&want);
    sample_release(&sample);
    tokenizer_close(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(marks),
        cmocka_unit_test(choices),
        cmocka_unit_test(ours_where_the_release_differs),
        cmocka_unit_test(reasoning),
        cmocka_unit_test(subjects_take_turns),
        cmocka_unit_test(region_setups),
        cmocka_unit_test(fixed_and_fresh_draws),
        cmocka_unit_test(augmented_graphs),
        cmocka_unit_test(plain_captions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
