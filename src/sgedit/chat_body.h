/* A question as the body of a chat-completions request. */
#ifndef ROBIN_SGEDIT_CHAT_BODY_H
#define ROBIN_SGEDIT_CHAT_BODY_H

#include "config/run_config.h"
#include "sgedit/teacher.h"

/* Body, key (SHA-256 of body and attempt) and what it will cost at most. A pure function.
 * ERR_FORMAT for a text that is not UTF-8. */
enum status chat_body_write(struct teacher_call *call_out, const struct teacher_request *request,
                            const struct config_teacher *config);

/* The key as 64 hexadecimal digits and NUL. */
#define CHAT_KEY_TEXT_BYTES (2 * JOURNAL_KEY_BYTES + 1)
void chat_key_text(char text[CHAT_KEY_TEXT_BYTES], const unsigned char *key);

/* The key of a call inside this program: of the teacher's name, the words and the attempt. */
void chat_local_key(unsigned char *key, const char *teacher, const struct teacher_request *request);

#endif
