/* The sentences of the reference, byte for byte: prefixes, region lists, question lists. */
#ifndef ROBIN_TEXT_PROMPTS_H
#define ROBIN_TEXT_PROMPTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/text_buffer.h"
#include "text/box_text.h"

#define PROMPT_BEGIN        "<image>\nThis provides an overview of the picture.\n"
#define PROMPT_WHOLE        "There is region1 <mask><pos> for the entire image.\n" /* training */
#define PROMPT_WHOLE_INFER  "There is region1 <mask><pos> in the image.\n"
#define PROMPT_REGION       "<mask><pos>"
#define PROMPT_SHORT_PHRASE " Answer the question using a short phrase."
#define PROMPT_SHORT_ANSWER "Answer the question using a single word or phrase."
#define PROMPT_LETTER       "Answer with the option's letter from the given choices directly."
#define PROMPT_YES_OR_NO    "Answer directly with 'yes' or 'no'."

/* Question lists; text 0 of each is the canonical one. A place to fill is "{}" or "<region>". */
enum prompt_kind {
    PROMPT_REGION_LISTS,          /* {}: how many, <region>: the list */
    PROMPT_SCENE_GRAPH,           /* sg, psg */
    PROMPT_SCENE_GRAPH_DETAILED,  /* 0: what inference asks */
    PROMPT_SCENE_GRAPH_DETECTION, /* sg_detection */
    PROMPT_RELATIONS,             /* {}: regionN */
    PROMPT_DESCRIPTION,           /* {}: regionN */
    PROMPT_DETAILED_RELATIONS,
    PROMPT_SUMMARY,
    PROMPT_GROUNDING,      /* ends with a space; a sentence follows */
    PROMPT_REGION_CAPTION, /* <region> */
    PROMPT_CAPTION,        /* the picture in words */
    PROMPT_ATTRIBUTE,      /* <region>; ours */
    PROMPT_PAIR,           /* {} and <region>: two regions; ours */
    PROMPT_GROUNDED_CAPTION,
    PROMPT_GROUNDED_REASONING,   /* behind a question */
    PROMPT_GRAPH_REASONING,      /* before a question */
    PROMPT_DETAILED_DESCRIPTION, /* <region> */
    PROMPT_WHY,
    PROMPT_REGION_CHOICE, /* ends with a space; a question follows */
    PROMPT_KIND_SPATIAL,  /* {}: regionN; the five kinds of relations */
    PROMPT_KIND_INTERACTIONAL,
    PROMPT_KIND_FUNCTIONAL,
    PROMPT_KIND_SOCIAL,
    PROMPT_KIND_EMOTIONAL,
    PROMPT_KINDS
};
struct prompt_list {
    const char *const *texts;
    int64_t n;
};
struct prompt_list prompt_list(enum prompt_kind kind);

/* What the reference says before the first question about a region alone: one for each data set. */
enum prompt_header {
    HEADER_COCO,
    HEADER_PART_IMAGENET,
    HEADER_PASCAL_PART,
    HEADER_PACO,
    HEADER_REFCOCO, /* and RefCOCO+ */
    PROMPT_HEADERS
};
const char *prompt_header(enum prompt_header header);

/* The first "{}" and the first "<region>" of `text` replaced; NULL keeps the place as it is. */
void prompt_fill(struct text_buffer *out, const char *text, const char *braces, const char *region);

/* "There are N regions in the image: region1 <mask><pos>, region2 <mask><pos>.\n". `boxes` [n]
 * adds " <|box_start|>..." behind each region; NULL: none. */
struct region_list {
    int64_t n;
    const struct box *boxes;
    int64_t width, height;
    const struct box_format *format;
};

/* The first user message: PROMPT_BEGIN, the regions in list text `choice` of PROMPT_REGION_LISTS
 * (NULL: the whole picture as region1), the question. `inference`: as the reference's pipeline
 * asks, list text 0, a space before the question behind a list, other words for the whole
 * picture. */
enum status prompt_first_message(struct text_buffer *out, const struct region_list *list,
                                 int64_t choice, const char *question, bool inference);

#endif
