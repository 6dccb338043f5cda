/* What the fuzz targets share. A target is one NAME_fuzz.c with LLVMFuzzerTestOneInput: under
 * `make fuzz` libFuzzer calls it with inputs of its own, in `make check` fuzz_replay.c with the
 * files of seeds/NAME. A status other than OK is a right answer to garbage; a crash, a leak, a hang
 * or a broken promise (fuzz_require) is a finding. */
#ifndef ROBIN_FUZZ_FUZZ_H
#define ROBIN_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads an input from its front; past its end come zeros. */
struct fuzz_input {
    const uint8_t *data;
    size_t size;
};
uint64_t fuzz_integer(struct fuzz_input *input, uint64_t limit); /* 0 .. limit - 1 */
double fuzz_double(struct fuzz_input *input);                    /* any bits: NaN, infinities */
/* The rest as a NUL-terminated copy, to free(); *size_out without the NUL. */
char *fuzz_rest(struct fuzz_input *input, size_t *size_out);

/* A file in memory that holds `data`; its path is valid until the next call. */
const char *fuzz_file(const uint8_t *data, size_t size);
/* A folder of this process, the same at every call, removed at exit; and a file in it. */
const char *fuzz_folder(void);
void fuzz_folder_file(const char *name, const uint8_t *data, size_t size);

/* Aborts with the sentence unless it holds. */
void fuzz_require(int holds, const char *sentence);

#endif
