/* Annotation files of every kind of `data import`: a line with the kind, a byte that says which
 * variant, the file, and behind a line "----" a second one: the boxes of a picture. What comes out
 * is a record that a shard may hold, or a sentence. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/status.h"
#include "base/text_buffer.h"
#include "corpus/import.h"
#include "corpus/record.h"
#include "fuzz/fuzz.h"
#include "image/image.h"

#define MOST_ITEMS 16

/* A folder with the picture 7.jpg of 8 x 6 pixels. */
static const char *pictures(void)
{
    static bool made;
    if (made) return fuzz_folder();
    struct image image = {.height = 6, .width = 8, .rgb = memory_new((size_t)8 * 6, 3)};
    uint8_t *bytes = NULL;
    size_t size = 0;
    fuzz_require(image_encode_png(&bytes, &size, &image) == OK, "no picture");
    fuzz_folder_file("7.jpg", bytes, size);
    static const char *const inner[] = {"Sentences", "Annotations"};
    for (size_t i = 0; i < 2; i++) {
        char *path = path_join(fuzz_folder(), inner[i]);
        fuzz_require(directory_create(path) == OK, "no folder");
        free(path);
    }
    image_release(&image);
    free(bytes);
    made = true;
    return fuzz_folder();
}

/* Word `index` of "a|b|c", to free(); NULL without words. */
static char *word_of(const char *words, uint64_t index)
{
    if (words == NULL) return NULL;
    for (; index > 0 && strchr(words, '|') != NULL; index--) words = strchr(words, '|') + 1;
    return text_format("%.*s", (int)strcspn(words, "|"), words);
}

static void make_records(const struct importer *importer, const struct import_options *options)
{
    struct record_source source = {0};
    if (importer->open(&source, options) != OK) return;
    for (int64_t i = 0; i < source.n_items && i < MOST_ITEMS; i++) {
        struct record record = {0};
        struct item_note note = {0};
        if (source.make(source.context, i, &record, &note) == OK)
            fuzz_require(record_check(&record) == OK, "an importer made a record that is none");
        item_note_release(&note);
        record_release(&record);
    }
    record_source_release(&source);
}

/* The kind that the first line names; for other lines any. */
static const struct importer *take_importer(struct fuzz_input *input)
{
    const uint8_t *end = input->size == 0 ? NULL : memchr(input->data, '\n', input->size);
    const size_t length = end == NULL ? 0 : (size_t)(end - input->data);
    char *kind = text_format("%.*s", (int)length, length == 0 ? "" : (const char *)input->data);
    const struct importer *importer = import_find(kind);
    free(kind);
    if (importer == NULL) return &importers[fuzz_integer(input, n_importers)];
    input->data += length + 1;
    input->size -= length + 1;
    return importer;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char border[] = "\n----\n";
    struct fuzz_input input = {data, size};
    const struct importer *importer = take_importer(&input);
    const uint64_t variant = fuzz_integer(&input, 4);
    const char *folder = pictures();
    const uint8_t *second =
        input.size == 0 ? NULL : memmem(input.data, input.size, border, strlen(border));
    const size_t n_first = second == NULL ? input.size : (size_t)(second - input.data);
    const size_t n_second = second == NULL ? 0 : input.size - n_first - strlen(border);
    const uint8_t *rest = second == NULL ? (const uint8_t *)"" : second + strlen(border);
    struct import_options options = {.images = folder, .masks = folder, .with = folder};
    char *split = word_of(importer->splits, variant);
    char *form = word_of(importer->variants, variant);
    options.split = split;
    options.variant = form;
    fuzz_folder_file("m.json", rest, n_second);
    fuzz_folder_file("Sentences/7.txt", input.data, n_first);
    fuzz_folder_file("Annotations/7.xml", rest, n_second);
    fuzz_folder_file("a.json", input.data, n_first);
    char *path = path_join(folder, "a.json");
    char *list = path_join(folder, "list.txt");
    fuzz_folder_file("list.txt", (const uint8_t *)"7\n", 2);
    options.annotations = path;
    make_records(importer, &options);
    if (strcmp(importer->kind, "flickr") ==
        0) { /* the list is given; sentences and boxes are not */
        options.annotations = list;
        make_records(importer, &options);
    }
    free(path);
    free(list);
    free(split);
    free(form);
    return 0;
}
