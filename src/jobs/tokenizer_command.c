/* See tokenizer_command.h. */
#include "jobs/tokenizer_command.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/text_buffer.h"
#include "comm/comm.h"
#include "corpus/corpus_text.h"
#include "corpus/shard.h"
#include "jobs/options.h"
#include "text/tokenizer_train.h"

#define MAX_TASKS 32

struct request {
    const char *corpus, *out;
    int64_t vocabulary, n_records;
    struct option_texts tasks;
};

static enum status refuse_task(const char *name)
{
    struct text_buffer known = {0};
    int64_t n;
    const struct task *const *all = task_list(&n);
    for (int64_t i = 0; i < n; i++) text_printf(&known, "%s%s", i ? ", " : "", all[i]->name);
    enum status status = status_fail(
        ERR_ARGUMENT, "data tokenizer: there is no task '%s'; there are %s", name, known.text);
    text_release(&known);
    return status;
}

static enum status find_tasks(const struct task **tasks, int64_t *n_out,
                              const struct option_texts *names)
{
    enum status status = OK;
    if (names->n > MAX_TASKS)
        FAIL(ERR_ARGUMENT, "data tokenizer: %" PRId64 " tasks; at most %d", names->n, MAX_TASKS);
    for (int64_t i = 0; i < names->n; i++) {
        tasks[i] = task_find(names->values[i]);
        if (!tasks[i]) TRY(refuse_task(names->values[i]));
    }
    *n_out = names->n;
out:
    return status;
}

static enum status train(const struct request *request)
{
    enum status status = OK;
    struct corpus *corpus = NULL;
    struct text_buffer text = {0};
    const struct task *tasks[MAX_TASKS];
    int64_t n_tasks = 0;
    TRY(find_tasks(tasks, &n_tasks, &request->tasks));
    TRY(corpus_open(&corpus, request->corpus));
    TRY(corpus_text(&text, corpus, request->n_records, tasks, n_tasks));
    TRY(tokenizer_train(request->out, text_of(&text), text.length, request->vocabulary));
    log_info("wrote %s: %" PRId64 " ids learnt from %zu bytes of text", request->out,
             request->vocabulary, text.length);
out:
    corpus_close(corpus);
    text_release(&text);
    return status;
}

enum status data_tokenizer_command(struct command_call *call)
{
    enum status status = OK;
    static const char command[] = "data tokenizer";
    struct comm *comm = NULL;
    struct request request = {.vocabulary = 512, .n_records = 1000};
    const struct option_row rows[] = {
        {"CORPUS", NULL, OPTION_TEXT, true, 0, 0, &request.corpus, "where the sentences come from"},
        {"--out", "DIR", OPTION_TEXT, true, 0, 0, &request.out, "where the files go"},
        {"--task", "NAME", OPTION_TEXTS, true, 0, 0, &request.tasks,
         "a task whose sentences count; may be given several times"},
        {"--vocabulary", "N", OPTION_INTEGER, false, 263, 65536, &request.vocabulary,
         "ids in all, special tokens included; default 512"},
        {"--records", "N", OPTION_INTEGER, false, 1, 1e9, &request.n_records,
         "how many records are read; default 1000"},
    };
    const size_t n_rows = sizeof rows / sizeof rows[0];
    bool help;
    TRY(options_read(rows, n_rows, command, call, &help));
    if (help) goto out;
    TRY(comm_create(&comm, NULL));
    TRY(comm_agree(comm, comm_rank(comm) == 0 ? train(&request) : OK));
out:
    free(request.tasks.values);
    comm_end(comm, status);
    return status;
}
