/* The lists are those of the released training code, misprints included; the missing comma that
 * makes one question of two is part of it. */
#include "base/assertion.h"
#include "text/prompts.h"

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

static const char *const grounded_caption[] = {
    ("Can you provide a short description of the image and include the bboxes for each"
     " mentioned object?"),
    ("Please briefly explain what's happening in the photo and give coordinates for "
     "the items you reference."),
    ("Can you describe the image and provide bounding box coordinates for the objects "
     "you mention?"),
};
static const char *const grounded_reasoning[] = {
    ("Solve the question by identifying relevant objects and providing their bounding "
     "box coordinates. Then provide a final answer using a single word or phrase."),
    ("Think step by step by identifying objects of interest helpful for answering the "
     "question and provide their bounding box coordinates. Then provide a final answer"
     " using a single word or phrase."),
    ("Think through the problem step by step, referencing the bounding boxes of the "
     "objects you consider. Finish with a final answer using a single word or phrase."),
    ("Detail your thought process by listing relevant objects and their bounding "
     "boxes. Then, provide the final answer using a single word or phrase."),
};
static const char *const graph_reasoning[] = {
    ("Generate a scene graph with relevant objects to answer the question using a "
     "single word or phrase."),
    ("Create a scene graph highlighting objects critical for responding to the "
     "question using a single word or phrase."),
    ("Develop a scene graph emphasizing objects essential for answering the question "
     "correctly."),
    ("Build a scene graph featuring objects relevant to formulating an answer to the "
     "question."),
};
static const char *const detailed_description[] = {
    ("Can you provide me with a detailed description of the region in the picture "
     "marked by <region>?"),
    ("I'm curious about the region represented by <region> in the picture. Could you "
     "describe it in detail?"),
    "What can you tell me about the region indicated by <region> in the image?",
    ("I'd like to know more about the area in the photo labeled <region>. Can you give"
     " me a detailed description?"),
    "Could you describe the region shown as <region> in the picture in great detail?",
    "What details can you give me about the region outlined by <region> in the photo?",
    ("Please provide me with a comprehensive description of the region marked with "
     "<region> in the image."),
    "Can you give me a detailed account of the region labeled as <region> in the picture?",
    ("I'm interested in learning more about the region represented by <region> in the "
     "photo. Can you describe it in detail?"),
    ("What is the region outlined by <region> in the picture like? Could you give me a"
     " detailed description?"),
    ("Can you provide me with a detailed description of the region in the picture "
     "marked by <region>, please?"),
    ("I'm curious about the region represented by <region> in the picture. Could you "
     "describe it in detail, please?"),
    "What can you tell me about the region indicated by <region> in the image, exactly?",
    ("I'd like to know more about the area in the photo labeled <region>, please. Can "
     "you give me a detailed description?"),
    ("Could you describe the region shown as <region> in the picture in great detail, "
     "please?"),
    ("What details can you give me about the region outlined by <region> in the photo,"
     " please?"),
    ("Please provide me with a comprehensive description of the region marked with "
     "<region> in the image, please."),
    ("Can you give me a detailed account of the region labeled as <region> in the "
     "picture, please?"),
    ("I'm interested in learning more about the region represented by <region> in the "
     "photo. Can you describe it in detail, please?"),
    ("What is the region outlined by <region> in the picture like, please? Could you "
     "give me a detailed description?"),
    "Please describe the region <region> in the image in detail.",
    "Can you offer a thorough analysis of the region <region> in the image?",
    "Could you elaborate on the region highlighted by <region> in the picture provided?",
    "Please share more information about the zone emphasized with <region> in the photo.",
    "What insights can you give ablout the area denoted by <region> in the image presented?",
    ("Can you share a comprehensive rundown of the region denoted by <region> in the "
     "presented image?"),
    ("I'd like to know more about the region highlighted by <region> in the picture "
     "provided."),
    "Work through the important details of the area <region> in the image.",
    "Illustrate the area represtented by <region> through a descriptive explanation.",
    "Examine the region <region> closely and share its details.",
};
static const char *const why[] = {
    "why?",
    "why",
    "What's the rationale for your decision?",
    "What led you to that conclusion?",
    "What's the reasoning behind your opinion?",
    "Why do you believe that to be true?",
    "Can you explain the basis for your thinking?",
    "What factors influenced your perspective?",
    "How did you arrive at that perspective?",
    "What evidence supports your viewpoint?",
    "What makes you think that way?",
    "What's the logic behind your argument?",
    "Can you provide some context for your opinion?",
    "What's the basis for your assertion?",
    "Why do you hold that belief?",
    "What experiences have shaped your perspective?",
    "What assumptions underlie your reasoning?",
    "What's the foundation of your assertion?",
    "What's the source of your reasoning?",
    "What's the motivation behind your decision?",
    "What's the impetus for your belief?",
    "What's the driving force behind your conclusion?",
    "Why do you think that?",
    "What's your reasoning?",
    "What makes you say that?",
    "Why do you feel that way?",
    "What's the story behind that?",
    "What's your thought process?",
    "What's the deal with that?",
    "What's the logic behind it?",
    "Why do you believe that?",
    "What's the real deal here?",
    "What's the reason behind it?",
    "What's the thought process behind your decision?",
    "What's the rationale for your opinion?",
    "Why do you have that impression?",
    "What's the background to that?",
    "What's the evidence that supports your view?",
    "What's the explanation for that?",
};
static const char *const region_choice[] = {
    "Please provide the region that best answers this question: ",
    "What is the region that best answers this question: ",
    "Which area best answers this question: ",
    "Can you identify the region for this question: ",
    "What region is being referred to in this question: ",
};
static const char *const kind_spatial[] = {
    "What are the spatial relationships for {}?",
    "Can you describe the physical positions involved in {}?",
    "How are objects or individuals positioned in {}?",
    "How is an object or individual positioned in {}?",
    "What spatial arrangements are present in {}?",
    "Identify the spatial connections in {}.",
};
static const char *const kind_interactional[] = {
    "What are the interactional relationships for {}?",
    "Can you describe the interactions taking place in {}?",
    "How do individuals or objects interact in {}?",
    "How does an individual or object interact in {}?",
    "What actions are involved in {}?",
    "Identify the interactional ties in {}.",
};
static const char *const kind_functional[] = {
    "What are the functional relationships for {}?",
    "Can you specify the purposes or functions involved in {}?",
    "How are objects or individuals used in {}?",
    "How is an object or individual used in {}?",
    "What roles do objects or individuals play in {}?",
    "Identify the functional connections in {}.",
};
static const char *const kind_social[] = {
    "What are the social relationships for {}?",  "Can you outline the social connections in {}?",
    "How are individuals socially linked in {}?", "How is an individual socially linked in {}?",
    "What social roles are present in {}?",       "Identify the social ties in {}.",
};
static const char *const kind_emotional[] = {
    "What are the emotional relationships for {}?",
    "Can you describe the feelings or emotions involved in {}?",
    "How do individuals feel about each other in {}?",
    "How does an individual feel about another in {}?",
    "What emotional connections are present in {}?",
    "Identify the emotional ties in {}.",
};
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
        [PROMPT_GROUNDED_CAPTION] = LIST(grounded_caption),
        [PROMPT_GROUNDED_REASONING] = LIST(grounded_reasoning),
        [PROMPT_GRAPH_REASONING] = LIST(graph_reasoning),
        [PROMPT_DETAILED_DESCRIPTION] = LIST(detailed_description),
        [PROMPT_WHY] = LIST(why),
        [PROMPT_REGION_CHOICE] = LIST(region_choice),
        [PROMPT_KIND_SPATIAL] = LIST(kind_spatial),
        [PROMPT_KIND_INTERACTIONAL] = LIST(kind_interactional),
        [PROMPT_KIND_FUNCTIONAL] = LIST(kind_functional),
        [PROMPT_KIND_SOCIAL] = LIST(kind_social),
        [PROMPT_KIND_EMOTIONAL] = LIST(kind_emotional),
    };
#undef LIST
    ASSERT(kind < PROMPT_KINDS, "no prompt list %d", (int)kind);
    return lists[kind];
}
