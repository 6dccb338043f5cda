/* The chat template, and which of its tokens are learnt. Every message is encoded on its own, as
 * the reference does, so that no merge crosses from one into the next. */
#include "text/chat.h"

#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "text/unicode.h"

#define IMAGE          "<image>"
#define DEFAULT_SYSTEM "You are a helpful assistant."

static void add_turn(struct conversation *c, struct chat_turn turn)
{
    c->turns = memory_resize(c->turns, (size_t)c->n_turns + 1, sizeof *c->turns);
    c->turns[c->n_turns++] = turn;
}

void conversation_add(struct conversation *c, enum chat_role role, const char *text)
{
    add_turn(c, (struct chat_turn){.role = role, .text = text_copy(text)});
}

void conversation_add_named(struct conversation *c, const char *role, const char *text)
{
    struct chat_turn turn = {.role = CHAT_OTHER, .name = text_copy(role), .text = text_copy(text)};
    add_turn(c, turn);
}

void conversation_release(struct conversation *c)
{
    for (int64_t i = 0; i < c->n_turns; i++) {
        free(c->turns[i].name);
        free(c->turns[i].text);
    }
    free(c->turns);
    *c = (struct conversation){0};
}

static const char *role_name(const struct chat_turn *turn)
{
    switch (turn->role) {
    case CHAT_SYSTEM: return "system";
    case CHAT_USER: return "user";
    case CHAT_ASSISTANT: return "assistant";
    case CHAT_OTHER: break;
    }
    return turn->name;
}

/* The text without white space at its ends. */
static void strip(const char **text, size_t *size)
{
    size_t first = 0, last = 0;
    for (size_t at = 0; at < *size;) {
        uint32_t c = 0xFFFD;
        int n = utf8_decode(&c, *text + at, *size - at);
        bool space = n > 0 && unicode_is_python_space(c);
        at += (size_t)abs(n);
        if (!space) last = at;
        if (space && last == 0) first = at;
    }
    *text += first;
    *size = last > first ? last - first : 0;
}

void conversation_place_images(struct conversation *c, const char *image_text)
{
    for (int64_t i = 0; i < c->n_turns; i++) {
        if (!strstr(c->turns[i].text, IMAGE)) continue;
        struct text_buffer rest = {0};
        const char *text = c->turns[i].text, *image;
        for (; (image = strstr(text, IMAGE)); text = image + strlen(IMAGE))
            text_append_bytes(&rest, text, (size_t)(image - text));
        text_append(&rest, text);
        const char *body = text_of(&rest);
        size_t size = rest.length;
        strip(&body, &size);
        free(c->turns[i].text);
        /* With nothing behind it the image loses its line end too. */
        c->turns[i].text = text_format("%s%s%.*s", image_text, size ? "\n" : "", (int)size, body);
        text_release(&rest);
    }
}

/* Encodes text, with IMAGE_TOKEN_ID for every <image>. */
static enum status encode_with_images(const struct tokenizer *tokenizer, const char *text,
                                      struct token_list *ids)
{
    enum status status = OK;
    for (const char *image; (image = strstr(text, IMAGE)); text = image + strlen(IMAGE)) {
        TRY(tokenizer_encode(tokenizer, text, (size_t)(image - text), ids));
        token_list_append(ids, IMAGE_TOKEN_ID);
    }
    TRY(tokenizer_encode(tokenizer, text, strlen(text), ids));
out:
    return status;
}

struct template_ids {
    int32_t newline, start, end, mask, pos, image;
};

static enum status find_template_ids(struct template_ids *ids, const struct tokenizer *tokenizer)
{
    enum status status = OK;
    *ids = (struct template_ids){.newline = tokenizer_id(tokenizer, "\n"),
                                 .start = tokenizer_id(tokenizer, "<|im_start|>"),
                                 .end = tokenizer_id(tokenizer, "<|im_end|>"),
                                 .mask = tokenizer_id(tokenizer, "<mask>"),
                                 .pos = tokenizer_id(tokenizer, "<pos>"),
                                 .image = tokenizer_size(tokenizer)};
    if (ids->start < 0 || ids->end < 0 || ids->newline < 0)
        FAIL(ERR_FORMAT,
             "the tokenizer has no <|im_start|>, <|im_end|> or newline; it cannot write "
             "the chat template, add them to its added_tokens.json");
out:
    return status;
}

/* The label of one id. Those at <mask>, <pos> and <image> are replaced when features go in; the
 * reference leaves its own number of <image> (one past <pos>) where an answer holds it. */
static int32_t label_of(int32_t id, const struct template_ids *known, bool learnt, bool unmask)
{
    if (id == known->mask || id == known->pos) return IGNORE_LABEL;
    if (learnt) return id == IMAGE_TOKEN_ID ? known->image : id;
    bool is_template = id == known->newline || id == known->start || id == known->end;
    return unmask && is_template ? id : IGNORE_LABEL;
}

static enum status encode_message(const struct tokenizer *tokenizer, const char *role,
                                  const char *content, bool with_images, struct token_list *ids)
{
    enum status status = OK;
    char *text = text_format("<|im_start|>%s\n%s<|im_end|>\n", role, content);
    if (with_images)
        TRY(encode_with_images(tokenizer, text, ids));
    else
        TRY(tokenizer_encode(tokenizer, text, strlen(text), ids));
out:
    free(text);
    return status;
}

enum status chat_encode_training(const struct tokenizer *tokenizer,
                                 const struct conversation *conversation,
                                 const struct chat_options *options, struct token_list *ids,
                                 struct token_list *labels)
{
    enum status status = OK;
    struct template_ids known;
    const struct chat_turn *turns = conversation->turns;
    TRY(find_template_ids(&known, tokenizer));
    if (conversation->n_turns > 0 && turns[0].role == CHAT_SYSTEM)
        FAIL(ERR_FORMAT, "the conversation begins with a system turn; make it the system message");
    int64_t first = conversation->n_turns > 0 && turns[0].role == CHAT_ASSISTANT ? 1 : 0;
    for (int64_t i = first - 1; i < conversation->n_turns; i++) {
        bool is_system = i < first;
        const char *system = options->system_message ? options->system_message : DEFAULT_SYSTEM;
        const char *role = is_system ? "system" : role_name(&turns[i]);
        const char *content = is_system ? system : turns[i].text;
        TRY(encode_message(tokenizer, role, content, !options->image_as_text, ids));
        bool learnt = !is_system && turns[i].role != CHAT_USER && turns[i].role != CHAT_SYSTEM;
        while (labels->n < ids->n)
            token_list_append(labels, label_of(ids->ids[labels->n], &known, learnt,
                                               options->unmask_template_tokens));
    }
out:
    return status;
}

enum status chat_encode_plain(const struct tokenizer *tokenizer, const char *caption,
                              struct token_list *ids, struct token_list *labels)
{
    enum status status = OK;
    char *text = text_format("%s\n", caption);
    token_list_append(ids, IMAGE_TOKEN_ID);
    token_list_append(labels, IGNORE_LABEL);
    TRY(tokenizer_encode(tokenizer, text, strlen(text), ids));
    while (labels->n < ids->n) token_list_append(labels, ids->ids[labels->n]);
out:
    free(text);
    return status;
}

void chat_prompt_text(struct text_buffer *out, const struct conversation *conversation)
{
    text_append(out, "<|im_start|>system\n" DEFAULT_SYSTEM "<|im_end|>\n");
    for (int64_t i = 0; i < conversation->n_turns; i++) {
        const struct chat_turn *turn = &conversation->turns[i];
        text_printf(out, "<|im_start|>%s\n", role_name(turn));
        if (turn->text[0]) text_printf(out, "%s<|im_end|>\n", turn->text);
    }
    text_append(out, "<|im_start|>assistant\n");
}

enum status chat_encode_prompt(const struct tokenizer *tokenizer,
                               const struct conversation *conversation, struct token_list *ids)
{
    enum status status = OK;
    struct text_buffer text = {0};
    chat_prompt_text(&text, conversation);
    TRY(encode_with_images(tokenizer, text.text, ids));
out:
    text_release(&text);
    return status;
}
