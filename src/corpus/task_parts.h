/* What the tasks share: draws, choosing regions, the first message. */
#ifndef ROBIN_CORPUS_TASK_PARTS_H
#define ROBIN_CORPUS_TASK_PARTS_H

#include <stdint.h>

#include "base/status.h"
#include "base/text_buffer.h"
#include "corpus/task.h"
#include "text/prompts.h"

/* 0 .. n-1; n >= 1. Once per sample, or anew for every access. */
int64_t task_draw_fixed(struct task_draws *draws, int64_t n);
int64_t task_draw_access(struct task_draws *draws, int64_t n);
/* A text of a list, drawn once per sample; the first one when pinned. */
const char *task_draw_prompt(struct task_draws *draws, enum prompt_kind kind);
/* The same, drawn for every access. */
const char *task_draw_prompt_anew(struct task_draws *draws, enum prompt_kind kind);

/* 0, 1, .. n-1 in an order drawn anew for every access, or once per sample (`fixed`); to free(). */
int64_t *task_order(struct task_draws *draws, int64_t n, bool fixed);

int64_t task_smaller(int64_t a, int64_t b);
int64_t task_larger(int64_t a, int64_t b);

void task_skip(struct task_sample *sample, const char *reason);
/* Place in the order of <mask>, from 0; -1: it is not there. */
int64_t task_place_of(const struct task_sample *sample, int64_t region);
/* One more region in the order of <mask>. */
void task_add_region(struct task_sample *sample, int64_t region);

/* The first question: picture, list of the sample's regions (added before; none: the whole
 * picture becomes region 1), question. */
enum status task_ask_first(struct task_sample *sample, const struct record *record,
                           const struct task_options *options, struct task_draws *draws,
                           const char *question);

/* A question: the first of a conversation as above if the record has a picture. */
enum status task_ask(struct task_sample *sample, const struct record *record,
                     const struct task_options *options, struct task_draws *draws,
                     const char *question);
void task_answer(struct task_sample *sample, const char *answer);

/* The choices of a turn behind its question, "\nA. first\nB. second", and what is asked for. */
#define TASK_MAX_CHOICES 26
enum status task_append_choices(struct text_buffer *out, const struct record_turn *turn,
                                struct task_sample *sample, const struct record *record,
                                const struct task_options *options);

/* "<|box_start|>(..),(..)<|box_end|>" of a region. */
enum status task_append_box(struct text_buffer *out, const struct record *record, int64_t region,
                            const struct task_options *options);
/* "<mask><pos>", and the box behind it where options ask for it; the region is added to the
 * sample. */
enum status task_append_region(struct text_buffer *out, struct task_sample *sample,
                               const struct record *record, int64_t region,
                               const struct task_options *options);

/* Appends the scene graph of a record in words: objects in order, numbered regionN, boxes where
 * options ask for them. */
enum status task_write_graph(struct text_buffer *out, const struct record *record,
                             const struct task_options *options);

/* One relation of a subject, in a list of regions that the conversation shows. */
struct task_target {
    int64_t place;    /* of its object in that list, from 0 */
    int64_t relation; /* index in the record: the order of annotation */
};
bool task_is_ignored(const struct task_options *options, const char *predicate);
void task_sort_targets(struct task_target *targets, int64_t n);
/* Drops what an earlier one says already; sorted before. Returns how many are left. */
int64_t task_unique_targets(struct task_target *targets, int64_t n, const struct record *record);

/* All turns of texts of this kind as (text, turn) pairs; the texts in this order. */
enum turn_order { TURNS_IN_ORDER, TURNS_DRAWN_ONCE, TURNS_DRAWN };
struct task_turn {
    const struct record_text *text;
    const struct record_turn *turn;
};
int64_t task_turns(struct task_turn **turns_out, const struct record *record, const char *kind,
                   enum turn_order turn_order, struct task_draws *draws);

/* The tasks, file by file: task_scene_graph.c, task_relation.c, task_region.c, task_text.c,
 * task_question.c, task_statement.c, task_reasoning.c, task_dialogue.c, task_blind.c. */
extern const struct task task_sg, task_psg, task_sg_detection;
extern const struct task task_relation, task_relation_kind, task_relation_pair;
extern const struct task task_relation_lines;
extern const struct task task_description, task_summary;
extern const struct task task_region_label, task_region_attribute, task_region_caption;
extern const struct task task_coco, task_part_imagenet, task_pascal_part, task_paco;
extern const struct task task_refcoco, task_refcoco_plus, task_detailed_description;
extern const struct task task_refexp, task_refexp_reverse;
extern const struct task task_vqa, task_conversation, task_caption, task_plain_caption;
extern const struct task task_box_vqa, task_point_vqa, task_statement, task_choice;
extern const struct task task_region_choice, task_vcr, task_vcr_choice;
extern const struct task task_grounded_caption, task_grounded_vqa;
extern const struct task task_graph_vqa, task_graph_literal_vqa, task_graph_answer;
extern const struct task task_llava, task_llava_one_vision;
extern const struct task task_region_dialogue, task_inline_dialogue;
extern const struct task task_blind_vqa, task_blind_choice, task_blind_question;

#endif
