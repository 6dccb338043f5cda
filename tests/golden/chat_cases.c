/* Folder chat: ids and labels of training conversations, prompts of the inference pipeline. */
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "golden.h"
#include "golden_families.h"
#include "golden_text.h"
#include "image/rle.h"
#include "text/chat.h"
#include "text/prompts.h"

static bool recognises(const char *directory)
{
    return golden_text_holds(directory, "chat.json");
}

/* Messages as the authors' files write them: from/value, or role/content, which win. */
static void add_message(struct conversation *conversation, const json_t *message)
{
    const char *role = golden_text_string(message, "role");
    const char *text = golden_text_string(message, "content");
    if (!role[0]) role = golden_text_string(message, "from");
    if (!json_object_get(message, "content")) text = golden_text_string(message, "value");
    if (strcmp(role, "human") == 0 || strcmp(role, "user") == 0)
        conversation_add(conversation, CHAT_USER, text);
    else if (strcmp(role, "gpt") == 0 || strcmp(role, "assistant") == 0)
        conversation_add(conversation, CHAT_ASSISTANT, text);
    else if (strcmp(role, "system") == 0)
        conversation_add(conversation, CHAT_SYSTEM, text);
    else
        conversation_add_named(conversation, role, text);
}

static bool same_texts(const json_t *messages, const struct conversation *conversation)
{
    if ((int64_t)json_array_size(messages) != conversation->n_turns) return false;
    for (int64_t i = 0; i < conversation->n_turns; i++) {
        const json_t *message = json_array_get(messages, (size_t)i);
        const json_t *text = json_object_get(message, "content");
        if (!text) text = json_object_get(message, "value");
        const char *ours = conversation->turns[i].text;
        if (!golden_text_equal(text, ours, strlen(ours))) return false;
    }
    return true;
}

static void check_training(const struct tokenizer *tokenizer, const json_t *row,
                           struct golden_report *report)
{
    struct conversation conversation = {0};
    struct token_list ids = {0}, labels = {0};
    const char *id = golden_text_string(row, "id");
    const json_t *messages = json_object_get(row, "messages");
    for (size_t i = 0; i < json_array_size(messages); i++)
        add_message(&conversation, json_array_get(messages, i));
    bool markers = json_is_true(json_object_get(row, "mm_use_im_start_end"));
    conversation_place_images(&conversation, markers ? "<im_start><image><im_end>" : "<image>");
    golden_report_case(report, "messages",
                       same_texts(json_object_get(row, "after_multimodal"), &conversation),
                       "%s: other texts", id);
    struct chat_options options = {
        .unmask_template_tokens = true,
        .image_as_text = !json_is_true(json_object_get(row, "has_image")),
        .system_message = golden_text_string(row, "system_message"),
    };
    bool encoded = chat_encode_training(tokenizer, &conversation, &options, &ids, &labels) == OK;
    bool fails = json_object_get(row, "error") != NULL;
    bool same =
        fails ? !encoded : encoded && golden_text_same_ids(json_object_get(row, "input_ids"), &ids);
    golden_report_case(report, "training ids", same, "%s", id);
    same =
        fails ? !encoded : encoded && golden_text_same_ids(json_object_get(row, "labels"), &labels);
    golden_report_case(report, "training labels", same, "%s", id);
    token_list_release(&ids);
    token_list_release(&labels);
    conversation_release(&conversation);
}

/* Boxes as the pipeline writes them: given, or from the masks (last pixel inside). */
static enum status prompt_boxes(struct box *boxes, int64_t n, const json_t *arguments)
{
    enum status status = OK;
    const json_t *size = json_object_get(arguments, "size");
    double width = json_number_value(json_array_get(size, 0));
    double height = json_number_value(json_array_get(size, 1));
    for (int64_t i = 0; i < n; i++) {
        const json_t *b = json_array_get(json_object_get(arguments, "boxes"), (size_t)i);
        struct box box = {
            json_number_value(json_array_get(b, 0)), json_number_value(json_array_get(b, 1)),
            json_number_value(json_array_get(b, 2)), json_number_value(json_array_get(b, 3))};
        boxes[i] = box;
        if (json_is_true(json_object_get(arguments, "bbox"))) continue;
        struct rle mask = {0};
        TRY(rle_from_box(&mask, box, (int64_t)height, (int64_t)width));
        status = rle_box_inclusive(&boxes[i], &mask);
        rle_release(&mask);
        TRY(status);
    }
out:
    return status;
}

/* The question of a pipeline call, to free(). */
static char *question_of(const json_t *row)
{
    const json_t *arguments = json_object_get(row, "arguments");
    const char *type = golden_text_string(arguments, "type");
    const char *kind = golden_text_string(row, "kind");
    enum prompt_kind prompt = PROMPT_SCENE_GRAPH_DETAILED;
    if (strcmp(kind, "infer_e2e") == 0) prompt = PROMPT_SCENE_GRAPH_DETECTION;
    if (strcmp(type, "caption") == 0) prompt = PROMPT_CAPTION;
    if (strncmp(type, "description", 11) == 0) prompt = PROMPT_DESCRIPTION;
    if (strcmp(type, "relation") == 0) prompt = PROMPT_RELATIONS;
    struct text_buffer text = {0};
    int64_t index = json_integer_value(json_object_get(arguments, "mask_idx"));
    char *region = text_format("region%lld", (long long)index + 1);
    prompt_fill(&text, prompt_list(prompt).texts[0], region, NULL);
    free(region);
    return text_take(&text);
}

/* generate(): the prompts as they are, no list of regions, the whole picture if there are none. */
static enum status add_generate_turns(struct conversation *conversation, const json_t *arguments)
{
    enum status status = OK;
    struct text_buffer first = {0};
    const json_t *prompt = json_object_get(arguments, "prompt");
    const json_t *question = json_is_array(prompt) ? json_array_get(prompt, 0) : prompt;
    if (json_array_size(json_object_get(arguments, "boxes")) > 0) {
        text_append(&first, PROMPT_BEGIN);
        text_append(&first, json_string_value(question));
    } else {
        TRY(prompt_first_message(&first, NULL, 0, json_string_value(question), true));
    }
    conversation_add(conversation, CHAT_USER, text_of(&first));
    for (size_t i = 1; i < json_array_size(prompt); i++)
        conversation_add(conversation, i % 2 ? CHAT_ASSISTANT : CHAT_USER,
                         json_string_value(json_array_get(prompt, i)));
out:
    text_release(&first);
    return status;
}

static enum status add_region_turn(struct conversation *conversation, const json_t *row)
{
    enum status status = OK;
    struct text_buffer first = {0};
    struct box boxes[16];
    static const struct box_format keep = {.bounds = BOX_BOUNDS_KEEP};
    const json_t *arguments = json_object_get(row, "arguments");
    const json_t *size = json_object_get(arguments, "size");
    struct region_list list = {
        .n = (int64_t)json_array_size(json_object_get(arguments, "boxes")),
        .boxes = boxes,
        .width = json_integer_value(json_array_get(size, 0)),
        .height = json_integer_value(json_array_get(size, 1)),
        .format = &keep,
    };
    char *question = question_of(row);
    TRY(prompt_boxes(boxes, list.n, arguments));
    if (json_is_false(json_object_get(arguments, "use_bbox_text"))) list.boxes = NULL;
    TRY(prompt_first_message(&first, list.n ? &list : NULL, 0, question, true));
    conversation_add(conversation, CHAT_USER, first.text);
out:
    free(question);
    text_release(&first);
    return status;
}

static void check_prompt(const struct tokenizer *tokenizer, const json_t *row,
                         struct golden_report *report)
{
    struct conversation conversation = {0};
    struct text_buffer text = {0};
    struct token_list ids = {0};
    const char *id = golden_text_string(row, "id");
    bool is_generate = strcmp(golden_text_string(row, "kind"), "infer_generate") == 0;
    /* A case that raises does so after this call, in asking the second question. */
    const json_t *call = json_array_get(json_object_get(row, "calls"), 0);
    enum status made = is_generate
                           ? add_generate_turns(&conversation, json_object_get(row, "arguments"))
                           : add_region_turn(&conversation, row);
    conversation_place_images(&conversation, "<image>");
    chat_prompt_text(&text, &conversation);
    bool same =
        made == OK && golden_text_equal(json_object_get(call, "prompt"), text.text, text.length);
    golden_report_case(report, "prompts", same, "%s: \"%s\"", id, text_of(&text));
    same = chat_encode_prompt(tokenizer, &conversation, &ids) == OK &&
           golden_text_same_ids(json_object_get(call, "input_ids"), &ids);
    golden_report_case(report, "prompt ids", same, "%s", id);
    conversation_release(&conversation);
    text_release(&text);
    token_list_release(&ids);
}

static enum status run(const char *directory, const struct golden_options *options,
                       struct golden_report *report)
{
    (void)options;
    enum status status = OK;
    json_t *cases = NULL;
    struct tokenizer *tokenizer = NULL;
    TRY(golden_text_tokenizer(&tokenizer, directory));
    TRY(golden_text_cases(&cases, directory, "chat.json"));
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *row = json_array_get(cases, i);
        if (strcmp(golden_text_string(row, "kind"), "train") == 0)
            check_training(tokenizer, row, report);
        else
            check_prompt(tokenizer, row, report);
    }
out:
    json_decref(cases);
    tokenizer_close(tokenizer);
    return status;
}

const struct golden_family golden_chat = {.name = "chat", .recognises = recognises, .run = run};
