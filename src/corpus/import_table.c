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
    {.kind = "vcr",
     .purpose = "Visual Commonsense Reasoning: questions with four answers and four reasons",
     .file = "train.jsonl or val.jsonl",
     .needs = IMPORT_IMAGES,
     .source = "https://visualcommonsense.com/download",
     .licence = "VCR's own terms: research only, to be accepted at the source",
     .open = import_vcr},
    {.kind = "flickr",
     .purpose = "Flickr30k Entities: sentences whose phrases have boxes",
     .file = "train.txt, val.txt or test.txt beside Sentences and Annotations; or rows with "
             "boxes_seq",
     .needs = IMPORT_IMAGES,
     .uses = IMPORT_WITH,
     .source = "https://github.com/BryanPlummer/flickr30k_entities",
     .licence = "research and education only; photographs under Flickr's terms",
     .open = import_flickr},
    {.kind = "pointqa",
     .purpose = "PointQA: questions about what a box and a point show",
     .file = "pointQA_local_train.jsonl or pointQA_twice_train.jsonl",
     .needs = IMPORT_IMAGES,
     .uses = IMPORT_VARIANT,
     .variants = "local|twice",
     .source = "https://github.com/princetonvisualai/pointingqa",
     .licence = "questions: none stated; Visual Genome's photographs under their Flickr licences",
     .open = import_pointqa},
    {.kind = "v7w",
     .purpose = "Visual7W: questions that one of four boxes answers",
     .file = "v7w_pointing_train.jsonl",
     .needs = IMPORT_IMAGES,
     .source = "http://ai.stanford.edu/~yukez/visual7w",
     .licence = "not stated with the rows; photographs under their Flickr licences",
     .open = import_v7w},
    {.kind = "vsr",
     .purpose = "Visual Spatial Reasoning: statements about two things, true or not",
     .file = "train.jsonl, dev.jsonl or test.jsonl of a split",
     .needs = IMPORT_IMAGES,
     .source = "https://github.com/cambridgeltl/visual-spatial-reasoning",
     .licence =
         "annotations Apache 2.0 (code and data); COCO photographs under their Flickr licences",
     .open = import_vsr},
    {.kind = "osprey",
     .purpose = "Osprey-724K: conversations about regions, descriptions of regions",
     .file = "any of its five files",
     .needs = IMPORT_IMAGES,
     .source = "https://huggingface.co/datasets/AntGroup-MI/Osprey-724K",
     .licence = "annotations CC BY-NC 4.0; COCO photographs under their Flickr licences",
     .open = import_osprey},
    {.kind = "llava",
     .purpose = "LLaVA's conversations about one picture, or none",
     .file = "blip_laion_cc_sbu_558k.json, llava_v1_5_mix665k.json, or any list of that form",
     .uses = IMPORT_IMAGES | IMPORT_VARIANT,
     .variants = "conversation|caption",
     .source = "https://huggingface.co/liuhaotian",
     .licence = "as the cards of the sets say; pictures under the terms of their sources",
     .open = import_llava},
    {.kind = "onevision",
     .purpose = "LLaVA-OneVision-Data: conversations with the picture in the row",
     .file = "rows as JSON lines",
     .uses = IMPORT_IMAGES,
     .source = "https://huggingface.co/datasets/lmms-lab/LLaVA-OneVision-Data",
     .licence = "that of each subset's source",
     .open = import_onevision},
};
const size_t n_importers = sizeof importers / sizeof importers[0];

const struct importer *import_find(const char *kind)
{
    for (size_t i = 0; i < n_importers; i++) {
        if (strcmp(importers[i].kind, kind) == 0) return &importers[i];
    }
    return NULL;
}
