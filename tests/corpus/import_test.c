/* Importers: small annotation files of each shape give the records they say; hostile ones are
 * skipped under the right reason or refused with a sentence; equal input gives equal files however
 * shards are shared out. */
#include "corpus/import.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/text_buffer.h"
#include "corpus/corpus_html.h"
#include "corpus/corpus_inspect.h"
#include "corpus/corpus_verify.h"
#include "corpus/import_common.h"
#include "corpus/import_text.h"
#include "corpus/shard.h"
#include "support/corpus_records.h"
#include "support/import_check.h"

#define GQA_OBJECTS                                                                                \
    "\"12\": {\"name\": \"man\", \"x\": 1, \"y\": 2, \"w\": 3, \"h\": 4, \"attributes\": "         \
    "[\"tall\", \"old\"], \"relations\": [{\"name\": \"holding\", \"object\": \"5\"}]}, "          \
    "\"5\": {\"name\": \"cup\", \"bbox\": [0, 0, 8, 6], \"segmentation\": {\"size\": [6, 8], "     \
    "\"counts\": [1, 5, 42]}, \"attributes\": [], \"relations\": []}"
#define GQA(size, objects) "{\"7\": {" size ", \"objects\": {" objects "}}}"
#define SIZE               "\"width\": 8, \"height\": 6"

static void gqa_graphs(void **state)
{
    import_check(import_gqa, *state, GQA(SIZE, GQA_OBJECTS),
                 "id          gqa/7\nsource      gqa:a.json\npicture     8 x 6 (width x height)");
    import_check(import_gqa, *state, GQA(SIZE, GQA_OBJECTS),
                 "    0  man (tall, old)  region1 (1, 2, 4, 6)\n"
                 "    1  cup  region2 (0, 0, 8, 6), mask of 5 pixels\n"
                 "relations\n    0 man - holding - 1 cup\n");
    /* boxes that stick out are cut */
    import_check(import_gqa, *state,
                 GQA(SIZE, "\"1\": {\"name\": \"m\", \"x\": -2, \"y\": 1, \"w\": 5, \"h\": 99}"),
                 "    0  m  region1 (0, 1, 3, 6)\n");
    import_check(import_gqa, *state, GQA(SIZE, ""), "id          gqa/7");
    import_check(import_gqa, *state, "{\"\\u0037\": {" SIZE ", \"objects\": {}}}",
                 "id          gqa/7");
}

#define OBJECT(fields) GQA(SIZE, "\"1\": {" fields "}")
#define BOX            "\"x\": 1, \"y\": 2, \"w\": 3, \"h\": 4"

static void hostile_gqa_graphs(void **state)
{
    static const struct {
        const char *json, *words;
    } cases[] = {
        {"", "refused: "},
        {"7", "an object or an array"},
        {"{}", "holds no scene graph"},
        {"{\"7\": {\"width\": 8", "a closing bracket"},
        {"{\"7\": {}} x", "expected the end or an object"},
        {"PAR1 ...", "make JSON lines of it: python3"},
        {"{\"7\" {}}", "expected ':'"},
        {"{\"7\": {\"width\": NaN}}", "refused: "},
        {"{\"7\": {\"width\": 8, \"width\": 8}}", "duplicate"},
        {"{\"7\": {\"width\": 99999999999999999999}}", "too big integer"},
        {"{\"7\": {\"width\": 1e999}}", "real number overflow"},
        {"{\"7\": {\"a\": \"\xff\"}}", "unable to decode byte"},
        {"{\"7\": {]}}", "refused: "},
        {"{\"7\": 3}", "refused: "},
        {"{\"7\": {}}", "annotation: "},
        {GQA("\"width\": 8", ""), "field 'height' is missing"},
        {GQA("\"width\": \"8\", \"height\": 6", ""), "field 'width' must be an integer"},
        {GQA("\"width\": 0, \"height\": 6", ""), "field 'width' is 0"},
        {GQA("\"width\": 8, \"height\": 1000000", ""), "field 'height' is 1000000"},
        {GQA("\"width\": 9, \"height\": 6", ""), "size: "},
        {"{\"7\": {" SIZE ", \"objects\": []}}", "field 'objects' must be an object"},
        {"{\"9\": {" SIZE ", \"objects\": {}}}", "image: cannot open"},
        {"{\"8\": {" SIZE ", \"objects\": {}}}", "image: "},
        {"{\"../7\": {" SIZE ", \"objects\": {}}}", "image: file name '../7.jpg' leads out"},
        {"{\"/7\": {" SIZE ", \"objects\": {}}}", "image: file name '/7.jpg' leads out"},
        {OBJECT("\"name\": 3, " BOX), "7.objects.1: field 'name' must be a string"},
        {OBJECT("\"name\": \"\", " BOX), "dropped object: "},
        {OBJECT("\"name\": \"m\""), "field 'x' is missing"},
        {OBJECT("\"name\": \"m\", \"bbox\": [1, 2, 3]"), "bbox must be four numbers"},
        {OBJECT("\"name\": \"m\", \"bbox\": [1, 2, 3, null]"), "bbox must be four numbers"},
        {OBJECT("\"name\": \"m\", \"bbox\": [3, 2, 3, 4]"), "holds nothing of the picture"},
        {OBJECT("\"name\": \"m\", \"bbox\": [9, 2, 12, 4]"), "holds nothing of the picture"},
        {OBJECT("\"name\": \"m\", \"bbox\": [1e300, 2, -1e300, 4]"), "holds nothing"},
        {OBJECT("\"name\": \"m\", " BOX ", \"attributes\": [3]"), "attribute 0 must be a string"},
        {OBJECT("\"name\": \"m\", " BOX ", \"attributes\": {}"), "attributes must be an array"},
        {OBJECT("\"name\": \"m\", " BOX ", \"relations\": [3]"), "dropped relation: "},
        {OBJECT("\"name\": \"m\", " BOX ", \"relations\": [{\"name\": \"on\", \"object\": \"2\"}]"),
         "relations[0]: it is to object '2', which is not there"},
        {OBJECT("\"name\": \"m\", " BOX ", \"segmentation\": {\"size\": [6, 8], \"counts\": [1]}"),
         "dropped object: "},
        {OBJECT("\"name\": \"m\", " BOX ", \"segmentation\": {\"size\": [6, 8], \"counts\": [48]}"),
         "the mask holds no pixel"},
        {OBJECT("\"name\": \"m\", " BOX ", \"segmentation\": {\"size\": [5, 5], \"counts\": [25]}"),
         "dropped object: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        import_check(import_gqa, *state, cases[i].json, cases[i].words);
}

static void deep_json_is_refused(void **state)
{
    struct text_buffer text = {0};
    text_append(&text, "{\"7\": ");
    for (int i = 0; i < 100000; i++) text_append(&text, "[");
    for (int i = 0; i < 100000; i++) text_append(&text, "]");
    text_append(&text, "}");
    import_check(import_gqa, *state, text.text, "maximum parsing depth");
    text_release(&text);
}

#define LIST(annotation) "[{\"data_path\": \"7.jpg\", \"annotation\": {" SIZE ", " annotation "}}]"

static void gqa_lists(void **state)
{
    static const struct {
        const char *json, *words;
    } cases[] = {
        {LIST("\"bboxes\": [[1, 2, 3, 4], [0, 0, 8, 6]], \"labels\": [\"a\", \"b\"], "
              "\"attributes\": "
              "[[], [\"red\"]], \"relations\": [[1, \"on\", 0]]"),
         "    0  a  region1 (1, 2, 3, 4)\n    1  b (red)  region2 (0, 0, 8, 6)\nrelations\n    1 b "
         "- on - 0 a\n"},
        {"[]", "holds no scene graph"},
        {"[3]", "refused: "},
        {"[{}]", "annotation: "},
        {"[{\"data_path\": 3}]", "field 'data_path' must be a string"},
        {LIST("\"bboxes\": [], \"labels\": [\"a\"], \"attributes\": [], \"relations\": []"),
         "0 bboxes, 1 labels and 0 attributes"},
        {LIST("\"bboxes\": [[1, 2, 3, 4]], \"labels\": [4], \"attributes\": [[]], \"relations\": "
              "[]"),
         "[0], object 0: the label must be a string"},
        {LIST("\"bboxes\": [[1, 2, 3, 4]], \"labels\": [\"a\"], \"attributes\": [[]], "
              "\"relations\": "
              "[[0, \"on\", 1]]"),
         "[0], relation 0: the object is 1, must be 0 .. 0"},
        {LIST("\"bboxes\": [[1, 2, 3, 4]], \"labels\": [\"a\"], \"attributes\": [[]], "
              "\"relations\": "
              "[[-1, \"on\", 0]]"),
         "the subject is -1"},
        {LIST("\"bboxes\": [], \"labels\": [], \"attributes\": [], \"relations\": [[0, 1, 0]]"),
         "must be [subject, predicate, object]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        import_check(import_gqa, *state, cases[i].json, cases[i].words);
}

#define PSG(entry)                                                                                 \
    "{\"data\": [" entry "], \"thing_classes\": [\"man\"], \"stuff_classes\": [\"wall-merged\"], " \
    "\"predicate_classes\": [\"over\", \"beside\"], \"test_image_ids\": [\"7\"]}"
#define PSG_HEAD                                                                                   \
    "\"file_name\": \"7.jpg\", \"pan_seg_file_name\": \"7.png\", \"image_id\": \"7\", " SIZE
#define PSG_SEGMENTS ", \"segments_info\": [{\"id\": 258}, {\"id\": 1}]"
#define PSG_ANNOTATIONS                                                                            \
    ", \"annotations\": [{\"bbox\": [4, 0, 8, 5], \"category_id\": 0}, {\"bbox\": [0, 0, 4, 5], "  \
    "\"category_id\": 1}]"
#define PSG_RELATIONS ", \"relations\": [[0, 1, 1]]"

static void psg_files(void **state)
{
    static const struct {
        const char *json, *words;
    } cases[] = {
        {PSG("{" PSG_HEAD PSG_SEGMENTS PSG_ANNOTATIONS PSG_RELATIONS "}"),
         "    0  man  region1 (4, 0, 8, 5), mask of 20 pixels\n"
         "    1  wall-merged  region2 (0, 0, 4, 5), mask of 20 pixels\n"
         "relations\n    0 man - beside - 1 wall-merged\n"},
        {PSG("{" PSG_HEAD PSG_SEGMENTS PSG_ANNOTATIONS ", \"relations\": [[0, 2, 1]]}"),
         "dropped relation: "},
        {PSG("{" PSG_HEAD PSG_SEGMENTS PSG_ANNOTATIONS ", \"relations\": [[0, 1, 2]]}"),
         "data[0].relations[0]: the predicate is 2, must be 0 .. 1"},
        {PSG("{" PSG_HEAD PSG_SEGMENTS PSG_ANNOTATIONS ", \"relations\": [[0, 1]]}"),
         "must be [subject, object, predicate]"},
        {PSG("{" PSG_HEAD PSG_SEGMENTS PSG_ANNOTATIONS "}"), "field 'relations' is missing"},
        {PSG("{" PSG_HEAD ", \"segments_info\": [{\"id\": 1}]" PSG_ANNOTATIONS PSG_RELATIONS "}"),
         "2 annotations but 1 segments_info"},
        {PSG("{" PSG_HEAD
             ", \"segments_info\": [{\"id\": 258}, {\"id\": 3}]" PSG_ANNOTATIONS PSG_RELATIONS "}"),
         "masks: "},
        {PSG("{" PSG_HEAD ", \"segments_info\": [{\"id\": 258}, {\"id\": 99999999}]" PSG_ANNOTATIONS
                 PSG_RELATIONS "}"),
         "masks: "},
        {PSG("{" PSG_HEAD ", \"segments_info\": [{\"id\": 1}], \"annotations\": [{\"bbox\": [0, 0, "
             "4, 5], \"category_id\": 1}], \"relations\": []}"),
         "holds 2 segments, segments_info of data[0] lists 1"},
        {PSG("{" PSG_HEAD ", \"segments_info\": [{\"id\": 1}], \"annotations\": [{\"bbox\": [0, 0, "
             "4, 5], \"category_id\": 2}], \"relations\": []}"),
         "field 'category_id' is 2, must be 0 .. 1"},
        {PSG("{}"), "image_id"},
        {PSG("3"), "refused: "},
        {PSG(""), "no picture of split 'all' among its 0"},
        {"[]", "it has no array 'data'"},
        {"{\"data\": 3}", "it has no array 'data'"},
        {"{\"data\": []}", "field 'thing_classes' is missing"},
        {"{\"data\": [], \"thing_classes\": [3]}", "thing_classes[0] must be a name"},
        {"{\"data\": [{}", "a closing bracket"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        import_check(import_psg, *state, cases[i].json, cases[i].words);
}

/* A bad object goes with the relations that need it; the others keep their ends. */
static void bad_parts_are_dropped(void **state)
{
    static const char json[] =
        GQA(SIZE, "\"1\": {\"name\": \"hat\", \"x\": 9, \"y\": 1, \"w\": 2, \"h\": 2, "
                  "\"relations\": [{\"name\": \"on\", \"object\": \"12\"}]}, " GQA_OBJECTS);
    import_check(import_gqa, *state, json,
                 "    0  man (tall, old)  region1 (1, 2, 4, 6)\n"
                 "    1  cup  region2 (0, 0, 8, 6), mask of 5 pixels\n"
                 "relations\n    0 man - holding - 1 cup\n");
    import_check(import_gqa, *state, json, "7.objects.1: box (9, 1, 11, 3) holds nothing");
    import_check(import_gqa, *state, json, "7.objects.1.relations[0]: its subject was dropped");
    import_check(import_gqa, *state,
                 GQA(SIZE, "\"1\": {}, \"2\": {\"name\": \"a\", \"bbox\": [0, 0, 2, 2], "
                           "\"relations\": [{\"name\": \"on\", \"object\": \"1\"}]}"),
                 "    0  a  region1 (0, 0, 2, 2)\ndropped object");
    import_check(import_psg, *state,
                 PSG("{" PSG_HEAD PSG_SEGMENTS
                     ", \"annotations\": [{\"bbox\": [4, 0, 8, 5], \"category_id\": 9}, "
                     "{\"bbox\": [0, 0, 4, 5], \"category_id\": 1}]" PSG_RELATIONS "}"),
                 "    0  wall-merged  region1 (0, 0, 4, 5), mask of 20 pixels\n"
                 "dropped object");
}

/* What was appended since the mark goes, and nothing else does. */
static void a_dropped_part_leaves_no_trace(void **state)
{
    struct record record = {0};
    struct item_note note = {0};
    const struct json_place place = {"a.json", "x"};
    (void)state;
    for (int i = 0; i < 7; i++) {
        const struct import_mark mark = import_mark(&record);
        assert_int_equal(import_add_object(&record, "cup", import_add_region(&record), place), OK);
        assert_int_equal(import_add_attribute(&record.objects[mark.n_objects], "red", place), OK);
        assert_int_equal(import_add_relation(&record, 0, "on", mark.n_objects, place), OK);
        struct record_text *text = import_add_text(&record, "choice", 0, i % 2 ? "o" : NULL);
        struct record_turn *turn = import_add_turn(text, "where?", "here");
        import_add_choice(turn, "here");
        import_add_choice(turn, "there");
        import_add_reference(turn, 0);
        if (i % 3 != 2) continue;
        (void)status_fail(ERR_FORMAT, "number %d", i);
        assert_int_equal(import_drop(&record, mark, &note, ERR_FORMAT, "object"), OK);
        assert_int_equal(import_drop(&record, mark, &note, ERR_MEMORY, "object"), ERR_MEMORY);
    }
    assert_int_equal(record.n_regions, 5);
    assert_int_equal(record.n_objects, 5);
    assert_int_equal(record.n_relations, 5);
    assert_int_equal(record.n_texts, 5);
    assert_int_equal(record.texts[4].turns[0].n_choices, 2);
    assert_int_equal(note.n_drops, 2);
    assert_string_equal(note.drops[1].why, "number 5");
    item_note_release(&note);
    record_release(&record);
}

static void psg_splits(void **state)
{
    struct record_source source = {0};
    const char *json = PSG("{\"image_id\": \"6\"}, {\"image_id\": 7}, {\"image_id\": 8}, {}");
    assert_int_equal(import_check_open(&source, import_psg, *state, json, "all"), OK);
    assert_int_equal(source.n_items, 4);
    record_source_release(&source);
    assert_int_equal(import_check_open(&source, import_psg, *state, json, "test"), OK);
    assert_int_equal(source.n_items, 1);
    record_source_release(&source);
    assert_int_equal(import_check_open(&source, import_psg, *state, json, "train"), OK);
    assert_int_equal(source.n_items, 3);
    record_source_release(&source);
}

/* Items 3, 10, 17 ... of `n` fail under a reason; item `fatal` without one. */
struct fake {
    int64_t fatal;
    int n_drops; /* of every item */
};

static enum status fake_make(void *context, int64_t item, struct record *record,
                             struct item_note *note)
{
    const struct fake *fake = context;
    if (item == fake->fatal) return status_fail(ERR_IO, "the fake gave up");
    note->reason = item % 2 == 0 ? "even" : "odd";
    if (item % 7 == 3) return status_fail(ERR_FORMAT, "item %d is bad", (int)item);
    note->n_cut_boxes = item == 1 ? 2 : 0;
    for (int i = 0; i < fake->n_drops; i++) item_note_drop(note, "box", "a box is bad");
    *record = test_record((int)item);
    return OK;
}

static struct record_source fake_source(struct fake *fake, int64_t n)
{
    return (struct record_source){.n_items = n, .context = fake, .make = fake_make};
}

static enum status build(const char *directory, const int64_t *order, int n_threads,
                         double max_skipped, struct build_summary *summary)
{
    enum status status = OK;
    const int64_t n_shards = 5;
    struct fake fake = {.fatal = -1};
    const struct record_source source = fake_source(&fake, 40);
    const struct build_options options = {
        .shard_items = 9, .n_threads = n_threads, .max_skipped = max_skipped};
    struct corpus_stage stage = {0};
    bool resumed;
    assert_int_equal(corpus_build_n_shards(&source, &options), n_shards);
    TRY(corpus_stage_init(&stage, directory, "fake"));
    TRY(corpus_stage_begin(&stage, NULL, &resumed));
    for (int64_t i = 0; i < n_shards; i++)
        TRY(corpus_build_shard(&source, &stage, &options, order[i], NULL, NULL));
    TRY(corpus_build_finish(&source, &stage, &options, NULL, summary));
out:
    if (status != OK) corpus_stage_abandon(&stage);
    corpus_stage_release(&stage);
    return status;
}

static void assert_folders_equal(const char *one, const char *other, size_t n_files)
{
    char **names = NULL;
    size_t n = 0;
    assert_int_equal(directory_list(&names, &n, one), OK);
    assert_int_equal(n, n_files);
    for (size_t i = 0; i < n; i++) {
        unsigned char *bytes[2] = {NULL, NULL};
        size_t sizes[2] = {0, 0};
        for (int j = 0; j < 2; j++) {
            char *path = path_join(j == 0 ? one : other, names[i]);
            assert_int_equal(file_read(&bytes[j], &sizes[j], path, 1 << 24), OK);
            free(path);
        }
        assert_int_equal(sizes[0], sizes[1]);
        assert_memory_equal(bytes[0], bytes[1], sizes[0]);
        free(bytes[0]);
        free(bytes[1]);
    }
    names_free(names, n);
}

static void shards_do_not_depend_on_who_makes_them(void **state)
{
    const int64_t orders[2][5] = {{0, 1, 2, 3, 4}, {4, 1, 3, 0, 2}};
    char *directories[2] = {path_join(*state, "one"), path_join(*state, "two")};
    for (int i = 0; i < 2; i++) {
        struct build_summary summary = {0};
        assert_int_equal(build(directories[i], orders[i], 1 + 3 * i, 0.2, &summary), OK);
        assert_int_equal(summary.n_items, 40);
        assert_int_equal(summary.n_records, 34);
        assert_int_equal(summary.n_skipped, 6);
        assert_int_equal(summary.n_changed, 1);
        assert_string_equal(text_of(&summary.reasons), "odd 3, even 3");
        build_summary_release(&summary);
    }
    assert_folders_equal(directories[0], directories[1], 7); /* five shards, index, notes */
    struct corpus *corpus = NULL;
    assert_int_equal(corpus_open(&corpus, directories[0]), OK);
    assert_int_equal(corpus_size(corpus), 34);
    for (int64_t item = 0, index = 0; item < 40; item++) {
        if (item % 7 == 3) continue;
        struct record wanted = test_record((int)item);
        struct record found = {0};
        assert_int_equal(corpus_read(corpus, index++, &found), OK);
        assert_true(test_records_equal(&wanted, &found));
        record_release(&wanted);
        record_release(&found);
    }
    corpus_close(corpus);
    free(directories[0]);
    free(directories[1]);
}

static void too_many_skipped_stop_the_build(void **state)
{
    const int64_t order[5] = {0, 1, 2, 3, 4};
    char *directory = path_join(*state, "c");
    struct build_summary summary = {0};
    assert_int_equal(build(directory, order, 2, 0.1, &summary), ERR_FORMAT);
    assert_non_null(strstr(status_message(), "6 of 40 records had to be skipped (odd 3, even 3)"));
    assert_non_null(strstr(status_message(), "the first: item 3 is bad"));
    assert_false(file_exists(directory));
    char *partial = text_format("%s.partial", directory);
    assert_false(file_exists(partial));
    char *list = text_format("%s.skipped.jsonl", directory);
    unsigned char *bytes = NULL;
    size_t size = 0;
    assert_int_equal(file_read(&bytes, &size, list, 1 << 20), OK);
    assert_non_null(
        strstr((char *)bytes, "{\"item\":31,\"skipped\":\"odd\",\"why\":\"item 31 is bad\"}\n"));
    build_summary_release(&summary);
    free(bytes);
    free(list);
    free(partial);
    free(directory);
}

static enum status begin(struct corpus_stage *stage, const char *directory, const char *identity,
                         bool *resumed)
{
    enum status status = OK;
    TRY(corpus_stage_init(stage, directory, "fake"));
    TRY(corpus_stage_begin(stage, identity, resumed));
out:
    return status;
}

/* Shards that a killed build left are kept as they are; its half-written file goes. */
static void an_interrupted_build_goes_on(void **state)
{
    struct fake fake = {.fatal = -1, .n_drops = 1};
    const struct record_source source = fake_source(&fake, 40);
    const struct build_options options = {
        .shard_items = 9, .n_threads = 2, .max_skipped = 1, .max_dropped = 1};
    char *directories[2] = {path_join(*state, "whole"), path_join(*state, "killed")};
    for (int i = 0; i < 2; i++) {
        struct corpus_stage stage = {0};
        struct build_summary summary = {0};
        bool resumed = true;
        assert_int_equal(begin(&stage, directories[i], "fake 40", &resumed), OK);
        assert_false(resumed);
        struct corpus_stage other = {0};
        assert_int_equal(begin(&other, directories[i], "fake 40", &resumed), ERR_ARGUMENT);
        assert_non_null(strstr(status_message(), "another build is writing it"));
        corpus_stage_release(&other);
        for (int64_t shard = 0; shard < 5; shard += i == 0 ? 1 : 2)
            assert_int_equal(corpus_build_shard(&source, &stage, &options, shard, NULL, NULL), OK);
        if (i == 1) {
            char *cut = path_join(stage.partial, "fake-00001.h5.tmp.1");
            assert_int_equal(file_write_atomic(cut, "x", 1), OK);
            corpus_stage_release(&stage); /* as a kill does */
            free(cut);
            assert_int_equal(begin(&stage, directories[i], "fake 41", &resumed), ERR_ARGUMENT);
            assert_non_null(strstr(status_message(), "of other inputs or options was killed"));
            corpus_stage_release(&stage);
            assert_int_equal(begin(&stage, directories[i], "fake 40", &resumed), OK);
            assert_true(resumed);
            fake.fatal = 20; /* of shard 2, which is there: not made again */
            for (int64_t shard = 0; shard < 5; shard++)
                assert_int_equal(corpus_build_shard(&source, &stage, &options, shard, NULL, NULL),
                                 OK);
        }
        assert_int_equal(corpus_build_finish(&source, &stage, &options, NULL, &summary), OK);
        assert_int_equal(summary.n_skipped, 6);
        assert_int_equal(summary.n_dropped, 34);
        assert_string_equal(text_of(&summary.dropped), "box 34");
        build_summary_release(&summary);
        corpus_stage_release(&stage);
        char *partial = text_format("%s.partial", directories[i]);
        assert_false(file_exists(partial));
        free(partial);
    }
    assert_folders_equal(directories[0], directories[1], 7);
    free(directories[0]);
    free(directories[1]);
}

static void too_many_dropped_stop_the_build(void **state)
{
    struct fake fake = {.fatal = -1, .n_drops = 1200};
    const struct record_source source = fake_source(&fake, 2);
    const struct build_options options = {
        .shard_items = 9, .n_threads = 1, .max_skipped = 1, .max_dropped = 0.5};
    char *directory = path_join(*state, "c");
    struct corpus_stage stage = {0};
    struct build_summary summary = {0};
    bool resumed;
    assert_int_equal(begin(&stage, directory, "fake", &resumed), OK);
    assert_int_equal(corpus_build_shard(&source, &stage, &options, 0, NULL, NULL), OK);
    assert_int_equal(corpus_build_finish(&source, &stage, &options, NULL, &summary), ERR_FORMAT);
    assert_true(summary.refused);
    assert_non_null(strstr(status_message(), "2400 of "));
    assert_non_null(strstr(status_message(), "had to be dropped (box 2400)"));
    corpus_stage_abandon(&stage);
    corpus_stage_release(&stage);
    build_summary_release(&summary);
    char *list = text_format("%s.skipped.jsonl", directory);
    unsigned char *bytes = NULL;
    size_t size = 0;
    int64_t n_lines = 0;
    assert_int_equal(file_read(&bytes, &size, list, 1 << 20), OK);
    for (size_t i = 0; i < size; i++) n_lines += bytes[i] == '\n';
    assert_int_equal(n_lines, 2 * 1000 + 1); /* and a changed one */
    assert_non_null(strstr((char *)bytes, "\"count\":201"));
    free(bytes);
    free(list);
    free(directory);
}

static void a_failure_without_a_reason_ends_the_build(void **state)
{
    struct fake fake = {.fatal = 5};
    const struct record_source source = fake_source(&fake, 9);
    const struct build_options options = {.shard_items = 9, .n_threads = 2, .max_skipped = 1};
    struct corpus_stage stage = {0};
    bool resumed;
    char *directory = path_join(*state, "c");
    assert_int_equal(corpus_stage_init(&stage, directory, "fake"), OK);
    assert_int_equal(corpus_stage_begin(&stage, NULL, &resumed), OK);
    assert_int_equal(corpus_build_shard(&source, &stage, &options, 0, NULL, NULL), ERR_IO);
    corpus_stage_abandon(&stage);
    assert_string_equal(status_message(), "the fake gave up");
    corpus_stage_release(&stage);
    free(directory);
}

static void damaged_records_are_named(void **state)
{
    const int64_t order[5] = {0, 1, 2, 3, 4};
    char *directory = path_join(*state, "c");
    struct build_summary summary = {0};
    struct verify_result result = {0};
    assert_int_equal(build(directory, order, 2, 1, &summary), OK);
    assert_int_equal(corpus_verify(&result, directory,
                                   &(struct verify_options){.n_ranks = 1, .n_threads = 2}, NULL),
                     OK);
    assert_int_equal(result.n_records, 34);
    assert_int_equal(result.n_damaged, 0);
    /* one letter of one string of one record */
    char *path = path_join(directory, "fake-00001.h5");
    unsigned char *bytes = NULL;
    size_t size = 0;
    assert_int_equal(file_read(&bytes, &size, path, 1 << 24), OK);
    unsigned char *at = memmem(bytes, size, "test/11", 7);
    assert_non_null(at);
    at[0] = 'T';
    assert_int_equal(file_write_atomic(path, bytes, size), OK);
    char *third = path_join(directory, "fake-00003.h5");
    assert_int_equal(file_write_atomic(third, bytes, size / 2), OK);
    text_release(&result.lines);
    result = (struct verify_result){0};
    assert_int_equal(corpus_verify(&result, directory,
                                   &(struct verify_options){.n_ranks = 1, .n_threads = 2}, NULL),
                     OK);
    assert_int_equal(result.n_damaged, 2);
    assert_non_null(strstr(result.lines.text, "fake-00001.h5: record 1: crc32c is"));
    assert_non_null(strstr(result.lines.text, "fake-00003.h5 has"));
    text_release(&result.lines);
    build_summary_release(&summary);
    free(bytes);
    free(third);
    free(path);
    free(directory);
}

static void pages_escape_what_records_say(void **state)
{
    struct corpus_writer *writer = NULL;
    struct corpus *corpus = NULL;
    struct text_buffer page = {0};
    struct record record = test_record(0);
    char *directory = path_join(*state, "c");
    free(record.objects[0].name);
    record.objects[0].name = text_copy("<script>\"&\x01");
    assert_int_equal(corpus_writer_create(&writer, directory, "c", 1), OK);
    assert_int_equal(corpus_writer_add(writer, &record), OK);
    assert_int_equal(corpus_writer_commit(writer), OK);
    corpus_writer_destroy(writer);
    assert_int_equal(corpus_open(&corpus, directory), OK);
    const int64_t numbers[] = {0, 1};
    assert_int_equal(corpus_html(&page, corpus, numbers, 1), OK);
    assert_non_null(strstr(page.text, "1 &lt;script&gt;&quot;&amp; </b>"));
    assert_null(strstr(page.text, "<script>"));
    assert_int_equal(corpus_html(&page, corpus, numbers, 2), ERR_ARGUMENT);
    corpus_close(corpus);
    text_release(&page);
    record_release(&record);
    free(directory);
}

int main(void)
{
#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, import_check_set_up, import_check_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(gqa_graphs),
        TEST(hostile_gqa_graphs),
        TEST(deep_json_is_refused),
        TEST(gqa_lists),
        TEST(psg_files),
        TEST(bad_parts_are_dropped),
        TEST(a_dropped_part_leaves_no_trace),
        TEST(psg_splits),
        TEST(an_interrupted_build_goes_on),
        TEST(too_many_dropped_stop_the_build),
        TEST(shards_do_not_depend_on_who_makes_them),
        TEST(too_many_skipped_stop_the_build),
        TEST(a_failure_without_a_reason_ends_the_build),
        TEST(damaged_records_are_named),
        TEST(pages_escape_what_records_say),
    };
    return cmocka_run_group_tests_name("corpus: import", tests, NULL, NULL);
}
