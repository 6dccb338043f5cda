/* A conversation as token ids and labels, exactly as the authors' preprocess_qwen makes them. */
#ifndef ROBIN_TEXT_CHAT_H
#define ROBIN_TEXT_CHAT_H

#include <stdbool.h>

#include "base/status.h"
#include "text/tokenizer.h"

#define IMAGE_TOKEN_ID (-200)
#define IGNORE_LABEL   (-100)

enum chat_role { CHAT_SYSTEM, CHAT_USER, CHAT_ASSISTANT };

struct chat_turn {
    enum chat_role role;
    char *text; /* may hold <image>, <mask><pos> */
};

struct conversation { /* zeroed is empty and releasable */
    struct chat_turn *turns;
    int64_t n_turns;
};
void conversation_add(struct conversation *conversation, enum chat_role role, const char *text);
void conversation_release(struct conversation *conversation);

struct chat_options {
    bool unmask_template_tokens; /* the reference's quirk: ids of newline, <|im_start|>, <|im_end|>
                                    are targets in every turn */
};

/* Training: ids and labels of the same length; IMAGE_TOKEN_ID where the image goes, IGNORE_LABEL at
 * what is not learnt. */
enum status chat_encode_training(const struct tokenizer *tokenizer,
                                 const struct conversation *conversation,
                                 const struct chat_options *options, struct token_list *ids,
                                 struct token_list *labels);
/* Inference: the prompt up to and including "<|im_start|>assistant\n". */
enum status chat_encode_prompt(const struct tokenizer *tokenizer,
                               const struct conversation *conversation, struct token_list *ids);

#endif
