/* CRC-32C against published values, and the instruction against the table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/random.h"

static void published_values(void **state)
{
    (void)state;
    /* RFC 3720, appendix B.4, and the check value of the catalogue of CRCs. */
    unsigned char bytes[32];
    memset(bytes, 0, 32);
    assert_int_equal(crc32c(0, bytes, 32), 0x8A9136AA);
    memset(bytes, 0xFF, 32);
    assert_int_equal(crc32c(0, bytes, 32), 0x62A8AB43);
    for (int i = 0; i < 32; i++) bytes[i] = (unsigned char)i;
    assert_int_equal(crc32c(0, bytes, 32), 0x46DD794E);
    for (int i = 0; i < 32; i++) bytes[i] = (unsigned char)(31 - i);
    assert_int_equal(crc32c(0, bytes, 32), 0x113FDB5C);
    assert_int_equal(crc32c(0, "123456789", 9), 0xE3069283);
    assert_int_equal(crc32c_portable(0, "123456789", 9), 0xE3069283);
    assert_int_equal(crc32c(0, "", 0), 0);
}

static void instruction_and_table_agree_on_any_cut(void **state)
{
    (void)state;
    unsigned char bytes[300];
    struct random_stream stream = random_stream(1, "crc bytes");
    for (uint64_t i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)random_u64(stream, i);
    for (size_t offset = 0; offset < 9; offset++)
        for (size_t size = 0; size < sizeof bytes - offset; size++) {
            uint32_t whole = crc32c(0, bytes + offset, size);
            assert_int_equal(whole, crc32c_portable(0, bytes + offset, size));
            size_t cut = size / 3;
            uint32_t first = crc32c(0, bytes + offset, cut);
            assert_int_equal(whole, crc32c(first, bytes + offset + cut, size - cut));
        }
}

/* Sizes at which stretches are taken side by side. */
static void long_messages(void **state)
{
    (void)state;
    enum { N = 20000 };
    unsigned char *bytes = malloc(N);
    assert_non_null(bytes);
    struct random_stream stream = random_stream(2, "crc bytes");
    for (uint64_t i = 0; i < N; i++) bytes[i] = (unsigned char)random_u64(stream, i);
    for (size_t size = 6140; size < N - 3; size += size < 6150 ? 1 : 997)
        for (size_t offset = 0; offset < 3; offset++)
            assert_int_equal(crc32c(77, bytes + offset, size),
                             crc32c_portable(77, bytes + offset, size));
    free(bytes);
}

static void every_flipped_bit_is_seen(void **state)
{
    (void)state;
    unsigned char bytes[64] = {0};
    uint32_t whole = crc32c(0, bytes, sizeof bytes);
    for (int bit = 0; bit < 64 * 8; bit++) {
        bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
        assert_int_not_equal(crc32c(0, bytes, sizeof bytes), whole);
        bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_values),
        cmocka_unit_test(instruction_and_table_agree_on_any_cut),
        cmocka_unit_test(long_messages),
        cmocka_unit_test(every_flipped_bit_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
