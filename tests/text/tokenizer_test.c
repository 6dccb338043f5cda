/* The tokenizer on a small vocabulary (answers of the tokenizers library), on long words, on files
 * that are wrong, and its training. */
#include "text/tokenizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/json_file.h"
#include "base/random.h"
#include "base/text_buffer.h"
#include "text/tokenizer_train.h"

#define SMALL "tests/data/tokenizer_small"

static struct tokenizer *small(void)
{
    struct tokenizer *tokenizer = NULL;
    if (tokenizer_open(&tokenizer, SMALL) != OK) fail_msg("%s", status_message());
    return tokenizer;
}

static struct token_list encode(const struct tokenizer *tokenizer, const char *text, size_t size)
{
    struct token_list ids = {0};
    if (tokenizer_encode(tokenizer, text, size, &ids) != OK) fail_msg("%s", status_message());
    return ids;
}

static void assert_decodes(const struct tokenizer *tokenizer, const struct token_list *ids,
                           bool skip_special, const char *want)
{
    struct text_buffer text = {0};
    tokenizer_decode(tokenizer, ids->ids, ids->n, skip_special, &text);
    assert_string_equal(text_of(&text), want);
    text_release(&text);
}

static void answers_of_the_library(void **state)
{
    (void)state;
    json_t *rows = NULL;
    struct tokenizer *tokenizer = small();
    assert_int_equal(json_file_read(&rows, SMALL "/answers.json", 1 << 20), OK);
    assert_int_equal(json_array_size(rows), 16);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i), *want = json_object_get(row, "ids");
        const char *text = json_string_value(json_object_get(row, "text"));
        struct token_list ids = encode(tokenizer, text, strlen(text));
        assert_int_equal(ids.n, json_array_size(want));
        for (int64_t k = 0; k < ids.n; k++)
            assert_int_equal(ids.ids[k], json_integer_value(json_array_get(want, (size_t)k)));
        assert_decodes(tokenizer, &ids, false, json_string_value(json_object_get(row, "decoded")));
        assert_decodes(tokenizer, &ids, true, json_string_value(json_object_get(row, "plain")));
        token_list_release(&ids);
    }
    json_decref(rows);
    tokenizer_close(tokenizer);
}

/* Words of every length around the change from scanning to the heap give the ids that merging by
 * hand gives: the longest pieces of "region" and single letters. */
static void long_words_merge_as_short_ones(void **state)
{
    (void)state;
    struct tokenizer *tokenizer = small();
    int32_t whole = tokenizer_id(tokenizer, "region"), letter = tokenizer_id(tokenizer, "z");
    assert_true(whole >= 0 && letter >= 0);
    for (int n = 1; n < 40; n++) {
        struct text_buffer word = {0};
        for (int i = 0; i < n; i++) text_append(&word, "regionz");
        struct token_list ids = encode(tokenizer, word.text, word.length);
        assert_int_equal(ids.n, 2 * n);
        for (int i = 0; i < n; i++) {
            assert_int_equal(ids.ids[2 * i], whole);
            assert_int_equal(ids.ids[2 * i + 1], letter);
        }
        token_list_release(&ids);
        text_release(&word);
    }
    tokenizer_close(tokenizer);
}

/* Quadratic merging of these would take hours, not a second. */
static void a_megabyte_of_one_letter(void **state)
{
    (void)state;
    struct tokenizer *tokenizer = small();
    size_t size = 1 << 20;
    char *text = memory_new(size, 1);
    const char letters[] = {'r', ' ', '(', '\n'};
    for (size_t i = 0; i < sizeof letters; i++) {
        memset(text, letters[i], size);
        struct token_list ids = encode(tokenizer, text, size);
        assert_true(ids.n > 1000);
        token_list_release(&ids);
    }
    free(text);
    tokenizer_close(tokenizer);
}

/* Any bytes that are UTF-8 come back, once they are in form C. */
static void round_trip(void **state)
{
    (void)state;
    struct tokenizer *tokenizer = small();
    struct random_stream stream = random_stream(7, "round trip");
    static const char *const parts[] = {
        "region", " ", "\n", "red",  "'s", "\xc3\xa9", "\xe6\x97\xa5",
        "1",      "<", "|",  "mask", ">",  "\r",       "\xf0\x9f\x98\x80"};
    for (uint64_t n = 0; n < 300; n++) {
        struct text_buffer text = {0};
        for (uint64_t i = 0; i < n % 40; i++)
            text_append(&text, parts[random_below(stream, n * 40 + i, 14)]);
        struct token_list ids = encode(tokenizer, text_of(&text), text.length);
        assert_decodes(tokenizer, &ids, false, text_of(&text));
        token_list_release(&ids);
        text_release(&text);
    }
    tokenizer_close(tokenizer);
}

static void broken_text_is_refused(void **state)
{
    (void)state;
    struct tokenizer *tokenizer = small();
    struct token_list ids = {0};
    static const char *const texts[] = {"a\x80", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                        "ab\xe6\x97"};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(tokenizer_encode(tokenizer, texts[i], strlen(texts[i]), &ids), ERR_FORMAT);
        assert_non_null(strstr(status_message(), "not UTF-8"));
    }
    assert_int_equal(ids.n, 0);
    assert_string_equal(tokenizer_find_added(tokenizer, "a <mask b <pos>", 15), "<pos>");
    assert_null(tokenizer_find_added(tokenizer, "a <mask b <pos", 14));
    tokenizer_close(tokenizer);
}

/* A folder with the small tokenizer's files, one of them replaced. */
static char *folder_with(const char *name, const char *content)
{
    char *folder = text_format("/tmp/robin-tokenizer-%d", (int)getpid());
    assert_int_equal(directory_remove(folder), OK);
    assert_int_equal(directory_create(folder), OK);
    static const char *const files[] = {"vocab.json", "merges.txt", "added_tokens.json"};
    for (size_t i = 0; i < 3; i++) {
        unsigned char *bytes = NULL;
        size_t size;
        char *from = path_join(SMALL, files[i]), *to = path_join(folder, files[i]);
        assert_int_equal(file_read(&bytes, &size, from, 1 << 20), OK);
        bool replaced = strcmp(files[i], name) == 0;
        const void *written = replaced ? (const void *)content : bytes;
        assert_int_equal(file_write_atomic(to, written, replaced ? strlen(content) : size), OK);
        free(bytes);
        free(from);
        free(to);
    }
    return folder;
}

static void wrong_files_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name, *content, *sentence;
    } cases[] = {
        {"vocab.json", "{\"a\": 0, ", "not valid JSON"},
        {"vocab.json", "{\"a\": 0, \"a\": 1}", "not valid JSON"},
        {"vocab.json", "[1]", "not an object"},
        {"vocab.json", "{\"a\": 0, \"b\": 0}", "given to two tokens"},
        {"vocab.json", "{\"a\": -1}", "not an integer in"},
        {"vocab.json", "{\"a\": 99999999999}", "not an integer in"},
        {"vocab.json", "{\"a b\": 1}", "byte alphabet"},
        {"vocab.json", "{\"a\": 0, \"b\": 1}", "no token for the byte"},
        {"merges.txt", "r e\nr e\n", "merges.txt:2: this merge was given before"},
        {"merges.txt", "r\n", "not two tokens"},
        {"merges.txt", "r e x\n", "not two tokens"},
        {"merges.txt", "q q\n", "result of the merge"},
        {"merges.txt", "r qq\n", "second token is not in"},
        {"merges.txt", "r e\n\n\nr i\n", "merges.txt:2: not two tokens"},
        {"merges.txt", "r e\xff\n", "byte alphabet"},
        {"added_tokens.json", "{\"<mask>\": 400}", "not <pos>"},
        {"added_tokens.json", "{\"<mask>\": 5, \"<pos>\": 401}", "belongs to another"},
        {"added_tokens.json", "{\"<mask>\": 400, \"<pos>\": 400}", "have the same id"},
        {"added_tokens.json", "{\"<mask>\": \"x\", \"<pos>\": 400}", "is not in 0 .."},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tokenizer *tokenizer = NULL;
        char *folder = folder_with(cases[i].name, cases[i].content);
        assert_int_equal(tokenizer_open(&tokenizer, folder), ERR_FORMAT);
        assert_null(tokenizer);
        if (!strstr(status_message(), cases[i].sentence) ||
            !strstr(status_message(), cases[i].name))
            fail_msg("case %zu says: %s", i, status_message());
        assert_int_equal(directory_remove(folder), OK);
        free(folder);
    }
    struct tokenizer *tokenizer = NULL;
    assert_int_equal(tokenizer_open(&tokenizer, "/nowhere"), ERR_IO);
}

/* Bytes changed, cut off or put in: refused with a sentence, or a tokenizer that works. */
static void damaged_files_do_no_harm(void **state)
{
    (void)state;
    static const char *const files[] = {"vocab.json", "merges.txt", "added_tokens.json"};
    struct random_stream stream = random_stream(13, "damage");
    int n_refused = 0;
    for (uint64_t round = 0; round < 150; round++) {
        unsigned char *bytes = NULL;
        size_t size;
        const char *name = files[round % 3];
        char *from = path_join(SMALL, name);
        assert_int_equal(file_read(&bytes, &size, from, 1 << 20), OK);
        size_t at = random_below(stream, 3 * round, size);
        bytes[at] = (unsigned char)(1 + random_below(stream, 3 * round + 1, 255));
        if (round % 5 == 0) bytes[at] = '\0'; /* as a text it ends there */
        char *folder = folder_with(name, (const char *)bytes);
        struct tokenizer *tokenizer = NULL;
        struct token_list ids = {0};
        if (tokenizer_open(&tokenizer, folder) == OK) {
            ids = encode(tokenizer, "region1 <mask><pos> caf\xc3\xa9\n", 26);
            assert_decodes(tokenizer, &ids, false, "region1 <mask><pos> caf\xc3\xa9\n");
        } else {
            assert_true(strlen(status_message()) > 10);
            n_refused++;
        }
        token_list_release(&ids);
        tokenizer_close(tokenizer);
        assert_int_equal(directory_remove(folder), OK);
        free(folder);
        free(from);
        free(bytes);
    }
    assert_in_range(n_refused, 75, 149);
}

/* Without <mask> in its files a tokenizer gets Qwen2.5's tokens behind those it has. */
static void known_tokens_are_added(void **state)
{
    (void)state;
    struct tokenizer *tokenizer = NULL;
    char *folder =
        folder_with("added_tokens.json",
                    "{\"<|endoftext|>\": 393, \"<|im_start|>\": 394, \"<|im_end|>\": 395}");
    assert_int_equal(tokenizer_open(&tokenizer, folder), OK);
    assert_int_equal(tokenizer_id(tokenizer, "<|object_ref_start|>"), 396);
    assert_int_equal(tokenizer_id(tokenizer, "<|file_sep|>"), 393 + 21);
    assert_int_equal(tokenizer_id(tokenizer, "<mask>"), 393 + 22);
    assert_int_equal(tokenizer_id(tokenizer, "<pos>"), 393 + 23);
    assert_int_equal(tokenizer_size(tokenizer), 393 + 24);
    tokenizer_close(tokenizer);
    assert_int_equal(directory_remove(folder), OK);
    free(folder);
}

static void training_is_reproducible(void **state)
{
    (void)state;
    static const char text[] = "<mask>left of left of left of<mask>left right \xc3\xa9\xc3\xa9";
    char *folder = text_format("/tmp/robin-tokenizer-%d", (int)getpid());
    struct tokenizer *tokenizer = NULL;
    assert_int_equal(tokenizer_train(folder, text, strlen(text), 263 + 7), OK);
    assert_int_equal(tokenizer_open(&tokenizer, folder), OK);
    assert_int_equal(tokenizer_size(tokenizer), 270);
    assert_true(tokenizer_id(tokenizer, "left") >= 256);
    assert_true(tokenizer_id(tokenizer, "ft of") < 0);
    struct token_list ids = encode(tokenizer, "left of", 7);
    assert_int_equal(ids.n, 2);
    token_list_release(&ids);
    tokenizer_close(tokenizer);
    unsigned char *first = NULL, *second = NULL;
    size_t n_first, n_second;
    char *merges = path_join(folder, "merges.txt");
    assert_int_equal(file_read(&first, &n_first, merges, 1 << 20), OK);
    assert_int_equal(tokenizer_train(folder, text, strlen(text), 263 + 7), OK);
    assert_int_equal(file_read(&second, &n_second, merges, 1 << 20), OK);
    assert_int_equal(n_first, n_second);
    assert_memory_equal(first, second, n_first);
    free(first);
    free(second);
    free(merges);
    assert_int_equal(tokenizer_train(folder, text, strlen(text), 262), ERR_ARGUMENT);
    assert_int_equal(tokenizer_train(folder, text, strlen(text), 500), ERR_LIMIT);
    assert_int_equal(tokenizer_train(folder, "\xff", 1, 263), ERR_FORMAT);
    assert_int_equal(directory_remove(folder), OK);
    free(folder);
}

/* The 30 answers that came with Qwen2's own files. */
static void known_answers_of_qwen2(void **state)
{
    (void)state;
    const char *shared = getenv("ROBIN_SHARED");
    char *folder = text_format("%s/data/qwen2-tokenizer", shared ? shared : "../shared");
    if (!file_exists(folder)) {
        free(folder);
        print_message("skipped: no ../shared\n");
        skip();
    }
    struct tokenizer *tokenizer = NULL;
    json_t *rows = NULL;
    char *path = path_join(folder, "known_answers.json");
    assert_int_equal(tokenizer_open(&tokenizer, folder), OK);
    assert_int_equal(tokenizer_id(tokenizer, "<mask>"), 151665);
    assert_int_equal(tokenizer_id(tokenizer, "<pos>"), 151666);
    assert_int_equal(json_file_read(&rows, path, 1 << 20), OK);
    assert_true(json_array_size(rows) > 20);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i), *want = json_object_get(row, "ids");
        const char *text = json_string_value(json_object_get(row, "text"));
        struct token_list ids = encode(tokenizer, text, strlen(text));
        assert_int_equal(ids.n, json_array_size(want));
        for (int64_t k = 0; k < ids.n; k++)
            assert_int_equal(ids.ids[k], json_integer_value(json_array_get(want, (size_t)k)));
        token_list_release(&ids);
    }
    json_decref(rows);
    tokenizer_close(tokenizer);
    free(path);
    free(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_of_the_library),
        cmocka_unit_test(long_words_merge_as_short_ones),
        cmocka_unit_test(a_megabyte_of_one_letter),
        cmocka_unit_test(round_trip),
        cmocka_unit_test(broken_text_is_refused),
        cmocka_unit_test(wrong_files_are_refused),
        cmocka_unit_test(damaged_files_do_no_harm),
        cmocka_unit_test(known_tokens_are_added),
        cmocka_unit_test(training_is_reproducible),
        cmocka_unit_test(known_answers_of_qwen2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
