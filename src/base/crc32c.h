/* CRC-32C (Castagnoli, reflected polynomial 0x82F63B78), hardware instruction where the CPU has it.
 */
#ifndef ROBIN_BASE_CRC32C_H
#define ROBIN_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* crc of an empty message is 0; crc32c(crc32c(0, a), b) = crc of a followed by b. "123456789" ->
 * 0xE3069283. */
uint32_t crc32c(uint32_t crc, const void *bytes, size_t size);

/* The same by table, for CPUs without the instruction. */
uint32_t crc32c_portable(uint32_t crc, const void *bytes, size_t size);

#endif
