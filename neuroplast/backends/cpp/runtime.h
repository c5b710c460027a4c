// What every kernel stands on: random numbers, floating-point mode, vectors, and loops that the emitted code calls.
// Plain C++11, no libraries: the text of this file is put into each kernel, which may itself be put into another program.
#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
// The C library has vector forms of these, but its headers only say so under the whole of -ffast-math; we keep inf and NaN.
extern "C" {
extern double exp(double) __THROW __attribute__((__simd__("notinbranch")));
extern double log(double) __THROW __attribute__((__simd__("notinbranch")));
extern double sin(double) __THROW __attribute__((__simd__("notinbranch")));
extern double cos(double) __THROW __attribute__((__simd__("notinbranch")));
extern double pow(double, double) __THROW __attribute__((__simd__("notinbranch")));
#if __GLIBC_PREREQ(2, 35)
extern double tanh(double) __THROW __attribute__((__simd__("notinbranch")));
#endif
}
#endif

#if defined(__clang__)
#define NP_IVDEP _Pragma("clang loop vectorize(assume_safety)")
#else
#define NP_IVDEP _Pragma("GCC ivdep")
#endif

namespace np_kernel {

enum { STEP = 0, TRIAL = 1, PASS = 2, TICK = 3 };

// Denormal numbers are set to zero while the kernel runs: they cost a hundred cycles each. The caller's mode comes back after.
struct FlushDenormals {
#if defined(__SSE2__)
    unsigned saved;
    FlushDenormals() : saved(__builtin_ia32_stmxcsr()) { __builtin_ia32_ldmxcsr(saved | 0x8040u); }
    ~FlushDenormals() { __builtin_ia32_ldmxcsr(saved); }
    int outside(int (*callback)(int), int method) const {
        __builtin_ia32_ldmxcsr(saved);
        const int answer = callback(method);
        __builtin_ia32_ldmxcsr(saved | 0x8040u);
        return answer;
    }
#else
    int outside(int (*callback)(int), int method) const { return callback(method); }
#endif
};

// NaN in x comes out again, as from NumPy; written so that they become one instruction each
static inline double minimum(double x, double high) { return high < x ? high : x; }
static inline double maximum(double x, double low) { return low > x ? low : x; }

// e^x to some 1e-16, as code that becomes part of vector loops: x = n ln 2 + r, a series for e^r, and n into the exponent
static inline double exponential(double x) {
    const double y = minimum(maximum(x, -708.7), 710.0), shifter = 6755399441055744.0;
    const double n = std::floor(y * 1.4426950408889634 + 0.5), r = y - n * 0.6931471805599453, shifted = n - 1.0 + shifter;
    const double q = r * r, f = q * q;
    const double low = (1.0 + r) + q * (0.5 + r * 0.16666666666666666);
    const double middle = (0.041666666666666664 + r * 0.008333333333333333) + q * (0.001388888888888889 + r * 0.0001984126984126984);
    const double high = (2.48015873015873e-05 + r * 2.7557319223985893e-06) + q * (2.755731922398589e-07 + r * 2.505210838544172e-08) + f * 2.08767569878681e-09;
    const double series = low + f * (middle + f * high);
    uint64_t bits;
    std::memcpy(&bits, &shifted, sizeof bits);
    bits = (bits << 52) + 0x3ff0000000000000ull;  // 2^(n - 1), 0 for the least n: n itself would overflow for the largest results
    double power;
    std::memcpy(&power, &bits, sizeof power);
    return 2.0 * (series * power);
}
static inline int64_t modulo(int64_t a, int64_t n) { const int64_t r = a % n; return r < 0 ? r + n : r; }

// ---- vectors ----------------------------------------------------------------------------------------------------------------
#if defined(__AVX512F__)
enum { LANES = 8, UNROLL = 4 };
#elif defined(__AVX__)
enum { LANES = 4, UNROLL = 2 };
#else
enum { LANES = 2, UNROLL = 2 };
#endif
typedef double Vector __attribute__((vector_size(LANES * 8)));
typedef double Unaligned __attribute__((vector_size(LANES * 8), aligned(8), may_alias));
static inline Vector load(const double* p) { return *reinterpret_cast<const Unaligned*>(p); }
static inline void store(double* p, Vector x) { *reinterpret_cast<Unaligned*>(p) = x; }
static inline Vector all(double x) { return x - Vector{}; }
static inline Vector least(Vector a, Vector b) { return a < b ? a : b; }
static inline Vector most(Vector a, Vector b) { return a > b ? a : b; }
static inline double least(double a, double b) { return a < b ? a : b; }
static inline double most(double a, double b) { return a > b ? a : b; }

// ---- random numbers: Philox 4x64-10, as NumPy counts (the first block has counter 1) ------------------------------------------
__extension__ typedef unsigned __int128 Wide;

struct Counter { uint64_t step, trial, pass; };

static inline void philox(uint64_t block, const Counter& at, const uint64_t* key, uint64_t* out) {
    uint64_t c0 = block + 1, c1 = at.step, c2 = at.trial, c3 = at.pass, k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; ++round) {
        const Wide a = static_cast<Wide>(0xD2E7470EE14C6C93ull) * c0, b = static_cast<Wide>(0xCA5A826395121157ull) * c2;
        c0 = static_cast<uint64_t>(b >> 64) ^ c1 ^ k0;
        c2 = static_cast<uint64_t>(a >> 64) ^ c3 ^ k1;
        c1 = static_cast<uint64_t>(b);
        c3 = static_cast<uint64_t>(a);
        k0 += 0x9E3779B97F4A7C15ull;
        k1 += 0xBB67AE8584CAA73Bull;
    }
    out[0] = c0; out[1] = c1; out[2] = c2; out[3] = c3;
}

#if defined(__AVX512DQ__) && !defined(__clang__)
typedef unsigned long long Words __attribute__((vector_size(64)));
typedef unsigned long long UnalignedWords __attribute__((vector_size(64), aligned(8), may_alias));
typedef int Halves __attribute__((vector_size(64)));
typedef long long Signed __attribute__((vector_size(64)));

// The product of the low halves
static inline Words narrow(Words a, Words b) {
    return reinterpret_cast<Words>(
        __builtin_ia32_pmuludq512_mask(reinterpret_cast<Halves>(a), reinterpret_cast<Halves>(b), Signed{}, 0xff));
}
static inline Words high_word(Words x, uint64_t m) {
    const Words low = m - Words{}, high = (m >> 32) - Words{}, top = x >> 32;
    const Words t = narrow(top, low) + (narrow(x, low) >> 32), u = narrow(x, high) + (t & 0xffffffffull);
    return narrow(top, high) + (t >> 32) + (u >> 32);
}

// Eight blocks at once, in order
static inline void philox8(uint64_t block, const Counter& at, const uint64_t* key, uint64_t* out) {
    Words c0 = (block + 1) + Words{0, 1, 2, 3, 4, 5, 6, 7}, c1 = at.step - Words{}, c2 = at.trial - Words{}, c3 = at.pass - Words{};
    uint64_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; ++round) {
        const Words a = high_word(c0, 0xD2E7470EE14C6C93ull), b = high_word(c2, 0xCA5A826395121157ull);
        const Words low_a = c0 * 0xD2E7470EE14C6C93ull, low_b = c2 * 0xCA5A826395121157ull;
        c0 = b ^ c1 ^ k0;
        c2 = a ^ c3 ^ k1;
        c1 = low_b;
        c3 = low_a;
        k0 += 0x9E3779B97F4A7C15ull;
        k1 += 0xBB67AE8584CAA73Bull;
    }
    const Words first = {0, 8, 1, 9, 2, 10, 3, 11}, last = {4, 12, 5, 13, 6, 14, 7, 15};
    const Words front = {0, 1, 8, 9, 2, 3, 10, 11}, back = {4, 5, 12, 13, 6, 7, 14, 15};
    for (int half = 0; half < 2; ++half) {
        const Words a = __builtin_shuffle(c0, c1, half ? last : first), b = __builtin_shuffle(c2, c3, half ? last : first);
        UnalignedWords* to = reinterpret_cast<UnalignedWords*>(out + 16 * half);
        to[0] = __builtin_shuffle(a, b, front);
        to[1] = __builtin_shuffle(a, b, back);
    }
}
#else
static inline void philox8(uint64_t block, const Counter& at, const uint64_t* key, uint64_t* out) {
    for (uint64_t b = 0; b < 8; ++b) philox(block + b, at, key, out + 4 * b);
}
#endif

// (bits + 1/2) / 2^32, exact
static inline double unit(uint32_t bits) { return (static_cast<double>(bits) + 0.5) * 2.3283064365386963e-10; }

typedef uint32_t Bits __attribute__((may_alias));  // halves of a word, in the order of the memory

enum Law { NORMAL, UNIFORM, CENTRED };

// Pairs by Box and Muller. Sine and cosine of 2 pi u are our own polynomials: the exact reduction of u makes them cheap.
static inline void box_muller(const Bits* bits, double* out, long pairs, double scale) {
    NP_IVDEP
    for (long k = 0; k < pairs; ++k) {
        const double radius = scale * std::sqrt(-2.0 * std::log(unit(bits[2 * k])));
        const double turns = 4.0 * unit(bits[2 * k + 1]), quarter = std::floor(turns + 0.5);
        const double x = (turns - quarter) * 1.5707963267948966, z = x * x;
        const double s = x + x * z * (-1.66666666666666324348e-01 + z * (8.33333333332248946124e-03 + z * (-1.98412698298579493134e-04
            + z * (2.75573137070700676789e-06 + z * (-2.50507602534068634195e-08 + z * 1.58969099521155010221e-10)))));
        const double c = 1.0 - 0.5 * z + z * z * (4.16666666666666019037e-02 + z * (-1.38888888888741095749e-03
            + z * (2.48015872894767294178e-05 + z * (-2.75573143513906633035e-07 + z * (2.08757232129817482790e-09
            + z * -1.13596475577881948265e-11)))));
        const double odd = quarter - 2.0 * std::floor(0.5 * quarter), half = std::floor(0.5 * quarter), full = std::floor(0.25 * quarter);
        const double sign = 1.0 - 2.0 * (half - 2.0 * full);  // + + - - + in quarters 0 to 4
        const double sine = sign * (odd * c + (1.0 - odd) * s), cosine = sign * ((1.0 - odd) * c - odd * s);
        out[2 * k] = radius * cosine;
        out[2 * k + 1] = radius * sine;
    }
}

// target[0..size) <- fresh numbers, from number 8 block on; in two passes over small blocks, so that the second one is vector code
template <int law>
static void draw(double* target, long size, const uint64_t* key, const Counter& at, double scale, uint64_t block = 0) {
    enum { BLOCKS = 64, VALUES = 8 * BLOCKS };
    if (scale == 0.0) {
        std::memset(target, 0, sizeof(double) * static_cast<size_t>(size));
        return;
    }
    alignas(64) uint64_t words[4 * BLOCKS];
    const Bits* bits = reinterpret_cast<const Bits*>(words);
    double rest[VALUES];
    for (long done = 0; done < size; done += VALUES) {
        const long n = size - done < VALUES ? size - done : static_cast<long>(VALUES), blocks = (n + 7) / 8;
        const uint64_t first = block + static_cast<uint64_t>(done / 8);
        long b = 0;
        for (; b + 5 <= blocks; b += 8) philox8(first + static_cast<uint64_t>(b), at, key, words + 4 * b);
        for (; b < blocks; ++b) philox(first + static_cast<uint64_t>(b), at, key, words + 4 * b);
        double* out = target + done;
        if (law == NORMAL) {
            const bool odd = n & 1;
            box_muller(bits, odd ? rest : out, (n + 1) / 2, scale);
            if (odd) std::memcpy(out, rest, sizeof(double) * static_cast<size_t>(n));
        } else if (law == UNIFORM) {
            NP_IVDEP
            for (long k = 0; k < n; ++k) out[k] = unit(bits[k]);
        } else {
            NP_IVDEP
            for (long k = 0; k < n; ++k) out[k] = scale * ((2.0 * unit(bits[k]) - 1.0) * 1.7320508075688772);
        }
    }
}

// Uniform numbers of one step of one stream, made one by one where few of very many are needed
struct Uniforms {
    const uint64_t* key;
    Counter at;
    long block;
    uint64_t words[4];
    void start(const uint64_t* stream, const Counter& counter) { key = stream; at = counter; block = -1; }
    double operator[](long k) {
        if (k / 8 != block) {
            block = k / 8;
            philox(static_cast<uint64_t>(block), at, key, words);
        }
        return unit(reinterpret_cast<const Bits*>(words)[k % 8]);
    }
};

// ---- loops that several operations share --------------------------------------------------------------------------------------
static inline void fill(double* x, long n, double value) { for (long k = 0; k < n; ++k) x[k] = value; }

static inline double largest_of(const double* x, long n) {
    Vector a = all(0.0), b = a;
    long k = 0;
    for (; k + 2 * LANES <= n; k += 2 * LANES) {
        const Vector y = load(x + k), z = load(x + k + LANES);
        a = most(a, most(y, -y));
        b = most(b, most(z, -z));
    }
    a = most(a, b);
    double result = 0.0;
    for (int l = 0; l < LANES; ++l) result = most(result, a[l]);
    for (; k < n; ++k) result = most(result, std::fabs(x[k]));
    return result;
}

// One bit for each of eight values that is not zero
static inline unsigned nonzero(const double* x) {
#if defined(__AVX512F__) && !defined(__clang__)
    typedef double Eight __attribute__((vector_size(64), aligned(8), may_alias));
    const double zero = 0.0;
    return static_cast<uint8_t>(__builtin_ia32_cmppd512_mask(*reinterpret_cast<const Eight*>(x), zero - Eight{}, 4, 0xff, 4));
#else
    unsigned bits = 0;
    for (unsigned l = 0; l < 8; ++l) bits |= static_cast<unsigned>(x[l] != 0.0) << l;
    return bits;
#endif
}

// Whether any of 32 values is not zero, or minus zero
static inline bool any_bits(const double* x) {
#if defined(__AVX512F__) && !defined(__clang__)
    typedef long long Eight __attribute__((vector_size(64), aligned(8), may_alias));
    const Eight* v = reinterpret_cast<const Eight*>(x);
    const Eight any = (v[0] | v[1]) | (v[2] | v[3]);
    return __builtin_ia32_ptestmq512(any, any, 0xff) != 0;
#else
    uint64_t any = 0, words[32];
    std::memcpy(words, x, sizeof words);
    for (int l = 0; l < 32; ++l) any |= words[l];
    return any != 0;
#endif
}

// Numbers of the values that are not zero, ascending, behind their count
static inline void list_nonzero(const double* x, long n, int32_t* list) {
    int32_t count = 0, k = 0;
    const int32_t end = static_cast<int32_t>(n);
#if defined(__AVX512F__) && !defined(__clang__)
    typedef int Sixteen __attribute__((vector_size(64)));
    typedef int UnalignedSixteen __attribute__((vector_size(64), aligned(4), may_alias));
    const Sixteen lanes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    for (; k + 16 <= end; k += 16) {  // the numbers of the lanes move together; what is written behind them is overwritten
        const uint16_t bits = static_cast<uint16_t>(nonzero(x + k) | nonzero(x + k + 8) << 8);
        const Sixteen found = __builtin_ia32_compresssi512_mask(lanes + k, Sixteen{}, bits);
        if (count + 17 <= end) *reinterpret_cast<UnalignedSixteen*>(list + 1 + count) = found;
        else for (int l = 0; l < __builtin_popcount(bits); ++l) list[1 + count + l] = found[l];
        count += __builtin_popcount(bits);
    }
#endif
    for (; k + 32 <= end; k += 32) if (any_bits(x + k))
        for (int32_t l = k; l < k + 32; l += 8)
            for (unsigned bits = nonzero(x + l); bits; bits &= bits - 1) list[1 + count++] = l + __builtin_ctz(bits);
    for (; k < end; ++k) if (x[k] != 0.0) list[1 + count++] = k;
    list[0] = count;
}

// into += transposed matrix (rows x columns) times x, four rows at a time
static inline void add_transposed(const double* matrix, const double* x, double* into, long rows, long columns) {
    long j = 0;
    for (; j + 4 <= rows; j += 4) {
        const double a = x[j], b = x[j + 1], c = x[j + 2], d = x[j + 3];
        if (a == 0.0 && b == 0.0 && c == 0.0 && d == 0.0) continue;
        const double *p = matrix + j * columns, *q = p + columns, *r = q + columns, *s = r + columns;
        NP_IVDEP
        for (long i = 0; i < columns; ++i) into[i] += (a * p[i] + b * q[i]) + (c * r[i] + d * s[i]);
    }
    for (; j < rows; ++j) {
        const double a = x[j], *p = matrix + j * columns;
        if (a == 0.0) continue;
        NP_IVDEP
        for (long i = 0; i < columns; ++i) into[i] += a * p[i];
    }
}

// Synapses of each row in the order of their delays: row j with delay d is order[first[j * (longest + 2) + d] ... + 1)
static inline void sort_by_delay(const int32_t* row_start, const int32_t* delays, long n_pre, int32_t longest, int32_t* first, int32_t* order) {
    for (long j = 0; j < n_pre; ++j) {
        int32_t* f = first + j * (longest + 2);
        int32_t at = row_start[j];
        for (int32_t d = 0; d <= longest; ++d) {
            f[d] = at;
            for (int32_t s = row_start[j]; s < row_start[j + 1]; ++s) if (delays[s] == d) order[at++] = s;
        }
        f[longest + 1] = at;
    }
}

}  // namespace np_kernel
