/* The order of samples: every item equally often, sources in their shares, nothing but
 * (seed, mixture, position) decides. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "train/order.h"

static struct order *make(uint64_t seed, const struct order_source *sources, int64_t n)
{
    struct order *order = NULL;
    assert_int_equal(order_create(&order, seed, 8, sources, n), OK);
    return order;
}

static const struct order_source mixture[] = {
    {.name = "a", .n_records = 10, .n_tasks = 3, .weight = 1},
    {.name = "b", .n_records = 7, .n_tasks = 1, .weight = 2.5},
    {.name = "c", .n_records = 1000, .n_tasks = 2, .count = 13},
    {.name = "d", .n_records = 5, .n_tasks = 1, .weight = 0},
};

static void test_shares(void **state)
{
    (void)state;
    struct order *order = make(1, mixture, 4);
    assert_int_equal(order_epoch_size(order), 30 + 18 + 13);
    for (int64_t epoch = 0; epoch < 5; epoch++) {
        int64_t drawn[4] = {0};
        for (int64_t i = 0; i < 61; i++) drawn[order_item_at(order, epoch * 61 + i).source]++;
        assert_int_equal(drawn[0], 30);
        assert_int_equal(drawn[1], 18);
        assert_int_equal(drawn[2], 13);
        assert_int_equal(drawn[3], 0);
    }
    order_destroy(order);
}

/* After any whole number of epochs the items of a source have been drawn equally often but for one,
 * and the rounds count each item's draws. */
static void test_every_item_equally_often(void **state)
{
    (void)state;
    struct order *order = make(2, mixture, 4);
    int64_t items_a[30] = {0}, items_b[7] = {0};
    for (int64_t i = 0; i < 3 * 61; i++) {
        const struct order_item item = order_item_at(order, i);
        assert_int_equal(item.id, (uint64_t)item.source << 56 | (uint64_t)item.task << 48 |
                                      (uint64_t)item.record);
        if (item.source == 0) items_a[item.record * 3 + item.task]++;
        if (item.source == 1) items_b[item.record]++;
    }
    for (int i = 0; i < 30; i++) assert_int_equal(items_a[i], 3);
    for (int i = 0; i < 7; i++) assert_in_range(items_b[i], 7, 8); /* 54 draws of 7 */
    order_destroy(order);
}

static void test_rounds(void **state)
{
    (void)state;
    struct order *order = make(3, mixture, 2);
    uint64_t seen[7] = {0}; /* bit r: round r came */
    for (int64_t i = 0; i < 2 * 48; i++) {
        const struct order_item item = order_item_at(order, i);
        if (item.source != 1) continue;
        assert_int_equal(seen[item.record] >> item.round & 1, 0);
        seen[item.record] |= UINT64_C(1) << item.round;
    }
    order_destroy(order);
}

static void test_pure_function(void **state)
{
    (void)state;
    struct order *first = make(4, mixture, 4), *second = make(4, mixture, 4);
    struct order *other = make(5, mixture, 4);
    int64_t same = 0;
    for (int64_t i = 999; i >= 0; i--) {
        const uint64_t id = order_item_at(first, i).id;
        assert_int_equal(order_item_at(second, i).id, id);
        same += order_item_at(other, i).id == id;
    }
    assert_in_range(same, 0, 200); /* another seed is another order */
    assert_int_equal(order_key(first), order_key(second));
    assert_int_not_equal(order_key(first), order_key(other));
    order_destroy(first);
    order_destroy(second);
    order_destroy(other);
}

static void test_epochs_differ(void **state)
{
    (void)state;
    struct order *order = make(6, mixture, 1);
    int64_t same = 0;
    for (int64_t i = 0; i < 30; i++)
        same += order_item_at(order, i).id == order_item_at(order, 30 + i).id;
    assert_in_range(same, 0, 10);
    order_destroy(order);
}

static void test_hash_sees_ids_and_their_order(void **state)
{
    (void)state;
    const uint64_t ab = order_hash_next(order_hash_next(0, 1), 2);
    const uint64_t ba = order_hash_next(order_hash_next(0, 2), 1);
    assert_int_not_equal(ab, ba);
    assert_int_not_equal(order_hash_next(0, 0), 0);
}

static void test_refusals(void **state)
{
    (void)state;
    struct order *order = NULL;
    const struct order_source empty = {.name = "void", .n_tasks = 1, .count = 3};
    assert_int_equal(order_create(&order, 1, 8, &empty, 1), ERR_ARGUMENT);
    assert_non_null(strstr(status_message(), "corpus void is empty"));
    const struct order_source nothing = {.name = "d", .n_records = 5, .n_tasks = 1};
    assert_int_equal(order_create(&order, 1, 8, &nothing, 1), ERR_ARGUMENT);
    assert_null(order);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shares),        cmocka_unit_test(test_every_item_equally_often),
        cmocka_unit_test(test_rounds),        cmocka_unit_test(test_pure_function),
        cmocka_unit_test(test_epochs_differ), cmocka_unit_test(test_hash_sees_ids_and_their_order),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
