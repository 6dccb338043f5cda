/* A conversation as token ids and labels, exactly as the authors' preprocess_qwen makes them. */
#ifndef ROBIN_TEXT_CHAT_H
#define ROBIN_TEXT_CHAT_H

#include <stdbool.h>

#include "base/status.h"
#include "base/text_buffer.h"
#include "text/tokenizer.h"

#define IMAGE_TOKEN_ID (-200)
#define IGNORE_LABEL   (-100)

enum chat_role { CHAT_SYSTEM, CHAT_USER, CHAT_ASSISTANT, CHAT_OTHER };

struct chat_turn {
    enum chat_role role;
    char *name; /* of another role: written as it is, its text learnt like an answer; else NULL */
    char *text; /* may hold <image>, <mask><pos> */
};

struct conversation { /* zeroed is empty and releasable */
    struct chat_turn *turns;
    int64_t n_turns;
};
void conversation_add(struct conversation *conversation, enum chat_role role, const char *text);
void conversation_add_named(struct conversation *conversation, const char *role, const char *text);
void conversation_release(struct conversation *conversation);

struct chat_options {            /* zeroed is the default */
    bool unmask_template_tokens; /* the reference's quirk: ids of newline, <|im_start|>, <|im_end|>
                                    are targets in every turn */
    bool image_as_text;          /* a conversation about no picture: <image> is plain text */
    const char *system_message;  /* NULL: "You are a helpful assistant." */
};

/* The reference's preprocess_multimodal: in every message that holds <image>, all of them are
 * removed, the rest is stripped, and `image_text` ("<image>", or with markers round it) and a line
 * end stand in front. */
void conversation_place_images(struct conversation *conversation, const char *image_text);

/* Training: ids and labels of the same length; IMAGE_TOKEN_ID where the image goes, IGNORE_LABEL at
 * what is not learnt. A first turn of the assistant is left out; a first turn of the system is
 * ERR_FORMAT (the reference stops there): set options.system_message instead. */
enum status chat_encode_training(const struct tokenizer *tokenizer,
                                 const struct conversation *conversation,
                                 const struct chat_options *options, struct token_list *ids,
                                 struct token_list *labels);
/* LLaVA's pre-training form, without a template: the picture, the caption, a line end; all but the
 * picture is learnt. */
enum status chat_encode_plain(const struct tokenizer *tokenizer, const char *caption,
                              struct token_list *ids, struct token_list *labels);
/* Inference: the prompt up to and including "<|im_start|>assistant\n". An earlier answer that is
 * empty has no <|im_end|>, as in the reference. */
enum status chat_encode_prompt(const struct tokenizer *tokenizer,
                               const struct conversation *conversation, struct token_list *ids);
/* The same as text. */
void chat_prompt_text(struct text_buffer *out, const struct conversation *conversation);

#endif
