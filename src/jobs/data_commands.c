/* See data_commands.h. Every rank reads the same options; what one rank does alone, rank 0 does. */
#include "jobs/data_commands.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text_buffer.h"
#include "comm/comm.h"
#include "corpus/corpus_build.h"
#include "corpus/corpus_html.h"
#include "corpus/corpus_inspect.h"
#include "corpus/import.h"
#include "corpus/scenes.h"
#include "corpus/shard.h"
#include "jobs/options.h"

#define N_ROWS(rows) (sizeof(rows) / sizeof(rows)[0])

/* What building and importing share. */
#define OUT_ROW(target)                                                                            \
    {                                                                                              \
        "--out", "DIR", OPTION_TEXT, true, 0, 0, &(target), "the corpus: a folder not there yet"   \
    }
#define THREADS_ROW(target)                                                                        \
    {                                                                                              \
        "--threads", "N", OPTION_INTEGER, false, 1, 1024, &(target),                               \
            "that make records; default: all cores, under mpirun 1"                                \
    }

static enum status print(const char *text)
{
    enum status status = OK;
    if (fputs(text, stdout) < 0 || fflush(stdout) != 0)
        FAIL(ERR_IO, "cannot write to standard output");
out:
    return status;
}

/* Starts MPI and reads the options, so that what is wrong with them is one line however many ranks
 * there are. With `help_out` set the usage was printed and the command is done. */
static enum status start(struct comm **comm_out, const struct option_row *rows, size_t n_rows,
                         const char *command, const struct command_call *call, bool *help_out)
{
    enum status status = OK;
    char *usage = options_usage(rows, n_rows, command);
    const enum status parsed = options_parse(rows, n_rows, command, call, help_out);
    TRY(comm_create(comm_out, NULL));
    TRY(comm_agree(*comm_out, parsed));
    if (*help_out) TRY(comm_agree(*comm_out, comm_rank(*comm_out) == 0 ? print(usage) : OK));
out:
    free(usage);
    return status;
}

static void report_build(const struct build_summary *summary, const struct corpus_stage *stage)
{
    log_info("wrote %s: %" PRId64 " records of %" PRId64 " in the input", stage->directory,
             summary->n_records, summary->n_items);
    if (summary->n_skipped > 0)
        log_info("skipped %" PRId64 " (%s)", summary->n_skipped, text_of(&summary->reasons));
    if (summary->n_changed > 0)
        log_info("changed %" PRId64 ": boxes that stuck out of the picture", summary->n_changed);
    if (summary->n_skipped + summary->n_changed > 0)
        log_info("each of them is a line of %s/notes.jsonl", stage->directory);
}

/* Builds under the ranks that were started, and says what came of it. */
static enum status build_and_report(struct command_call *call, struct comm *comm,
                                    const struct record_source *source,
                                    const struct corpus_stage *stage,
                                    const struct build_options *options)
{
    enum status status = OK;
    struct build_summary summary = {0};
    status = corpus_build(comm, source, stage, options, &summary);
    call->started = summary.begun;
    TRY(status);
    if (comm_rank(comm) == 0) report_build(&summary, stage);
out:
    build_summary_release(&summary);
    return status;
}

/* All cores for a process alone; under mpirun the ranks share them already. */
static int threads_of(const struct comm *comm, int64_t asked)
{
    cpu_set_t cores;
    if (asked > 0) return (int)asked;
    if (comm_size(comm) > 1 || sched_getaffinity(0, sizeof cores, &cores) != 0) return 1;
    return CPU_COUNT(&cores);
}

static enum status import_open(struct record_source *source, const char *format,
                               const struct import_options *options)
{
    if (strcmp(format, "gqa") == 0) return import_gqa(source, options);
    if (strcmp(format, "psg") == 0) return import_psg(source, options);
    return status_fail(ERR_ARGUMENT, "data import: there is no format '%s'; there are gqa and psg",
                       format);
}

static enum status check_split(const char *format, const char *split)
{
    enum status status = OK;
    const bool known = strcmp(split, "train") == 0 || strcmp(split, "test") == 0;
    if (strcmp(split, "all") == 0) return OK;
    if (!known)
        FAIL(ERR_ARGUMENT, "data import: --split is '%s', must be train, test or all", split);
    if (strcmp(format, "psg") != 0)
        FAIL(ERR_ARGUMENT,
             "data import: --split is for psg; the splits of %s are files of their own", format);
out:
    return status;
}

static enum status import_prepare(struct record_source *source, struct corpus_stage *stage,
                                  const char *format, const char *out, const char *name,
                                  const struct import_options *options)
{
    enum status status = OK;
    TRY(check_split(format, options->split));
    TRY(corpus_stage_init(stage, out, name == NULL ? format : name));
    TRY(import_open(source, format, options));
out:
    return status;
}

enum status data_import_command(struct command_call *call)
{
    enum status status = OK;
    static const char command[] = "data import";
    struct import_options options = {.split = "all"};
    struct build_options build = {.shard_items = 1024, .max_skipped = 0.1};
    const char *format = NULL;
    const char *out = NULL;
    const char *name = NULL;
    int64_t n_threads = 0;
    const struct option_row rows[] = {
        {"FORMAT", NULL, OPTION_TEXT, true, 0, 0, &format, "gqa or psg"},
        {"FILE", NULL, OPTION_TEXT, true, 0, 0, &options.annotations,
         "the annotations: a JSON file"},
        {"--images", "DIR", OPTION_TEXT, true, 0, 0, &options.images, "folder of the pictures"},
        OUT_ROW(out),
        {"--masks", "DIR", OPTION_TEXT, false, 0, 0, &options.masks,
         "psg: folder of the panoptic PNGs; default: that of --images"},
        {"--split", "NAME", OPTION_TEXT, false, 0, 0, &options.split, "psg: train, test or all"},
        {"--name", "NAME", OPTION_TEXT, false, 0, 0, &name,
         "of the corpus and its files; default: the format"},
        {"--shard-records", "N", OPTION_INTEGER, false, 1, 1e6, &build.shard_items,
         "records of the input in a shard"},
        THREADS_ROW(n_threads),
        {"--max-skipped", "PERCENT", OPTION_NUMBER, false, 0, 100, &build.max_skipped,
         "how many of the records may be unusable"},
    };
    struct comm *comm = NULL;
    struct record_source source = {0};
    struct corpus_stage stage = {0};
    bool help;
    TRY(start(&comm, rows, N_ROWS(rows), command, call, &help));
    if (help) goto out;
    TRY(comm_agree(comm, import_prepare(&source, &stage, format, out, name, &options)));
    build.max_skipped /= 100;
    build.n_threads = threads_of(comm, n_threads);
    TRY(build_and_report(call, comm, &source, &stage, &build));
out:
    record_source_release(&source);
    corpus_stage_release(&stage);
    comm_destroy(comm);
    return status;
}

static enum status scenes_make(void *context, int64_t item, struct record *record_out,
                               struct item_note *note)
{
    (void)note; /* a scene that cannot be made is our fault: the build ends */
    return scenes_record(record_out, context, item);
}

static enum status scenes_prepare(struct corpus_stage *stage, const char *what, const char *out,
                                  const char *name, const struct scenes_options *options)
{
    enum status status = OK;
    if (strcmp(what, "scenes") != 0)
        FAIL(ERR_ARGUMENT, "data build: '%s' is not to be built; scenes is", what);
    TRY(scenes_options_check(options));
    TRY(corpus_stage_init(stage, out, name == NULL ? what : name));
out:
    return status;
}

enum status data_build_command(struct command_call *call)
{
    enum status status = OK;
    static const char command[] = "data build";
    struct scenes_options scenes = scenes_options_default();
    struct build_options build = {.shard_items = 4096};
    int64_t count = 0;
    int64_t seed = (int64_t)scenes.seed;
    int64_t quality = scenes.quality;
    int64_t n_threads = 0;
    const char *what = NULL;
    const char *out = NULL;
    const char *name = NULL;
    const struct option_row rows[] = {
        {"WHAT", NULL, OPTION_TEXT, true, 0, 0, &what, "scenes: drawn pictures, all of them known"},
        {"--count", "N", OPTION_INTEGER, true, 1, 1e12, &count, "pictures"},
        OUT_ROW(out),
        {"--seed", "S", OPTION_INTEGER, false, 0, 1e15, &seed, "of all draws"},
        {"--first", "N", OPTION_INTEGER, false, 0, 1e15, &scenes.first,
         "number of the first picture: a held-out corpus begins elsewhere"},
        {"--size", "PIXELS", OPTION_INTEGER, false, 64, 1024, &scenes.size, "a side of a picture"},
        {"--min-things", "N", OPTION_INTEGER, false, 2, SCENES_MAX_THINGS, &scenes.min_things,
         "fewest things in a picture"},
        {"--max-things", "N", OPTION_INTEGER, false, 2, SCENES_MAX_THINGS, &scenes.max_things,
         "most things in a picture"},
        {"--quality", "N", OPTION_INTEGER, false, 1, 100, &quality, "of the JPEG"},
        {"--name", "NAME", OPTION_TEXT, false, 0, 0, &name,
         "of the corpus and its files; default: scenes"},
        {"--shard-records", "N", OPTION_INTEGER, false, 1, 1e6, &build.shard_items,
         "records in a shard"},
        THREADS_ROW(n_threads),
    };
    struct comm *comm = NULL;
    struct corpus_stage stage = {0};
    bool help;
    TRY(start(&comm, rows, N_ROWS(rows), command, call, &help));
    if (help) goto out;
    scenes.seed = (uint64_t)seed;
    scenes.quality = (int)quality;
    TRY(comm_agree(comm, scenes_prepare(&stage, what, out, name, &scenes)));
    const struct record_source source = {count, &scenes, scenes_make, NULL};
    build.n_threads = threads_of(comm, n_threads);
    TRY(build_and_report(call, comm, &source, &stage, &build));
out:
    corpus_stage_release(&stage);
    comm_destroy(comm);
    return status;
}

struct inspect_options {
    const char *directory, *page;
    int64_t record; /* -1: all */
    int64_t count;  /* on the page */
};

static enum status inspect(const struct inspect_options *options)
{
    enum status status = OK;
    struct corpus *corpus = NULL;
    struct record record = {0};
    struct text_buffer text = {0};
    TRY(corpus_open(&corpus, options->directory));
    if (options->page != NULL) {
        const int64_t first = options->record < 0 ? 0 : options->record;
        TRY(corpus_html(&text, corpus, first, options->count));
        TRY(file_write_atomic(options->page, text.text, text.length));
        log_info("wrote %s", options->page);
        goto out;
    }
    if (options->record >= 0) {
        TRY(corpus_read(corpus, options->record, &record));
        record_describe(&text, &record);
    } else {
        TRY(corpus_summarise(&text, corpus));
    }
    TRY(print(text_of(&text)));
out:
    text_release(&text);
    record_release(&record);
    corpus_close(corpus);
    return status;
}

enum status data_inspect_command(struct command_call *call)
{
    enum status status = OK;
    static const char command[] = "data inspect";
    struct comm *comm = NULL;
    struct inspect_options options = {.record = -1, .count = 20};
    const struct option_row rows[] = {
        {"DIR", NULL, OPTION_TEXT, true, 0, 0, &options.directory, "the corpus"},
        {"--record", "N", OPTION_INTEGER, false, 0, 1e15, &options.record,
         "one record, counted from 0; default: a summary of all"},
        {"--html", "FILE", OPTION_TEXT, false, 0, 0, &options.page,
         "write a page of pictures, graphs and texts instead, from --record on"},
        {"--count", "N", OPTION_INTEGER, false, 1, 1e4, &options.count, "records on the page"},
    };
    bool help;
    TRY(start(&comm, rows, N_ROWS(rows), command, call, &help));
    if (help) goto out;
    TRY(comm_agree(comm, comm_rank(comm) == 0 ? inspect(&options) : OK));
out:
    comm_destroy(comm);
    return status;
}

/* Rank 0 prints what all ranks found. */
static enum status report_verify(struct comm *comm, const struct verify_result *result,
                                 const char *directory)
{
    enum status status = OK;
    char **lines = NULL;
    int64_t counts[2] = {result->n_records, result->n_damaged};
    const size_t n_ranks = (size_t)comm_size(comm);
    TRY(comm_gather_strings(comm, &lines, text_of(&result->lines)));
    TRY(comm_sum_int64(comm, counts, 2));
    for (size_t rank = 0; lines != NULL && rank < n_ranks; rank++) TRY(print(lines[rank]));
    if (counts[1] > 0 && comm_rank(comm) == 0)
        FAIL(ERR_FORMAT, "%s: %" PRId64 " damaged of %" PRId64 " records looked at; listed above",
             directory, counts[1], counts[0]);
    log_info("%s: %" PRId64 " records, all whole", directory, counts[0]);
out:
    if (lines != NULL) names_free(lines, n_ranks);
    return status;
}

enum status data_verify_command(struct command_call *call)
{
    enum status status = OK;
    static const char command[] = "data verify";
    struct comm *comm = NULL;
    struct verify_result result = {0};
    const char *directory = NULL;
    const struct option_row rows[] = {
        {"DIR", NULL, OPTION_TEXT, true, 0, 0, &directory, "the corpus"},
    };
    bool help;
    TRY(start(&comm, rows, N_ROWS(rows), command, call, &help));
    if (help) goto out;
    TRY(comm_agree(comm, corpus_verify(&result, directory, comm_rank(comm), comm_size(comm))));
    call->started = true;
    TRY(comm_agree(comm, report_verify(comm, &result, directory)));
out:
    text_release(&result.lines);
    comm_destroy(comm);
    return status;
}
