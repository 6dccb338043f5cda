/* Reading scene-graph text. Models write anything; so every rule here says what happens to
 * whatever stands in a place, and nothing but absurd numbers is refused. */
#include <stdlib.h>
#include <string.h>

#include "text/scene_graph.h"
#include "text/unicode.h"

#define MAX_DIGITS 4300 /* of one number; Python stops converting there */
#define NO_REGION  (-1)

struct span {
    const char *text;
    size_t size;
};

static struct span span_from(struct span s, size_t at)
{
    return (struct span){s.text + at, s.size - at};
}

static struct span strip(struct span s)
{
    size_t first = s.size, last = 0;
    for (size_t at = 0; at < s.size;) {
        uint32_t c = 0;
        int n = utf8_decode(&c, s.text + at, s.size - at);
        bool space = n > 0 && unicode_is_python_space(c);
        if (!space && first == s.size) first = at;
        at += (size_t)abs(n);
        if (!space) last = at;
    }
    return last > first ? (struct span){s.text + first, last - first} : (struct span){s.text, 0};
}

/* Offset behind the first `word`, or SIZE_MAX. */
static size_t find_word(struct span s, const char *word)
{
    const char *at = s.size ? memmem(s.text, s.size, word, strlen(word)) : NULL;
    return at ? (size_t)(at - s.text) + strlen(word) : SIZE_MAX;
}

struct region_word { /* "region12" */
    size_t start, end;
    int64_t number; /* beyond 10^17: 10^17 */
    size_t n_digits;
};

/* The first "region" with digits behind it; false if there is none. */
static bool find_region(struct span s, struct region_word *word)
{
    size_t from = 0, found;
    while ((found = find_word(span_from(s, from), "region")) != SIZE_MAX) {
        *word = (struct region_word){.start = from + found - strlen("region"), .end = from + found};
        while (word->end < s.size) {
            uint32_t c;
            int n = utf8_decode(&c, s.text + word->end, s.size - word->end);
            int digit = n > 0 ? unicode_digit(c) : -1;
            if (digit < 0) break;
            if (word->number < 100000000000000000) word->number = word->number * 10 + digit;
            word->n_digits++;
            word->end += (size_t)n;
        }
        if (word->n_digits > 0) return true;
        from = word->end;
    }
    return false;
}

/* The same, with ":" right behind it. */
static bool find_heading(struct span s, struct region_word *word)
{
    size_t from = 0;
    while (find_region(span_from(s, from), word)) {
        word->start += from;
        word->end += from;
        if (word->end < s.size && s.text[word->end] == ':') return true;
        from = word->end;
    }
    return false;
}

/* The region number of a piece of text, or NO_REGION. */
static enum status region_number(int64_t *number_out, struct span s)
{
    enum status status = OK;
    struct region_word word;
    *number_out = NO_REGION;
    if (!find_region(s, &word)) goto out;
    if (word.n_digits > MAX_DIGITS)
        FAIL(ERR_LIMIT, "a region number of %zu digits; %d are read at most", word.n_digits,
             MAX_DIGITS);
    *number_out = word.number;
out:
    return status;
}

/* The name without <tags>, which do not reach over line ends. */
static char *without_tags(struct span s)
{
    struct text_buffer kept = {0};
    size_t unclosed = 0; /* up to here no tag closes */
    for (size_t at = 0; at < s.size; at++) {
        const char *close = NULL;
        if (s.text[at] == '<' && at >= unclosed) {
            const char *line_end = memchr(s.text + at, '\n', s.size - at);
            size_t size = line_end ? (size_t)(line_end - s.text) - at : s.size - at;
            close = memchr(s.text + at, '>', size);
            if (!close) unclosed = at + size;
        }
        if (close)
            at = (size_t)(close - s.text);
        else
            text_append_char(&kept, s.text[at]);
    }
    struct span name = strip((struct span){text_of(&kept), kept.length});
    char *text = memory_new(name.size + 1, 1);
    memcpy(text, name.text, name.size);
    text_release(&kept);
    return text;
}

struct numbers { /* what the objects are called in the text */
    int64_t *of_object;
    bool by_order;
};

static void parse_objects(struct scene_graph *graph, struct numbers *numbers, struct span s)
{
    struct region_word heading, next;
    bool more = find_heading(s, &heading);
    while (more) {
        struct span rest = span_from(s, heading.end + 1);
        more = find_heading(rest, &next);
        char *name = without_tags(strip((struct span){rest.text, more ? next.start : rest.size}));
        scene_graph_add_object(graph, name);
        free(name);
        numbers->of_object =
            memory_resize(numbers->of_object, (size_t)graph->n_objects, sizeof *numbers->of_object);
        numbers->of_object[graph->n_objects - 1] = heading.number;
        s = rest;
        heading = next;
    }
}

/* Index of the object that a number means, or -1. */
static int64_t object_of(const struct scene_graph *graph, const struct numbers *numbers,
                         int64_t number)
{
    if (numbers->by_order) return number >= 1 && number <= graph->n_objects ? number - 1 : -1;
    for (int64_t i = 0; i < graph->n_objects; i++)
        if (numbers->of_object[i] == number) return i;
    return -1;
}

struct relation_item { /* "region2 walking": cut at the first space */
    struct span target, predicate;
    bool has_predicate;
};

static struct relation_item cut_item(struct span s)
{
    s = strip(s);
    const char *space = s.size ? memchr(s.text, ' ', s.size) : NULL;
    if (!space) return (struct relation_item){.target = s};
    size_t at = (size_t)(space - s.text);
    return (struct relation_item){{s.text, at}, span_from(s, at + 1), true};
}

/* Takes the text up to the next `end` off the front of `rest`; false when nothing is left. */
static bool next_part(struct span *part, struct span *rest, char end)
{
    if (!rest->text) return false;
    const char *at = rest->size ? memchr(rest->text, end, rest->size) : NULL;
    *part = *rest;
    *rest = (struct span){0};
    if (!at) return true;
    size_t size = (size_t)(at - part->text);
    *rest = span_from(*part, size + 1);
    part->size = size;
    return true;
}

static void add_relation(struct scene_graph *graph, int64_t subject, int64_t object,
                         struct span predicate)
{
    char *text = memory_new(predicate.size + 1, 1);
    memcpy(text, predicate.text, predicate.size);
    scene_graph_add_relation(graph, subject, object, text);
    free(text);
}

/* ", slowly" goes to the relation before it. */
static void extend_relation(struct scene_relation *relation, struct span more)
{
    char *text = text_format("%s, %.*s", relation->predicate, (int)more.size, more.text);
    free(relation->predicate);
    relation->predicate = text;
}

/* "region1: region2 walking, region3 holding" */
static enum status parse_line(struct scene_graph_reading *reading, const struct numbers *numbers,
                              struct span line)
{
    enum status status = OK;
    struct scene_graph *graph = &reading->graph;
    struct span left, part;
    next_part(&left, &line, ':');
    if (!line.text) goto out; /* no colon: not a line of relations */
    int64_t number, n_before = graph->n_relations;
    TRY(region_number(&number, left));
    if (number == NO_REGION) goto out;
    int64_t subject = object_of(graph, numbers, number);
    while (next_part(&part, &line, ',')) {
        struct relation_item item = cut_item(part);
        if (item.target.size == 0) continue;
        TRY(region_number(&number, item.target));
        int64_t object = number == NO_REGION ? -1 : object_of(graph, numbers, number);
        bool continues = number == NO_REGION && !numbers->by_order;
        if (continues && graph->n_relations > n_before)
            extend_relation(&graph->relations[graph->n_relations - 1], strip(part));
        else if (item.has_predicate && subject >= 0 && object >= 0)
            add_relation(graph, subject, object, item.predicate);
        else
            reading->n_dropped++;
    }
out:
    return status;
}

enum status scene_graph_parse(struct scene_graph_reading *reading_out, const char *text,
                              size_t size, bool compat)
{
    enum status status = OK;
    struct span all = {text, size}, line;
    struct numbers numbers = {.by_order = compat};
    *reading_out = (struct scene_graph_reading){0};
    size_t at = find_word(all, "Objects:");
    if (at == SIZE_MAX) goto out;
    reading_out->found = true;
    struct span objects = span_from(all, at);
    size_t end = find_word(objects, "Relations:");
    if (end != SIZE_MAX) objects.size = end - strlen("Relations:");
    parse_objects(&reading_out->graph, &numbers, objects);
    at = find_word(all, "Relations:");
    struct span relations = at == SIZE_MAX ? (struct span){0} : span_from(all, at);
    while (next_part(&line, &relations, '\n')) TRY(parse_line(reading_out, &numbers, line));
out:
    reading_out->numbers = numbers.of_object;
    if (status != OK) scene_graph_reading_release(reading_out);
    return status;
}

void scene_graph_reading_release(struct scene_graph_reading *reading)
{
    scene_graph_release(&reading->graph);
    free(reading->numbers);
    *reading = (struct scene_graph_reading){0};
}

enum status scene_graph_parse_line(struct scene_graph *graph, const char *text, size_t size)
{
    enum status status = OK;
    struct span right = {text, size}, left, part;
    next_part(&left, &right, ':');
    bool counts =
        right.text && find_word(right, ":") == SIZE_MAX && find_word(right, "region") != SIZE_MAX;
    if (!counts) goto out;
    int64_t subject, object;
    TRY(region_number(&subject, left));
    while (next_part(&part, &right, ',')) {
        struct relation_item item = cut_item(part);
        if (!item.has_predicate) continue;
        TRY(region_number(&object, item.target));
        add_relation(graph, subject == NO_REGION ? -1 : subject - 1,
                     object == NO_REGION ? -1 : object - 1, item.predicate);
    }
out:
    return status;
}
