/* A disk that forgets: the operations of a file layer are recorded, and any state that a crash may
 * leave behind is built in a folder of its own. What a crash may do is what POSIX allows, not what
 * a good file system does: of a file only what was written before its last fsync is sure; each
 * later write may be there, not be there, or be there by half; a name made, moved or removed in a
 * directory is sure only after that directory's fsync. */
#ifndef ROBIN_TESTS_CRASH_DISK_H
#define ROBIN_TESTS_CRASH_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include "checkpoint/file_layer.h"

struct crash_disk;

/* Records what happens below `root`, which exists and is empty; operations are carried out there as
 * well. */
struct crash_disk *crash_disk_create(const char *root);
void crash_disk_destroy(struct crash_disk *disk);
const struct file_layer *crash_disk_layer(const struct crash_disk *disk);

/* From now on fsync of files, or of directories, makes nothing sure. */
void crash_disk_ignore(struct crash_disk *disk, bool files, bool directories);

int64_t crash_disk_operations(const struct crash_disk *disk);
/* "rename a to b", for messages; valid while the disk is. */
const char *crash_disk_describe(const struct crash_disk *disk, int64_t operation);

/* After operations 0 .. n - 1: how many of their effects are not sure. */
int64_t crash_disk_unsure(struct crash_disk *disk, int64_t n);
/* What the disk holds after them if of the unsure effects those with keep[i] != 0 are there (data
 * with keep[i] == 2 by half), below `folder`, which is emptied first. An effect that needs another
 * one that is not there is lost as well. */
#define CRASH_LOST 0
#define CRASH_KEPT 1
#define CRASH_HALF 2
void crash_disk_build(struct crash_disk *disk, int64_t n, const unsigned char *keep,
                      const char *folder);

#endif
