/* Files: whole reads with a size limit, writes that are either complete or not there, directories.
 */
#ifndef ROBIN_BASE_FILE_H
#define ROBIN_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* The whole file, with a NUL after it (not counted). ERR_IO, ERR_LIMIT above `limit` bytes; memory
 * to free(). */
enum status file_read(unsigned char **bytes_out, size_t *size_out, const char *path, size_t limit);

/* Exactly `size` bytes at `offset`; a short file is ERR_FORMAT naming path, wanted and found. */
enum status file_pread(int fd, void *bytes, size_t size, uint64_t offset, const char *path);
enum status file_pwrite(int fd, const void *bytes, size_t size, uint64_t offset, const char *path);

/* A file that appears under its name only when committed: written beside it as PATH.tmp.PID, fsync,
 * rename, fsync of the directory. */
struct atomic_file {
    int fd;
    char *path;
    char *aside;
    uint64_t offset;
};
enum status atomic_file_open(struct atomic_file *file, const char *path);
enum status atomic_file_write(struct atomic_file *file, const void *bytes, size_t size);
enum status atomic_file_commit(struct atomic_file *file);
/* Removes what was written aside; also safe after commit and on zeroed memory. */
void atomic_file_abandon(struct atomic_file *file);

/* The three above in one. */
enum status file_write_atomic(const char *path, const void *bytes, size_t size);

bool file_exists(const char *path);
/* Creates the directory and its parents. */
enum status directory_create(const char *path);
enum status directory_sync(const char *path);
/* Names in the directory, sorted bytewise, without "." and ".."; an array and strings to free with
 * names_free. */
enum status directory_list(char ***names_out, size_t *n_out, const char *path);
void names_free(char **names, size_t n);
/* Removes a file or an empty or full directory tree. Missing is not an error. */
enum status directory_remove(const char *path);
/* "a/b", to free(). */
char *path_join(const char *directory, const char *name);
/* "a/b/c" -> "a/b", "c" -> ".", "/c" -> "/"; to free(). */
char *path_parent(const char *path);

#endif
