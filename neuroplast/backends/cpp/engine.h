// A chip's learning engine: whole numbers on 16 bits, and a random byte for each synapse whose weight or tag is rounded.
namespace np_kernel {

static inline int32_t within(int32_t x, int32_t low, int32_t high) { return x < low ? low : x > high ? high : x; }
static inline int32_t accumulated(int32_t x) { return within(x, -32769, 32767); }

// Up or down to a multiple of 128 step, by chance: up where byte * step < 2 * rest
static inline int32_t rounded(int32_t total, int32_t step, uint8_t byte) {
    const int32_t rest = total & (128 * step - 1);
    return total - rest + (static_cast<int32_t>(byte) * step < 2 * rest ? 128 * step : 0);
}

// Random bytes of one stream and step: byte s for synapse s, asked for in ascending ranges of up to LONGEST synapses
template <long LONGEST>
struct Bytes {
    enum { BLOCKS = (LONGEST / 32 + 2 + 7) / 8 * 8 };
    alignas(64) uint64_t words[4 * BLOCKS];
    long from, to;
    void start() { from = to = 0; }
    const uint8_t* operator()(long first, long last, const uint64_t* key, const Counter& at) {
        if (first < from || last > to) {
            from = first / 32 * 32;
            to = from + 32 * ((last - from + 255) / 256 * 8);
            for (long b = 0; b < (to - from) / 32; b += 8) philox8(static_cast<uint64_t>(from / 32 + b), at, key, words + 4 * b);
        }
        return reinterpret_cast<const uint8_t*>(words) + (first - from);
    }
};

}  // namespace np_kernel
