/* See api_key.h. */
#include "sgedit/api_key.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text_buffer.h"

#define MAX_KEY_BYTES 4096

static bool is_header_text(const char *text)
{
    for (; *text != '\0'; text++)
        if (*text <= ' ' || *text > '~') return false;
    return true;
}

static enum status read_file(char **text_out, const char *file)
{
    enum status status = OK;
    struct stat info;
    unsigned char *bytes = NULL;
    size_t size = 0;
    if (stat(file, &info) != 0)
        FAIL(ERR_IO, "cannot open teacher.key_file %s: %s", file, strerror(errno));
    if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        FAIL(ERR_ARGUMENT, "teacher.key_file %s may be read by others; 'chmod 600' it", file);
    TRY_WHERE(file_read(&bytes, &size, file, MAX_KEY_BYTES), "teacher.key_file");
    while (size > 0 && (bytes[size - 1] == '\n' || bytes[size - 1] == '\r')) bytes[--size] = '\0';
    *text_out = (char *)bytes;
out:
    return status;
}

static enum status leave_no_core(void)
{
    enum status status = OK;
    struct rlimit limit;
    if (getrlimit(RLIMIT_CORE, &limit) != 0)
        FAIL(ERR_IO, "the limit of core files cannot be read: %s", strerror(errno));
    limit.rlim_cur = 0;
    if (setrlimit(RLIMIT_CORE, &limit) != 0)
        FAIL(ERR_IO, "the limit of core files cannot be set: %s", strerror(errno));
out:
    return status;
}

enum status api_key_read(struct api_key *key, const char *env, const char *file)
{
    enum status status = OK;
    char *text = NULL;
    if (file[0] != '\0') {
        TRY(read_file(&text, file));
    } else if (env[0] != '\0') {
        const char *value = getenv(env);
        if (value == NULL || value[0] == '\0')
            FAIL(ERR_ARGUMENT,
                 "the environment has no %s; set it to the teacher's key, or name another variable "
                 "in teacher.key_env, or a file in teacher.key_file",
                 env);
        text = text_copy(value);
    }
    if (text != NULL && (text[0] == '\0' || strlen(text) > MAX_KEY_BYTES || !is_header_text(text)))
        FAIL(ERR_ARGUMENT, "the teacher's key (of %s) is empty or holds characters that no key has",
             file[0] != '\0' ? file : env);
    if (text != NULL) TRY(leave_no_core());
    key->text = text;
    text = NULL;
out:
    if (text != NULL) explicit_bzero(text, strlen(text));
    free(text);
    return status;
}

void api_key_release(struct api_key *key)
{
    if (key->text != NULL) explicit_bzero(key->text, strlen(key->text));
    free(key->text);
    key->text = NULL;
}

void api_key_blank(const struct api_key *key, char *bytes, size_t size)
{
    const size_t n = key->text == NULL ? 0 : strlen(key->text);
    if (n == 0) return;
    for (char *at = bytes; (size_t)(at - bytes) + n <= size;) {
        char *found = memmem(at, size - (size_t)(at - bytes), key->text, n);
        if (found == NULL) return;
        memset(found, '*', n);
        at = found + n;
    }
}
