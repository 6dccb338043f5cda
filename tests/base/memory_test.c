/* Arenas, blocks that are kept, and text buffers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/allocator.h"
#include "base/arena.h"
#include "base/text_buffer.h"

/* A layout of some use: pieces of odd sizes, a stack of scratch, a last piece. */
static void lay_out(struct arena *arena, unsigned char *pieces[4])
{
    pieces[0] = arena_take(arena, 100);
    size_t mark = arena_mark(arena);
    pieces[1] = arena_take(arena, 1000);
    pieces[2] = arena_take(arena, 1);
    arena_rewind(arena, mark);
    pieces[3] = arena_take(arena, 65);
}

static void the_plan_is_the_use(void **state)
{
    (void)state;
    struct arena plan, arena;
    unsigned char *pieces[4];
    arena_init_measuring(&plan);
    lay_out(&plan, pieces);
    for (int i = 0; i < 4; i++) assert_null(pieces[i]);
    assert_int_equal(plan.peak, 128 + 1024 + 64);
    assert_int_equal(plan.used, 128 + 128);
    assert_int_equal(arena_init(&arena, plan.peak), OK);
    lay_out(&arena, pieces);
    assert_int_equal(arena.peak, plan.peak);
    for (int i = 0; i < 4; i++) assert_int_equal((uintptr_t)pieces[i] % ARENA_ALIGNMENT, 0);
    memset(pieces[0], 1, 100);
    memset(pieces[1], 2, 1000);
    assert_ptr_equal(pieces[3], pieces[1]); /* the scratch was given back */
    arena_release(&arena);
    assert_null(arena.base);
    arena_release(&arena);
}

static void borrowed_memory_is_left_alone(void **state)
{
    (void)state;
    struct arena arena;
    unsigned char *memory = aligned_alloc(ARENA_ALIGNMENT, 256);
    arena_init_over(&arena, memory, 256);
    assert_ptr_equal(arena_take(&arena, 64), memory);
    assert_ptr_equal(arena_take(&arena, 0), memory + 64);
    arena_release(&arena);
    memory[0] = 1;
    free(memory);
}

static void too_large_is_an_error(void **state)
{
    (void)state;
    struct arena arena;
    assert_int_equal(arena_init(&arena, SIZE_MAX / 2), ERR_MEMORY);
    assert_non_null(strstr(status_message(), "9223372036854775807 bytes"));
    assert_int_equal(arena_init(&arena, SIZE_MAX - 3), ERR_MEMORY);
    arena_release(&arena);
    assert_int_equal(size_multiply(3, 5), 15);
}

/* A large block comes back to whoever asks for about as much; every byte of it is writable. */
static void large_blocks_come_back(void **state)
{
    (void)state;
    enum { LARGE = 3 << 20, MANY = 60 };
    unsigned char *small = block_take(10), *none = block_take(0), *large = block_take(LARGE);
    assert_int_equal((uintptr_t)small % 64, 0);
    assert_int_equal((uintptr_t)large % 64, 0);
    assert_non_null(none);
    memset(small, 1, 10);
    memset(large, 2, LARGE);
    block_give(large);
    unsigned char *other = block_take(LARGE / 2 - 1), *more = block_take(LARGE + 1);
    assert_ptr_not_equal(other, large); /* less than half of it would be used, or it is too small */
    assert_ptr_not_equal(more, large);
    unsigned char *again = block_take(LARGE - 100);
#ifndef __SANITIZE_ADDRESS__
    assert_ptr_equal(again, large);
#endif
    memset(again, 3, LARGE - 100);
    block_give(again);
    block_give(other);
    block_give(more);
    block_give(small);
    block_give(none);
    block_give(NULL);
    assert_null(block_take(SIZE_MAX - 10));
    void *blocks[MANY]; /* more than are kept */
    for (size_t i = 0; i < MANY; i++) {
        blocks[i] = block_take(LARGE + i);
        memset(blocks[i], 4, LARGE + i);
    }
    for (size_t i = 0; i < MANY; i++) block_give(blocks[i]);
}

static void text_grows(void **state)
{
    (void)state;
    struct text_buffer text = {0};
    assert_string_equal(text_of(&text), "");
    struct text_buffer expected = {0};
    for (int i = 0; i < 1000; i++) {
        text_printf(&text, "%d,", i);
        char *piece = text_format("%d,", i);
        text_append(&expected, piece);
        free(piece);
    }
    assert_int_equal(text.length, 10 * 2 + 90 * 3 + 900 * 4);
    assert_int_equal(text.length, strlen(text.text));
    assert_string_equal(text.text, expected.text);
    text_release(&expected);
    text_clear(&text);
    assert_string_equal(text_of(&text), "");
    text_append_bytes(&text, "a\0b", 3);
    text_append_char(&text, 'c');
    assert_int_equal(text.length, 4);
    assert_memory_equal(text.text, "a\0bc", 5);
    char *taken = text_take(&text);
    assert_null(text.text);
    assert_int_equal(text.length, 0);
    free(taken);
    taken = text_take(&text); /* of nothing: an empty string, not NULL */
    assert_string_equal(taken, "");
    free(taken);
    text_release(&text);
    char *copy = text_copy("copied");
    assert_string_equal(copy, "copied");
    free(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_plan_is_the_use),
        cmocka_unit_test(borrowed_memory_is_left_alone),
        cmocka_unit_test(too_large_is_an_error),
        cmocka_unit_test(large_blocks_come_back),
        cmocka_unit_test(text_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
