/* From a record and a task to ids, labels and regions. */
#include "corpus/sample.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/text_buffer.h"
#include "corpus/record_text.h"
#include "corpus/task.h"

void sample_release(struct sample *sample)
{
    record_release(&sample->record);
    token_list_release(&sample->ids);
    token_list_release(&sample->labels);
    free(sample->regions);
    *sample = (struct sample){0};
}

static int64_t count_id(const struct token_list *ids, int32_t id)
{
    int64_t n = 0;
    for (int64_t i = 0; i < ids->n; i++) n += ids->ids[i] == id;
    return n;
}

/* A black PNG of BLANK_SIDE x BLANK_SIDE, one bit a pixel. */
#define BLANK_SIDE 384
static const uint8_t blank_png[] = {
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48,
    0x44, 0x52, 0x00, 0x00, 0x01, 0x80, 0x00, 0x00, 0x01, 0x80, 0x01, 0x00, 0x00, 0x00,
    0x00, 0x8c, 0xbc, 0x88, 0x12, 0x00, 0x00, 0x00, 0x28, 0x49, 0x44, 0x41, 0x54, 0x78,
    0xda, 0xed, 0xc1, 0x01, 0x01, 0x00, 0x00, 0x00, 0x82, 0x20, 0xff, 0xaf, 0x6e, 0x48,
    0x40, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x7c, 0x19, 0x49, 0x80, 0x00, 0x01, 0x8f, 0xe6, 0xad,
    0x75, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
};

void sample_add_blank(struct record *record, const struct task_options *options)
{
    if (record->image_size > 0 || !options->compat.blank_picture) return;
    record->image = memory_new(sizeof blank_png, 1);
    memcpy(record->image, blank_png, sizeof blank_png);
    record->image_size = sizeof blank_png;
    record->height = record->width = BLANK_SIDE;
}

/* What the formatter wrote must be what the tokenizer found. */
static enum status check_regions(const struct sample *sample, const struct tokenizer *tokenizer,
                                 const char *id)
{
    enum status status = OK;
    int32_t mask = tokenizer_id(tokenizer, "<mask>");
    if (mask < 0)
        FAIL(ERR_FORMAT, "the tokenizer has no <mask>; add <mask> and <pos> to added_tokens.json");
    ASSERT(count_id(&sample->ids, mask) == sample->n_regions,
           "record %s: %lld <mask> for %lld regions", id, (long long)count_id(&sample->ids, mask),
           (long long)sample->n_regions);
    ASSERT(count_id(&sample->ids, IMAGE_TOKEN_ID) == (sample->has_image ? 1 : 0),
           "record %s: <image> is not there exactly once", id);
out:
    return status;
}

static enum status encode(struct sample *sample, const struct task_sample *made,
                          const struct tokenizer *tokenizer, const struct chat_options *chat)
{
    const struct conversation *conversation = &made->conversation;
    if (made->plain)
        return chat_encode_plain(tokenizer, conversation->turns[conversation->n_turns - 1].text,
                                 &sample->ids, &sample->labels);
    return chat_encode_training(tokenizer, conversation, chat, &sample->ids, &sample->labels);
}

enum status sample_build(struct sample *sample_out, const char **skipped_out, struct record *record,
                         const struct sample_request *request)
{
    enum status status = OK;
    struct task_sample made = {0};
    struct sample sample = {.id = request->id};
    *sample_out = (struct sample){0};
    *skipped_out = NULL;
    sample_add_blank(record, request->options);
    TRY(record_check_plain_text(record, request->tokenizer));
    TRY(task_make(&made, record, request->task, request->options, request->draws));
    if (made.skipped) {
        *skipped_out = made.skipped;
        record_release(record);
        goto out;
    }
    struct chat_options chat = request->options->chat;
    chat.image_as_text = !made.uses_image;
    conversation_place_images(&made.conversation, "<image>");
    TRY_WHERE(encode(&sample, &made, request->tokenizer, &chat), "record %s, task %s", record->id,
              request->task->name);
    sample.has_image = made.uses_image;
    sample.regions = made.regions;
    sample.n_regions = made.n_regions;
    sample.n_dropped_relations = made.n_dropped_relations;
    made.regions = NULL;
    TRY(check_regions(&sample, request->tokenizer, record->id));
    sample.record = *record;
    *record = (struct record){0};
    *sample_out = sample;
    sample = (struct sample){0};
out:
    sample_release(&sample);
    task_sample_release(&made);
    return status;
}
