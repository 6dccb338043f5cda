/* Folder text: conversations, boxes, masks, ids and labels of the reference's dataset classes. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text_buffer.h"
#include "corpus/region_mask.h"
#include "corpus/task.h"
#include "golden.h"
#include "golden_builder.h"
#include "golden_families.h"
#include "golden_records.h"
#include "golden_sha256.h"
#include "golden_text.h"
#include "text/prompts.h"

static bool recognises(const char *directory)
{
    return golden_text_holds(directory, "dataset_text.json");
}

struct asked { /* a task, how, and the draws of one sample */
    const struct task *task;
    const struct task_options *options;
    struct task_draws draws;
};

struct context {
    const char *directory;
    const struct tokenizer *tokenizer;
    struct golden_report *report;
    const json_t *row; /* the case */
    const char *id, *class;
};

/* How the released classes are our tasks. */
struct class_row {
    const char *class, *tasks[3];
    enum status (*read)(const struct golden_reading *reading);
};
static const struct class_row classes[] = {
    {"SGDataset", {"sg"}, golden_read_imported},
    {"PSGDataset", {"psg"}, golden_read_graphs},
    {"SGDetectionDataset", {"sg_detection"}, golden_read_imported},
    {"RelationCategoryDataset", {"relation"}, golden_read_imported},
    {"RelationDescriptionDataset", {"description"}, golden_read_imported},
    {"RelationSummaryDataset", {"summary"}, golden_read_imported},
    {"GQACoTGroundedSGDataset", {"graph_vqa"}, golden_read_imported},
    {"GQACoTSGDataset", {"graph_literal_vqa"}, golden_read_imported},
    {"GQACoTDataset", {"grounded_vqa"}, golden_read_imported},
    {"COCODataset", {"coco"}, golden_read_imported},
    {"PartImagenet", {"part_imagenet"}, golden_read_imported},
    {"PascalPart", {"pascal_part"}, golden_read_imported},
    {"PacoDataset", {"paco"}, golden_read_imported},
    {"RefCOCO", {"refcoco"}, golden_read_imported},
    {"RefCOCOP", {"refcoco_plus"}, golden_read_imported},
    {"VGDATA", {"region_caption"}, golden_read_imported},
    {"RefExpDataset", {"refexp", "refexp_reverse"}, golden_read_refexp},
    {"OspreyConversations", {"region_dialogue"}, golden_read_imported},
    {"OspreyShortForm", {"region_dialogue"}, golden_read_imported},
    {"OspreyPartLevel", {"region_dialogue"}, golden_read_imported},
    {"OspreyLVISPosNeg", {"inline_dialogue"}, golden_read_imported},
    {"OspreyDetailedDescription", {"detailed_description"}, golden_read_imported},
    {"LlavaDataset", {"llava"}, golden_read_imported},
    {"LlavaOneVisionDataset", {"llava_one_vision"}, golden_read_imported},
    {"VCRDataset", {"vcr", "vcr_choice"}, golden_read_imported},
    {"VSRDataset", {"statement"}, golden_read_imported},
    {"FlickrEntitiesDataset", {"grounded_caption"}, golden_read_imported},
    {"PointQALocalDataset", {"box_vqa", "point_vqa"}, golden_read_imported},
    {"PointQATwiceDataset", {"vqa", "box_vqa", "point_vqa"}, golden_read_imported},
    {"V7WPointQADataset", {"region_choice"}, golden_read_imported},
};

static const struct class_row *class_row_of(const char *class)
{
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++)
        if (strcmp(class, classes[i].class) == 0) return &classes[i];
    return NULL;
}

static bool is_set(const json_t *options, const char *key)
{
    return json_is_true(json_object_get(options, key));
}

/* The case's tasks, NULL behind the last: an option may ask for one of them, or for another. */
static void tasks_of_case(const struct task *tasks[4], const struct class_row *row,
                          const json_t *options)
{
    int n = 0;
    for (int k = 0; k < 3 && row->tasks[k]; k++) {
        const char *name = row->tasks[k];
        const bool choices = strcmp(name, "vcr_choice") == 0;
        if (strcmp(row->class, "VCRDataset") == 0 &&
            is_set(options, choices ? "qa_only" : "mc_only"))
            continue;
        if (strcmp(name, "point_vqa") == 0 && !is_set(options, "use_point_text")) continue;
        if (is_set(options, "no_cot")) name = "graph_answer";
        tasks[n++] = task_find(name);
    }
    tasks[n] = NULL;
}

static int64_t limit_of(const json_t *options, const char *key)
{
    const json_t *value = json_object_get(options, key);
    return value ? json_integer_value(value) : TASK_DEFAULT;
}

#define MAX_IGNORED 8

static void set_switches(struct task_options *options, const json_t *from)
{
    const json_t *prefix = json_object_get(from, "sg_prompt");
    const json_t *setup = json_object_get(from, "pin_setup");
    options->box_text = is_set(from, "use_bbox_text");
    options->keep_order = json_is_false(json_object_get(from, "is_train"));
    options->no_description = !is_set(from, "add_description");
    options->sort_by_box = is_set(from, "sort_by_bbox");
    options->relevant_relations = is_set(from, "use_relevant_relations");
    options->question_prefix = prefix ? json_string_value(prefix) : NULL;
    if (setup) options->region_setup = (enum region_setup)json_integer_value(setup);
    if (is_set(from, "plain_tokenizer_name")) options->box_format.style = BOX_STYLE_PLAIN;
    options->box_format.square =
        strcmp(golden_text_string(from, "image_aspect_ratio"), "square") == 0;
    options->chat.unmask_template_tokens = true;
    options->compat = (struct task_compat){.angle_brackets = true,
                                           .blank_picture = true,
                                           .cot_relations = true,
                                           .description_line = true,
                                           .doubled_prefix = true,
                                           .mentioned_only = true,
                                           .statement_wording = true,
                                           .unlisted_regions = true};
}

static struct task_options options_of(const json_t *from, const char **ignored)
{
    struct task_options options = task_options_default();
    const json_t *list = json_object_get(from, "ignored_relations");
    const json_t *mode = json_object_get(from, "sg_mode");
    options.max_regions = limit_of(from, "max_gt_per_img");
    if (json_object_get(from, "max_regions")) options.max_regions = limit_of(from, "max_regions");
    options.max_relations = limit_of(from, "max_relations_per_obj");
    options.max_attributes = limit_of(from, "max_attributes_per_obj");
    if (mode) options.sg_mode = (int)json_integer_value(mode);
    for (size_t i = 0; i < json_array_size(list) && i < MAX_IGNORED; i++)
        ignored[options.n_ignored_predicates++] = json_string_value(json_array_get(list, i));
    options.ignored_predicates = ignored;
    set_switches(&options, from);
    return options;
}

static enum region_mode region_mode_of(const json_t *options)
{
    const char *mode = golden_text_string(options, "region_mode");
    if (strcmp(mode, "box") == 0) return REGION_BOX;
    return strcmp(mode, "box_segmentation") == 0 ? REGION_BOX_SEGMENTATION : REGION_SEGMENTATION;
}

static void check_conversation(const struct context *c, const json_t *item, const char *key,
                               struct conversation *conversation)
{
    const json_t *turns = json_object_get(item, key);
    bool same = (int64_t)json_array_size(turns) == conversation->n_turns;
    conversation_place_images(conversation, "<image>");
    for (int64_t i = 0; i < conversation->n_turns && same; i++) {
        const json_t *want = json_object_get(json_array_get(turns, (size_t)i), "value");
        const char *ours = conversation->turns[i].text;
        same = golden_text_equal(want, ours, strlen(ours));
    }
    golden_report_case(c->report, "conversations", same, "%s: other texts, the last \"%s\"", c->id,
                       conversation->n_turns ? conversation->turns[conversation->n_turns - 1].text
                                             : "");
}

static void check_boxes(const struct context *c, const json_t *item, const struct record *record,
                        const struct task_sample *sample)
{
    const json_t *boxes = json_object_get(item, "boxes");
    bool whole = sample->n_regions == 1 && sample->regions[0] < 0;
    if (!json_is_array(boxes) || whole) return;
    bool same = (int64_t)json_array_size(boxes) == sample->n_regions;
    for (int64_t i = 0; i < sample->n_regions && same; i++) {
        const json_t *want = json_array_get(boxes, (size_t)i);
        struct box b = record->regions[sample->regions[i]].box;
        const double have[4] = {b.x1, b.y1, b.x2, b.y2};
        for (size_t k = 0; k < 4; k++)
            same = same && json_number_value(json_array_get(want, k)) == have[k];
    }
    golden_report_case(c->report, "boxes", same, "%s: other boxes", c->id);
}

static bool same_mask(const json_t *want, const struct rle *mask)
{
    char hex[65];
    size_t n = (size_t)(mask->height * mask->width);
    uint8_t *bytes = memory_new(n + 1, 1);
    rle_to_mask(bytes, mask);
    sha256_hex(hex, bytes, n);
    free(bytes);
    const json_t *shape = json_object_get(want, "shape");
    return json_integer_value(json_array_get(shape, 0)) == mask->height &&
           json_integer_value(json_array_get(shape, 1)) == mask->width &&
           json_integer_value(json_object_get(want, "sum")) == (int64_t)rle_area(mask) &&
           strcmp(golden_text_string(want, "sha256"), hex) == 0;
}

static void check_masks(const struct context *c, const json_t *item, const struct record *record,
                        const struct task_sample *sample)
{
    const json_t *masks = json_object_get(item, "masks");
    enum region_mode mode = region_mode_of(json_object_get(c->row, "options"));
    bool same = (int64_t)json_array_size(masks) == sample->n_regions;
    for (int64_t i = 0; i < sample->n_regions && same; i++) {
        struct rle mask = {0};
        same = region_mask(&mask, record, sample->regions[i], mode) == OK &&
               same_mask(json_array_get(masks, (size_t)i), &mask);
        rle_release(&mask);
    }
    golden_report_case(c->report, "masks", same, "%s: other masks", c->id);
}

/* sha256 of the comma-joined numbers. */
static bool same_digest(const struct token_list *list, const char *want)
{
    struct text_buffer text = {0};
    char hex[65];
    for (int64_t i = 0; i < list->n; i++) text_printf(&text, "%s%d", i ? "," : "", list->ids[i]);
    sha256_hex(hex, text_of(&text), text.length);
    text_release(&text);
    return strcmp(hex, want) == 0;
}

static void check_ids(const struct context *c, const json_t *item, struct record *record,
                      const struct asked *asked)
{
    struct sample sample = {0};
    const char *skipped = NULL;
    const struct sample_request request = {.task = asked->task,
                                           .tokenizer = c->tokenizer,
                                           .options = asked->options,
                                           .draws = asked->draws};
    bool built = sample_build(&sample, &skipped, record, &request) == OK;
    bool same = built && !skipped &&
                sample.ids.n == json_integer_value(json_object_get(item, "n_tokens")) &&
                same_digest(&sample.ids, golden_text_string(item, "input_ids_sha256")) &&
                same_digest(&sample.labels, golden_text_string(item, "labels_sha256"));
    golden_report_case(c->report, "ids and labels", same, "%s: %s", c->id,
                       built ? "other ids" : status_message());
    sample_release(&sample);
}

/* What the release has at other accesses than the one of the item. */
static void check_access(const struct context *c, const json_t *item, const char *key,
                         struct record *record, const struct asked *asked, uint64_t epoch)
{
    struct task_sample sample;
    struct task_draws draws = asked->draws;
    if (!json_object_get(item, key)) return;
    draws.epoch = epoch;
    if (task_make(&sample, record, asked->task, asked->options, draws) != OK) return;
    check_conversation(c, item, key, &sample.conversation);
    task_sample_release(&sample);
}

/* False if this record has no item for the task. */
static bool check_item(const struct context *c, const json_t *item, struct record *record,
                       const struct asked *asked)
{
    struct task_sample sample;
    sample_add_blank(record, asked->options);
    enum status made = task_make(&sample, record, asked->task, asked->options, asked->draws);
    if (made == OK && sample.skipped) {
        task_sample_release(&sample);
        return false;
    }
    golden_report_case(c->report, "made", made == OK && item, "%s: %s", c->id,
                       made == OK ? "one more than the release" : status_message());
    if (made == OK && item) {
        check_conversation(c, item, "conversation", &sample.conversation);
        check_boxes(c, item, record, &sample);
        check_masks(c, item, record, &sample);
        check_access(c, item, "conversation_at_first_access", record, asked, 0);
        check_access(c, item, "conversation_at_next_access", record, asked, asked->draws.epoch + 1);
    }
    task_sample_release(&sample);
    if (made == OK && item) check_ids(c, item, record, asked);
    return true;
}

/* A case in which the release raises. An unsupported mode must fail here too; elsewhere its loader,
 * a missing field or its loss of a relation is the reason, and ours answers or says why not. */
static void check_error(const struct context *c, struct record *record, const struct asked *asked)
{
    struct task_sample sample;
    struct task_options options = *asked->options;
    options.compat = (struct task_compat){0};
    enum status made = task_make(&sample, record, asked->task, &options, asked->draws);
    if (strcmp(c->id, "sg_mode0_unsupported") == 0)
        golden_report_case(c->report, "refused as released", made != OK, "%s: was not refused",
                           c->id);
    else
        golden_report_case(c->report, "answered where the release raises", made == OK, "%s: %s",
                           c->id, made == OK ? "" : status_message());
    task_sample_release(&sample);
}

/* How many samples of a record the release makes for one task: one a subject, for relations. */
static int64_t rounds_of(const struct record *record, const struct task *task)
{
    int64_t n = 0;
    if (strcmp(task->name, "relation") != 0) return 1;
    for (int64_t i = 0; i < record->n_objects; i++) {
        bool found = false;
        for (int64_t r = 0; r < record->n_relations && !found; r++)
            found = record->relations[r].subject == i;
        n += found;
    }
    return n;
}

/* The release reads item 0 once at construction. */
static uint64_t epoch_of(const struct context *c, int64_t round, size_t item)
{
    if (strcmp(c->class, "OspreyLVISPosNeg") == 0) return item == 0 ? 1 : 0;
    return (uint64_t)round;
}

/* All items of one record: task by task, round by round. A sample takes its record over, so the
 * case is read anew for each. */
static enum status check_record(const struct context *c, const struct golden_reading *from,
                                enum status (*read)(const struct golden_reading *), int64_t index,
                                struct asked *asked, size_t *next)
{
    enum status status = OK;
    struct golden_records records = {0};
    struct golden_reading reading = *from;
    const json_t *items = json_object_get(c->row, "items");
    reading.records = &records;
    TRY_WHERE(read(&reading), "%s", c->id);
    const int64_t n = rounds_of(&records.records[index], asked->task);
    for (int64_t round = 0; round < n; round++) {
        golden_records_release(&records);
        TRY_WHERE(read(&reading), "%s", c->id);
        asked->draws = (struct task_draws){.pinned = true, .epoch = epoch_of(c, round, *next)};
        *next += check_item(c, json_array_get(items, *next), &records.records[index], asked);
    }
out:
    golden_records_release(&records);
    return status;
}

/* The files of "_own" cases hold boxes and names that the importer rightly leaves out. */
static enum status (*reader_of(const struct context *c,
                               const struct class_row *row))(const struct golden_reading *)
{
    return strstr(c->id, "_own") != NULL ? golden_read_graphs : row->read;
}

static enum status check_case(const struct context *c, const struct class_row *row)
{
    enum status status = OK;
    struct golden_records records = {0};
    const char *ignored[MAX_IGNORED];
    const struct task *tasks[4];
    const json_t *from = json_object_get(c->row, "options");
    struct task_options options = options_of(from, ignored);
    struct asked asked = {.options = &options, .draws = {.pinned = true}};
    const struct golden_reading reading = {.records = &records,
                                           .row = c->row,
                                           .files = json_object_get(c->row, "files"),
                                           .directory = c->directory};
    enum status (*read)(const struct golden_reading *) = reader_of(c, row);
    tasks_of_case(tasks, row, from);
    TRY_WHERE(read(&reading), "%s", c->id);
    asked.task = tasks[0];
    if (json_object_get(c->row, "error")) {
        check_error(c, &records.records[0], &asked);
        goto out;
    }
    size_t next = 0;
    for (int64_t i = 0; i < records.n; i++)
        for (int k = 0; tasks[k]; k++) {
            asked.task = tasks[k];
            TRY(check_record(c, &reading, read, i, &asked, &next));
        }
    const size_t n_items = json_array_size(json_object_get(c->row, "items"));
    golden_report_case(c->report, "items", next == n_items, "%s: %zu of %zu", c->id, next, n_items);
out:
    golden_records_release(&records);
    return status;
}

/* Our lists of sentences beside the reference's. */
static void check_template(const json_t *row, struct golden_report *report)
{
    static const struct {
        const char *id;
        enum prompt_kind kind;
    } lists[] = {
        {"prompts.REF_WAY_NUM", PROMPT_REGION_LISTS},
        {"prompts.SG_QUESTIONS", PROMPT_SCENE_GRAPH},
        {"prompts.SG_DETAILED_QUESTIONS", PROMPT_SCENE_GRAPH_DETAILED},
        {"prompts.SG_DETECTION_QUESTIONS", PROMPT_SCENE_GRAPH_DETECTION},
        {"prompts.RELATION_QUESTIONS", PROMPT_RELATIONS},
        {"prompts.RELATION_DESCRIPTION_QUESTIONS", PROMPT_DESCRIPTION},
        {"prompts.SG_DETAILED_RELATION_QUESTIONS", PROMPT_DETAILED_RELATIONS},
        {"prompts.RELATION_SUMMARY_QUESTIONS", PROMPT_SUMMARY},
        {"prompts.GROUNDING_QUESTIONS", PROMPT_GROUNDING},
        {"prompts.REGION_DESCRIPTION_QUESTIONS", PROMPT_REGION_CAPTION},
        {"vg.QUESTIONS", PROMPT_REGION_CAPTION},
        {"prompts.GROUNDED_COT_GQA", PROMPT_GROUNDED_REASONING},
        {"prompts.GROUNDED_DESCRIPTION_QUESTIONS", PROMPT_GROUNDED_CAPTION},
        {"osprey_724k.DETAILED_QUESTIONS", PROMPT_DETAILED_DESCRIPTION},
        {"vcr.WHY_QUESTIONS", PROMPT_WHY},
        {"cot_sg.SG_QUESTIONS", PROMPT_GRAPH_REASONING},
        {"point_qa.GROUNDING_QUESTIONS", PROMPT_REGION_CHOICE},
        {"earlier_tree.relation_specialist.RELATION_CATEGORY_QUESTIONS.spatial",
         PROMPT_KIND_SPATIAL},
        {"earlier_tree.relation_specialist.RELATION_CATEGORY_QUESTIONS.interactional",
         PROMPT_KIND_INTERACTIONAL},
        {"earlier_tree.relation_specialist.RELATION_CATEGORY_QUESTIONS.functional",
         PROMPT_KIND_FUNCTIONAL},
        {"earlier_tree.relation_specialist.RELATION_CATEGORY_QUESTIONS.social", PROMPT_KIND_SOCIAL},
        {"earlier_tree.relation_specialist.RELATION_CATEGORY_QUESTIONS.emotional",
         PROMPT_KIND_EMOTIONAL},
    };
    static const struct {
        const char *id, *text;
    } texts[] = {
        {"custom_dataset.begin_str", PROMPT_BEGIN},
        {"custom_dataset.region_str", PROMPT_WHOLE},
        {"pipeline.SINGLE_REGION_STRING", PROMPT_WHOLE_INFER},
        {"vg.LIMIT", PROMPT_SHORT_PHRASE},
    };
    const char *id = golden_text_string(row, "id");
    const json_t *want = json_object_get(row, "templates");
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        if (strcmp(lists[i].id, id) != 0) continue;
        struct prompt_list ours = prompt_list(lists[i].kind);
        bool same = (int64_t)json_array_size(want) == ours.n;
        for (int64_t k = 0; k < ours.n && same; k++)
            same = golden_text_equal(json_array_get(want, (size_t)k), ours.texts[k],
                                     strlen(ours.texts[k]));
        golden_report_case(report, "sentences", same, "%s", id);
    }
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (strcmp(texts[i].id, id) == 0)
            golden_report_case(report, "sentences",
                               strcmp(golden_text_string(row, "text"), texts[i].text) == 0, "%s",
                               id);
}

static enum status check_templates(const char *directory, struct golden_report *report)
{
    enum status status = OK;
    json_t *rows = NULL;
    TRY(golden_text_cases(&rows, directory, "templates.json"));
    for (size_t i = 0; i < json_array_size(rows); i++)
        check_template(json_array_get(rows, i), report);
out:
    json_decref(rows);
    return status;
}

static enum status run(const char *directory, const struct golden_options *options,
                       struct golden_report *report)
{
    (void)options;
    enum status status = OK;
    json_t *cases = NULL;
    struct tokenizer *tokenizer = NULL;
    TRY(golden_text_tokenizer(&tokenizer, directory));
    TRY(golden_text_cases(&cases, directory, "dataset_text.json"));
    for (size_t i = 0; i < json_array_size(cases); i++) {
        struct context c = {.directory = directory, .tokenizer = tokenizer, .report = report};
        c.row = json_array_get(cases, i);
        c.id = golden_text_string(c.row, "id");
        c.class = golden_text_string(c.row, "class");
        const struct class_row *row = class_row_of(c.class);
        if (row)
            TRY(check_case(&c, row));
        else
            golden_report_skip(report, c.id, "its class has no task");
    }
    if (golden_text_holds(directory, "templates.json")) TRY(check_templates(directory, report));
    if (golden_text_holds(directory, "sampling.json"))
        TRY(golden_check_sampling(directory, report));
out:
    json_decref(cases);
    tokenizer_close(tokenizer);
    return status;
}

const struct golden_family golden_dataset_text = {
    .name = "dataset text", .recognises = recognises, .run = run};
