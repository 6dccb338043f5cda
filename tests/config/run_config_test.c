/* Configuration files: what is refused and how it is said, what is read, what is written back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/random.h"
#include "base/text_buffer.h"
#include "config/config_check.h"
#include "config/config_table.h"
#include "config/config_text.h"
#include "config/run_config.h"
#include "corpus/task.h"

#define BAD_CONFIGS "tests/bad_configs"
#define LIMIT       100000

/* The errors: the message without its first line, which counts them. */
static const char *reported(void)
{
    const char *newline = strchr(status_message(), '\n');
    assert_non_null(newline);
    return newline + 1;
}

/* The "# expect: " lines of a file, with FILE replaced by its path. */
static char *expected_message(const char *path)
{
    unsigned char *bytes = NULL;
    size_t size = 0;
    assert_int_equal(file_read(&bytes, &size, path, LIMIT), OK);
    struct text_buffer message = {0};
    const char *prefix = "# expect: ";
    for (char *line = (char *)bytes; line != NULL && *line != '\0';) {
        char *end = strchr(line, '\n');
        if (end != NULL) *end = '\0';
        if (strncmp(line, prefix, strlen(prefix)) == 0) {
            line += strlen(prefix);
            if (message.length > 0) text_append_char(&message, '\n');
            for (char *file = strstr(line, "FILE"); file != NULL; file = strstr(line, "FILE")) {
                text_append_bytes(&message, line, (size_t)(file - line));
                text_append(&message, path);
                line = file + 4;
            }
            text_append(&message, line);
        }
        line = end != NULL ? end + 1 : NULL;
    }
    free(bytes);
    return text_take(&message);
}

static void bad_configs_are_refused_as_they_say(void **state)
{
    (void)state;
    char **names = NULL;
    size_t n = 0;
    int n_run = 0;
    assert_int_equal(directory_list(&names, &n, BAD_CONFIGS), OK);
    for (size_t i = 0; i < n; i++) {
        if (strstr(names[i], ".yaml") == NULL) continue;
        char *path = path_join(BAD_CONFIGS, names[i]);
        char *expected = expected_message(path);
        struct run_config config = {0};
        assert_int_equal(run_config_load(&config, path, NULL, 0), ERR_ARGUMENT);
        assert_string_equal(reported(), expected);
        n_run++;
        free(expected);
        free(path);
    }
    names_free(names, n);
    assert_true(n_run >= 20);
}

static void assert_refused(const char *path, const char *argument, const char *message)
{
    struct run_config config = {0};
    const char *arguments[] = {argument, "tokenizer=t", "data.sources=[{corpus: c, tasks: [sg]}]"};
    assert_int_equal(run_config_load(&config, path, arguments, 3), ERR_ARGUMENT);
    assert_string_equal(reported(), message);
}

static void overrides_are_refused_naming_the_argument(void **state)
{
    (void)state;
    const char *path = "configs/stage2.yaml";
    assert_refused(path, "optimizer.lr=-1",
                   "command line: optimizer.lr=-1: error: optimizer.lr is '-1' but must be a "
                   "number, 0 to 10");
    assert_refused(path, "optimizer.lr",
                   "command line: optimizer.lr: error: not of the form "
                   "key=value");
    assert_refused(path, "=1", "command line: =1: error: not of the form key=value");
    assert_refused(path, "optimiser.lr=1",
                   "command line: optimiser.lr=1: error: unknown key optimiser.lr; did you mean "
                   "optimizer.lr?");
    assert_refused(path, "train.modules=[lm",
                   "command line: train.modules=[lm: error: not valid YAML: did not find expected "
                   "',' or ']', while parsing a flow sequence");
    assert_refused(path, "model=huge",
                   "command line: model=huge: error: no model file model/huge.yaml in the folder "
                   "of configs/stage2.yaml or the one above it");
}

static void overrides_win_over_files_and_files_over_defaults(void **state)
{
    (void)state;
    struct run_config config = {0};
    const char *arguments[] = {"optimizer.lr=5e-6",   "model=robin-tiny",       "model.lm.layers=2",
                               "data.max_length=512", "data={max_tokens: 1e3}", "optimizer.lr=4e-6",
                               "train.init="};
    assert_int_equal(run_config_load(&config, "configs/stage2.yaml", arguments, 7), OK);
    assert_true(config.optimizer.lr == 4e-6);        /* the last argument */
    assert_int_equal(config.model.lm_hidden, 128);   /* the model file of the argument */
    assert_int_equal(config.model.lm_layers, 2);     /* an argument over the model file */
    assert_int_equal(config.data.max_tokens, 1000);  /* an argument that is a group */
    assert_int_equal(config.train.global_batch, 64); /* the file */
    assert_true(config.optimizer.beta2 == 0.999);    /* the default */
    assert_string_equal(config.train.init, "");      /* an empty argument */
    assert_int_equal(config.train.loss_average, CONFIG_LOSS_MICROBATCH);
    assert_int_equal(config.data.n_sources, 26); /* of the mixture file */
    assert_string_equal(config.data.mixture, "");
    assert_string_equal(config.data.sources[0].tasks.values[1], "relation");
    const struct config_source *source = &config.data.sources[7];
    assert_string_equal(source->corpus, "corpora/gqa-cot");
    assert_int_equal(source->tasks.n, 1);
    assert_string_equal(source->tasks.values[0], "graph_vqa");
    assert_string_equal(source->ignored_predicates.values[1], "to the right of");
    assert_true(source->box_text);
    assert_int_equal(source->max_regions, -1);
    run_config_release(&config);
}

static void shipped_configs_are_read(void **state)
{
    (void)state;
    static const char *const paths[] = {"configs/stage0a.yaml", "configs/stage0b.yaml",
                                        "configs/stage0c.yaml", "configs/stage1.yaml",
                                        "configs/stage2.yaml"};
    static const double rates[] = {1e-3, 2e-5, 1e-5, 1e-5, 1e-5};
    static const int64_t batches[] = {128, 4, 4, 64, 64};
    static const int64_t n_modules[] = {1, 1, 3, 4, 4};
    static const int64_t lengths[] = {2048, 2048, 2048, 8192, 8192};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct run_config config = {0};
        assert_int_equal(run_config_load(&config, paths[i], NULL, 0), OK);
        assert_true(config.optimizer.lr == rates[i]);
        assert_int_equal(config.train.global_batch, batches[i]);
        assert_int_equal(config.train.modules.n, n_modules[i]);
        assert_int_equal(config.data.max_length, lengths[i]);
        assert_int_equal(config.model.lm_vocab, 151936);
        for (int64_t n = 0; n < config.data.n_sources; n++)
            for (int64_t t = 0; t < config.data.sources[n].tasks.n; t++)
                assert_non_null(task_find(config.data.sources[n].tasks.values[t]));
        run_config_release(&config);
    }
}

static void check_curriculum(const char *folder, const char *name)
{
    struct run_config all = {0};
    char *path = path_join(folder, name);
    if (run_config_load(&all, path, NULL, 0) != OK) fail_msg("%s", status_message());
    for (int64_t i = 0; i < all.curriculum.n_stages; i++) {
        const struct config_stage *row = &all.curriculum.stages[i];
        struct run_config config = {0};
        char *stage = path_join(folder, row->config);
        const int n = (int)(all.curriculum.set.n + row->set.n);
        const char **set = memory_new((size_t)n + 1, sizeof *set);
        for (int64_t s = 0; s < n; s++)
            set[s] = s < all.curriculum.set.n ? all.curriculum.set.values[s]
                                              : row->set.values[s - all.curriculum.set.n];
        if (run_config_load(&config, stage, set, n) != OK) fail_msg("%s", status_message());
        assert_int_equal(config.data.without.n, 0); /* they are gone */
        run_config_release(&config);
        free(set);
        free(stage);
    }
    if (all.job == CONFIG_JOB_CURRICULUM) assert_true(all.curriculum.n_stages > 0);
    run_config_release(&all);
    free(path);
}

static void shipped_curricula_are_read(void **state)
{
    (void)state;
    char **names = NULL;
    size_t n = 0;
    assert_int_equal(directory_list(&names, &n, "configs/ablations"), OK);
    for (size_t i = 0; i < n; i++)
        if (strstr(names[i], ".yaml") != NULL) check_curriculum("configs/ablations", names[i]);
    names_free(names, n);
    check_curriculum("configs", "curriculum.yaml");
    check_curriculum("configs/demo", "curriculum.yaml");
    struct run_config full = {0}, less = {0};
    const char *without = "data.without=[corpora/svg-vg]";
    assert_int_equal(run_config_load(&full, "configs/stage2.yaml", NULL, 0), OK);
    assert_int_equal(run_config_load(&less, "configs/stage2.yaml", &without, 1), OK);
    assert_true(less.data.n_sources < full.data.n_sources);
    for (int64_t i = 0; i < less.data.n_sources; i++)
        assert_string_not_equal(less.data.sources[i].corpus, "corpora/svg-vg");
    run_config_release(&full);
    run_config_release(&less);
}

/* Every file of datasets/mixtures, with tasks that there are. */
static void mixtures_are_read(void **state)
{
    (void)state;
    const char *folder = "datasets/mixtures";
    DIR *directory = opendir(folder);
    int n = 0;
    assert_non_null(directory);
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (strstr(entry->d_name, ".yaml") == NULL) continue;
        char *argument = text_format("data.mixture=%s/%s", folder, entry->d_name);
        const char *arguments[] = {argument, "tokenizer=t"};
        struct run_config config = {0};
        if (run_config_load(&config, NULL, arguments, 2) != OK) fail_msg("%s", status_message());
        assert_true(config.data.n_sources > 0);
        for (int64_t s = 0; s < config.data.n_sources; s++)
            for (int64_t t = 0; t < config.data.sources[s].tasks.n; t++)
                if (task_find(config.data.sources[s].tasks.values[t]) == NULL)
                    fail_msg("%s: no task %s", argument, config.data.sources[s].tasks.values[t]);
        run_config_release(&config);
        free(argument);
        n++;
    }
    closedir(directory);
    assert_true(n >= 14);
}

static void a_written_config_reads_back_the_same(void **state)
{
    (void)state;
    const char *path = "build/run_config_test.yaml";
    struct run_config config = {0};
    const char *arguments[] = {"run_dir=\"it's \\\"odd\\\"\\n\\tname: #1\"", "optimizer.lr=0.1",
                               "optimizer.eps=1.2345678901234567e-8", "tokenizer='true'",
                               "train.init='007'"};
    assert_int_equal(run_config_load(&config, "configs/stage1.yaml", arguments, 5), OK);
    char *first = run_config_write(&config);
    assert_int_equal(file_write_atomic(path, first, strlen(first)), OK);
    struct run_config again = {0};
    assert_int_equal(run_config_load(&again, path, NULL, 0), OK);
    char *second = run_config_write(&again);
    assert_string_equal(first, second);
    assert_string_equal(again.run_dir, "it's \"odd\"\n\tname: #1");
    assert_string_equal(again.tokenizer, "true");
    assert_string_equal(again.train.init, "007");
    assert_true(again.optimizer.eps == 1.2345678901234567e-8);
    assert_non_null(strstr(first, "lr: 0.1\n"));
    free(first);
    free(second);
    run_config_release(&config);
    run_config_release(&again);
    assert_int_equal(directory_remove(path), OK);
}

static void the_reference_file_is_the_table(void **state)
{
    (void)state;
    unsigned char *bytes = NULL;
    size_t size = 0;
    assert_int_equal(file_read(&bytes, &size, "configs/reference.yaml", LIMIT), OK);
    char *reference = config_reference();
    if (strcmp((char *)bytes, reference) != 0)
        fail_msg("configs/reference.yaml is not what the table says; write it again with "
                 "./robin-dist help-config --yaml > configs/reference.yaml");
    free(bytes);
    free(reference);
    struct run_config config = {0};
    const char *arguments[] = {"tokenizer=t"};
    assert_int_equal(run_config_load(&config, "configs/reference.yaml", arguments, 1), OK);
    run_config_release(&config);
}

static void every_key_has_help(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_config_keys; i++) {
        char *help = config_help(config_keys[i].path);
        assert_non_null(help);
        assert_non_null(strstr(help, config_keys[i].sentence));
        assert_int_equal(config_key_index(config_keys[i].path), i); /* no row stands twice */
        free(help);
    }
    char *group = config_help("optimizer");
    assert_non_null(strstr(group, "optimizer.clip_norm"));
    assert_null(strstr(group, "train."));
    free(group);
    assert_null(config_help("optimizer.l"));
}

/* Bytes that are no configuration: each must be refused, naming the file. */
static void assert_bytes_refused(const char *bytes, size_t size, const char *part)
{
    const char *path = "build/run_config_hostile.yaml";
    struct run_config config = {0};
    assert_int_equal(file_write_atomic(path, bytes, size), OK);
    enum status status = run_config_load(&config, path, NULL, 0);
    assert_true(status == ERR_ARGUMENT || status == ERR_LIMIT);
    assert_non_null(strstr(status_message(), path));
    if (strstr(status_message(), part) == NULL) fail_msg("'%s' in: %s", part, status_message());
    assert_int_equal(directory_remove(path), OK);
}

static void hostile_bytes_are_refused(void **state)
{
    (void)state;
    assert_bytes_refused("seed: 1\0\n", 9, "not text");
    assert_bytes_refused("run_dir: \"a\\0b\"\n", 16, "NUL");
    assert_bytes_refused("\xff\xd8\xff\xe0JFIF", 8, "not text");
    assert_bytes_refused("\xff\xfes\0e\0e\0d\0", 10, "not text");
    assert_bytes_refused("\x7f"
                         "ELF\2\1\1",
                         7, "not text");
    assert_bytes_refused("seed: \xc3(\n", 9, "not text");
    size_t size = 300 * 1024;
    char *large = memory_new(size, 1);
    memset(large, '[', size);
    assert_bytes_refused(large, size, "limit");
    assert_bytes_refused(large, 10000, "nested deeper");
    memset(large, 'a', size);
    assert_bytes_refused(large, 200 * 1024, "mapping");
    for (size_t i = 0; i < 200 * 1024; i++) large[i] = i % 2 ? '\n' : (char)('a' + i % 23);
    assert_bytes_refused(large, 200 * 1024, "error");
    free(large);
    struct run_config config = {0};
    assert_int_equal(run_config_load(&config, "no/such.yaml", NULL, 0), ERR_IO);
    assert_string_equal(status_message(), "cannot open no/such.yaml: No such file or directory");
    assert_int_equal(run_config_load(&config, "configs", NULL, 0), ERR_IO);
}

/* The reference with bytes changed, removed or doubled: read or refused, never anything else. */
static void damaged_files_are_read_or_refused(void **state)
{
    (void)state;
    const char *path = "build/run_config_damaged.yaml";
    unsigned char *bytes = NULL;
    size_t size = 0;
    const char *arguments[] = {"tokenizer=t"};
    int n_read = 0, n_refused = 0;
    assert_int_equal(file_read(&bytes, &size, "configs/reference.yaml", LIMIT), OK);
    struct random_stream stream = random_stream(1, "damage");
    for (uint64_t i = 0; i < 400; i++) {
        struct random_stream draws = random_substream(stream, i);
        struct text_buffer text = {0};
        size_t at = random_below(draws, 0, size);
        uint64_t kind = random_below(draws, 1, 4);
        text_append_bytes(&text, bytes, at);
        if (kind == 0) text_append_char(&text, (char)(bytes[at] ^ 1 << random_below(draws, 2, 8)));
        if (kind == 1) text_append_bytes(&text, bytes, random_below(draws, 2, size));
        if (kind == 2)
            text_append_char(&text, "[]{}:,&*!|>%@`\"'#\n\t -"[random_below(draws, 2, 22)]);
        if (kind != 3) text_append_bytes(&text, bytes + at, size - at);
        struct run_config config = {0};
        FILE *file = fopen(path, "wb"); /* not atomically: four hundred syncs are slow */
        assert_int_equal(fwrite(text.text, 1, text.length, file), text.length);
        fclose(file);
        enum status status = run_config_load(&config, path, arguments, 1);
        assert_true(status == OK || status == ERR_ARGUMENT);
        n_read += status == OK;
        n_refused += status != OK;
        run_config_release(&config);
        text_release(&text);
    }
    assert_true(n_read > 10 && n_refused > 100);
    free(bytes);
    assert_int_equal(directory_remove(path), OK);
}

static void very_many_errors_are_counted(void **state)
{
    (void)state;
    struct text_buffer text = {0};
    for (int i = 0; i < 100; i++) text_printf(&text, "unknown_key_%d: 1\n", i);
    assert_bytes_refused(text.text, text.length, "and 77 more errors");
    text_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_configs_are_refused_as_they_say),
        cmocka_unit_test(overrides_are_refused_naming_the_argument),
        cmocka_unit_test(overrides_win_over_files_and_files_over_defaults),
        cmocka_unit_test(shipped_configs_are_read),
        cmocka_unit_test(shipped_curricula_are_read),
        cmocka_unit_test(mixtures_are_read),
        cmocka_unit_test(a_written_config_reads_back_the_same),
        cmocka_unit_test(the_reference_file_is_the_table),
        cmocka_unit_test(every_key_has_help),
        cmocka_unit_test(hostile_bytes_are_refused),
        cmocka_unit_test(damaged_files_are_read_or_refused),
        cmocka_unit_test(very_many_errors_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
