/* The kinds of `data import`, one row each. */
#include <string.h>

#include "corpus/import.h"

const struct importer importers[] = {
    {.kind = "gqa",
     .purpose = "GQA scene graphs: objects with boxes and attributes, relations",
     .file = "train_sceneGraphs.json or val_sceneGraphs.json",
     .needs = IMPORT_IMAGES,
     .source = "https://cs.stanford.edu/people/dorarad/gqa/download.html",
     .licence = "annotations CC BY 4.0; photographs under their Flickr licences",
     .open = import_gqa},
    {.kind = "psg",
     .purpose = "panoptic scene graphs: segments with classes, relations",
     .file = "psg.json",
     .needs = IMPORT_IMAGES,
     .uses = IMPORT_MASKS | IMPORT_SPLIT,
     .splits = "all|train|test",
     .source = "https://github.com/Jingkang50/OpenPSG",
     .licence = "annotations MIT (relations), CC BY 4.0 (COCO); photographs under their Flickr "
                "licences",
     .open = import_psg},
};
const size_t n_importers = sizeof importers / sizeof importers[0];

const struct importer *import_find(const char *kind)
{
    for (size_t i = 0; i < n_importers; i++) {
        if (strcmp(importers[i].kind, kind) == 0) return &importers[i];
    }
    return NULL;
}
