/* A run's state from checkpoints. */
#include "train/run_state.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text_buffer.h"
#include "checkpoint/checkpoint_names.h"
#include "train/state_pieces.h"

#define MAX_PATH_BYTES 4096

/* ---- weights that are numbers ---- */

static enum status check_weights(const struct train_parts *parts, const char *where)
{
    enum status status = OK;
    if (parts->exchange != NULL) TRY(exchange_settle(parts->exchange));
    const struct parameter_table *table = model_parameters(parts->model);
    for (int64_t i = 0; i < table->n_parameters; i++) {
        const struct parameter *parameter = &table->parameters[i];
        const float *values = model_weights(parts->model) + parameter->offset;
        bool finite = true; /* a loop without a way out is a fast one */
        for (int64_t e = 0; e < parameter->n_elements; e++) finite &= isfinite(values[e]) != 0;
        for (int64_t e = 0; !finite && e < parameter->n_elements; e++)
            if (!isfinite(values[e]))
                FAIL(ERR_FORMAT, "%s: %s[%" PRId64 "] is %g; take weights that are all finite",
                     where, parameter->name, e, (double)values[e]);
    }
out:
    return status;
}

enum status run_state_check_weights(const struct train_parts *parts, const char *where)
{
    return comm_agree(parts->comm, check_weights(parts, where));
}

enum status run_state_weights_finite(const struct train_parts *parts, bool *finite_out)
{
    enum status status = OK;
    int64_t n_bad = check_weights(parts, "") != OK;
    status_clear();
    TRY(comm_max_int64(parts->comm, &n_bad, 1));
    *finite_out = n_bad == 0;
out:
    return status;
}

/* ---- what is wanted ---- */

struct choice {
    const struct train_parts *parts;
    const struct run_start *start; /* NULL: everything, to go on */
    char **paths;                  /* rank 0: newest first */
    size_t n;
    bool alone; /* the one that was named: its damage is the error */
    const char *where;
    struct run_checkpoint *taken; /* NULL: none */
};

/* The tensor of that part of a parameter, which must be there in its shape. */
static enum status find_tensor(int64_t *index_out, const struct run_checkpoint *checkpoint,
                               const struct parameter *parameter, enum checkpoint_part part)
{
    enum status status = OK;
    const char *path = run_checkpoint_path(checkpoint);
    const int64_t index = run_checkpoint_find(checkpoint, part, parameter->name);
    if (index < 0)
        FAIL(ERR_FORMAT, "%s has no %s of %s; it is of another model", path,
             checkpoint_part_names[part], parameter->name);
    const struct checkpoint_tensor *tensor = run_checkpoint_tensor(checkpoint, index);
    bool same = tensor->n_dims == parameter->n_dims;
    for (int d = 0; same && d < tensor->n_dims; d++) same = tensor->dims[d] == parameter->dims[d];
    if (!same)
        FAIL(ERR_SHAPE,
             "%s: %s has another shape than in this model; give the sizes it was made "
             "with",
             path, parameter->name);
    *index_out = index;
out:
    return status;
}

static bool has_part(const struct run_checkpoint *checkpoint, enum checkpoint_part part)
{
    for (int64_t i = 0; i < run_checkpoint_size(checkpoint); i++)
        if (run_checkpoint_tensor(checkpoint, i)->part == part) return true;
    return false;
}

static enum status request_part(struct state_requests *requests, const struct train_parts *parts,
                                const struct run_checkpoint *checkpoint, enum checkpoint_part part)
{
    enum status status = OK;
    const struct optimizer_span *spans = NULL;
    const int64_t n = optimizer_spans(parts->optimizer, &spans);
    int64_t tensor = -1;
    for (int64_t i = 0; i < n; i++) {
        TRY(find_tensor(&tensor, checkpoint, spans[i].parameter, part));
        state_request_values(requests, parts, &spans[i], state_of_part[part], tensor);
    }
out:
    return status;
}

/* To go on: everything; a mean that the checkpoint lacks begins anew. */
static enum status request_all(struct state_requests *requests, const struct train_parts *parts,
                               const struct run_checkpoint *checkpoint)
{
    enum status status = OK;
    const struct parameter_table *table = model_parameters(parts->model);
    int64_t tensor = -1;
    for (int64_t i = 0; i < table->n_parameters; i++) {
        TRY(find_tensor(&tensor, checkpoint, &table->parameters[i], CHECKPOINT_WEIGHT));
        state_request_weight(requests, parts, &table->parameters[i], tensor);
    }
    TRY(request_part(requests, parts, checkpoint, CHECKPOINT_FIRST_MOMENT));
    TRY(request_part(requests, parts, checkpoint, CHECKPOINT_SECOND_MOMENT));
    if (optimizer_keeps(parts->optimizer, OPTIMIZER_MEAN_WEIGHT) &&
        has_part(checkpoint, CHECKPOINT_MEAN_WEIGHT))
        TRY(request_part(requests, parts, checkpoint, CHECKPOINT_MEAN_WEIGHT));
out:
    return status;
}

static enum status request_module(struct state_requests *requests, const struct choice *choice,
                                  const struct run_checkpoint *checkpoint, enum module module)
{
    enum status status = OK;
    const struct parameter_table *table = model_parameters(choice->parts->model);
    const char *path = run_checkpoint_path(checkpoint);
    int64_t n_taken = 0, n_missing = 0, tensor = -1;
    for (int64_t i = 0; i < table->n_parameters; i++) {
        const struct parameter *parameter = &table->parameters[i];
        if (parameter->module != module) continue;
        const bool missing =
            run_checkpoint_find(checkpoint, CHECKPOINT_WEIGHT, parameter->name) < 0;
        n_missing += missing;
        if (missing && !choice->start->missing_stays)
            FAIL(ERR_FORMAT, "%s has no %s of module %s; with train.init_missing=new it starts new",
                 path, parameter->name, module_names[module]);
        if (missing) continue;
        TRY(find_tensor(&tensor, checkpoint, parameter, CHECKPOINT_WEIGHT));
        state_request_weight(requests, choice->parts, parameter, tensor);
        choice->start->taken[i] = true;
        n_taken++;
    }
    log_info("%s: %" PRId64 " tensors from %s, %" PRId64 " new", module_names[module], n_taken,
             path, n_missing);
out:
    return status;
}

static enum status request(struct state_requests *requests, const struct choice *choice,
                           const struct run_checkpoint *checkpoint)
{
    enum status status = OK;
    if (choice->start == NULL) return request_all(requests, choice->parts, checkpoint);
    memset(choice->start->taken, 0,
           (size_t)model_parameters(choice->parts->model)->n_parameters * sizeof(bool));
    for (int module = 0; module < N_MODULES; module++)
        if (choice->start->modules[module])
            TRY(request_module(requests, choice, checkpoint, (enum module)module));
out:
    return status;
}

/* ---- the newest whole one ---- */

/* Rank 0: why a checkpoint is not taken, each reason once. */
static void print_reasons(char *const *reasons, const struct comm *comm)
{
    const int size = comm_size(comm);
    for (int rank = 0; rank < size; rank++) {
        bool said = reasons[rank][0] == '\0';
        for (int before = 0; !said && before < rank; before++)
            said = strcmp(reasons[before], reasons[rank]) == 0;
        if (said) continue;
        char *who = rank > 0 ? text_format("rank %d of %d: ", rank, size) : text_copy("");
        log_warn("%s%s; this checkpoint is passed over", who, reasons[rank]);
        free(who);
    }
}

/* Collective. A rank's failure to read: *passed_out, with a warning; an error where there is no
 * other to take, or where it is of a newer program, whose work must not be lost. */
static enum status pass_over(const struct choice *choice, enum status own, bool *passed_out)
{
    enum status status = OK;
    struct comm *comm = choice->parts->comm;
    char **reasons = NULL;
    int64_t found[2] = {own != OK, own == ERR_UNSUPPORTED || own == ERR_MEMORY};
    TRY(comm_max_int64(comm, found, 2));
    *passed_out = found[0] > 0;
    if (found[0] == 0) goto out;
    if (found[1] > 0 || choice->alone) TRY(comm_agree(comm, own));
    TRY(comm_gather_strings(comm, &reasons, own == OK ? "" : status_message()));
    if (reasons != NULL) print_reasons(reasons, comm);
    status_clear();
out:
    names_free(reasons, reasons == NULL ? 0 : (size_t)comm_size(comm));
    return status;
}

/* Collective. One checkpoint, on all ranks; `taken` is set if it is whole. */
static enum status try_one(struct choice *choice, const char *path)
{
    enum status status = OK;
    struct state_requests requests = {0};
    struct run_checkpoint *checkpoint = NULL;
    bool passed = false;
    status = run_checkpoint_open(&checkpoint, path);
    TRY(pass_over(choice, status, &passed));
    if (passed) goto out;
    status = request(&requests, choice, checkpoint);
    TRY(comm_agree(choice->parts->comm, status));
    status = run_checkpoint_load(checkpoint, requests.requests, requests.n);
    TRY(pass_over(choice, status, &passed));
    if (passed) goto out;
    choice->taken = checkpoint;
    checkpoint = NULL;
out:
    run_checkpoint_close(checkpoint);
    state_requests_release(&requests);
    return status;
}

/* Collective. Rank 0 knows which there are. */
static enum status take_newest(struct choice *choice)
{
    enum status status = OK;
    char path[MAX_PATH_BYTES] = "";
    int64_t numbers[2] = {(int64_t)choice->n, choice->alone};
    TRY(comm_max_int64(choice->parts->comm, numbers, 2));
    choice->alone = numbers[1] > 0;
    for (int64_t i = 0; i < numbers[0] && choice->taken == NULL; i++) {
        if (choice->paths != NULL) snprintf(path, sizeof path, "%s", choice->paths[i]);
        TRY(comm_broadcast(choice->parts->comm, path, sizeof path, 0));
        TRY(try_one(choice, path));
    }
    if (choice->taken == NULL && numbers[0] > 0)
        status = status_fail(ERR_FORMAT,
                             "%s: all %" PRId64 " checkpoints are damaged; remove the directory to "
                             "begin anew",
                             choice->where, numbers[0]);
    TRY(comm_agree(choice->parts->comm, status));
out:
    return status;
}

static void choice_release(struct choice *choice)
{
    names_free(choice->paths, choice->n);
    run_checkpoint_close(choice->taken);
}

enum status run_state_resume(const struct train_parts *parts, const char *directory,
                             struct run_progress *progress_out, bool *found_out)
{
    enum status status = OK;
    struct choice choice = {.parts = parts, .where = directory};
    if (comm_rank(parts->comm) == 0)
        status = checkpoint_paths_in(&choice.paths, &choice.n, directory);
    TRY(comm_agree(parts->comm, status));
    TRY(take_newest(&choice));
    *found_out = choice.taken != NULL;
    if (!*found_out) goto out;
    *progress_out = *run_checkpoint_progress(choice.taken);
    if (!has_part(choice.taken, CHECKPOINT_MEAN_WEIGHT))
        optimizer_begin_mean(parts->optimizer, model_weights(parts->model));
    optimizer_set_steps_done(parts->optimizer, progress_out->step - progress_out->skipped_steps);
out:
    choice_release(&choice);
    return status;
}

enum status run_state_take_weights(const struct train_parts *parts, const struct run_start *start)
{
    enum status status = OK;
    struct choice choice = {.parts = parts, .start = start, .where = start->path};
    if (comm_rank(parts->comm) == 0) {
        status = checkpoint_paths_of(&choice.paths, &choice.n, start->path);
        if (status != OK) status_add_context("train.init %s", start->path);
        choice.alone = choice.n == 1 && strcmp(choice.paths[0], start->path) == 0;
    }
    TRY(comm_agree(parts->comm, status));
    TRY(take_newest(&choice));
out:
    choice_release(&choice);
    return status;
}
