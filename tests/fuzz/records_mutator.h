/* Mutations of inputs that are records of four bytes: they stay records. For libFuzzer, which calls
 * what is here by its name; elsewhere nobody does. */
#ifndef FUZZ_RECORDS_MUTATOR_H
#define FUZZ_RECORDS_MUTATOR_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { RECORD_BYTES = 4 };

size_t LLVMFuzzerMutate(uint8_t *bytes, size_t length, size_t most) __attribute__((weak));
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t length, size_t most, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *one, size_t one_length, const uint8_t *other,
                                 size_t other_length, uint8_t *out, size_t most, unsigned seed);

static unsigned records_any(unsigned *state, size_t below)
{
    *state = *state * 1103515245u + 12345u;
    return (*state >> 8) % (unsigned)below;
}

static size_t records_insert(uint8_t *bytes, size_t length, size_t at, const uint8_t *from,
                             size_t count)
{
    memmove(bytes + (at + count) * RECORD_BYTES, bytes + at * RECORD_BYTES,
            length - at * RECORD_BYTES);
    memmove(bytes + at * RECORD_BYTES, from, count * RECORD_BYTES);
    return length + count * RECORD_BYTES;
}

static size_t records_remove(uint8_t *bytes, size_t length, size_t at, size_t count)
{
    memmove(bytes + at * RECORD_BYTES, bytes + (at + count) * RECORD_BYTES,
            length - (at + count) * RECORD_BYTES);
    return length - count * RECORD_BYTES;
}

static void records_make(uint8_t record[RECORD_BYTES], unsigned *state)
{
    for (unsigned i = 0; i < RECORD_BYTES; i++)
        record[i] = (uint8_t)(records_any(state, 3) == 0 ? 0 : records_any(state, 256));
    record[0] = (uint8_t)records_any(state, 40);
    if (records_any(state, 3) == 0)
        record[0] |= 0x80;
}

/* One of many: a new record, a run of records once more or no more, a byte of one changed. */
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t length, size_t most, unsigned seed)
{
    uint8_t run[16 * RECORD_BYTES];
    unsigned state = seed;
    size_t whole = length - length % RECORD_BYTES, records = whole / RECORD_BYTES;
    size_t at = records > 0 ? records_any(&state, records) : 0;
    size_t count = records > 0 ? 1 + records_any(&state, 16) : 0;

    if (count > records - at)
        count = records - at;
    switch (records_any(&state, 8)) {
    case 0:
    case 1:
        if (whole + RECORD_BYTES > most)
            break;
        records_make(run, &state);
        return records_insert(bytes, whole, at, run, 1);
    case 2:
        if (count == 0 || whole + count * RECORD_BYTES > most)
            break;
        memcpy(run, bytes + at * RECORD_BYTES, count * RECORD_BYTES);
        return records_insert(bytes, whole, records_any(&state, records), run, count);
    case 3:
    case 4:
        if (records <= count)
            break;
        return records_remove(bytes, whole, at, seed % 2 == 0 ? 1 : count);
    case 5:
    case 6:
        if (records == 0)
            break;
        at = at * RECORD_BYTES + records_any(&state, RECORD_BYTES);
        bytes[at] = (uint8_t)records_any(&state, 256);
        return whole;
    default: break;
    }
    return LLVMFuzzerMutate(bytes, length, most);
}

/* The front of one, the back of the other. */
size_t LLVMFuzzerCustomCrossOver(const uint8_t *one, size_t one_length, const uint8_t *other,
                                 size_t other_length, uint8_t *out, size_t most, unsigned seed)
{
    size_t front = one_length / RECORD_BYTES > 0 ? seed % (one_length / RECORD_BYTES + 1) : 0;
    size_t back =
        other_length / RECORD_BYTES > 0 ? (seed >> 16) % (other_length / RECORD_BYTES + 1) : 0;

    if ((front + back) * RECORD_BYTES > most)
        back = most / RECORD_BYTES > front ? most / RECORD_BYTES - front : 0;
    if (front * RECORD_BYTES > most)
        front = most / RECORD_BYTES;
    memcpy(out, one, front * RECORD_BYTES);
    memcpy(out + front * RECORD_BYTES,
           other + (other_length - other_length % RECORD_BYTES) - back * RECORD_BYTES,
           back * RECORD_BYTES);
    return (front + back) * RECORD_BYTES;
}

#endif
