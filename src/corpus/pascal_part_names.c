/* See pascal_part_names.h. The codes are those of the data set's part2ind.m. */
#include "corpus/pascal_part_names.h"

#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"

struct words {
    const char *code, *words;
};

static const struct words part_words[] = {
    {"backside", "back side"},
    {"bliplate", "back license plate"},
    {"bwheel", "back wheel"},
    {"cbackside", "coach back side"},
    {"cfrontside", "coach front side"},
    {"chainwheel", "chain wheel"},
    {"cleftside", "coach left side"},
    {"crightside", "coach right side"},
    {"croofside", "coach roof"},
    {"fliplate", "front license plate"},
    {"frontside", "front side"},
    {"fwheel", "front wheel"},
    {"hbackside", "head back side"},
    {"hfrontside", "head front side"},
    {"hleftside", "head left side"},
    {"hrightside", "head right side"},
    {"hroofside", "head roof"},
    {"lbho", "left back hoof"},
    {"lblleg", "left back lower leg"},
    {"lbleg", "left back leg"},
    {"lbpa", "left back paw"},
    {"lbuleg", "left back upper leg"},
    {"lear", "left ear"},
    {"lebrow", "left eyebrow"},
    {"leftmirror", "left mirror"},
    {"leftside", "left side"},
    {"leye", "left eye"},
    {"lfho", "left front hoof"},
    {"lflleg", "left front lower leg"},
    {"lfleg", "left front leg"},
    {"lfoot", "left foot"},
    {"lfpa", "left front paw"},
    {"lfuleg", "left front upper leg"},
    {"lhand", "left hand"},
    {"lhorn", "left horn"},
    {"llarm", "left lower arm"},
    {"lleg", "left leg"},
    {"llleg", "left lower leg"},
    {"luarm", "left upper arm"},
    {"luleg", "left upper leg"},
    {"lwing", "left wing"},
    {"rbho", "right back hoof"},
    {"rblleg", "right back lower leg"},
    {"rbleg", "right back leg"},
    {"rbpa", "right back paw"},
    {"rbuleg", "right back upper leg"},
    {"rear", "right ear"},
    {"rebrow", "right eyebrow"},
    {"reye", "right eye"},
    {"rfho", "right front hoof"},
    {"rflleg", "right front lower leg"},
    {"rfleg", "right front leg"},
    {"rfoot", "right foot"},
    {"rfpa", "right front paw"},
    {"rfuleg", "right front upper leg"},
    {"rhand", "right hand"},
    {"rhorn", "right horn"},
    {"rightmirror", "right mirror"},
    {"rightside", "right side"},
    {"rlarm", "right lower arm"},
    {"rleg", "right leg"},
    {"rlleg", "right lower leg"},
    {"roofside", "roof"},
    {"ruarm", "right upper arm"},
    {"ruleg", "right upper leg"},
    {"rwing", "right wing"},
};

static const struct words class_words[] = {
    {"diningtable", "dining table"},
    {"pottedplant", "potted plant"},
    {"tvmonitor", "tv monitor"},
};

static char *find_words(const struct words *list, size_t n, const char *code, size_t size)
{
    for (size_t i = 0; i < n; i++)
        if (strlen(list[i].code) == size && memcmp(list[i].code, code, size) == 0)
            return text_copy(list[i].words);
    return text_format("%.*s", (int)size, code);
}

/* Without the words that say which of several it is: "left front upper leg" -> "leg". */
static char *without_side(char *words)
{
    static const char *const sides[] = {"left ", "right ", "front ", "back ", "upper ", "lower "};
    const char *at = words;
    for (size_t i = 0; i < sizeof sides / sizeof sides[0]; i++)
        if (strncmp(at, sides[i], strlen(sides[i])) == 0) at += strlen(sides[i]);
    char *rest = text_copy(at);
    free(words);
    return rest;
}

char *pascal_part_words(const char *code, bool with_side)
{
    size_t size = strlen(code);
    const char *number = strrchr(code, '_');
    if (number != NULL && number > code && number[1] != '\0' &&
        strspn(number + 1, "0123456789") == strlen(number + 1))
        size = (size_t)(number - code); /* wheel_2: one of several */
    char *words = find_words(part_words, sizeof part_words / sizeof part_words[0], code, size);
    return with_side ? words : without_side(words);
}

char *pascal_class_words(const char *name)
{
    return find_words(class_words, sizeof class_words / sizeof class_words[0], name, strlen(name));
}
