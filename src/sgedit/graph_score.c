/* See graph_score.h. */
#include "sgedit/graph_score.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "sgedit/truth.h"

struct graph_score graph_score_of(const struct edit_graph *graph, const struct record *record)
{
    struct graph_score score = {0};
    struct scene_graph truth;
    truth_graph(&truth, record);
    score.annotated = truth.n_relations;
    for (int64_t i = 0; i < graph->n_relations; i++) {
        const struct edit_relation *relation = &graph->relations[i];
        const bool right =
            truth_holds(&truth, relation->subject, relation->object, relation->predicate);
        const bool drafted = relation->origin == EDGE_DRAFTED, kept = relation->fate == EDGE_KEPT;
        score.drafted += drafted;
        score.drafted_right += drafted && right;
        score.final += kept;
        score.final_right += kept && right;
    }
    for (int64_t i = 0; i < graph->n_objects && i < truth.n_objects; i++) {
        const struct edit_object *object = &graph->objects[i];
        if (object->dropped || truth.objects[i].name[0] == '\0') continue;
        score.named++;
        score.drafted_names += strcmp(object->draft_name, truth.objects[i].name) == 0;
        score.final_names += strcmp(object->name, truth.objects[i].name) == 0;
    }
    scene_graph_release(&truth);
    return score;
}

struct pair { /* of one figure */
    double draft, final;
};

static double share(int64_t part, int64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : 0;
}

static struct pair pair_of(const struct graph_score *score, enum config_score of)
{
    switch (of) {
    case CONFIG_SCORE_PRECISION:
        return (struct pair){share(score->drafted_right, score->drafted),
                             share(score->final_right, score->final)};
    case CONFIG_SCORE_RECALL:
        return (struct pair){share(score->drafted_right, score->annotated),
                             share(score->final_right, score->annotated)};
    case CONFIG_SCORE_NAMES: break;
    }
    return (struct pair){share(score->drafted_names, score->named),
                         share(score->final_names, score->named)};
}

char *graph_score_text(const struct graph_score *score)
{
    const struct pair precision = pair_of(score, CONFIG_SCORE_PRECISION);
    const struct pair recall = pair_of(score, CONFIG_SCORE_RECALL);
    const struct pair names = pair_of(score, CONFIG_SCORE_NAMES);
    return text_format("against annotations precision  recall   names\n"
                       "  draft                 %.3f   %.3f   %.3f\n"
                       "  final                 %.3f   %.3f   %.3f\n",
                       precision.draft, recall.draft, names.draft, precision.final, recall.final,
                       names.final);
}

enum status graph_score_check(const struct graph_score *score, const struct config_generate *config)
{
    enum status status = OK;
    static const char *const words[] = {"precision", "recall", "names"};
    struct text_buffer missed = {0};
    for (int64_t i = 0; i < config->n_gains; i++) {
        const struct config_gain *gain = &config->gains[i];
        const struct pair pair = pair_of(score, (enum config_score)gain->of);
        const bool met = score->annotated > 0 && pair.final - pair.draft >= gain->by;
        char *line =
            text_format("%s %.3f of the draft, %.3f in the end: gain %+.3f, stated %+.3f",
                        words[gain->of], pair.draft, pair.final, pair.final - pair.draft, gain->by);
        printf("%s  %s\n", met ? "met   " : "MISSED", line);
        if (!met) text_printf(&missed, "%s%s", missed.length > 0 ? "; " : "", line);
        free(line);
    }
    fflush(stdout);
    if (missed.length > 0) FAIL(ERR_DIVERGED, "generate.gains missed: %s", text_of(&missed));
out:
    text_release(&missed);
    return status;
}
