/* Importers of folders with a file a picture: Pascal-Part's MATLAB structs, ADE20K in both
 * releases. What they become, and what is dropped or skipped, with a sentence. */
#include "corpus/import.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/text_buffer.h"
#include "corpus/matlab_file.h"
#include "corpus/pascal_part_names.h"
#include "image/image.h"
#include "support/import_check.h"

#define WIDTH  8
#define HEIGHT 6

/* Without waiting for the disk. */
static void write_plain(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* ---- Pascal-Part ---- */

/* A writer of MATLAB's format, as far as it is needed: a value is its matrix element. */
static void add_u32(struct text_buffer *to, uint32_t value)
{
    for (int i = 0; i < 4; i++) text_append_char(to, (char)(value >> 8 * i));
}

static void add_element(struct text_buffer *to, uint32_t type, const void *data, size_t size)
{
    add_u32(to, type);
    add_u32(to, (uint32_t)size);
    text_append_bytes(to, data, size);
    while (to->length % 8 != 0) text_append_char(to, 0);
}

/* The beginning of a matrix: class, sides, name. */
static void begin_matrix(struct text_buffer *to, uint32_t class, int height, int width,
                         const char *name)
{
    struct text_buffer words = {0};
    add_u32(&words, class);
    add_u32(&words, 0);
    add_element(to, 6, words.text, 8);
    text_clear(&words);
    add_u32(&words, (uint32_t)height);
    add_u32(&words, (uint32_t)width);
    add_element(to, 5, words.text, 8);
    add_element(to, 1, name, strlen(name));
    text_release(&words);
}

static void end_matrix(struct text_buffer *to, struct text_buffer *matrix)
{
    add_element(to, 14, text_of(matrix), matrix->length);
    text_release(matrix);
}

/* Logical, column after column: n are true from `first` on. */
static void add_mask(struct text_buffer *to, int height, int width, int first, int n)
{
    struct text_buffer matrix = {0};
    struct text_buffer values = {0};
    begin_matrix(&matrix, 9 | 0x200, height, width, "");
    for (int i = 0; i < height * width; i++) text_append_char(&values, i >= first && i < first + n);
    add_element(&matrix, 2, text_of(&values), values.length);
    end_matrix(to, &matrix);
    text_release(&values);
}

static void add_text(struct text_buffer *to, const char *words)
{
    struct text_buffer matrix = {0};
    struct text_buffer values = {0};
    begin_matrix(&matrix, 4, 1, (int)strlen(words), "");
    for (const char *at = words; *at != '\0'; at++) {
        text_append_char(&values, *at);
        text_append_char(&values, 0);
    }
    add_element(&matrix, 4, text_of(&values), values.length);
    end_matrix(to, &matrix);
    text_release(&values);
}

/* The beginning of a 1 x n struct array whose fields' names are `fields`, 16 bytes each. */
static void begin_structs(struct text_buffer *to, const char *name, int n, const char *fields,
                          size_t n_fields)
{
    begin_matrix(to, 2, 1, n, name);
    add_u32(to, 4 << 16 | 5); /* a short element */
    add_u32(to, 16);
    add_element(to, 1, fields, 16 * n_fields);
}

struct part {
    const char *name;
    int height, width, first, n;
};

/* One object of `class_name` with a mask and parts; writes FOLDER/7.mat. */
static void write_mat(const char *folder, const char *variable, const char *class_name,
                      struct part mask, const struct part *parts, int n)
{
    struct text_buffer file = {0};
    struct text_buffer anno = {0};
    struct text_buffer object = {0};
    struct text_buffer list = {0};
    char *path = path_join(folder, "7.mat");
    begin_structs(&list, "", n, "mask\0           part_name\0      ", 2);
    for (int i = 0; i < n; i++) {
        add_mask(&list, parts[i].height, parts[i].width, parts[i].first, parts[i].n);
        add_text(&list, parts[i].name);
    }
    begin_structs(&object, "", 1, "class\0          mask\0           parts\0          ", 3);
    add_text(&object, class_name);
    add_mask(&object, mask.height, mask.width, mask.first, mask.n);
    end_matrix(&object, &list);
    begin_structs(&anno, variable, 1, "imname\0         objects\0        ", 2);
    add_text(&anno, "7");
    end_matrix(&anno, &object);
    for (int i = 0; i < 124; i++) text_append_char(&file, ' ');
    text_append_bytes(&file, "\0\1IM", 4);
    end_matrix(&file, &anno);
    write_plain(path, file.text, file.length);
    text_release(&file);
    free(path);
}

/* What the folder's first item is in words, or the sentence of why not; to free(). */
static char *folder_item(import_open open, const char *folder, const char *variant)
{
    struct record_source source = {0};
    const struct import_options options = {
        .annotations = folder, .images = folder, .variant = variant};
    char *words = open(&source, &options) == OK ? import_check_item(&source, 0)
                                                : text_format("refused: %s", status_message());
    record_source_release(&source);
    return words;
}

static void expect(char *found, const char *words)
{
    if (strstr(found, words) == NULL) fail_msg("wanted '%s', found '%s'", words, found);
    free(found);
}

#define LEFT_HALF                                                                                  \
    (struct part)                                                                                  \
    {                                                                                              \
        "", HEIGHT, WIDTH, 0, 24                                                                   \
    }

static void pascal_part(void **state)
{
    static const struct part parts[] = {{"lfuleg", HEIGHT, WIDTH, 0, 2},
                                        {"eye_12", HEIGHT, WIDTH, 7, 1}};
    write_mat(*state, "anno", "pottedplant", LEFT_HALF, parts, 2);
    expect(folder_item(import_pascal_part, *state, "merged"),
           "    0  potted plant  region1 (0, 0, 4, 6), mask of 24 pixels\n"
           "    1  potted plant:leg  region2 (0, 0, 1, 2), mask of 2 pixels\n"
           "    2  potted plant:eye  region3 (1, 1, 2, 2), mask of 1 pixels\n"
           "relations\n    1 potted plant:leg - part of - 0 potted plant\n"
           "    2 potted plant:eye - part of - 0 potted plant\n");
    expect(folder_item(import_pascal_part, *state, "sides"), "potted plant:left front upper leg");
    expect(folder_item(import_pascal_part, *state, "merged"),
           "id          pascal-part/7\nsource      pascal-part:7.mat");
    static const struct part bad[] = {{"head", HEIGHT, WIDTH - 1, 0, 2},
                                      {"tail", HEIGHT, WIDTH, 0, 0},
                                      {"", HEIGHT, WIDTH, 0, 1},
                                      {"odd_part", HEIGHT, WIDTH, 0, 1}};
    write_mat(*state, "anno", "cat", LEFT_HALF, bad, 4);
    static const char *const words[] = {
        "    1  cat:odd_part  region2",
        "anno.objects(1).parts(3): field 'part_name' is empty",
        "dropped mask: ",
        "anno.objects(1).parts(1): the mask is 7 x 6 pixels, the picture 8 x 6",
        "anno.objects(1).parts(2): its mask holds no pixel",
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        expect(folder_item(import_pascal_part, *state, "merged"), words[i]);
}

/* Written by SciPy with savemat(do_compression=True): nearly the same record. */
static void pascal_part_compressed(void **state)
{
    unsigned char *bytes = NULL;
    size_t size = 0;
    char *path = path_join(*state, "7.mat");
    assert_int_equal(file_read(&bytes, &size, "tests/data/pascal_part_7.mat", 1 << 20), OK);
    write_plain(path, bytes, size);
    expect(folder_item(import_pascal_part, *state, "merged"),
           "    0  potted plant  region1 (0, 0, 4, 6), mask of 24 pixels\n"
           "    1  potted plant:leg  region2 (0, 0, 1, 2), mask of 2 pixels\n"
           "    2  potted plant:eye  region3 (0, 0, 1, 2), mask of 2 pixels\n");
    free(bytes);
    free(path);
}

/* Cut short at every length, and every byte changed: a sentence or a record, no crash. */
static void damaged_files(const char *folder)
{
    char *path = path_join(folder, "7.mat");
    unsigned char *bytes = NULL;
    size_t size = 0;
    assert_int_equal(file_read(&bytes, &size, path, 1 << 20), OK);
    for (size_t n = 0; n < size; n++) {
        struct matlab_file file = {0};
        struct matlab_value value;
        write_plain(path, bytes, n);
        assert_int_not_equal(matlab_open(&file, &value, path, "anno"), OK);
        const unsigned char kept = bytes[n];
        bytes[n] ^= n % 2 == 0 ? 0xFF : 0x55;
        write_plain(path, bytes, size);
        free(folder_item(import_pascal_part, folder, NULL));
        bytes[n] = kept;
    }
    free(bytes);
    free(path);
}

static void hostile_pascal_files(void **state)
{
    static const struct part head = {"head", HEIGHT, WIDTH, 0, 2};
    static const struct part small = {"head", 2, 2, 0, 2};
    static const struct part nothing = {"head", HEIGHT, WIDTH, 0, 0};
    char *path = path_join(*state, "7.mat");
    damaged_files(*state); /* the compressed one */
    write_mat(*state, "anno", "cat", LEFT_HALF, &head, 1);
    damaged_files(*state);
    write_mat(*state, "other", "cat", LEFT_HALF, &head, 1);
    expect(folder_item(import_pascal_part, *state, NULL), "annotation: ");
    expect(folder_item(import_pascal_part, *state, NULL), "it has no variable 'anno'");
    write_mat(*state, "anno", "cat", nothing, &head, 1);
    expect(folder_item(import_pascal_part, *state, NULL), "dropped mask: ");
    expect(folder_item(import_pascal_part, *state, NULL), "dropped part: ");
    write_mat(*state, "anno", "cat", small, &small, 1);
    expect(folder_item(import_pascal_part, *state, NULL), "size: ");
    write_plain(path, "no MATLAB file", 14);
    expect(folder_item(import_pascal_part, *state, NULL), "its header is not that of");
    assert_int_equal(directory_remove(path), OK);
    expect(folder_item(import_pascal_part, *state, NULL), "is it the folder Annotations_Part?");
    expect(folder_item(import_pascal_part, path, NULL), "refused: ");
    free(path);
}

static void pascal_words(void **state)
{
    static const struct {
        const char *code, *sides, *merged;
    } cases[] = {
        {"head", "head", "head"},
        {"rear", "right ear", "ear"},
        {"luarm", "left upper arm", "arm"},
        {"rbpa", "right back paw", "paw"},
        {"fliplate", "front license plate", "license plate"},
        {"leftmirror", "left mirror", "mirror"},
        {"wheel_3", "wheel", "wheel"},
        {"bwheel", "back wheel", "wheel"},
        {"cfrontside_2", "coach front side", "coach front side"},
        {"_1", "_1", "_1"},
        {"x_", "x_", "x_"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *sides = pascal_part_words(cases[i].code, true);
        char *merged = pascal_part_words(cases[i].code, false);
        assert_string_equal(sides, cases[i].sides);
        assert_string_equal(merged, cases[i].merged);
        free(sides);
        free(merged);
    }
}

/* ---- ADE20K ---- */

/* FOLDER/NAME: pixels of columns [first, first + n) get the colour. */
static void write_png(const char *folder, const char *name, const int columns[][5], size_t n)
{
    struct image image = {.height = HEIGHT, .width = WIDTH};
    uint8_t *bytes = NULL;
    size_t size = 0;
    char *path = path_join(folder, name);
    image.rgb = memory_new(HEIGHT * WIDTH * 3, 1);
    for (size_t i = 0; i < n; i++)
        for (int x = columns[i][0]; x < columns[i][0] + columns[i][1]; x++)
            for (int y = 0; y < HEIGHT; y++)
                for (int c = 0; c < 3; c++)
                    image.rgb[(y * WIDTH + x) * 3 + c] = (uint8_t)columns[i][2 + c];
    assert_int_equal(image_encode_png(&bytes, &size, &image), OK);
    write_plain(path, bytes, size);
    image_release(&image);
    free(bytes);
    free(path);
}

/* A folder of one picture, street/7.jpg, below the test's folder; to free(). */
static char *ade_folder(const char *folder)
{
    char *root = path_join(folder, "ade");
    char *street = path_join(root, "street");
    char *masks = path_join(street, "7");
    char *from = path_join(folder, "7.jpg");
    char *to = path_join(street, "7.jpg");
    unsigned char *bytes = NULL;
    size_t size = 0;
    assert_int_equal(directory_remove(root), OK);
    assert_int_equal(directory_create(masks), OK);
    assert_int_equal(file_read(&bytes, &size, from, 1 << 20), OK);
    write_plain(to, bytes, size);
    free(bytes);
    free(from);
    free(to);
    free(masks);
    free(root);
    return street;
}

static void ade_expect(const char *street, const char *file, const char *content, const char *words)
{
    char *root = path_parent(street);
    char *path = path_join(street, file);
    write_plain(path, content, strlen(content));
    expect(folder_item(import_ade20k, root, NULL), words);
    assert_int_equal(directory_remove(path), OK);
    free(path);
    free(root);
}

#define ADE(objects) "{\"annotation\": {\"imsize\": [6, 8, 3], \"object\": " objects "}}"
#define CAR                                                                                        \
    "{\"id\": 4, \"name\": \"car, auto\", \"attributes\": \"red, parked\", \"instance_mask\": "    \
    "\"7/a.png\", \"parts\": {\"hasparts\": 5, \"ispartof\": [], \"part_level\": 0}}"
#define DOOR(id, of, mask)                                                                         \
    "{\"id\": " id ", \"name\": \"door\", \"attributes\": [], \"instance_mask\": \"" mask "\", "   \
    "\"parts\": {\"hasparts\": [], \"ispartof\": " of ", \"part_level\": 1}}"

static void ade20k_of_2021(void **state)
{
    static const int car[][5] = {{0, 5, 255, 255, 255}, {5, 1, 128, 128, 128}};
    static const int door[][5] = {{1, 2, 255, 255, 255}};
    static const struct {
        const char *json, *words;
    } cases[] = {
        {ADE("[" CAR ", " DOOR("5", "4", "7/b.png") "]"),
         "id          ade20k/7\nsource      ade20k:7.json"},
        {ADE("[" CAR ", " DOOR("5", "4", "7/b.png") "]"),
         "    0  car (red, parked)  region1 (0, 0, 5, 6), mask of 30 pixels\n"
         "    1  door  region2 (1, 0, 3, 6), mask of 12 pixels\n"
         "relations\n    1 door - part of - 0 car\n"},
        {ADE(CAR), "    0  car (red, parked)  region1"},
        {ADE("[{\"id\": 1, \"name\": \"caf\xe9\", \"instance_mask\": \"7/a.png\"}]"),
         "    0  caf\xc3\xa9  region1"},
        {ADE("[]"), "id          ade20k/7"},
        {ADE("[" DOOR("5", "4", "7/b.png") "]"), "dropped relation: "},
        {ADE("[" DOOR("5", "4", "7/b.png") "]"), "it is part of object 4, which is not there"},
        {ADE("[" DOOR("5", "5", "7/b.png") "]"), "it is part of object 5, which is not there"},
        {ADE("[" DOOR("5", "\"4\"", "7/b.png") "]"), "field 'ispartof' must be an integer"},
        {ADE("[" CAR ", " CAR "]"), "object[1]: an object before it has the id 4 already"},
        {ADE("[" DOOR("5", "[]", "7/c.png") "]"), "dropped mask: "},
        {ADE("[" DOOR("5", "[]", "7/none.png") "]"), "nothing of it is seen"},
        {ADE("[" DOOR("5", "[]", "../7.png") "]"), "leads out of"},
        {ADE("[{\"id\": 1, \"name\": \", x\", \"instance_mask\": \"7/a.png\"}]"),
         "dropped object: "},
        {ADE("[{\"name\": \"x\"}]"), "field 'id' is missing"},
        {ADE("[3]"), "dropped object: "},
        {ADE("3"), "annotation: "},
        {"{\"annotation\": {\"imsize\": [6, 9, 3], \"object\": []}}", "size: "},
        {"{\"annotation\": {\"imsize\": [6]}}", "the width in imsize must be an integer"},
        {"{\"annotation\": 3}", "field 'annotation' must be an object"},
        {"[", "7.json:1:"},
    };
    char *street = ade_folder(*state);
    write_png(street, "7/a.png", car, 2);
    write_png(street, "7/b.png", door, 1);
    write_png(street, "7/none.png", car + 1, 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ade_expect(street, "7.json", cases[i].json, cases[i].words);
    ade_expect(street, "8.txt", "", "7.jpg has neither 7.json nor 7_atr.txt beside it");
    free(street);
}

#define CAR_LINE  "001 # 0 # 0 # car, auto # car # \"red, parked\"\n"
#define SKY_LINE  "002 # 0 # 1 # sky # sky # \"\"\n"
#define DOOR_LINE "001 # 1 # 0 # door # door # \"\"\n"

static void ade20k_of_2016(void **state)
{
    /* blue 5 is the first, 90 the second; the door lies on both, more of it on the car */
    static const int objects[][5] = {{0, 5, 10, 20, 5}, {5, 2, 0, 3, 90}};
    static const int parts[][5] = {{3, 3, 0, 7, 40}};
    static const struct {
        const char *text, *words;
    } cases[] = {
        {CAR_LINE SKY_LINE DOOR_LINE, "id          ade20k/7\nsource      ade20k:7_atr.txt"},
        {CAR_LINE SKY_LINE "\r\n" DOOR_LINE,
         "    0  car (red, parked)  region1 (0, 0, 5, 6), mask of 30 pixels\n"
         "    1  sky  region2 (5, 0, 7, 6), mask of 12 pixels\n"
         "    2  door  region3 (3, 0, 6, 6), mask of 18 pixels\n"
         "relations\n    2 door - part of - 0 car\n"},
        {"", "id          ade20k/7"},
        {"002 # 0 # 0 # sky # sky", "    0  sky  region1 (5, 0, 7, 6), mask of 12 pixels\n"},
        {DOOR_LINE, "object 0 ('door') lies on nothing that it could be part of"},
        {"003 # 0 # 0 # sky # sky # \"\"\n", "line 1: number 3; the PNG of its level has 2"},
        {"000 # 0 # 0 # sky # sky # \"\"\n", "line 1: number 0; the PNG of its level has 2"},
        {"001 # 2 # 0 # sky # sky # \"\"\n", "dropped mask: cannot open"},
        {CAR_LINE CAR_LINE, "line 2: a line before it has number 1 of level 0"},
        {"001 # 9 # 0 # sky # sky # \"\"\n", "the part level is '9', must be 0 .. 7"},
        {CAR_LINE "x # 0 # 0 # sky # sky # \"\"\n", "line 2: the number is 'x', must be 0 .. 255"},
        {"-1 # 0 # 0 # sky # sky # \"\"\n", "the number is '-1'"},
        {"99999999999999999999 # 0 # 0 # sky # sky # \"\"\n", "the number is '9999"},
        {"001 # 0 # 0\n", "line 1: 3 fields between '#'; there must be 6"},
        {"001 # 0 # 0 # # sky # \"\"\n", "dropped object: "},
    };
    char *street = ade_folder(*state);
    ade_expect(street, "7_atr.txt", CAR_LINE, "masks: cannot open");
    write_png(street, "7_seg.png", objects, 2);
    write_png(street, "7_parts_1.png", parts, 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ade_expect(street, "7_atr.txt", cases[i].text, cases[i].words);
    free(street);
    expect(folder_item(import_ade20k, "/nowhere", NULL), "refused: ");
    char *empty = path_join(*state, "empty");
    assert_int_equal(directory_create(empty), OK);
    expect(folder_item(import_ade20k, empty, NULL), "no .jpg in it or below");
    free(empty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pascal_part),          cmocka_unit_test(pascal_part_compressed),
        cmocka_unit_test(hostile_pascal_files), cmocka_unit_test(pascal_words),
        cmocka_unit_test(ade20k_of_2021),       cmocka_unit_test(ade20k_of_2016),
    };
    return cmocka_run_group_tests(tests, import_check_set_up, import_check_tear_down);
}
