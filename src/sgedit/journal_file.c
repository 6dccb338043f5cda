/* See journal_file.h. */
#include "sgedit/journal_file.h"

#include <inttypes.h>
#include <string.h>

#include "base/assertion.h"
#include "base/crc32c.h"
#include "base/log.h"

#define MARKER UINT64_C(0x9bd1a6e35c47f20d) /* no text holds it */
static const char magic[8] = "RDJRNL1\n";

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are copied as they are");

journal_place journal_place_of(int64_t n_frames, int64_t file, int64_t offset)
{
    ASSERT(n_frames >= 1 && n_frames <= JOURNAL_MAX_STEPS && file >= 0 &&
               file <= JOURNAL_MAX_FILES && offset >= 0 && offset < JOURNAL_MAX_OFFSET,
           "no place of a journal: frame %" PRId64 ", file %" PRId64 ", byte %" PRId64, n_frames,
           file, offset);
    return (int64_t)((uint64_t)n_frames << 52 | (uint64_t)file << 40 | (uint64_t)offset);
}

int64_t journal_place_steps(journal_place place)
{
    return place >> 52;
}

int64_t journal_place_file(journal_place place)
{
    return place >> 40 & JOURNAL_MAX_FILES;
}

int64_t journal_place_offset(journal_place place)
{
    return place & (JOURNAL_MAX_OFFSET - 1);
}

void journal_frame_encode(unsigned char *header, const struct journal_frame *frame)
{
    const uint64_t marker = MARKER;
    const uint32_t kind = (uint32_t)frame->kind;
    memcpy(header, &marker, 8);
    memcpy(header + 8, &kind, 4);
    memcpy(header + 12, &frame->size, 4);
    memcpy(header + 16, &frame->item, 8);
    memcpy(header + 24, &frame->previous, 8);
    memcpy(header + 32, &frame->cost_nano, 8);
    memcpy(header + 40, &frame->tokens, 4);
    const uint32_t crc = crc32c(crc32c(0, header, 44), frame->payload, frame->size);
    memcpy(header + 44, &crc, 4);
}

bool journal_frame_decode(struct journal_frame *frame, const unsigned char *header)
{
    uint64_t marker;
    uint32_t kind;
    *frame = (struct journal_frame){0};
    memcpy(&marker, header, 8);
    memcpy(&kind, header + 8, 4);
    memcpy(&frame->size, header + 12, 4);
    memcpy(&frame->item, header + 16, 8);
    memcpy(&frame->previous, header + 24, 8);
    memcpy(&frame->cost_nano, header + 32, 8);
    memcpy(&frame->tokens, header + 40, 4);
    frame->kind = (enum journal_kind)kind;
    return marker == MARKER && kind >= JOURNAL_DRAFT && kind <= JOURNAL_FINAL &&
           frame->size <= JOURNAL_MAX_PAYLOAD;
}

bool journal_frame_holds(const unsigned char *header, const void *payload, uint32_t size)
{
    uint32_t crc;
    memcpy(&crc, header + 44, 4);
    return crc == crc32c(crc32c(0, header, 44), payload, size);
}

void journal_header_encode(unsigned char *header, uint64_t identity, int64_t n_items)
{
    memset(header, 0, JOURNAL_HEADER_BYTES);
    memcpy(header, magic, 8);
    memcpy(header + 8, &identity, 8);
    memcpy(header + 16, &n_items, 8);
    const uint32_t crc = crc32c(0, header, 28);
    memcpy(header + 28, &crc, 4);
}

enum status journal_header_check(const unsigned char *header, uint64_t identity, int64_t n_items,
                                 const char *path)
{
    enum status status = OK;
    unsigned char wanted[JOURNAL_HEADER_BYTES];
    uint32_t crc;
    memcpy(&crc, header + 28, 4);
    if (memcmp(header, magic, 8) != 0 || crc != crc32c(0, header, 28))
        FAIL(ERR_FORMAT, "%s does not begin as a journal does; put the file aside", path);
    journal_header_encode(wanted, identity, n_items);
    if (memcmp(header, wanted, sizeof wanted) != 0)
        FAIL(ERR_ARGUMENT,
             "%s was begun with another configuration or another corpus; give the old ones, or "
             "another run_dir",
             path);
out:
    return status;
}

static bool is_whole(struct journal_frame *frame, const unsigned char *bytes, size_t left)
{
    if (left < JOURNAL_FRAME_BYTES || !journal_frame_decode(frame, bytes)) return false;
    if (frame->size > left - JOURNAL_FRAME_BYTES) return false;
    frame->payload = bytes + JOURNAL_FRAME_BYTES;
    return journal_frame_holds(bytes, frame->payload, frame->size);
}

/* The next place from `at` on where a whole frame begins; `size` if there is none. */
static size_t find_frame(const unsigned char *bytes, size_t at, size_t size)
{
    const uint64_t marker = MARKER;
    struct journal_frame frame;
    while (at < size) {
        const unsigned char *found = memmem(bytes + at, size - at, &marker, sizeof marker);
        if (found == NULL) return size;
        at = (size_t)(found - bytes);
        if (is_whole(&frame, found, size - at)) return at;
        at++;
    }
    return size;
}

enum status journal_file_walk(struct journal_walk *walk, const unsigned char *bytes, size_t size,
                              const char *path)
{
    enum status status = OK;
    size_t at = JOURNAL_HEADER_BYTES;
    walk->end = JOURNAL_HEADER_BYTES;
    while (at < size) {
        struct journal_frame frame;
        if (!is_whole(&frame, bytes + at, size - at)) {
            const size_t next = find_frame(bytes, at + 1, size);
            if (next == size) break;
            log_warn("%s: %zu bytes at byte %zu are damaged; what they held is done again", path,
                     next - at, at);
            walk->n_damaged++;
            at = next;
            continue;
        }
        TRY(walk->take(walk->context, (int64_t)at, &frame));
        walk->n_frames++;
        at += JOURNAL_FRAME_BYTES + frame.size;
        walk->end = (int64_t)at;
    }
out:
    return status;
}
