/* Bodies of requests to the endpoint: JSON, pictures and masks as data URLs, boxes, run lengths;
 * what is accepted also goes through the picture's decoder and into a reply. */
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "fuzz/fuzz.h"
#include "serve/chat_reply.h"
#include "serve/chat_request.h"

static struct tokenizer *tokenizer;

/* An answer whole and in three pieces: the same text, however its stops lie. */
static void reply_to(const struct chat_request *request)
{
    static const char *const pieces[] = {"Objects:\nreg", "ion1: x\n", "\nRelations:\n"};
    struct chat_choice whole[CHAT_MAX_CHOICES] = {0}, grown[CHAT_MAX_CHOICES] = {0};
    const struct chat_name name = {.model = "robin"};
    struct text_buffer all = {0}, events = {0};
    for (int i = 0; i < 3; i++) text_append(&all, pieces[i]);
    chat_events_begin(&events, &name, request);
    for (int i = 0; i < 3; i++) {
        struct text_buffer piece = {0};
        text_append(&piece, pieces[i]);
        for (int64_t c = 0; c < request->n_choices; c++)
            if (!grown[c].ended) chat_choice_take(&grown[c], request, &piece, 1, i == 2);
        chat_events_add(&events, &name, request, grown);
        text_release(&piece);
    }
    chat_events_end(&events, &name, request, grown, 1);
    for (int64_t c = 0; c < request->n_choices; c++) {
        chat_choice_take(&whole[c], request, &all, 3, true);
        if (strcmp(text_of(&whole[c].text), text_of(&grown[c].text)) != 0 ||
            grown[c].told != grown[c].text.length || !grown[c].end_told)
            abort();
    }
    free(chat_reply_answers(&name, request, whole, 1));
    for (int64_t c = 0; c < request->n_choices; c++) {
        chat_choice_release(&whole[c]);
        chat_choice_release(&grown[c]);
    }
    text_release(&events);
    text_release(&all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct chat_limits limits = {.pixels = 1 << 16,
                                              .image_bytes = 1 << 16,
                                              .regions = 20,
                                              .max_tokens = 10,
                                              .most_tokens = 100,
                                              .top_p = 1};
    struct chat_request request = {0};
    const char *parameter = NULL;
    if (tokenizer == NULL && tokenizer_open(&tokenizer, "datasets/tokenizer-scenes") != OK) abort();
    if (chat_request_read(&request, &parameter, data, size, &limits, tokenizer) != OK) {
        free(chat_reply_error(status_message(), "invalid_request_error", parameter, NULL));
        return 0;
    }
    struct image image = {0};
    if (request.picture != NULL)
        (void)image_decode(&image, request.picture, request.picture_size, "image_url");
    image_release(&image);
    reply_to(&request);
    chat_request_release(&request);
    return 0;
}
