/* A shard file of a stranger: opened, every record read. */
#include <hdf5.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/status.h"
#include "corpus/shard_file.h"
#include "fuzz/fuzz.h"

/* HDF5 keeps what it frees: taking its caches' megabyte from the system for each input would be
 * nearly all of the time. */
static void start_hdf5(void)
{
    static int started;
    if (!started) H5set_free_list_limits(-1, -1, -1, -1, -1, -1);
    started = 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    start_hdf5();
    /* HDF5 opens no file that has no name. */
    fuzz_folder_file("fuzz.h5", data, size);
    struct shard shard = {.fd = -1};
    char *path = path_join(fuzz_folder(), "fuzz.h5");
    enum status opened = shard_open(&shard, path);
    free(path);
    if (opened != OK) return 0;
    if (shard_check_records(&shard) != OK) status_clear();
    for (uint64_t i = 0; i < shard.count[TABLE_RECORDS] && i < 16; i++) {
        struct record record = {0};
        if (shard_read(&shard, (int64_t)i, &record) == OK)
            fuzz_require(record_check(&record) == OK, "a record that is read is a valid one");
        record_release(&record);
    }
    shard_close(&shard);
    return 0;
}
