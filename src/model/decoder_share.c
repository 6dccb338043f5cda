/* See decoder_share.h. */
#include "model/decoder_share.h"

#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"

enum { ORDER, BODY, ROWS, SEQUENCES, WIDTH, GROUPS, LOGITS, BLOCK }; /* of the head */

#define N_PARTS 8

/* An array of the rows, and how long it is. */
struct part {
    const int32_t **at;
    int64_t n;
};

/* In the order in which they are sent. */
static void list_parts(struct part parts[N_PARTS], struct decoder_rows *rows)
{
    struct cached_rows *cached = &rows->cached;
    const struct part all[N_PARTS] = {
        {&rows->token_id, rows->n_rows},
        {&rows->slot, rows->n_rows},
        {&cached->position, rows->n_rows},
        {&cached->row_start, cached->n_sequences + 1},
        {&cached->table, cached->n_sequences * cached->table_width},
        {&cached->group_start, cached->n_groups + 1},
        {&cached->shared, cached->n_groups},
        {&rows->logit_row, rows->n_logits},
    };
    memcpy(parts, all, sizeof all);
}

static void reserve(struct decoder_message *message, int64_t n)
{
    if (n <= message->capacity) return;
    message->capacity = 2 * n;
    message->body = memory_resize(message->body, (size_t)message->capacity, sizeof(int32_t));
}

void decoder_message_release(struct decoder_message *message)
{
    free(message->body);
    *message = (struct decoder_message){0};
}

static enum status tell(struct decoder_message *message, const struct model_share *share)
{
    enum status status = OK;
    TRY(share->tell(share->context, message->head, sizeof message->head));
    if (message->head[BODY] > 0)
        TRY(share->tell(share->context, message->body,
                        (size_t)message->head[BODY] * sizeof *message->body));
out:
    return status;
}

enum status decoder_tell_rows(struct decoder_message *message, const struct model_share *share,
                              const struct decoder_rows *rows)
{
    struct decoder_rows told = *rows;
    struct part parts[N_PARTS];
    const struct cached_rows *cached = &rows->cached;
    int64_t n = 0;
    list_parts(parts, &told);
    for (int i = 0; i < N_PARTS; i++) n += parts[i].n;
    reserve(message, n);
    int32_t *to = message->body;
    for (int i = 0; i < N_PARTS; to += parts[i++].n)
        memcpy(to, *parts[i].at, (size_t)parts[i].n * sizeof *to);
    const int64_t head[] = {[ORDER] = DECODER_RUNS,        [BODY] = n,
                            [ROWS] = rows->n_rows,         [SEQUENCES] = cached->n_sequences,
                            [WIDTH] = cached->table_width, [GROUPS] = cached->n_groups,
                            [LOGITS] = rows->n_logits,     [BLOCK] = cached->block};
    memcpy(message->head, head, sizeof head);
    return tell(message, share);
}

enum status decoder_tell_copies(struct decoder_message *message, const struct model_share *share,
                                const int32_t *to_from, int64_t n)
{
    reserve(message, 2 * n);
    memcpy(message->body, to_from, (size_t)(2 * n) * sizeof *to_from);
    message->head[ORDER] = DECODER_COPIES;
    message->head[BODY] = 2 * n;
    return tell(message, share);
}

enum status decoder_tell_end(struct decoder_message *message, const struct model_share *share)
{
    message->head[ORDER] = DECODER_ENDS;
    message->head[BODY] = 0;
    return tell(message, share);
}

enum status decoder_hear(struct decoder_message *message, const struct model_share *share,
                         enum decoder_order *order_out)
{
    enum status status = OK;
    TRY(share->tell(share->context, message->head, sizeof message->head));
    reserve(message, message->head[BODY]);
    if (message->head[BODY] > 0)
        TRY(share->tell(share->context, message->body,
                        (size_t)message->head[BODY] * sizeof *message->body));
    *order_out = (enum decoder_order)message->head[ORDER];
out:
    return status;
}

struct decoder_rows decoder_heard_rows(const struct decoder_message *message)
{
    const int64_t *head = message->head;
    struct decoder_rows rows = {.n_rows = head[ROWS],
                                .n_logits = head[LOGITS],
                                .cached = {.block = head[BLOCK],
                                           .n_sequences = head[SEQUENCES],
                                           .table_width = head[WIDTH],
                                           .n_groups = head[GROUPS]}};
    struct part parts[N_PARTS];
    const int32_t *from = message->body;
    list_parts(parts, &rows);
    for (int i = 0; i < N_PARTS; from += parts[i++].n) *parts[i].at = from;
    return rows;
}

const int32_t *decoder_heard_copies(const struct decoder_message *message, int64_t *n_out)
{
    *n_out = message->head[BODY] / 2;
    return message->body;
}
