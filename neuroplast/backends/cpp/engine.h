// A chip's learning engine: whole numbers on 16 bits, and a random byte for each synapse whose weight or tag is rounded.
namespace np_kernel {

static inline int32_t within(int32_t x, int32_t low, int32_t high) { return x < low ? low : x > high ? high : x; }
static inline int32_t accumulated(int32_t x) { return within(x, -32769, 32767); }

// Up or down to a multiple of 128 step, by chance: up where byte * step < 2 * rest
static inline int32_t rounded(int32_t total, int32_t step, uint8_t byte) {
    const int32_t rest = total & (128 * step - 1);
    return total - rest + (static_cast<int32_t>(byte) * step < 2 * rest ? 128 * step : 0);
}

// SplitMix64: a number of a sequence that steps by GOLDEN
static const uint64_t GOLDEN = 0x9E3779B97F4A7C15ull;
static inline uint64_t mixed(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

// Random bytes of one stream and step: byte s for synapse s, asked for in ascending ranges of up to LONGEST synapses. A word of Philox
// starts 64 of them.
template <long LONGEST>
struct Bytes {
    alignas(64) uint64_t words[8 * (LONGEST / 64 + 2)];
    alignas(64) uint64_t seeds[32];
    long from, to, group;
    void start() { from = to = 0; group = -1; }
    const uint8_t* operator()(long first, long last, const uint64_t* key, const Counter& at) {
        if (first < from || last > to) {
            from = first / 64 * 64;
            const long begin = from / 64, end = (last + 63) / 64;
            to = 64 * end;
            for (long c = begin; c < end; ++c) {
                if (c / 32 != group) {
                    group = c / 32;
                    philox8(static_cast<uint64_t>(8 * group), at, key, seeds);
                }
                const uint64_t seed = seeds[c % 32];
                uint64_t* const to_words = words + 8 * (c - begin);
                NP_IVDEP
                for (uint64_t k = 0; k < 8; ++k) to_words[k] = mixed(seed + (k + 1) * GOLDEN);
            }
        }
        return reinterpret_cast<const uint8_t*>(words) + (first - from);
    }
};

}  // namespace np_kernel
