/* The procedural corpus: what a record says is looked up again in its masks and its decoded
 * picture, without the code that drew it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "base/thread_pool.h"
#include "corpus/scenes.h"
#include "corpus/scenes_vocabulary.h"
#include "image/image.h"

#define N_TRUTH   400
#define N_BALANCE 2000

struct seen { /* one thing as the record shows it */
    uint8_t *mask;
    double x, y;
    int64_t x1, y1, x2, y2, area;
};

struct scene {
    struct record record;
    struct image image;
    struct seen seen[SCENES_MAX_THINGS];
};

static void see(struct seen *seen, const struct rle *rle)
{
    *seen = (struct seen){.x1 = rle->width, .y1 = rle->height};
    seen->mask = malloc((size_t)(rle->height * rle->width));
    rle_to_mask(seen->mask, rle);
    for (int64_t y = 0; y < rle->height; y++)
        for (int64_t x = 0; x < rle->width; x++) {
            if (!seen->mask[y * rle->width + x]) continue;
            seen->area++;
            seen->x += (double)x;
            seen->y += (double)y;
            if (x < seen->x1) seen->x1 = x;
            if (y < seen->y1) seen->y1 = y;
            if (x >= seen->x2) seen->x2 = x + 1;
            if (y >= seen->y2) seen->y2 = y + 1;
        }
    assert_true(seen->area > 0);
    seen->x /= (double)seen->area;
    seen->y /= (double)seen->area;
}

static void open_scene(struct scene *scene, int64_t index)
{
    struct scenes_options options = scenes_options_default();
    *scene = (struct scene){0};
    assert_int_equal(scenes_record(&scene->record, &options, index), OK);
    assert_int_equal(record_check(&scene->record), OK);
    assert_int_equal(image_decode(&scene->image, scene->record.image, scene->record.image_size,
                                  scene->record.id),
                     OK);
    assert_int_equal(scene->image.height, scene->record.height);
    assert_int_equal(scene->image.width, scene->record.width);
    for (int64_t i = 0; i < scene->record.n_objects; i++)
        see(&scene->seen[i], &scene->record.regions[scene->record.objects[i].region].mask);
}

static void close_scene(struct scene *scene)
{
    for (int64_t i = 0; i < scene->record.n_objects; i++) free(scene->seen[i].mask);
    image_release(&scene->image);
    record_release(&scene->record);
}

static const uint8_t *pixel(const struct scene *scene, int64_t x, int64_t y)
{
    return scene->image.rgb + (y * scene->image.width + x) * 3;
}

static int brightest(const uint8_t *rgb)
{
    int value = rgb[0] > rgb[1] ? rgb[0] : rgb[1];
    return value > rgb[2] ? value : rgb[2];
}

static int darkest(const uint8_t *rgb)
{
    int value = rgb[0] < rgb[1] ? rgb[0] : rgb[1];
    return value < rgb[2] ? value : rgb[2];
}

static bool is_character(const struct scene *scene, int64_t object)
{
    const char *name = scene->record.objects[object].name;
    return strcmp(name, "person") == 0 || strcmp(name, "robot") == 0;
}

/* Shares of pixels of one side of a character's head. */
struct head {
    double dark, white; /* near black; white as teeth */
};
static struct head look_at_head(const struct scene *scene, int64_t object, int side)
{
    const struct seen *seen = &scene->seen[object];
    int64_t middle = (seen->x1 + seen->x2) / 2,
            bottom = seen->y1 + (seen->y2 - seen->y1) * 46 / 100;
    int64_t n = 0, n_dark = 0, n_white = 0;
    for (int64_t y = seen->y1 + 3; y < bottom; y++)
        for (int64_t x = seen->x1; x < seen->x2; x++) {
            if (!seen->mask[y * scene->image.width + x]) continue;
            if ((side > 0) != (x >= middle)) continue;
            n++;
            n_dark += brightest(pixel(scene, x, y)) < 90;
            n_white += darkest(pixel(scene, x, y)) > 242;
        }
    assert_true(n > 50);
    return (struct head){(double)n_dark / (double)n, (double)n_white / (double)n};
}

/* -1 or 1: the side with less hair. */
static int facing(const struct scene *scene, int64_t object)
{
    double left = look_at_head(scene, object, -1).dark, right = look_at_head(scene, object, 1).dark;
    double apart = left - right;
    assert_true(apart > 0.3 || apart < -0.3);
    return apart > 0 ? 1 : -1;
}

enum mood { CALM, SMILING, FROWNING };
static enum mood mood(const struct scene *scene, int64_t object)
{
    struct head face = look_at_head(scene, object, facing(scene, object));
    if (face.dark > 0.26) return FROWNING;
    return face.white > 0.04 ? SMILING : CALM;
}

/* Pixels of the face's tint on the body, which only hands have. */
static int64_t hand_pixels(const struct scene *scene, int64_t object)
{
    const struct seen *seen = &scene->seen[object];
    int64_t n = 0;
    for (int64_t y = seen->y1 + (seen->y2 - seen->y1) * 58 / 100; y < seen->y2; y++)
        for (int64_t x = seen->x1; x < seen->x2; x++)
            if (seen->mask[y * scene->image.width + x] && darkest(pixel(scene, x, y)) > 150) n++;
    return n;
}

/* True if some pixel of one is beside or within `reach` of some pixel of the other. */
static bool near(const struct scene *scene, int64_t a, int64_t b, int64_t reach)
{
    const struct seen *one = &scene->seen[a], *two = &scene->seen[b];
    int64_t size = scene->image.width;
    for (int64_t y = one->y1; y < one->y2; y++)
        for (int64_t x = one->x1; x < one->x2; x++) {
            if (!one->mask[y * size + x]) continue;
            for (int64_t v = y - reach; v <= y + reach; v++)
                for (int64_t u = x - reach; u <= x + reach; u++)
                    if (u >= 0 && v >= 0 && u < size && v < size && two->mask[v * size + u])
                        return true;
        }
    return false;
}

/* The share of its box that a whole thing of this name fills. */
static double fill_of(const char *name)
{
    static const struct {
        const char *name;
        double fill;
    } table[] = {{"circle", 0.785}, {"square", 1}, {"box", 1},
                 {"triangle", 0.5}, {"cup", 0.76}, {"star", 0.467}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (strcmp(table[i].name, name) == 0) return table[i].fill;
    fail_msg("no fill for %s", name);
    return 0;
}

static bool is_whole(const struct scene *scene, int64_t object)
{
    const struct seen *seen = &scene->seen[object];
    double fill = (double)seen->area / (double)((seen->x2 - seen->x1) * (seen->y2 - seen->y1));
    double want = fill_of(scene->record.objects[object].name);
    return fill > want - 0.06 && fill < want + 0.08;
}

static bool boxes_meet(const struct seen *a, const struct seen *b, int64_t by)
{
    return a->x1 + by <= b->x2 && b->x1 + by <= a->x2 && a->y1 + by <= b->y2 && b->y1 + by <= a->y2;
}

/* `front` covers part of `back`, or would: it is whole, they meet and their boxes overlap. */
static bool covers(const struct scene *scene, int64_t front, int64_t back)
{
    return is_whole(scene, front) && near(scene, front, back, 1) &&
           boxes_meet(&scene->seen[front], &scene->seen[back], 0) &&
           (!is_character(scene, back) || hand_pixels(scene, back) < 15);
}

/* The subject is a character whose face is toward (1) or away from (-1) the object. */
static bool looks(const struct scene *scene, int64_t subject, int64_t object, int toward)
{
    if (!is_character(scene, subject)) return false;
    int side = scene->seen[object].x > scene->seen[subject].x ? 1 : -1;
    return facing(scene, subject) == toward * side && near(scene, subject, object, 12);
}

static bool holds(const struct scene *scene, enum scenes_relation relation, int64_t s, int64_t o)
{
    const struct seen *a = &scene->seen[s], *b = &scene->seen[o];
    double dx = b->x - a->x, dy = b->y - a->y;
    bool wide = (dx > 0 ? dx : -dx) > 1.2 * (dy > 0 ? dy : -dy);
    bool high = (dy > 0 ? dy : -dy) > 1.2 * (dx > 0 ? dx : -dx);
    switch (relation) {
    case SCENES_LEFT_OF: return wide && a->x2 <= b->x1;
    case SCENES_RIGHT_OF: return wide && b->x2 <= a->x1;
    case SCENES_ABOVE: return high && a->y2 <= b->y1;
    case SCENES_BELOW: return high && b->y2 <= a->y1;
    case SCENES_INSIDE: return a->x1 > b->x1 && a->y1 > b->y1 && a->x2 < b->x2 && a->y2 < b->y2;
    case SCENES_IN_FRONT_OF: return covers(scene, s, o);
    case SCENES_BEHIND: return covers(scene, o, s);
    case SCENES_TOUCHING:
        return near(scene, s, o, 1) && is_whole(scene, s) && is_whole(scene, o) &&
               !boxes_meet(a, b, 2);
    case SCENES_HOLDING:
        return is_character(scene, s) && hand_pixels(scene, s) > 40 && near(scene, s, o, 1);
    case SCENES_SUPPORTING:
        return near(scene, s, o, 1) && b->y2 <= a->y1 + 2 && b->x1 >= a->x1 - 1 &&
               b->x2 <= a->x2 + 1;
    case SCENES_LOOKING_AT: return looks(scene, s, o, 1) && mood(scene, s) == CALM;
    case SCENES_FACING_AWAY: return looks(scene, s, o, -1);
    case SCENES_SMILING_AT: return looks(scene, s, o, 1) && mood(scene, s) == SMILING;
    case SCENES_FROWNING_AT: return looks(scene, s, o, 1) && mood(scene, s) == FROWNING;
    case SCENES_TALKING_TO:
        return looks(scene, s, o, 1) && looks(scene, o, s, 1) && mood(scene, s) == CALM;
    default: return false;
    }
}

static enum scenes_relation relation_named(const char *predicate)
{
    int relation = 0;
    while (relation < SCENES_RELATIONS &&
           strcmp(scenes_predicate((enum scenes_relation)relation)->text, predicate) != 0)
        relation++;
    assert_true(relation < SCENES_RELATIONS);
    return (enum scenes_relation)relation;
}

static void relations_are_true(void **state)
{
    (void)state;
    for (int64_t index = 0; index < N_TRUTH; index++) {
        struct scene scene;
        open_scene(&scene, index);
        const struct record *record = &scene.record;
        for (int64_t i = 0; i < record->n_relations; i++) {
            const struct record_relation *r = &record->relations[i];
            enum scenes_relation relation = relation_named(r->predicate);
            if (!holds(&scene, relation, r->subject, r->object))
                fail_msg("%s: region%d is not %s region%d", record->id, (int)r->subject + 1,
                         r->predicate, (int)r->object + 1);
            assert_string_equal(r->kind, scenes_predicate(relation)->kind);
        }
        close_scene(&scene);
    }
}

/* The check above must be able to fail: exchanging subject and object, or the predicate for its
 * opposite, must be found out. */
static void opposites_are_false(void **state)
{
    (void)state;
    static const enum scenes_relation opposite[SCENES_RELATIONS] = {
        [SCENES_LEFT_OF] = SCENES_RIGHT_OF,
        [SCENES_RIGHT_OF] = SCENES_LEFT_OF,
        [SCENES_ABOVE] = SCENES_BELOW,
        [SCENES_BELOW] = SCENES_ABOVE,
        [SCENES_INSIDE] = SCENES_TOUCHING,
        [SCENES_IN_FRONT_OF] = SCENES_HOLDING,
        [SCENES_BEHIND] = SCENES_HOLDING,
        [SCENES_TOUCHING] = SCENES_INSIDE,
        [SCENES_HOLDING] = SCENES_BEHIND,
        [SCENES_LOOKING_AT] = SCENES_FACING_AWAY,
        [SCENES_FACING_AWAY] = SCENES_LOOKING_AT,
        [SCENES_SUPPORTING] = SCENES_INSIDE,
        [SCENES_TALKING_TO] = SCENES_FACING_AWAY,
        [SCENES_SMILING_AT] = SCENES_FROWNING_AT,
        [SCENES_FROWNING_AT] = SCENES_SMILING_AT};
    int64_t n_seen[SCENES_RELATIONS] = {0};
    for (int64_t index = 0; index < N_TRUTH / 2; index++) {
        struct scene scene;
        open_scene(&scene, index);
        for (int64_t i = 0; i < scene.record.n_relations; i++) {
            const struct record_relation *r = &scene.record.relations[i];
            enum scenes_relation relation = relation_named(r->predicate);
            n_seen[relation]++;
            if (holds(&scene, opposite[relation], r->subject, r->object))
                fail_msg("%s: region%d is %s region%d and %s it", scene.record.id,
                         (int)r->subject + 1, r->predicate, (int)r->object + 1,
                         scenes_predicate(opposite[relation])->text);
        }
        close_scene(&scene);
    }
    for (int relation = 0; relation < SCENES_RELATIONS; relation++)
        assert_true(n_seen[relation] > 5);
}

static void masks_and_pairs_are_sound(void **state)
{
    (void)state;
    for (int64_t index = 0; index < N_TRUTH; index++) {
        struct scene scene;
        open_scene(&scene, index);
        const struct record *record = &scene.record;
        int64_t n_pixels = record->height * record->width;
        for (int64_t p = 0; p < n_pixels; p++) {
            int n = 0;
            for (int64_t i = 0; i < record->n_objects; i++) n += scene.seen[i].mask[p];
            assert_true(n <= 1);
        }
        for (int64_t i = 0; i < record->n_objects; i++) {
            struct box box = record->regions[i].box;
            assert_true(box.x1 == (double)scene.seen[i].x1 && box.y1 == (double)scene.seen[i].y1);
            assert_true(box.x2 == (double)scene.seen[i].x2 && box.y2 == (double)scene.seen[i].y2);
            assert_true(scene.seen[i].area >= 150);
        }
        for (int64_t i = 0; i < record->n_relations; i++)
            for (int64_t j = 0; j < i; j++) {
                const struct record_relation *a = &record->relations[i], *b = &record->relations[j];
                assert_false((a->subject == b->subject && a->object == b->object) ||
                             (a->subject == b->object && a->object == b->subject));
            }
        close_scene(&scene);
    }
}

/* Pixels of a thing that are near a colour. */
static int64_t votes_for(const struct scene *scene, const struct seen *seen, const double rgb[3])
{
    int64_t n = 0;
    for (int64_t p = 0; p < scene->image.width * scene->image.height; p++) {
        if (!seen->mask[p]) continue;
        double apart = 0;
        for (int k = 0; k < 3; k++) {
            double d = scene->image.rgb[3 * p + k] - 255 * rgb[k];
            apart += d * d;
        }
        n += apart < 40 * 40;
    }
    return n;
}

static void colours_are_seen(void **state)
{
    (void)state;
    for (int64_t index = 0; index < N_TRUTH / 4; index++) {
        struct scene scene;
        open_scene(&scene, index);
        for (int64_t i = 0; i < scene.record.n_objects; i++) {
            int64_t best = 0, most = 0;
            for (int64_t c = 0; c < SCENES_COLOURS; c++) {
                int64_t votes = votes_for(&scene, &scene.seen[i], scenes_colour(c)->rgb);
                if (votes > most) best = c;
                if (votes > most) most = votes;
            }
            assert_string_equal(scene.record.objects[i].attributes[0], scenes_colour(best)->name);
        }
        close_scene(&scene);
    }
}

struct hashing {
    uint32_t crc[64];
    bool backwards;
};

static void hash_block(void *argument, int64_t block, int worker)
{
    (void)worker;
    struct hashing *hashing = argument;
    int64_t index = hashing->backwards ? 63 - block : block;
    struct scenes_options options = scenes_options_default();
    struct record record = {0};
    if (scenes_record(&record, &options, index) != OK) return;
    hashing->crc[index] = record_checksum(&record);
    record_release(&record);
}

static void bytes_do_not_depend_on_threads(void **state)
{
    (void)state;
    struct hashing alone = {0}, together = {.backwards = true};
    struct thread_pool *pool = NULL;
    assert_int_equal(thread_pool_create(&pool, 3), OK);
    thread_pool_run(NULL, 64, hash_block, &alone);
    thread_pool_run(pool, 64, hash_block, &together);
    thread_pool_destroy(pool);
    assert_memory_equal(alone.crc, together.crc, sizeof alone.crc);
    for (int i = 1; i < 64; i++) assert_int_not_equal(alone.crc[i], alone.crc[0]);
}

static void an_offset_moves_the_index(void **state)
{
    (void)state;
    struct scenes_options options = scenes_options_default();
    struct record a = {0}, b = {0}, c = {0};
    assert_int_equal(scenes_record(&a, &options, 1007), OK);
    options.first = 1000;
    assert_int_equal(scenes_record(&b, &options, 7), OK);
    assert_int_equal(record_checksum(&a), record_checksum(&b));
    options.seed++;
    assert_int_equal(scenes_record(&c, &options, 7), OK);
    assert_int_not_equal(record_checksum(&a), record_checksum(&c));
    record_release(&a);
    record_release(&b);
    record_release(&c);
}

/* Nothing can be guessed well: no predicate, name or colour has a large share. */
static void shares_are_balanced(void **state)
{
    (void)state;
    struct scenes_options options = scenes_options_default();
    int64_t relations[SCENES_RELATIONS] = {0}, names[SCENES_NAMES] = {0};
    int64_t n_relations = 0, n_things = 0, n_small = 0;
    for (int64_t index = 0; index < N_BALANCE; index++) {
        struct record record = {0};
        assert_int_equal(scenes_record(&record, &options, index), OK);
        for (int64_t i = 0; i < record.n_relations; i++, n_relations++)
            relations[relation_named(record.relations[i].predicate)]++;
        for (int64_t i = 0; i < record.n_objects; i++, n_things++) {
            n_small += rle_area(&record.regions[i].mask) < 250;
            for (int name = 0; name < SCENES_NAMES; name++)
                names[name] +=
                    strcmp(record.objects[i].name, scenes_name_text((enum scenes_name)name)) == 0;
        }
        record_release(&record);
    }
    for (int i = 0; i < SCENES_RELATIONS; i++)
        assert_in_range(relations[i] * 100, 2 * n_relations, 20 * n_relations);
    for (int i = 0; i < SCENES_NAMES; i++)
        assert_in_range(names[i] * 100, 5 * n_things, 20 * n_things);
    assert_true(n_small * 100 < 3 * n_things);
    print_message("%lld things, %lld below 250 pixels\n", (long long)n_things, (long long)n_small);
}

static void other_sizes_and_bad_options(void **state)
{
    (void)state;
    struct scenes_options options = scenes_options_default();
    for (int64_t size = 64; size <= 512; size += 64) {
        struct record record = {0};
        options.size = size;
        assert_int_equal(scenes_record(&record, &options, size), OK);
        assert_int_equal(record_check(&record), OK);
        record_release(&record);
    }
    struct scenes_options bad[5];
    for (int i = 0; i < 5; i++) bad[i] = scenes_options_default();
    bad[0].size = 63;
    bad[1].min_things = 1;
    bad[2].max_things = SCENES_MAX_THINGS + 1;
    bad[3].quality = 0;
    bad[4].first = -1;
    for (int i = 0; i < 5; i++) {
        struct record record = {0};
        assert_int_equal(scenes_record(&record, &bad[i], 0), ERR_ARGUMENT);
        assert_non_null(strstr(status_message(), "scenes: "));
        assert_null(record.id);
    }
}

/* Means and tails of crowded scenes; a statement once, between things of the record. */
static void crowds(void **state)
{
    (void)state;
    enum { N = 150 };
    struct scenes_options options = scenes_options_default();
    options.crowd_objects = 13.2;
    options.crowd_relations = 25.5;
    int64_t n_objects = 0, n_relations = 0, most = 0;
    for (int64_t i = 0; i < N; i++) {
        struct record record = {0};
        assert_int_equal(scenes_record(&record, &options, i), OK);
        n_objects += record.n_objects;
        n_relations += record.n_relations;
        if (record.n_objects > most) most = record.n_objects;
        for (int64_t k = 0; k < record.n_objects; k++)
            assert_true(rle_area(&record.regions[k].mask) > 0);
        for (int64_t k = 0; k < record.n_relations; k++)
            for (int64_t l = 0; l < k; l++)
                assert_true(record.relations[k].subject != record.relations[l].subject ||
                            record.relations[k].object != record.relations[l].object);
        record_release(&record);
    }
    assert_in_range(n_objects, 12 * N, 15 * N);
    assert_in_range(n_relations, 23 * N, 29 * N);
    assert_true(most > 30);
    options.crowd_relations = 0;
    assert_int_equal(scenes_options_check(&options), ERR_ARGUMENT);
    assert_non_null(strstr(status_message(), "give both or neither"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(relations_are_true),
        cmocka_unit_test(opposites_are_false),
        cmocka_unit_test(masks_and_pairs_are_sound),
        cmocka_unit_test(colours_are_seen),
        cmocka_unit_test(bytes_do_not_depend_on_threads),
        cmocka_unit_test(an_offset_moves_the_index),
        cmocka_unit_test(shares_are_balanced),
        cmocka_unit_test(other_sizes_and_bad_options),
        cmocka_unit_test(crowds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
