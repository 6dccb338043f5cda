/* The lists are those of the released training code, misprints included; the missing comma that
 * makes one question of two is part of it. */
#include "text/prompts.h"

#include <string.h>

#include "base/assertion.h"

static const char *const region_lists[] = {
    "There are {} regions in the image: <region>.\n",
    "There are {} part regions in the image, given <region>.\n",
    "The image contains {} regions, including <region>.\n",
    "In the image, there are {} regions, such as <region>.\n",
    "This image displays {} regions, including <region>.\n",
    "Among the {} regions in the image, there is <region>.\n",
    "The picture has {} regions, one of which is <region>.\n",
    "You can see {} regions in the image, like <region>.\n",
    "There are {} distinct regions in the image, such as <region>.\n",
    "The image features {} regions, including <region>.\n",
};
static const char *const scene_graph[] = {
    "Generate scene graph for given regions.",
    "Annotate object, attributes, and relations for given regions.",
    ("Tag regions with details on objects, their attributes, and relationships.Map "
     "regions to object labels, attributes, and their relations."),
    "Label region contents with names, qualities, and relationships.",
    "Detail regions by object names, attributes, and interactions.",
    "Assign names, traits, and relations to objects in regions.",
    "Annotate regions with object identifiers, characteristics, and links.",
    "Mark regions with object labels, properties, and their relationships.",
    "Define regions by object categories, attributes, and their interrelations.",
    "Can you map regions to object labels, attributes, and their relations?",
};
static const char *const scene_graph_detailed[] = {
    "Generate an extremely detailed scene graph for given regions.",
    ("Describe each object and all possible relations between objects for given regions "
     "in the scene graph."),
    ("Provide a detailed scene graph with all object, attributes, and relations for given "
     "regions."),
    ("Construct a complete scene graph, listing objects, their properties, and all "
     "possible relations in the given regions."),
};
static const char *const scene_graph_detection[] = {
    "Generate scene graph with proposed regions in bbox coordinates.",
    "Annotate object, attributes, and relations for given regions with bbox coordinates.",
    "Generate scene graph with bbox coordinates for object, attributes, and relations.",
    ("Come up with region proposals with bbox coordinates and generate scene graph for "
     "the regions."),
};
static const char *const relations[] = {
    "Generate list of relationships for: {}.",
    "Assign relations for: {}",
    "Can you assign relations to objects in {}?",
    "How can we map all relationships for {}?",
    "What are the all connections you see in {}?",
    "Identify the inter-regional relationships for {}.",
    "Could you detail the interactions for {}?",
    "Please outline the network of relationships for {}.",
    "Can you delineate the ties binding {}?",
    "Could you classify the types of relationships present in {}?",
};
static const char *const description[] = {
    "Generate a description for: {}.",
    "Describe {} in details.",
    "What is going on in {}?",
};
static const char *const detailed_relations[] = {
    "List all possible relations between objects for given regions in the scene graph.",
    ("Describe all possible relations between objects for given regions in the scene "
     "graph."),
    ("Provide a detailed scene graph with all possible relations between objects for "
     "given regions."),
};
static const char *const summary[] = {
    "Provide a dense summary including all details in the image.",
    "Provide a dense localized narrative of this entire image.",
    "Generate a comprehensive summary of the image.",
};
static const char *const grounding[] = {
    "Please provide the region this sentence describes: ",
    "What is the region that best describe this sentence: ",
    "Which area does this sentence correspond to: ",
    "Can you identify the region depicted by this sentence: ",
    "What region is being referred to in this sentence: ",
    "Identify the region described in this sentence: ",
    "What is the region that this sentence describes: ",
};
static const char *const region_caption[] = {
    "Give me a short description of <region>.",
    "Can you give me a short description of <region>?",
    ("Can you provide me with a short description of the region in the picture marked by "
     "<region>?"),
    ("I'm curious about the region represented by <region> in the picture. Could you "
     "describe it in few words?"),
    ("What can you tell me about the region indicated by <region> in the image in few "
     "words?"),
    ("I'd like to know more about the area in the photo labeled <region>. Can you give me "
     "a concise description?"),
    "Could you describe the region shown as <region> in the picture concisely?",
    "What can you give me about the region outlined by <region> in the photo?",
    ("Please provide me with a brief description of the region marked with <region> in "
     "the image."),
    ("Can you give me a brief introduction of the region labeled as <region> in the "
     "picture?"),
    ("I'm interested in knowing the region represented by <region> in the photo. Can you "
     "describe it in several words?"),
    ("What is the region outlined by <region> in the picture like? Could you give me a "
     "streamlined description?"),
    ("Can you provide me with a brief description of the region in the picture marked by "
     "<region>, please?"),
    ("I'm curious about the region represented by <region> in the picture. Could you "
     "describe it in few words, please?"),
    "What can you tell me about the region indicated by <region> in the image?",
    ("I'd like to know more about the area in the photo labeled <region>, please. Can you "
     "give me a simple description?"),
    "Could you describe the region shown as <region> in the picture in several words?",
    ("Please provide me with a simple description of the region marked with <region> in "
     "the image, please."),
    ("I'm interested in learning more about the region represented by <region> in the "
     "photo. Can you describe it in few words, please?"),
    ("What is the region outlined by <region> in the picture like, please? Could you give "
     "me a simple and clear description?"),
    "Please describe the region <region> in the image concisely.",
    "Can you offer a simple analysis of the region <region> in the image?",
    ("Could tell me something about the region highlighted by <region> in the picture "
     "briefly?"),
    ("Can you share a simple rundown of the region denoted by <region> in the presented "
     "image?"),
};
static const char *const caption[] = {
    "Please explain in detail the scene depicted in the picture.",
};
static const char *const attribute[] = {"What colour is <region>?"};
static const char *const pair[] = {"How is {} related to <region>?"};

struct prompt_list prompt_list(enum prompt_kind kind)
{
#define LIST(name)                                                                                 \
    {                                                                                              \
        (name), sizeof(name) / sizeof(name)[0]                                                     \
    }
    static const struct prompt_list lists[PROMPT_KINDS] = {
        [PROMPT_REGION_LISTS] = LIST(region_lists),
        [PROMPT_SCENE_GRAPH] = LIST(scene_graph),
        [PROMPT_SCENE_GRAPH_DETAILED] = LIST(scene_graph_detailed),
        [PROMPT_SCENE_GRAPH_DETECTION] = LIST(scene_graph_detection),
        [PROMPT_RELATIONS] = LIST(relations),
        [PROMPT_DESCRIPTION] = LIST(description),
        [PROMPT_DETAILED_RELATIONS] = LIST(detailed_relations),
        [PROMPT_SUMMARY] = LIST(summary),
        [PROMPT_GROUNDING] = LIST(grounding),
        [PROMPT_REGION_CAPTION] = LIST(region_caption),
        [PROMPT_CAPTION] = LIST(caption),
        [PROMPT_ATTRIBUTE] = LIST(attribute),
        [PROMPT_PAIR] = LIST(pair),
    };
#undef LIST
    ASSERT(kind < PROMPT_KINDS, "no prompt list %d", (int)kind);
    return lists[kind];
}

void prompt_fill(struct text_buffer *out, const char *text, const char *braces, const char *region)
{
    const struct {
        const char *place, *with;
    } fills[] = {{"{}", braces}, {"<region>", region}};
    const char *at[2];
    for (int i = 0; i < 2; i++) at[i] = fills[i].with ? strstr(text, fills[i].place) : NULL;
    while (at[0] || at[1]) {
        int i = !at[0] || (at[1] && at[1] < at[0]);
        text_append_bytes(out, text, (size_t)(at[i] - text));
        text_append(out, fills[i].with);
        text = at[i] + strlen(fills[i].place);
        at[i] = NULL;
    }
    text_append(out, text);
}

static enum status write_region_list(struct text_buffer *out, const struct region_list *list,
                                     int64_t choice)
{
    enum status status = OK;
    struct prompt_list templates = prompt_list(PROMPT_REGION_LISTS);
    struct text_buffer regions = {0}, count = {0};
    ASSERT(choice >= 0 && choice < templates.n, "no region list %d", (int)choice);
    for (int64_t i = 0; i < list->n; i++) {
        text_printf(&regions, "%sregion%lld " PROMPT_REGION, i ? ", " : "", (long long)i + 1);
        if (!list->boxes) continue;
        text_append_char(&regions, ' ');
        TRY(box_text_write(&regions, &list->boxes[i], 1, list->width, list->height, list->format));
    }
    text_printf(&count, "%lld", (long long)list->n);
    prompt_fill(out, templates.texts[choice], count.text, text_of(&regions));
out:
    text_release(&regions);
    text_release(&count);
    return status;
}

enum status prompt_first_message(struct text_buffer *out, const struct region_list *list,
                                 int64_t choice, const char *question, bool inference)
{
    enum status status = OK;
    text_append(out, PROMPT_BEGIN);
    if (list)
        TRY(write_region_list(out, list, choice));
    else
        text_append(out, inference ? PROMPT_WHOLE_INFER : PROMPT_WHOLE);
    if (list && inference) text_append_char(out, ' ');
    text_append(out, question);
out:
    return status;
}
