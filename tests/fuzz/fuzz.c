#include "fuzz/fuzz.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

uint64_t fuzz_integer(struct fuzz_input *input, uint64_t limit)
{
    uint64_t value = 0;
    for (uint64_t rest = limit - 1; rest > 0; rest >>= 8) {
        uint8_t byte = input->size > 0 ? input->data[0] : 0;
        value = value << 8 | byte;
        if (input->size > 0) {
            input->data++;
            input->size--;
        }
    }
    return value % limit;
}

double fuzz_double(struct fuzz_input *input)
{
    uint64_t bits = 0;
    for (int i = 0; i < 8; i++) bits = bits << 8 | fuzz_integer(input, 256);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

char *fuzz_rest(struct fuzz_input *input, size_t *size_out)
{
    char *text = malloc(input->size + 1);
    fuzz_require(text != NULL, "no memory for the input");
    if (input->size > 0) memcpy(text, input->data, input->size);
    text[input->size] = '\0';
    *size_out = input->size;
    return text;
}

static void write_all(int fd, const uint8_t *data, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, data, size);
        fuzz_require(n > 0, "the input cannot be written to a file");
        data += n;
        size -= (size_t)n;
    }
}

const char *fuzz_file(const uint8_t *data, size_t size)
{
    static int fd = -1;
    static char path[64];
    if (fd < 0) fd = memfd_create("fuzz", 0);
    fuzz_require(fd >= 0 && ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0,
                 "no file in memory");
    write_all(fd, data, size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return path;
}

static char folder[64];

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info;
    (void)kind;
    (void)walk;
    return remove(path);
}

static void remove_folder(void)
{
    nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

const char *fuzz_folder(void)
{
    if (folder[0] == '\0') {
        const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
        snprintf(folder, sizeof folder, "%s/robin-fuzz-XXXXXX", base);
        fuzz_require(mkdtemp(folder) != NULL, "no temporary folder");
        atexit(remove_folder);
    }
    return folder;
}

void fuzz_folder_file(const char *name, const uint8_t *data, size_t size)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", fuzz_folder(), name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    fuzz_require(fd >= 0, "no temporary file");
    write_all(fd, data, size);
    close(fd);
}

void fuzz_require(int holds, const char *sentence)
{
    if (holds) return;
    fprintf(stderr, "fuzz: broken promise: %s\n", sentence);
    abort();
}
