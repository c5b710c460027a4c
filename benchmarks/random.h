// Random numbers of the hand-written C++ forms: xoshiro128++ (Blackman & Vigna 2021, 10.1145/3460772), sixteen lanes at once.
#ifndef BENCH_RANDOM_H
#define BENCH_RANDOM_H
#include <cmath>
#include <cstdint>

constexpr int LANES16 = 16;

struct Random {
    alignas(64) uint32_t s[4][LANES16];
    explicit Random(uint64_t seed) {
        for (auto& word : s) for (auto& lane : word) {  // splitmix64
            uint64_t z = (seed += 0x9e3779b97f4a7c15ull);
            z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull; z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
            lane = uint32_t(z ^ (z >> 31));
        }
    }
    static uint32_t left(uint32_t x, int k) { return (x << k) | (x >> (32 - k)); }
    // n: a multiple of 16
    void fill(uint32_t* out, long n) {
        for (long k = 0; k < n; k += LANES16)
            for (int l = 0; l < LANES16; l++) {
                out[k + l] = left(s[0][l] + s[3][l], 7) + s[0][l];
                const uint32_t t = s[1][l] << 9;
                s[2][l] ^= s[0][l]; s[3][l] ^= s[1][l]; s[1][l] ^= s[2][l]; s[0][l] ^= s[3][l]; s[2][l] ^= t;
                s[3][l] = left(s[3][l], 11);
            }
    }
    // one number in (0, 1); for what is rare
    double uniform() {
        if (at == LANES16) { fill(rest, LANES16); at = 0; }
        return (rest[at++] + 0.5) * 0x1p-32;
    }
    alignas(64) uint32_t rest[LANES16];
    int at = LANES16;
};

// (0, 1)
template <class T> inline T unit_interval(uint32_t bits) {
    return sizeof(T) == 8 ? T((double(bits) + 0.5) * 0x1p-32) : T((float(bits >> 9) + 0.5f) * 0x1p-23f);
}

#endif
