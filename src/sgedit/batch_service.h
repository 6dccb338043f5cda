/* The service's side of batches: files up and down, batches made and asked about. Each call waits
 * for its answer, trying again where that helps (service_error.h says where not). */
#ifndef ROBIN_SGEDIT_BATCH_SERVICE_H
#define ROBIN_SGEDIT_BATCH_SERVICE_H

#include "base/status.h"
#include "config/run_config.h"
#include "sgedit/http_client.h"

struct batch_service {
    struct http_client *client;
    const struct config_teacher *config;
};

/* Uploads the lines; the file's id, to free(). */
enum status batch_service_upload(const struct batch_service *service, const char *lines,
                                 size_t size, char **file_out);
/* The batch of that file: with `look` one that is there, else a new one; its id, to free(). */
enum status batch_service_make(const struct batch_service *service, const char *file, bool look,
                               char **batch_out);

struct batch_answer { /* zeroed is releasable */
    bool ended;       /* completed, expired or cancelled: what there is can be fetched */
    bool failed;      /* it was not taken as a whole; `spent`: for want of money */
    bool spent;
    char *status, *output, *errors; /* files; NULL none */
    char *why;                      /* of a failed one, as the service says it; NULL nothing */
};
void batch_answer_release(struct batch_answer *answer);
enum status batch_service_ask(const struct batch_service *service, const char *batch,
                              struct batch_answer *answer_out);
/* A file's lines, to free(). */
enum status batch_service_fetch(const struct batch_service *service, const char *file,
                                char **text_out, size_t *size_out);

#endif
