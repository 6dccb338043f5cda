/* A teacher behind an OpenAI-compatible chat-completions interface. */
#ifndef ROBIN_SGEDIT_CHAT_TEACHER_H
#define ROBIN_SGEDIT_CHAT_TEACHER_H

#include "config/run_config.h"
#include "sgedit/teacher.h"
#include "sgedit/teacher_limits.h"

struct chat_counts { /* of this start of the run, this rank */
    int64_t sent, paid, rate_limited, server_errors, network_errors, refused, tokens_in, tokens_out;
};

/* Everything given must outlive the teacher. What the service answers decides:
 *   200                      the reply, whatever it says; paid
 *   429, 408, 409, 5xx, network: tried again after Retry-After or a drawn wait that doubles;
 *                            408 and 409 once; after teacher.tries the run ends, unless other calls
 *                            went through meanwhile: then this one has failed
 *   429 insufficient_quota, 401, 403, 404, a certificate that is not accepted: the run ends at once
 *   other 4xx                this call has failed
 * Before a run ends so, calls under way are waited for: their answers may have been paid for. */
enum status chat_teacher_create(struct teacher *teacher_out, const struct config_teacher *config,
                                struct teacher_limits *limits, struct chat_counts *counts);

#endif
