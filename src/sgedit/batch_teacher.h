/* A teacher behind the batch interface: calls gather in files that are answered within a day, at
 * half the price. */
#ifndef ROBIN_SGEDIT_BATCH_TEACHER_H
#define ROBIN_SGEDIT_BATCH_TEACHER_H

#include "config/run_config.h"
#include "sgedit/chat_teacher.h"
#include "sgedit/journal.h"
#include "sgedit/teacher.h"
#include "sgedit/teacher_limits.h"

/* Everything given must outlive the teacher. A file is noted in the journal before a batch is made
 * of it, and the batch once it is there; a run that was killed goes on with both, so no file is
 * answered twice. Results come in any order and may come twice; calls of an expired batch that
 * have none are put into the next one. */
enum status batch_teacher_create(struct teacher *teacher_out, const struct config_teacher *config,
                                 struct teacher_limits *limits, struct journal *journal,
                                 struct chat_counts *counts);

#endif
