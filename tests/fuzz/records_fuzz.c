/* Records of a shard file whose tables lie where an index says: nothing here is HDF5's. An input is
 * the schema's version (u8), first byte and rows of each table (u32 each), and the file. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/status.h"
#include "base/text_buffer.h"
#include "corpus/shard_file.h"
#include "fuzz/fuzz.h"

static void read_all(const struct shard *shard)
{
    if (shard_check_records(shard) != OK) status_clear();
    for (uint64_t i = 0; i < shard->count[TABLE_RECORDS] && i < 16; i++) {
        struct record record = {0};
        char *id = NULL;
        if (shard_read_id(shard, (int64_t)i, &id) == OK) free(id);
        if (shard_read(shard, (int64_t)i, &record) == OK)
            fuzz_require(record_check(&record) == OK, "a record that is read is a valid one");
        record_release(&record);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    struct shard known = {.version = 1 + (uint32_t)fuzz_integer(&input, 2)};
    for (int i = 0; i < N_SHARD_TABLES; i++) {
        const uint64_t offset = fuzz_integer(&input, UINT64_C(1) << 32);
        const uint64_t count = fuzz_integer(&input, UINT64_C(1) << 32);
        if (!shard_table_exists((enum shard_table)i, known.version)) continue;
        known.offset[i] = offset;
        known.count[i] = count;
    }
    const char *path = fuzz_file(input.data, input.size);
    struct shard shard = {0};
    uint32_t frame_crc = 0;
    known.path = text_copy(path);
    known.fd = open(path, O_RDONLY);
    fuzz_require(known.fd >= 0, "the input opens");
    if (shard_frame_crc(&known, &frame_crc) == OK &&
        shard_open_known(&shard, path, &known, frame_crc) == OK)
        read_all(&shard);
    shard_close(&shard);
    shard_close(&known);
    return 0;
}
