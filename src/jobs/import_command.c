/* `data import`: a row of the table of importers, the options that it takes, and the builder. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text_buffer.h"
#include "corpus/import.h"
#include "corpus/shard_schema.h"
#include "jobs/data_commands.h"
#include "jobs/data_parts.h"

struct import_call {
    const char *kind, *out, *name;
    const char *version; /* of the program */
    struct import_options options;
    struct build_options build;
    int64_t n_threads;
    struct option_texts share;
    const struct importer *importer;
    struct record_source source;
    struct corpus_stage stage;
    char *identity;
    char *split, *variant; /* the default words, when none were given */
};

static void import_call_release(struct import_call *call)
{
    record_source_release(&call->source);
    corpus_stage_release(&call->stage);
    free(call->identity);
    free(call->split);
    free(call->variant);
    free(call->share.values);
}

/* One kind with what it takes. */
static void describe(struct text_buffer *text, const struct importer *row)
{
    static const struct {
        unsigned bit;
        const char *words;
    } options[] = {{IMPORT_IMAGES, "--images DIR"},
                   {IMPORT_MASKS, "--masks DIR"},
                   {IMPORT_WITH, "--with FILE"}};
    text_printf(text, "\n  %s: %s\n      FILE: %s\n", row->kind, row->purpose, row->file);
    text_append(text, "      options:");
    for (size_t i = 0; i < N_ROWS(options); i++) {
        if (row->needs & options[i].bit) text_printf(text, " %s", options[i].words);
        if (row->uses & options[i].bit) text_printf(text, " [%s]", options[i].words);
    }
    if (row->splits != NULL) text_printf(text, " [--split %s]", row->splits);
    if (row->variants != NULL) text_printf(text, " [--variant %s]", row->variants);
    text_printf(text, "\n      from: %s\n      licence: %s\n", row->source, row->licence);
}

/* The kinds; of a call that names one, that one. To free(). */
static char *kinds_text(const struct command_call *call)
{
    struct text_buffer text = {0};
    const struct importer *named = call->n_arguments > 0 ? import_find(call->arguments[0]) : NULL;
    text_append(&text, "\nkinds (datasets/README.md says how to get the files):\n");
    for (size_t i = 0; i < n_importers; i++) {
        if (named == NULL || named == &importers[i]) describe(&text, &importers[i]);
    }
    return text_take(&text);
}

static enum status find_kind(struct import_call *call)
{
    struct text_buffer kinds = {0};
    call->importer = import_find(call->kind);
    if (call->importer != NULL) return OK;
    for (size_t i = 0; i < n_importers; i++)
        text_printf(&kinds, "%s%s",
                    i == 0                 ? ""
                    : i + 1 == n_importers ? " and "
                                           : ", ",
                    importers[i].kind);
    const enum status status =
        status_fail(ERR_ARGUMENT, "data import: there is no kind '%s'; there are %s", call->kind,
                    text_of(&kinds));
    text_release(&kinds);
    return status;
}

static enum status check_given(const struct importer *importer, unsigned bit, const char *option,
                               const char *value)
{
    enum status status = OK;
    if (value != NULL && !((importer->needs | importer->uses) & bit))
        FAIL(ERR_ARGUMENT, "data import: %s is not for %s", option, importer->kind);
    if (value == NULL && (importer->needs & bit))
        FAIL(ERR_ARGUMENT, "data import: %s is missing; %s needs it", option, importer->kind);
out:
    return status;
}

/* One of the words of "a|b|c"; the first when none is given, in memory to free(). */
static enum status choose_word(const char **word, char **first_out, const char *words,
                               const char *option)
{
    enum status status = OK;
    if (words == NULL) return OK;
    if (*word == NULL) {
        *first_out = text_format("%.*s", (int)strcspn(words, "|"), words);
        *word = *first_out;
    }
    const size_t size = strlen(*word);
    for (const char *at = words; at != NULL; at = strchr(at, '|')) {
        if (*at == '|') at++;
        if (strcspn(at, "|") == size && strncmp(at, *word, size) == 0) return OK;
    }
    FAIL(ERR_ARGUMENT, "data import: %s is '%s', must be one of %s", option, *word, words);
out:
    return status;
}

static enum status check_options(struct import_call *call)
{
    enum status status = OK;
    struct import_options *options = &call->options;
    const struct {
        unsigned bit;
        const char *name, *value;
    } given[] = {{IMPORT_IMAGES, "--images", options->images},
                 {IMPORT_MASKS, "--masks", options->masks},
                 {IMPORT_WITH, "--with", options->with},
                 {IMPORT_SPLIT, "--split", options->split},
                 {IMPORT_VARIANT, "--variant", options->variant}};
    for (size_t i = 0; i < N_ROWS(given); i++)
        TRY(check_given(call->importer, given[i].bit, given[i].name, given[i].value));
    TRY(choose_word(&options->split, &call->split, call->importer->splits, "--split"));
    TRY(choose_word(&options->variant, &call->variant, call->importer->variants, "--variant"));
out:
    return status;
}

/* A file of another size or time is another input. */
static void append_file(struct text_buffer *text, const char *option, const char *path)
{
    struct stat about = {0};
    if (path == NULL) return;
    text_printf(text, ", %s %s", option, path);
    if (stat(path, &about) == 0)
        text_printf(text, " (%lld bytes of %lld.%09ld)", (long long)about.st_size,
                    (long long)about.st_mtim.tv_sec, about.st_mtim.tv_nsec);
}

/* What makes an interrupted import the same as this one. */
static char *identity_of(const struct import_call *call)
{
    struct text_buffer text = {0};
    const struct import_options *options = &call->options;
    text_printf(&text,
                "import %s by robin-dist %s, corpus %s, schema %d, %" PRId64 " items, %" PRId64
                " a shard",
                call->kind, call->version, call->stage.name, SHARD_SCHEMA_VERSION,
                call->source.n_items, call->build.shard_items);
    append_file(&text, "FILE", options->annotations);
    append_file(&text, "--with", options->with);
    text_printf(&text, ", --images %s, --masks %s, --split %s, --variant %s",
                options->images == NULL ? "" : options->images,
                options->masks == NULL ? "" : options->masks,
                options->split == NULL ? "" : options->split,
                options->variant == NULL ? "" : options->variant);
    return text_take(&text);
}

static enum status import_prepare(struct import_call *call)
{
    enum status status = OK;
    TRY(find_kind(call));
    TRY(check_options(call));
    TRY(corpus_stage_init(&call->stage, call->out, call->name == NULL ? call->kind : call->name));
    TRY(call->importer->open(&call->source, &call->options));
    call->identity = identity_of(call);
    call->build.identity = call->identity;
    call->build.max_skipped /= 100;
    call->build.max_dropped /= 100;
    call->build.share = (const char *const *)call->share.values;
    call->build.n_share = call->share.n;
out:
    return status;
}

enum status data_import_command(struct command_call *call)
{
    enum status status = OK;
    struct import_call import = {
        .version = call->version,
        .build = {.shard_items = 1024, .max_skipped = 0.1, .max_dropped = 1}};
    struct import_options *options = &import.options;
    char *kinds = kinds_text(call);
    const struct option_row rows[] = {
        {"KIND", NULL, OPTION_TEXT, true, 0, 0, &import.kind, "one of the kinds below"},
        {"FILE", NULL, OPTION_TEXT, true, 0, 0, &options->annotations,
         "the annotations: JSON, JSON lines or a folder, as the kind says"},
        OUT_ROW(import.out),
        {"--images", "DIR", OPTION_TEXT, false, 0, 0, &options->images,
         "folder of the pictures; kinds of rows take several, A:B"},
        {"--masks", "DIR", OPTION_TEXT, false, 0, 0, &options->masks,
         "folder of the mask pictures; default: that of --images"},
        {"--with", "FILE", OPTION_TEXT, false, 0, 0, &options->with, "a second file"},
        {"--split", "NAME", OPTION_TEXT, false, 0, 0, &options->split,
         "which part of the file; default: the first of the kind's"},
        {"--variant", "NAME", OPTION_TEXT, false, 0, 0, &options->variant,
         "which form the file has; default: the first of the kind's"},
        {"--share", "CORPUS", OPTION_TEXTS, false, 0, 0, &import.share,
         "a corpus whose pictures are not stored again; may be given several times"},
        {"--name", "NAME", OPTION_TEXT, false, 0, 0, &import.name,
         "of the corpus and its files; default: the kind"},
        {"--shard-records", "N", OPTION_INTEGER, false, 1, 1e6, &import.build.shard_items,
         "records of the input in a shard"},
        THREADS_ROW(import.n_threads),
        {"--max-skipped", "PERCENT", OPTION_NUMBER, false, 0, 100, &import.build.max_skipped,
         "how many of the records may be unusable"},
        {"--max-dropped", "PERCENT", OPTION_NUMBER, false, 0, 100, &import.build.max_dropped,
         "how many of the objects, relations and texts may be"},
    };
    const struct data_usage usage = {"data import", rows, N_ROWS(rows), kinds};
    struct comm *comm = NULL;
    bool help;
    TRY(data_start(&comm, &usage, call, &help));
    if (help) goto out;
    TRY(comm_agree(comm, import_prepare(&import)));
    import.build.n_threads = data_threads(comm, import.n_threads);
    TRY(data_build(call, comm, &import.source, &import.stage, &import.build));
out:
    import_call_release(&import);
    comm_end(comm, status);
    free(kinds);
    return status;
}
