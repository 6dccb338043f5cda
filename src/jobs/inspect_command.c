/* robin-dist data inspect: a corpus for people, or samples as a run learns from them. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "base/text_buffer.h"
#include "corpus/corpus_html.h"
#include "corpus/corpus_inspect.h"
#include "jobs/data_commands.h"
#include "jobs/data_parts.h"
#include "jobs/mixture_command.h"
#include "train/mixture_page.h"
#include "train/run_setup.h"

struct inspect_call {
    const char *path, *page;
    int64_t record; /* -1: all; on a page the first */
    int64_t count;  /* on the page */
    int64_t draw;   /* the seed of records drawn at random; -1: consecutive ones */
    struct option_texts set;
};

static enum status write_page(const struct text_buffer *page, const char *path)
{
    enum status status = OK;
    TRY(file_write_atomic(path, page->text, page->length));
    log_info("wrote %s", path);
out:
    return status;
}

/* ---- a corpus ---- */

static enum status corpus_page(const struct corpus *corpus, const struct inspect_call *call)
{
    enum status status = OK;
    const int64_t size = corpus_size(corpus), first = call->record < 0 ? 0 : call->record;
    const struct random_stream draws =
        random_stream(call->draw < 0 ? 0 : (uint64_t)call->draw, "data inspect");
    struct text_buffer page = {0};
    int64_t *numbers = NULL, n = 0;
    if (first >= size)
        FAIL(ERR_ARGUMENT, "corpus %s has no record %" PRId64 "; it has %" PRId64,
             corpus_name(corpus), first, size);
    numbers = memory_new((size_t)call->count, sizeof *numbers);
    for (; n < call->count && first + n < size; n++)
        numbers[n] = call->draw < 0 ? first + n
                                    : first + (int64_t)random_permute(draws, (uint64_t)n,
                                                                      (uint64_t)(size - first));
    TRY(corpus_html(&page, corpus, numbers, n));
    TRY(write_page(&page, call->page));
out:
    free(numbers);
    text_release(&page);
    return status;
}

static enum status inspect_corpus(const struct inspect_call *call)
{
    enum status status = OK;
    struct corpus *corpus = NULL;
    struct record record = {0};
    struct text_buffer text = {0};
    TRY(corpus_open(&corpus, call->path));
    if (call->page != NULL) {
        TRY(corpus_page(corpus, call));
        goto out;
    }
    if (call->record >= 0) {
        TRY(corpus_read(corpus, call->record, &record));
        record_describe(&text, &record);
    } else {
        TRY(corpus_summarise(&text, corpus));
    }
    TRY(data_print(text_of(&text)));
out:
    text_release(&text);
    record_release(&record);
    corpus_close(corpus);
    return status;
}

/* ---- samples ---- */

static enum status inspect_samples(const struct inspect_call *call)
{
    enum status status = OK;
    struct run_config config = {0};
    struct mixture mixture = {0};
    struct run_model model = {0};
    struct sample_rows_options rows;
    struct text_buffer page = {0};
    if (call->page == NULL || call->draw >= 0)
        FAIL(ERR_ARGUMENT,
             "data inspect %s: samples are shown on a page, in the order of training: use --html "
             "FILE, without --draw",
             call->path);
    TRY(mixture_load(&config, call->path, &call->set));
    TRY(run_model_size(&model, &config, true));
    TRY(mixture_open(&mixture, &config));
    TRY(run_rows_options(&rows, &config, &model, mixture.tokenizer));
    TRY(mixture_page(&page, &mixture, &rows, call->record < 0 ? 0 : call->record, call->count));
    TRY(write_page(&page, call->page));
out:
    text_release(&page);
    mixture_release(&mixture);
    run_model_release(&model);
    run_config_release(&config);
    return status;
}

static enum status inspect(const struct inspect_call *call)
{
    const char *end = strrchr(call->path, '.');
    const bool is_configuration = end != NULL && strcmp(end, ".yaml") == 0;
    return is_configuration ? inspect_samples(call) : inspect_corpus(call);
}

enum status data_inspect_command(struct command_call *call)
{
    enum status status = OK;
    struct comm *comm = NULL;
    struct inspect_call own = {.record = -1, .count = 20, .draw = -1};
    const struct option_row rows[] = {
        {"WHAT", NULL, OPTION_TEXT, true, 0, 0, &own.path,
         "a corpus; or FILE.yaml, a configuration or mixture: samples as they are trained on, with "
         "the "
         "ids of all tokens, the learnt ones marked"},
        {"--record", "N", OPTION_INTEGER, false, 0, 1e15, &own.record,
         "one record, counted from 0; default: a summary of all"},
        {"--html", "FILE", OPTION_TEXT, false, 0, 0, &own.page,
         "write a page of pictures, graphs and texts instead, from --record on"},
        {"--count", "N", OPTION_INTEGER, false, 1, 1e4, &own.count, "records on the page"},
        {"--draw", "SEED", OPTION_INTEGER, false, 0, 1e15, &own.draw,
         "records of the page drawn at random; default: consecutive ones"},
        {"--set", "KEY=VALUE", OPTION_TEXTS, false, 0, 0, &own.set,
         "a key of the configuration, such as tokenizer=DIR"},
    };
    const struct data_usage usage = {"data inspect", rows, N_ROWS(rows), NULL};
    bool help;
    TRY(data_start(&comm, &usage, call, &help));
    if (help) goto out;
    TRY(comm_agree(comm, comm_rank(comm) == 0 ? inspect(&own) : OK));
out:
    free(own.set.values);
    comm_end(comm, status);
    return status;
}
