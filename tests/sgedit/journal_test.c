/* The journal: what was appended is found again from any instant of a kill, by the item, in order;
 * damage is passed over or named; another run's files are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text_buffer.h"
#include "comm/comm.h"
#include "sgedit/journal.h"

#define N_ITEMS 5

static struct comm *comm;
static char directory[] = "/tmp/journal_test.XXXXXX";
static char *folder, *file;

static enum status open_journal(struct journal **journal_out, uint64_t identity)
{
    const struct journal_options options = {folder, identity, N_ITEMS};
    return journal_open(journal_out, comm, &options);
}

static void append(struct journal *journal, enum journal_kind kind, int64_t item, const char *text)
{
    const struct journal_frame frame = {.kind = kind,
                                        .item = item,
                                        .payload = text,
                                        .size = (uint32_t)strlen(text),
                                        .tokens = 10,
                                        .cost_nano = 7};
    assert_int_equal(journal_append(journal, &frame), OK);
}

/* Item 1: draft, intent, reply, final. Item 2: intent. One batch. */
static void write_all(void)
{
    struct journal *journal = NULL;
    assert_int_equal(directory_remove(folder), OK);
    assert_int_equal(open_journal(&journal, 1), OK);
    append(journal, JOURNAL_DRAFT, 1, "a draft");
    append(journal, JOURNAL_INTENT, 1, "key");
    append(journal, JOURNAL_BATCH, -1, "a batch");
    append(journal, JOURNAL_INTENT, 2, "other key");
    append(journal, JOURNAL_REPLY, 1, "a reply");
    append(journal, JOURNAL_FINAL, 1, "the end");
    assert_int_equal(journal_sync(journal), OK);
    journal_close(journal);
}

static void read_back(void **state)
{
    (void)state;
    static const char *const wanted[] = {"the end", "a reply", "key", "a draft"};
    struct journal *journal = NULL;
    struct journal_frame frame = {0};
    write_all();
    assert_int_equal(open_journal(&journal, 1), OK);
    journal_place at = journal_last(journal, 1);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(journal_read(journal, at, &frame), OK);
        assert_string_equal(frame.payload, wanted[i]);
        assert_int_equal(frame.item, 1);
        at = frame.previous;
        journal_frame_release(&frame);
    }
    assert_int_equal(at, 0);
    const struct journal_totals *totals = journal_totals(journal);
    assert_int_equal(totals->n_final, 1);
    assert_int_equal(totals->n_calls, 1);
    assert_int_equal(totals->n_open, 1);
    assert_int_equal(totals->n_tokens, 60);
    assert_int_equal(totals->cost_nano, 42);
    assert_true(journal_is_final(journal, 1));
    assert_false(journal_is_final(journal, 2));
    assert_int_equal(journal_last(journal, 0), 0);
    assert_int_equal(journal_n_batches(journal), 1);
    assert_int_equal(journal_read(journal, journal_batch(journal, 0), &frame), OK);
    assert_string_equal(frame.payload, "a batch");
    journal_frame_release(&frame);
    journal_close(journal);
}

/* Cut at every byte: each frame that is whole counts, and what is appended after that is found. */
static void every_cut(void **state)
{
    (void)state;
    unsigned char *bytes = NULL;
    size_t size = 0;
    write_all();
    assert_int_equal(file_read(&bytes, &size, file, 1 << 20), OK);
    for (size_t cut = 0; cut < size; cut++) {
        struct journal *journal = NULL;
        struct journal_frame frame = {0};
        assert_int_equal(file_write_atomic(file, bytes, cut), OK);
        assert_int_equal(open_journal(&journal, 1), OK);
        assert_int_equal(journal_totals(journal)->n_final, 0);
        append(journal, JOURNAL_FINAL, 3, "later");
        assert_int_equal(journal_sync(journal), OK);
        journal_close(journal);
        assert_int_equal(open_journal(&journal, 1), OK);
        assert_int_equal(journal_totals(journal)->n_final, 1);
        assert_int_equal(journal_totals(journal)->cut_bytes, 0);
        assert_int_equal(journal_read(journal, journal_last(journal, 3), &frame), OK);
        assert_string_equal(frame.payload, "later");
        journal_frame_release(&frame);
        journal_close(journal);
    }
    free(bytes);
}

/* Any byte behind the header wrong: the file opens, at most what it belonged to is lost, and the
 * final frame of another item is still found. */
static void every_damage(void **state)
{
    (void)state;
    unsigned char *bytes = NULL;
    size_t size = 0;
    write_all();
    assert_int_equal(file_read(&bytes, &size, file, 1 << 20), OK);
    for (size_t at = 0; at < size; at++) {
        struct journal *journal = NULL;
        bytes[at] ^= 0x20;
        assert_int_equal(file_write_atomic(file, bytes, size), OK);
        bytes[at] ^= 0x20;
        const enum status status = open_journal(&journal, 1);
        if (at < 32) {
            assert_int_equal(status, ERR_FORMAT);
            assert_non_null(strstr(status_message(), "0000.journal"));
            continue;
        }
        assert_int_equal(status, OK);
        const struct journal_totals *totals = journal_totals(journal);
        const size_t last = size - 48 - strlen("the end");
        assert_int_equal(totals->n_final, at < last);
        assert_int_equal(totals->n_damaged, at < last);
        assert_int_equal(totals->n_frames, 5);
        journal_close(journal);
    }
    free(bytes);
}

static void refused(void **state)
{
    (void)state;
    struct journal *journal = NULL, *second = NULL;
    write_all();
    assert_int_equal(open_journal(&journal, 2), ERR_ARGUMENT);
    assert_non_null(strstr(status_message(), "another configuration"));
    assert_int_equal(open_journal(&journal, 1), OK);
    assert_int_equal(open_journal(&second, 1), ERR_ARGUMENT);
    assert_non_null(strstr(status_message(), "another run is at work"));
    journal_close(journal);
    assert_int_equal(open_journal(&second, 1), OK);
    journal_close(second);
}

/* Frames larger than the buffer, and more than one buffer of them. */
static void large_frames(void **state)
{
    (void)state;
    struct journal *journal = NULL;
    struct journal_frame frame = {0};
    const size_t size = (size_t)3 << 20;
    char *text = memory_new(size + 1, 1);
    memset(text, 'x', size);
    assert_int_equal(directory_remove(folder), OK);
    assert_int_equal(open_journal(&journal, 1), OK);
    append(journal, JOURNAL_REPLY, 0, "small");
    append(journal, JOURNAL_REPLY, 0, text);
    append(journal, JOURNAL_FINAL, 0, "small");
    journal_close(journal);
    assert_int_equal(open_journal(&journal, 1), OK);
    assert_int_equal(journal_totals(journal)->n_final, 1);
    assert_int_equal(journal_read(journal, journal_last(journal, 0), &frame), OK);
    const journal_place before = frame.previous;
    journal_frame_release(&frame);
    assert_int_equal(journal_read(journal, before, &frame), OK);
    assert_int_equal(frame.size, size);
    assert_memory_equal(frame.payload, text, size);
    journal_frame_release(&frame);
    journal_close(journal);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read_back), cmocka_unit_test(every_cut),    cmocka_unit_test(every_damage),
        cmocka_unit_test(refused),   cmocka_unit_test(large_frames),
    };
    if (comm_create(&comm, NULL) != OK || mkdtemp(directory) == NULL) return 1;
    log_set_level(LOG_ERROR);
    folder = path_join(directory, "journal");
    file = path_join(folder, "0000.journal");
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (directory_remove(directory) != OK) return 1;
    free(folder);
    free(file);
    comm_destroy(comm);
    return failed;
}
