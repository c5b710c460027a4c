// The benchmark networks `weight-noise` by hand: the limit. Forms:
//   0  spikes: a weight's noise is moved on only when a spike reads it, over all the time since then, the numbers of the Reference
//   1  spikes: in every step (the same law)
//   2  graded: in every step (nothing less will do), the numbers of the Reference
// Both with the generator and normal numbers of the project's kernels (runtime.h), so that loops are compared, not generators.
// With -DFAST: xoshiro128++ and single precision, the fastest normal numbers that we know.
#include <cmath>
#include <cstring>
#include <vector>

#include "benchmarks/random.h"
#include "neuroplast/backends/cpp/runtime.h"

namespace {

constexpr int N = 1000, WIDTH = 1008;
using np_kernel::Counter;

#ifdef FAST
typedef float T;
// Natural logarithm of x in (0, 1), relative error below 1e-6
inline float logarithm(float x) {
    int32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    const int32_t e = (bits - 0x3f3504f3) >> 23;
    bits -= e << 23;
    float m;
    std::memcpy(&m, &bits, sizeof m);
    const float f = m - 1.0f, s = f / (2.0f + f), z = s * s;
    return float(e) * 0.69314718f + 2.0f * s * (1.0f + z * (0.33333333f + z * (0.2f + z * (0.142857f + z * 0.111111f))));
}
struct Normals {
    Random random{1};
    alignas(64) uint32_t bits[WIDTH];
    explicit Normals(const double*) {}
    // out[0..N): Box and Muller, the halves of a pair at opposite ends
    void row(T* out, long, long, bool) {
        random.fill(bits, WIDTH);
        for (int k = 0; k < WIDTH / 2; k++) {
            const float u = unit_interval<float>(bits[k]), radius = std::sqrt(-2.0f * logarithm(u));
            const float turns = 4.0f * unit_interval<float>(bits[WIDTH / 2 + k]);
            const int quarter = int(turns + 0.5f);
            const float x = (turns - float(quarter)) * 1.57079633f, z = x * x;
            const float s = x * (1.0f + z * (-0.166666546f + z * (8.3321608e-3f + z * -1.9515296e-4f)));
            const float c = 1.0f + z * (-0.5f + z * (0.0416666418f + z * (-1.3887316e-3f + z * 2.4433157e-5f)));
            const float a = quarter & 1 ? s : c, b = quarter & 1 ? c : s;
            out[k] = radius * ((quarter + 1) & 2 ? -a : a);
            out[WIDTH / 2 + k] = radius * (quarter & 2 ? -b : b);
        }
    }
};
#else
typedef double T;
struct Normals {
    uint64_t key[2][2];
    explicit Normals(const double* halves) {
        for (int k = 0; k < 2; k++) for (int w = 0; w < 2; w++)
            key[k][w] = uint64_t(halves[4 * k + 2 * w]) | uint64_t(halves[4 * k + 2 * w + 1]) << 32;
    }
    // the numbers of presynaptic unit j: those of the Reference's draw for all synapses, 8 to a block
    void row(T* out, long j, long step, bool start) {
        const Counter at = {start ? (uint64_t(1) << 63) - 1 : uint64_t(step), 0, 0};
        alignas(64) uint64_t words[4 * 128];
        const uint64_t first = uint64_t(j) * (N / 8);
        for (long b = 0; b < N / 8; b += 8) np_kernel::philox8(first + uint64_t(b), at, key[start], words + 4 * b);
        np_kernel::box_muller(reinterpret_cast<const np_kernel::Bits*>(words), out, N / 2, 1.0);
    }
};
#endif

struct Row { alignas(64) T x[WIDTH]; };
struct Constants { double n_pre, decay, std, keep_i, keep_v, rest, threshold, reset, chance, start; };

struct Noise {
    const Constants c;
    const long steps, form, n_pre;
    const double *rates, *given;
    Normals normals;
    Random random{2};
    std::vector<Row> w, noise;
    std::vector<long> last;
    std::vector<int> arriving;
    Row signal{}, v{};
    long tick = 0;

    Noise(const double* const* a, long steps, long form, const double* const* given)
        : c(*reinterpret_cast<const Constants*>(a[0])), steps(steps), form(form), n_pre(long(c.n_pre)),
          rates(form == 2 ? a[3] : nullptr), given(given && form < 2 ? given[0] : nullptr), normals(a[1]), w(n_pre), noise(n_pre),
          last(n_pre, -1) {
        for (long j = 0; j < n_pre; j++) {
            for (int i = 0; i < WIDTH; i++) w[j].x[i] = i < N ? T(a[2][j * N + i]) : T(0);
            normals.row(noise[j].x, j, 0, true);
            for (int i = 0; i < N; i++) noise[j].x[i] *= T(c.std);
        }
        for (int i = 0; i < N; i++) v.x[i] = T(c.start);
    }

    // the process of row j, over all steps since it was seen last
    void advance(long j) {
        alignas(64) T z[WIDTH];
        normals.row(z, j, tick, false);
        const double a = form == 0 && last[j] < 0 ? 0.0 : form == 0 ? std::pow(c.decay, double(tick - last[j])) : c.decay;
        last[j] = tick;
        const T keep = T(a), fresh = T(c.std * std::sqrt(1 - a * a));
        T* __restrict n = noise[j].x;
        for (int i = 0; i < N; i++) n[i] = keep * n[i] + fresh * z[i];
    }

    void spiking() {
        alignas(64) T in[WIDTH] = {};
        if (form == 1) for (long j = 0; j < n_pre; j++) advance(j);
        for (const int j : arriving) {
            if (form == 0) advance(j);
            for (int i = 0; i < N; i++) in[i] += w[j].x[i] + noise[j].x[i];
        }
        arriving.clear();
        const T keep_i = T(c.keep_i), keep_v = T(c.keep_v), rest = T(c.rest), threshold = T(c.threshold), reset = T(c.reset);
        for (int i = 0; i < N; i++) {
            signal.x[i] = keep_i * signal.x[i] + in[i];
            const T to = rest + signal.x[i], u = to + (v.x[i] - to) * keep_v;
            v.x[i] = u > threshold ? reset : u;
        }
        if (given) {
            for (int j = 0; j < n_pre; j++) if (given[tick * n_pre + j] > 0) arriving.push_back(j);
            return;
        }
        for (; wait < double(n_pre); wait += 1 + gap()) arriving.push_back(int(wait));  // the next spike of any, by its distance
        wait -= double(n_pre);
    }
    double gap() { return std::floor(std::log(random.uniform()) / std::log1p(-c.chance)); }
    double wait = gap();

    void graded(long step) {
        alignas(64) T in[WIDTH] = {};
        alignas(64) T z[WIDTH];
        const T keep = T(c.decay), fresh = T(c.std * std::sqrt(1 - c.decay * c.decay));
        for (long j = 0; j < n_pre; j++) {
            normals.row(z, j, tick, false);
            const T x = T(rates[step * n_pre + j]);
            T* __restrict n = noise[j].x;
            const T* __restrict wj = w[j].x;
            for (int i = 0; i < N; i++) {
                n[i] = keep * n[i] + fresh * z[i];
                in[i] += (wj[i] + n[i]) * x;
            }
        }
        const T decay = T(c.keep_i), gain = T(1 - c.keep_i);
        for (int i = 0; i < N; i++) signal.x[i] = decay * signal.x[i] + gain * in[i];
    }

    void run(long trials) {
        for (long k = 0; k < trials; k++) for (long n = 0; n < steps; n++, tick++) {
            if (form == 2) graded(n); else spiking();
        }
    }
};

}  // namespace

extern "C" {
void* bench_new(const double* const* arrays, long steps, long form, const double* const* given) {
    return new Noise(arrays, steps, form, given);
}
void bench_run(void* noise, long trials) { static_cast<Noise*>(noise)->run(trials); }
void bench_outcome(void* noise, double* out) { for (int i = 0; i < N; i++) out[i] = static_cast<Noise*>(noise)->signal.x[i]; }
}
