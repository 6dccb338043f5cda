/* See truth.h. */
#include "sgedit/truth.h"

#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"

static char *object_text(const struct record_object *object)
{
    struct text_buffer out = {0};
    text_append(&out, object->name);
    for (int64_t i = 0; i < object->n_attributes; i++)
        text_printf(&out, "%s%s", i == 0 ? " is " : ", ", object->attributes[i]);
    return text_take(&out);
}

void truth_graph(struct scene_graph *graph_out, const struct record *record)
{
    *graph_out = (struct scene_graph){0};
    for (int64_t region = 0; region < record->n_regions; region++) {
        char *name = NULL;
        for (int64_t i = 0; i < record->n_objects && name == NULL; i++)
            if (record->objects[i].region == region) name = object_text(&record->objects[i]);
        scene_graph_add_object(graph_out, name != NULL ? name : "");
        free(name);
    }
    for (int64_t i = 0; i < record->n_relations; i++) {
        const struct record_relation *relation = &record->relations[i];
        scene_graph_add_relation(graph_out, record->objects[relation->subject].region,
                                 record->objects[relation->object].region, relation->predicate);
    }
}

bool truth_holds(const struct scene_graph *truth, int64_t subject, int64_t object,
                 const char *predicate)
{
    for (int64_t i = 0; i < truth->n_relations; i++) {
        const struct scene_relation *relation = &truth->relations[i];
        if (relation->subject == subject && relation->object == object &&
            strcmp(relation->predicate, predicate) == 0)
            return true;
    }
    return false;
}
