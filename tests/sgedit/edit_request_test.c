/* What a teacher is shown and told: five pictures, drawn in both orders with numbers in the colours
 * of their regions and white round them, the graph in words, the schema; and all of it as the body
 * of a request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/text_buffer.h"
#include "image/image.h"
#include "sgedit/chat_body.h"
#include "sgedit/edit_request.h"

#define WIDTH  200
#define HEIGHT 120
#define GREY   200
#define PAD    50

/* A grey PNG; region 1 from its corner, region 2 over a part of it, region 3 apart from both. */
static const struct box boxes[3] = {{0, 0, 100, 80}, {60, 40, 160, 110}, {180, 90, 195, 115}};

struct scene {
    struct record record;
    struct record_region regions[3];
    struct record_text caption;
    struct record_turn turn;
    uint8_t *bytes;
    struct edit_graph graph;
};

static void begin(struct scene *scene)
{
    struct image image = {.height = HEIGHT, .width = WIDTH};
    struct scene_graph draft = {0};
    *scene = (struct scene){0};
    image.rgb = memory_new((size_t)WIDTH * HEIGHT, 3);
    memset(image.rgb, GREY, (size_t)WIDTH * HEIGHT * 3);
    scene->record = (struct record){.id = "scene",
                                    .width = WIDTH,
                                    .height = HEIGHT,
                                    .regions = scene->regions,
                                    .n_regions = 3,
                                    .texts = &scene->caption,
                                    .n_texts = 1};
    assert_int_equal(image_encode_png(&scene->bytes, &scene->record.image_size, &image), OK);
    image_release(&image);
    scene->record.image = scene->bytes;
    for (int i = 0; i < 3; i++) {
        scene->regions[i].box = boxes[i];
        assert_int_equal(rle_from_box(&scene->regions[i].mask, boxes[i], HEIGHT, WIDTH), OK);
    }
    scene->turn = (struct record_turn){.question = "", .answer = "Three things."};
    scene->caption =
        (struct record_text){.task = "caption", .region = -1, .turns = &scene->turn, .n_turns = 1};
    scene_graph_add_object(&draft, "cup");
    scene_graph_add_object(&draft, "the cook's table");
    scene_graph_add_object(&draft, "thing");
    scene_graph_add_relation(&draft, 0, 1, "on");
    scene_graph_add_relation(&draft, 0, 1, "left of");
    scene_graph_add_relation(&draft, 1, 2, "near");
    scene_graph_add_relation(&draft, 0, 2, "left of");
    edit_graph_begin(&scene->graph, &draft, boxes, 3);
    scene_graph_release(&draft);
}

static void end(struct scene *scene)
{
    for (int i = 0; i < 3; i++) rle_release(&scene->regions[i].mask);
    edit_graph_release(&scene->graph);
    free(scene->bytes);
}

static void make(struct edit_request *request, const struct scene *scene, int64_t side)
{
    const struct edit_request_options options = {
        .min_added = 2, .image_side = side, .pictures = true};
    assert_int_equal(edit_request_make(request, &scene->record, &scene->graph, &options), OK);
    assert_int_equal(request->request.n_images, 5);
}

/* ---- pictures ---- */

/* Mean colour of a square of that side round a place of the picture inside the padding. */
static void colour_at(double rgb[3], const struct image *image, int x, int y, int side)
{
    for (int c = 0; c < 3; c++) rgb[c] = 0;
    for (int dy = 0; dy < side; dy++)
        for (int dx = 0; dx < side; dx++)
            for (int c = 0; c < 3; c++) {
                const int64_t row = PAD + y + dy - side / 2, column = PAD + x + dx - side / 2;
                rgb[c] += (double)image->rgb[3 * (row * image->width + column) + c] / side / side;
            }
}

/* How much redder than green: region 1 is drawn in red, region 2 in green. */
static double redness(const struct image *image, int x, int y, int side)
{
    double rgb[3];
    colour_at(rgb, image, x, y, side);
    return rgb[0] - rgb[1];
}

/* The most that any pixel above a box, where its number stands, is redder than green, or less. */
static double number_colour(const struct image *image, struct box box, double sign)
{
    double most = -255;
    for (int y = (int)box.y1 - 12; y < (int)box.y1 - 2; y++)
        for (int x = (int)box.x1; x < (int)box.x1 + 10; x++) {
            const double here = sign * redness(image, x, y, 1);
            if (here > most) most = here;
        }
    return most;
}

static void check_frame(const struct image *image)
{
    assert_int_equal(image->width, WIDTH + 2 * PAD);
    assert_int_equal(image->height, HEIGHT + 2 * PAD);
    double rgb[3];
    for (int side = 0; side < 4; side++) { /* away from the numbers */
        colour_at(rgb, image,
                  side == 0   ? -30
                  : side == 1 ? WIDTH + 30
                              : 60,
                  side == 2   ? -30
                  : side == 3 ? HEIGHT + 30
                              : 60,
                  20);
        for (int c = 0; c < 3; c++) assert_true(rgb[c] > 250);
    }
    colour_at(rgb, image, 185, 30, 10); /* where nothing is drawn */
    for (int c = 0; c < 3; c++) assert_true(rgb[c] > GREY - 4 && rgb[c] < GREY + 4);
}

static void five_pictures(void **state)
{
    (void)state;
    struct scene scene;
    struct edit_request request = {0};
    struct image images[5] = {0};
    begin(&scene);
    make(&request, &scene, 512);
    assert_ptr_equal(request.request.images[0].bytes, scene.bytes);
    for (int i = 1; i < 5; i++) {
        const struct teacher_image *image = &request.request.images[i];
        assert_int_equal(image_decode(&images[i], image->bytes, image->size, "drawn"), OK);
        check_frame(&images[i]);
        assert_true(number_colour(&images[i], boxes[0], 1) > 60); /* within the padding */
        if (i != 3) /* there region 1 is drawn over the number of region 2 */
            assert_true(number_colour(&images[i], boxes[1], -1) > 40);
    }
    /* 1, 3: masks are tinted; 2, 4: outlines leave what is in them as it is */
    for (int i = 1; i < 5; i += 2) {
        assert_true(redness(&images[i], 30, 50, 10) > 40);
        assert_true(redness(&images[i], 130, 90, 10) < -20);
        assert_true(redness(&images[i + 1], 30, 50, 10) < 8);
        assert_true(redness(&images[i + 1], 130, 90, 10) > -8);
        assert_true(redness(&images[i + 1], 100, 20, 2) > 30); /* on the outline */
    }
    /* the second order puts what was below above, in what both masks share and where edges cross */
    assert_true(redness(&images[3], 80, 60, 10) - redness(&images[1], 80, 60, 10) > 25);
    assert_true(redness(&images[4], 100, 40, 2) - redness(&images[2], 100, 40, 2) > 25);
    for (int i = 1; i < 5; i++) image_release(&images[i]);
    edit_request_release(&request);
    end(&scene);
}

/* Larger ones are drawn smaller, the padding is not; what was dropped is not drawn. */
static void smaller_and_fewer(void **state)
{
    (void)state;
    struct scene scene;
    struct edit_request request = {0};
    struct image image = {0};
    begin(&scene);
    scene.graph.objects[0].dropped = true;
    make(&request, &scene, 100);
    assert_int_equal(image_decode(&image, request.request.images[1].bytes,
                                  request.request.images[1].size, "drawn"),
                     OK);
    assert_int_equal(image.width, 100 + 2 * PAD);
    assert_int_equal(image.height, 60 + 2 * PAD);
    assert_true(redness(&image, 10, 30, 6) < 8);   /* region 1 */
    assert_true(redness(&image, 65, 45, 6) < -20); /* region 2 */
    image_release(&image);
    edit_request_release(&request);
    end(&scene);
}

/* ---- words ---- */

static void words(void **state)
{
    (void)state;
    struct scene scene;
    struct edit_request request = {0};
    begin(&scene);
    make(&request, &scene, 512);
    assert_string_equal(
        request.user,
        "Caption:Three things.\n\nImage Size (width, height): (200, 120)\nGenerated Scene Graph:\n"
        "{1: {'name': 'cup', 'bbox': [0, 0, 100, 80], 'rel': {'on': [2], 'left of': [2, 3]}}, "
        "2: {'name': \"the cook's table\", 'bbox': [60, 40, 160, 110], 'rel': {'near': [3]}}, "
        "3: {'name': 'thing', 'bbox': [180, 90, 195, 115], 'rel': {}}}");
    static const char *const asked[] = {
        "modifications only",          "position",         "colour",  "texture",   "broad category",
        "at least 2 for every object", "Remove relations", "left of", "'same as'", "at most once",
        "Lists may be empty"};
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++)
        if (strstr(request.system, asked[i]) == NULL) fail_msg("not asked for: %s", asked[i]);
    edit_request_release(&request);
    end(&scene);
}

/* ---- as a body ---- */

static void check_picture(const json_t *content, size_t index, const struct teacher_image *image,
                          const char *mime)
{
    const json_t *part = json_array_get(content, index + 1); /* behind the words */
    const char *url = json_string_value(json_object_get(json_object_get(part, "image_url"), "url"));
    struct text_buffer wanted = {0};
    text_printf(&wanted, "data:%s;base64,", mime);
    base64_append(&wanted, image->bytes, image->size);
    assert_string_equal(url, text_of(&wanted));
    text_release(&wanted);
}

static void body(void **state)
{
    (void)state;
    struct scene scene;
    struct edit_request request = {0};
    struct teacher_call call = {0}, same = {0}, again = {0};
    const struct config_teacher config = {.model = "a \"model\"",
                                          .temperature = 0.25,
                                          .detail = "high",
                                          .max_tokens = 77,
                                          .image_tokens = 10};
    begin(&scene);
    make(&request, &scene, 512);
    assert_int_equal(chat_body_write(&call, &request.request, &config), OK);
    json_t *root = json_loadb(call.body, call.size, JSON_REJECT_DUPLICATES, NULL);
    assert_string_equal(json_string_value(json_object_get(root, "model")), config.model);
    assert_true(json_real_value(json_object_get(root, "temperature")) == 0.25);
    assert_int_equal(json_integer_value(json_object_get(root, "max_tokens")), 77);
    const json_t *messages = json_object_get(root, "messages");
    const json_t *content = json_object_get(json_array_get(messages, 1), "content");
    assert_int_equal(json_array_size(content), 6);
    check_picture(content, 0, &request.request.images[0], "image/png"); /* as its bytes are */
    for (size_t i = 1; i < 5; i++)
        check_picture(content, i, &request.request.images[i], "image/jpeg");
    const json_t *format = json_object_get(root, "response_format");
    const json_t *schema = json_object_get(format, "json_schema");
    assert_true(json_is_true(json_object_get(schema, "strict")));
    assert_true(json_equal(json_object_get(schema, "schema"), request.schema));
    assert_int_equal(chat_body_write(&same, &request.request, &config), OK);
    assert_memory_equal(call.key, same.key, JOURNAL_KEY_BYTES);
    request.request.attempt = 1; /* the same words, another call */
    assert_int_equal(chat_body_write(&again, &request.request, &config), OK);
    assert_string_equal(call.body, again.body);
    assert_memory_not_equal(call.key, again.key, JOURNAL_KEY_BYTES);
    json_decref(root);
    teacher_call_release(&call);
    teacher_call_release(&same);
    teacher_call_release(&again);
    edit_request_release(&request);
    end(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(five_pictures),
        cmocka_unit_test(smaller_and_fewer),
        cmocka_unit_test(words),
        cmocka_unit_test(body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
