/* How fast English text becomes tokens, on one core: answers about pictures, each encoded by itself
 * as the training data's are. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "support/bench.h"
#include "text/tokenizer.h"

/* Every text once is too short to time. */
enum { REPEATS = 20 };

struct encoding {
    const struct tokenizer *tokenizer;
    json_t *texts;
    struct token_list ids;
};

static void encode_all(void *context)
{
    struct encoding *e = context;
    size_t i;
    const json_t *text;
    e->ids.n = 0;
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        json_array_foreach(e->texts, i, text)
        {
            if (tokenizer_encode(e->tokenizer, json_string_value(text), json_string_length(text),
                                 &e->ids) == OK)
                continue;
            fprintf(stderr, "error: %s\n", status_message());
            exit(1);
        }
    }
}

/* The strings `field` of a JSON-lines file are appended to texts. */
static void texts_read(json_t *texts, const char *path, const char *field)
{
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t capacity = 0;
    while (file != NULL && getline(&line, &capacity, file) > 0) {
        json_t *object = json_loads(line, 0, NULL);
        json_t *text = json_object_get(object, field);
        if (json_is_string(text)) json_array_append(texts, text);
        json_decref(object);
    }
    free(line);
    if (file != NULL) fclose(file);
}

int main(void)
{
    const char *shared = getenv("ROBIN_SHARED");
    if (shared == NULL) shared = "../shared";
    char *folder = text_format("%s/data/qwen2-tokenizer", shared);
    char *answers = text_format("%s/data/llava_eval/qa90_gpt4_answer.jsonl", shared);
    char *questions = text_format("%s/data/llava_eval/coco2014_val_gpt4_qa_30x3.jsonl", shared);
    struct encoding e = {.texts = json_array()};
    struct tokenizer *tokenizer = NULL;
    int failed = 0;
    texts_read(e.texts, answers, "text");
    texts_read(e.texts, questions, "output");
    if (json_array_size(e.texts) == 0) {
        bench_row("tokenizer", "Qwen2, English", "skipped: no %s", answers);
    } else if (tokenizer_open(&tokenizer, folder) != OK) {
        fprintf(stderr, "error: %s\n", status_message());
        failed = 1;
    } else {
        e.tokenizer = tokenizer;
        double seconds = bench_seconds(encode_all, &e), bytes = 0;
        size_t i;
        const json_t *text;
        json_array_foreach(e.texts, i, text) bytes += (double)json_string_length(text) * REPEATS;
        bench_row("tokenizer", "Qwen2, English, 1 thread", "%7.1f MB/s %10.2f M tokens/s",
                  1e-6 * bytes / seconds, 1e-6 * (double)e.ids.n / seconds);
    }
    tokenizer_close(tokenizer);
    token_list_release(&e.ids);
    json_decref(e.texts);
    free(folder);
    free(answers);
    free(questions);
    return failed;
}
