/* Sampled pictures of a generation on one page without scripts: draft, edits, drops, final. */
#ifndef ROBIN_SGEDIT_GENERATE_PAGE_H
#define ROBIN_SGEDIT_GENERATE_PAGE_H

#include "base/status.h"
#include "base/text_buffer.h"

struct generate_output;

/* generate.samples pictures spread evenly over the items; `summary` stands above them. */
enum status generate_page(struct text_buffer *out, const struct generate_output *output,
                          const char *summary);

#endif
