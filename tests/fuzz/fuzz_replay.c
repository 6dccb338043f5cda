/* Runs a fuzz target over files and the files of folders: what `make check` does with the seeds,
 * and how a finding is looked at in a debugger.
 *
 * usage: NAME_fuzz FILE_OR_FOLDER... */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/status.h"
#include "base/text_buffer.h"
#include "fuzz/fuzz.h"

static int64_t replay(const char *path)
{
    struct stat info;
    if (stat(path, &info) != 0) {
        fprintf(stderr, "fuzz_replay: %s: no such file\n", path);
        exit(2);
    }
    if (!S_ISDIR(info.st_mode)) {
        unsigned char *bytes = NULL;
        size_t size = 0;
        if (file_read(&bytes, &size, path, SIZE_MAX) != OK) {
            fprintf(stderr, "fuzz_replay: %s\n", status_message());
            exit(2);
        }
        LLVMFuzzerTestOneInput(bytes, size);
        free(bytes);
        return 1;
    }
    struct dirent **entries = NULL;
    int n = scandir(path, &entries, NULL, alphasort);
    int64_t n_files = 0;
    for (int i = 0; i < n; i++) {
        if (entries[i]->d_name[0] != '.') {
            char *inner = text_format("%s/%s", path, entries[i]->d_name);
            n_files += replay(inner);
            free(inner);
        }
        free(entries[i]);
    }
    free(entries);
    return n_files;
}

int main(int argc, char **argv)
{
    int64_t n_files = 0;
    for (int i = 1; i < argc; i++) n_files += replay(argv[i]);
    printf("%lld inputs\n", (long long)n_files);
    return n_files > 0 ? 0 : 2;
}
