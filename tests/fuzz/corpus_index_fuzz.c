/* index.json of a corpus. */
#include "base/status.h"
#include "corpus/corpus_index.h"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_folder_file(CORPUS_INDEX_FILE, data, size);
    struct corpus_index index = {0};
    if (corpus_index_read(&index, fuzz_folder()) == OK)
        fuzz_require(corpus_name_is_valid(index.name), "an index that is read has a valid name");
    corpus_index_release(&index);
    return 0;
}
