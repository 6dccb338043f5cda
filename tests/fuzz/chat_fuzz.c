/* Bodies of requests to the endpoint: JSON, pictures and masks as data URLs, boxes, run lengths;
 * what is accepted also goes through the picture's decoder and into a reply. */
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "fuzz/fuzz.h"
#include "serve/chat_reply.h"
#include "serve/chat_request.h"

static struct tokenizer *tokenizer;

static void reply_to(const struct chat_request *request)
{
    struct engine_answer answer = {.text = (char *)(uintptr_t) "Objects:\nregion1: x\n",
                                   .yes = 0.5};
    struct engine_branch_result branch = {.answers = &answer, .n_answers = 1};
    const struct engine_result result = {.branches = &branch, .n_branches = 1};
    const struct chat_name name = {.model = "robin"};
    free(chat_reply_answers(&name, request, &result));
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
