/* Bytes whose place in the stream can be told: loss, repetition and exchange of any eight of them show. */
#pragma once
#include <stdint.h>
#include <string.h>

static uint64_t pattern_word(uint64_t index) { return (index + 1) * 0x9E3779B97F4A7C15u; }

/* Bytes [at, at + length) of the stream into `bytes`. */
static inline void pattern_fill(char* bytes, size_t length, uint64_t at) {
    size_t done = 0;
    while (done < length) {
        if ((at + done) % 8 == 0) /* the ends of a stream may not be what limits it */
            for (uint64_t index = (at + done) / 8; length - done >= 8; done += 8, index++) {
                uint64_t word = pattern_word(index);
                memcpy(bytes + done, &word, 8);
            }
        if (done == length) break;
        uint64_t word = pattern_word((at + done) / 8);
        size_t inside = (at + done) % 8, count = 8 - inside;
        if (count > length - done) count = length - done;
        memcpy(bytes + done, (char*)&word + inside, count);
        done += count;
    }
}

/* The offset of the first wrong byte's word, or -1. */
static inline int64_t pattern_check(const char* bytes, size_t length, uint64_t at) {
    size_t done = 0;
    while (done < length) {
        if ((at + done) % 8 == 0) {
            uint64_t differences = 0;
            size_t start = done;
            for (uint64_t index = (at + done) / 8; length - done >= 8; done += 8, index++) {
                uint64_t seen;
                memcpy(&seen, bytes + done, 8);
                differences |= seen ^ pattern_word(index);
            }
            for (; differences && start < done; start += 8) {
                uint64_t seen;
                memcpy(&seen, bytes + start, 8);
                if (seen != pattern_word((at + start) / 8)) return (int64_t)(at + start);
            }
        }
        if (done == length) break;
        uint64_t word = pattern_word((at + done) / 8);
        size_t inside = (at + done) % 8, count = 8 - inside;
        if (count > length - done) count = length - done;
        if (memcmp(bytes + done, (char*)&word + inside, count) != 0) return (int64_t)(at + done);
        done += count;
    }
    return -1;
}
