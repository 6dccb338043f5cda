/* See journal.h. */
#include "sgedit/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assertion.h"
#include "base/file.h"
#include "base/text_buffer.h"
#include "sgedit/journal_file.h"

#define BUFFER_BYTES ((size_t)1 << 20)

struct journal {
    struct journal_options options;
    char *directory;
    int64_t n_files; /* that there are, own ones among them */
    int *fds;        /* [n_files] to read */
    int64_t own;     /* file that this rank appends to */
    int64_t end;     /* of it, with what is in the buffer */
    unsigned char *buffer;
    size_t buffered;
    int64_t n_unsynced;
    journal_place *last; /* [n_items] */
    uint8_t *is_final;   /* [n_items] */
    journal_place *batches;
    int64_t n_batches;
    struct journal_totals totals;
};

void journal_frame_release(struct journal_frame *frame)
{
    free(frame->owned);
    *frame = (struct journal_frame){0};
}

static char *path_of(const struct journal *journal, int64_t file)
{
    return text_format("%s/%04" PRId64 ".journal", journal->directory, file);
}

/* ---- what is there ---- */

static void add_batch(struct journal *journal, journal_place place)
{
    journal->batches =
        memory_resize(journal->batches, (size_t)journal->n_batches + 1, sizeof *journal->batches);
    journal->batches[journal->n_batches++] = place;
}

struct reading { /* of one file */
    struct journal *journal;
    int64_t file;
    const char *path;
};

static enum status take_frame(void *context, int64_t offset, const struct journal_frame *frame)
{
    enum status status = OK;
    struct reading *reading = context;
    struct journal *journal = reading->journal;
    struct journal_totals *totals = &journal->totals;
    totals->n_tokens += frame->tokens;
    totals->cost_nano += frame->cost_nano;
    totals->n_calls += frame->kind == JOURNAL_REPLY;
    totals->n_open += (frame->kind == JOURNAL_INTENT) - (frame->kind == JOURNAL_REPLY);
    const int64_t steps =
        journal_place_steps(frame->previous) + 1; /* how many frames of the item this one makes */
    if (frame->kind == JOURNAL_BATCH) {
        add_batch(journal, journal_place_of(1, reading->file, offset));
        return OK;
    }
    if (frame->item < 0 || frame->item >= journal->options.n_items || steps > JOURNAL_MAX_STEPS)
        FAIL(ERR_FORMAT,
             "%s: the frame at byte %" PRId64 " is of item %" PRId64 ", and there are %" PRId64,
             reading->path, offset, frame->item, journal->options.n_items);
    const journal_place place = journal_place_of(steps, reading->file, offset);
    if (place > journal->last[frame->item]) journal->last[frame->item] = place;
    if (frame->kind == JOURNAL_FINAL) journal->is_final[frame->item] = 1;
out:
    return status;
}

/* A file that was created and never got its header is one without frames. */
static enum status read_mapped(struct journal *journal, int64_t file, const unsigned char *bytes,
                               size_t size)
{
    enum status status = OK;
    char *path = path_of(journal, file);
    struct reading reading = {journal, file, path};
    struct journal_walk walk = {.take = take_frame, .context = &reading};
    TRY(journal_header_check(bytes, journal->options.identity, journal->options.n_items, path));
    TRY(journal_file_walk(&walk, bytes, size, path));
    journal->totals.n_frames += walk.n_frames;
    journal->totals.n_damaged += walk.n_damaged;
    journal->totals.n_bytes += walk.end;
    if (walk.end < (int64_t)size) {
        journal->totals.cut_bytes += (int64_t)size - walk.end;
        if (ftruncate(journal->fds[file], walk.end) != 0)
            FAIL(ERR_IO, "cannot cut the unfinished end of %s: %s", path, strerror(errno));
    }
out:
    free(path);
    return status;
}

static enum status read_file(struct journal *journal, int64_t file)
{
    enum status status = OK;
    struct stat info;
    void *bytes = MAP_FAILED;
    char *path = path_of(journal, file);
    if (fstat(journal->fds[file], &info) != 0)
        FAIL(ERR_IO, "cannot look at %s: %s", path, strerror(errno));
    if (info.st_size < JOURNAL_HEADER_BYTES) goto out;
    bytes = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_SHARED, journal->fds[file], 0);
    if (bytes == MAP_FAILED) FAIL(ERR_IO, "cannot map %s: %s", path, strerror(errno));
    madvise(bytes, (size_t)info.st_size, MADV_SEQUENTIAL);
    TRY(read_mapped(journal, file, bytes, (size_t)info.st_size));
out:
    if (bytes != MAP_FAILED) munmap(bytes, (size_t)info.st_size);
    free(path);
    return status;
}

static enum status open_file(struct journal *journal, int64_t file)
{
    enum status status = OK;
    char *path = path_of(journal, file);
    journal->fds[file] = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (journal->fds[file] < 0) FAIL(ERR_IO, "cannot open %s: %s", path, strerror(errno));
out:
    free(path);
    return status;
}

/* The files of this rank's share: opened, locked against another run, read. */
static enum status read_share(struct journal *journal, int rank, int size)
{
    enum status status = OK;
    for (int64_t file = 0; file < journal->n_files; file++) {
        TRY(open_file(journal, file));
        if (file % size != rank) continue;
        if (flock(journal->fds[file], LOCK_EX | LOCK_NB) != 0)
            FAIL(ERR_ARGUMENT, "another run is at work in %s; wait for its end",
                 journal->directory);
        TRY(read_file(journal, file));
    }
out:
    return status;
}

/* Whether "0007.journal" is a file of ours, and its number. */
static bool file_number(const char *name, int64_t *number_out)
{
    const size_t digits = strspn(name, "0123456789");
    if (digits != 4 || strcmp(name + 4, ".journal") != 0) return false;
    *number_out = strtoll(name, NULL, 10);
    return *number_out <= JOURNAL_MAX_FILES;
}

/* Rank 0's view counts: one more than the largest number, and at least one a rank. */
static enum status count_files(int64_t *n_out, struct journal *journal, int size)
{
    enum status status = OK;
    char **names = NULL;
    size_t n = 0;
    *n_out = size;
    TRY(directory_create(journal->directory));
    TRY(directory_list(&names, &n, journal->directory));
    for (size_t i = 0; i < n; i++) {
        int64_t number;
        if (file_number(names[i], &number) && number >= *n_out) *n_out = number + 1;
    }
out:
    names_free(names, n);
    return status;
}

/* ---- what all know ---- */

static enum status share_batches(struct journal *journal, struct comm *comm)
{
    enum status status = OK;
    const int size = comm_size(comm), rank = comm_rank(comm);
    int64_t *counts = memory_new((size_t)size, sizeof *counts), *all = NULL, total = 0, first = 0;
    counts[rank] = journal->n_batches;
    TRY(comm_sum_int64(comm, counts, size));
    for (int i = 0; i < size; i++) {
        if (i < rank) first += counts[i];
        total += counts[i];
    }
    all = memory_new((size_t)total + 1, sizeof *all);
    for (int64_t i = 0; i < journal->n_batches; i++) all[first + i] = journal->batches[i];
    TRY(comm_sum_int64(comm, all, total));
    free(journal->batches);
    journal->batches = all;
    journal->n_batches = total;
    all = NULL;
out:
    free(all);
    free(counts);
    return status;
}

enum status journal_gather(struct journal *journal, struct comm *comm)
{
    enum status status = OK;
    const int64_t n = journal->options.n_items;
    int64_t *finals = memory_new((size_t)n + 1, sizeof *finals);
    for (int64_t i = 0; i < n; i++) finals[i] = journal->is_final[i];
    TRY(comm_max_int64(comm, journal->last, n));
    TRY(comm_max_int64(comm, finals, n));
    for (int64_t i = 0; i < n; i++) journal->is_final[i] = finals[i] != 0;
out:
    free(finals);
    return status;
}

static enum status share_totals(struct journal *journal, struct comm *comm)
{
    enum status status = OK;
    struct journal_totals *totals = &journal->totals;
    TRY(journal_gather(journal, comm));
    TRY(share_batches(journal, comm));
    TRY(comm_sum_int64(comm, (int64_t *)totals, sizeof *totals / sizeof(int64_t)));
    totals->n_final = 0;
    for (int64_t i = 0; i < journal->options.n_items; i++) totals->n_final += journal->is_final[i];
out:
    return status;
}

/* ---- this rank's file ---- */

static enum status write_all(struct journal *journal, const void *bytes, size_t size)
{
    enum status status = OK;
    char *path = path_of(journal, journal->own);
    while (size > 0) {
        const ssize_t written = write(journal->fds[journal->own], bytes, size);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) FAIL(ERR_IO, "cannot append to %s: %s", path, strerror(errno));
        bytes = (const char *)bytes + written;
        size -= (size_t)written;
    }
out:
    free(path);
    return status;
}

static enum status begin_own(struct journal *journal, int rank)
{
    enum status status = OK;
    struct stat info;
    unsigned char header[JOURNAL_HEADER_BYTES];
    char *path = path_of(journal, rank);
    journal->own = rank;
    journal->buffer = malloc(BUFFER_BYTES);
    if (journal->buffer == NULL) FAIL(ERR_MEMORY, "no memory for the journal");
    if (fstat(journal->fds[rank], &info) != 0)
        FAIL(ERR_IO, "cannot look at %s: %s", path, strerror(errno));
    journal->end = info.st_size;
    if (info.st_size < JOURNAL_HEADER_BYTES) {
        journal_header_encode(header, journal->options.identity, journal->options.n_items);
        TRY(file_pwrite(journal->fds[rank], header, sizeof header, 0, path));
        journal->end = JOURNAL_HEADER_BYTES;
    }
    if (lseek(journal->fds[rank], journal->end, SEEK_SET) < 0)
        FAIL(ERR_IO, "cannot append to %s: %s", path, strerror(errno));
    journal->n_unsynced = 1;
    TRY(journal_sync(journal));
    TRY(directory_sync(journal->directory));
out:
    free(path);
    return status;
}

enum status journal_open(struct journal **journal_out, struct comm *comm,
                         const struct journal_options *options)
{
    enum status status = OK;
    struct journal *journal = memory_new(1, sizeof *journal);
    journal->options = *options;
    journal->directory = text_copy(options->directory);
    journal->last = memory_new((size_t)options->n_items + 1, sizeof *journal->last);
    journal->is_final = memory_new((size_t)options->n_items + 1, 1);
    if (comm_rank(comm) == 0) status = count_files(&journal->n_files, journal, comm_size(comm));
    TRY(comm_agree(comm, status));
    TRY(comm_broadcast(comm, &journal->n_files, sizeof journal->n_files, 0));
    if (journal->n_files > JOURNAL_MAX_FILES + 1)
        FAIL(ERR_LIMIT, "a journal has at most %d files, one a rank", JOURNAL_MAX_FILES + 1);
    journal->fds = memory_new((size_t)journal->n_files, sizeof *journal->fds);
    for (int64_t i = 0; i < journal->n_files; i++) journal->fds[i] = -1;
    TRY(comm_agree(comm, read_share(journal, comm_rank(comm), comm_size(comm))));
    TRY(share_totals(journal, comm));
    TRY(comm_agree(comm, begin_own(journal, comm_rank(comm))));
    *journal_out = journal;
    journal = NULL;
out:
    journal_close(journal);
    return status;
}

static enum status flush(struct journal *journal)
{
    enum status status = OK;
    if (journal->buffered > 0) TRY(write_all(journal, journal->buffer, journal->buffered));
    journal->buffered = 0;
out:
    return status;
}

void journal_close(struct journal *journal)
{
    if (journal == NULL) return;
    if (journal->buffer != NULL) (void)flush(journal);
    for (int64_t i = 0; journal->fds != NULL && i < journal->n_files; i++)
        if (journal->fds[i] >= 0) close(journal->fds[i]);
    free(journal->fds);
    free(journal->buffer);
    free(journal->last);
    free(journal->is_final);
    free(journal->batches);
    free(journal->directory);
    free(journal);
}

const struct journal_totals *journal_totals(const struct journal *journal)
{
    return &journal->totals;
}

journal_place journal_last(const struct journal *journal, int64_t item)
{
    return journal->last[item];
}

int journal_is_final(const struct journal *journal, int64_t item)
{
    return journal->is_final[item];
}

int64_t journal_n_batches(const struct journal *journal)
{
    return journal->n_batches;
}

journal_place journal_batch(const struct journal *journal, int64_t index)
{
    return journal->batches[index];
}

static enum status put(struct journal *journal, const void *bytes, size_t size)
{
    enum status status = OK;
    if (size > BUFFER_BYTES - journal->buffered) TRY(flush(journal));
    if (size > BUFFER_BYTES) {
        TRY(write_all(journal, bytes, size));
    } else if (size > 0) {
        memcpy(journal->buffer + journal->buffered, bytes, size);
        journal->buffered += size;
    }
    journal->end += (int64_t)size;
out:
    return status;
}

enum status journal_append(struct journal *journal, const struct journal_frame *given)
{
    enum status status = OK;
    unsigned char header[JOURNAL_FRAME_BYTES];
    struct journal_frame frame = *given;
    const bool of_item = frame.kind != JOURNAL_BATCH;
    frame.previous = of_item ? journal->last[frame.item] : 0;
    const int64_t steps = journal_place_steps(frame.previous) + 1;
    if (frame.size > JOURNAL_MAX_PAYLOAD || steps > JOURNAL_MAX_STEPS ||
        journal->end + JOURNAL_FRAME_BYTES + frame.size >= JOURNAL_MAX_OFFSET)
        FAIL(ERR_LIMIT,
             "item %" PRId64 ": a journal holds frames of 256 MiB, %d of an item and 1 TiB a rank",
             frame.item, JOURNAL_MAX_STEPS);
    const journal_place place = journal_place_of(steps, journal->own, journal->end);
    journal_frame_encode(header, &frame);
    TRY(put(journal, header, sizeof header));
    TRY(put(journal, frame.payload, frame.size));
    journal->n_unsynced++;
    if (of_item) {
        journal->last[frame.item] = place;
        if (frame.kind == JOURNAL_FINAL) journal->is_final[frame.item] = 1;
    } else {
        add_batch(journal, place);
    }
out:
    return status;
}

enum status journal_sync(struct journal *journal)
{
    enum status status = OK;
    if (journal->n_unsynced == 0) return OK;
    TRY(flush(journal));
    if (fdatasync(journal->fds[journal->own]) != 0)
        FAIL(ERR_IO, "cannot write %s to the disk: %s", journal->directory, strerror(errno));
    journal->n_unsynced = 0;
out:
    return status;
}

enum status journal_read(const struct journal *journal, journal_place place,
                         struct journal_frame *frame_out)
{
    enum status status = OK;
    unsigned char header[JOURNAL_FRAME_BYTES];
    const int64_t file = journal_place_file(place), offset = journal_place_offset(place);
    char *path = path_of(journal, file);
    unsigned char *payload = NULL;
    if (file >= journal->n_files) FAIL(ERR_FORMAT, "%s is not there", path);
    TRY(file_pread(journal->fds[file], header, sizeof header, (uint64_t)offset, path));
    if (!journal_frame_decode(frame_out, header))
        FAIL(ERR_FORMAT, "%s: no frame begins at byte %" PRId64, path, offset);
    payload = malloc((size_t)frame_out->size + 1);
    if (payload == NULL) FAIL(ERR_MEMORY, "no memory for a frame of %u bytes", frame_out->size);
    TRY(file_pread(journal->fds[file], payload, frame_out->size,
                   (uint64_t)offset + JOURNAL_FRAME_BYTES, path));
    if (!journal_frame_holds(header, payload, frame_out->size))
        FAIL(ERR_FORMAT, "%s: the frame at byte %" PRId64 " is damaged", path, offset);
    payload[frame_out->size] = '\0';
    frame_out->payload = payload;
    frame_out->owned = payload;
    payload = NULL;
out:
    free(payload);
    free(path);
    return status;
}
