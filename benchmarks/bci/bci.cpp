// The benchmark network `bci` by hand: the limit. The change of the last step is made in the same pass over the weights that
// multiplies them with the inputs of this one (Fused). Deferred keeps the changes of eight steps as pairs of vectors, y = W x +
// sum_k g_k (x_k . x) d_k, and folds them into W at once. Encoder is no form for dense inputs in general: these ones are A y*, so
// three numbers a unit stand for its hundred weights, V = W A, and W is only known when somebody asks.
#include <cmath>
#include <cstring>
#include <vector>

#include "benchmarks/random.h"

#ifndef REAL
#define REAL double
#endif

namespace {

typedef REAL T;
typedef T V __attribute__((vector_size(64)));
constexpr int NI = 100, N = 340, D = 3, RECORDED = 40, GOALS = 8, VECTOR = 64 / sizeof(T), BLOCK = 11, WIDTH = 352,
              VECTORS = WIDTH / VECTOR, BLOCKS = VECTORS / BLOCK, DRAWS = 352, KEPT = 8;
struct alignas(64) Row { T x[WIDTH]; };

inline V* vectors(Row& row) { return reinterpret_cast<V*>(row.x); }

// The weights lie in blocks of 11 vectors of units, each with all its inputs, so that a pass is one stream through memory while
// the block's sums stay in registers.
struct Fused {
    std::vector<Row> w, d;  // w: as much memory as rows; d: of the step before the last, whose change is due, and of the last
    T x[2][NI] = {}, g = 0;
    int last = 0;
    T& weight(int j, int i) {
        const int block = i / (BLOCK * VECTOR), lane = i % (BLOCK * VECTOR);
        return w[0].x[(block * NI + j) * BLOCK * VECTOR + lane];
    }
    explicit Fused(const double* const* a) : w(NI), d(2) {
        for (int j = 0; j < NI; j++) for (int i = 0; i < N; i++) weight(j, i) = T(a[1][j * N + i]);
    }
    void product(const double* now, const double*, Row& into) {
        T from[NI], to[NI];
        for (int j = 0; j < NI; j++) { from[j] = g * x[1 - last][j]; to[j] = T(now[j]); }
        V* place = vectors(w[0]);
        for (int block = 0; block < BLOCKS; block++) {
            V sum[BLOCK] = {}, dd[BLOCK];
            for (int b = 0; b < BLOCK; b++) dd[b] = vectors(d[1 - last])[block * BLOCK + b];
            for (int j = 0; j < NI; j++, place += BLOCK) {
                const T f = from[j], y = to[j];
                #pragma GCC unroll 16
                for (int b = 0; b < BLOCK; b++) {
                    const V changed = place[b] + f * dd[b];
                    place[b] = changed;
                    sum[b] += y * changed;
                }
            }
            for (int b = 0; b < BLOCK; b++) vectors(into)[block * BLOCK + b] = sum[b];
        }
        g = 0;
    }
    void learn(double gain) { g = T(gain); }
    void keep(const double* now, const double*, const Row& deviation) {
        last = 1 - last;
        for (int j = 0; j < NI; j++) x[last][j] = T(now[j]);
        d[last] = deviation;
    }
    void weights(double* out) {
        Row none;
        const double zero[NI] = {};
        product(zero, zero, none);
        for (int j = 0; j < NI; j++) for (int i = 0; i < N; i++) out[j * N + i] = weight(j, i);
    }
};

struct Deferred {
    std::vector<Row> w, d;
    T x[KEPT + 1][NI] = {}, g[KEPT] = {};
    int kept = 0;
    explicit Deferred(const double* const* a) : w(NI), d(KEPT + 1) {
        for (int j = 0; j < NI; j++) for (int i = 0; i < WIDTH; i++) w[j].x[i] = i < N ? T(a[1][j * N + i]) : T(0);
    }
    void product(const double* given, const double*, Row& into) {
        constexpr int ROWS = 10;
        T now[NI], dot[KEPT] = {};
        for (int j = 0; j < NI; j++) now[j] = T(given[j]);
        std::memset(into.x, 0, sizeof into.x);
        for (int j = 0; j < NI; j += ROWS) for (int v = 0; v < VECTORS; v++) {
            V sum = vectors(into)[v];
            #pragma GCC unroll 10
            for (int r = 0; r < ROWS; r++) sum += now[j + r] * vectors(w[j + r])[v];
            vectors(into)[v] = sum;
        }
        for (int k = 0; k < kept; k++) {
            T sum = 0;
            #pragma omp simd reduction(+ : sum)
            for (int j = 0; j < NI; j++) sum += x[k][j] * now[j];
            dot[k] = g[k] * sum;
        }
        for (int k = 0; k < kept; k++) for (int i = 0; i < WIDTH; i++) into.x[i] += dot[k] * d[k].x[i];
    }
    void fold() {
        for (int v = 0; v < VECTORS; v++) {
            V dd[KEPT];
            for (int k = 0; k < KEPT; k++) dd[k] = g[k] * vectors(d[k])[v];
            for (int j = 0; j < NI; j++) {
                V sum = vectors(w[j])[v];
                #pragma GCC unroll 8
                for (int k = 0; k < KEPT; k++) sum += x[k][j] * dd[k];
                vectors(w[j])[v] = sum;
            }
        }
        std::memset(g, 0, sizeof g);
    }
    // the pair of the last step waits in the place after those that are kept
    void learn(double gain) {
        g[kept++] = T(gain);
        if (kept == KEPT) { fold(); kept = 0; }
    }
    void keep(const double* now, const double*, const Row& deviation) {
        for (int j = 0; j < NI; j++) x[kept][j] = T(now[j]);
        d[kept] = deviation;
    }
    void weights(double* out) {
        fold();
        for (int j = 0; j < NI; j++) for (int i = 0; i < N; i++) out[j * N + i] = w[j].x[i];
    }
};

struct Encoder {
    const double *first, *encoder;
    double gram[D][D] = {};
    Row v[D] = {}, u[D] = {}, d{};
    double want[D] = {};
    explicit Encoder(const double* const* a) : first(a[1]), encoder(a[2]) {
        for (int j = 0; j < NI; j++) for (int k = 0; k < D; k++) {
            for (int l = 0; l < D; l++) gram[k][l] += encoder[j * D + k] * encoder[j * D + l];
            for (int i = 0; i < N; i++) v[k].x[i] += T(first[j * N + i] * encoder[j * D + k]);
        }
    }
    void product(const double*, const double* now, Row& into) {
        const T a = T(now[0]), b = T(now[1]), c = T(now[2]);
        for (int i = 0; i < WIDTH; i++) into.x[i] = a * v[0].x[i] + b * v[1].x[i] + c * v[2].x[i];
    }
    void learn(double gain) {
        for (int k = 0; k < D; k++) {
            const T f = T(gain * want[k]), h = T(gain * (gram[k][0] * want[0] + gram[k][1] * want[1] + gram[k][2] * want[2]));
            for (int i = 0; i < WIDTH; i++) { u[k].x[i] += f * d.x[i]; v[k].x[i] += h * d.x[i]; }
        }
    }
    void keep(const double*, const double* now, const Row& deviation) {
        std::memcpy(want, now, sizeof want);
        d = deviation;
    }
    void weights(double* out) {
        for (int j = 0; j < NI; j++) for (int i = 0; i < N; i++) {
            out[j * N + i] = first[j * N + i];
            for (int k = 0; k < D; k++) out[j * N + i] += encoder[j * D + k] * u[k].x[i];
        }
    }
};

struct Constants { double dt, spread, eta, fresh; };

struct Base {
    virtual ~Base() {}
    virtual void run(long trials) = 0;
    virtual void weights(double* out) = 0;
};

template <class Form, bool INPUTS> struct Bci final : Base {
    const Constants c;
    const long steps;
    const double *encoder, *decoder, *offset, *targets, *given = nullptr, *goals = nullptr;
    Form form;
    Random random{1};
    Row mean{}, a{}, d{};
    double x[NI] = {}, reward = 0, expected = 0, decoded[RECORDED][4] = {};
    long tick = 0, reach = 0;
    alignas(64) uint32_t bits[DRAWS];

    Bci(const double* const* arrays, long steps, const double* const* given)
        : c(*reinterpret_cast<const Constants*>(arrays[0])), steps(steps), encoder(arrays[2]), decoder(arrays[3]), offset(arrays[4]),
          targets(arrays[5]), form(arrays) {
        if (given) { this->given = given[0]; goals = given[1]; }
        for (int i = 0; i < RECORDED; i++) for (int k = 0; k < D; k++) decoded[i][k] = decoder[k * N + i];
    }

    void aim(const double* goal, const double* cursor, double* want) {
        double square = 0;
        for (int k = 0; k < D; k++) square += (goal[k] - cursor[k]) * (goal[k] - cursor[k]);
        const double scale = 1 / std::fmax(std::sqrt(square), 1e-12);
        for (int k = 0; k < D; k++) want[k] = (goal[k] - cursor[k]) * scale;
        if (INPUTS) for (int j = 0; j < NI; j++) x[j] = encoder[j * D] * want[0] + encoder[j * D + 1] * want[1] + encoder[j * D + 2] * want[2];
    }

    void step(const double* goal, double* cursor, double* want) {
        const double error = reward - expected;
        expected += c.fresh * error;
        form.product(x, want, a);
        if (given) {
            for (int i = 0; i < N; i++) a.x[i] += T(given[tick * N + i]);
        } else {
            random.fill(bits, DRAWS);
            const T spread = T(c.spread);
            for (int i = 0; i < N; i++) a.x[i] += spread * (T(2) * unit_interval<T>(bits[i]) - T(1));
        }
        const T fresh = T(c.fresh);
        for (int i = 0; i < WIDTH; i++) { d.x[i] = a.x[i] - mean.x[i]; mean.x[i] += fresh * d.x[i]; }
        form.learn(c.eta * error);
        form.keep(x, want, d);
        double y[4] = {};
        for (int i = 0; i < RECORDED; i++) {
            const double s = (a.x[i] > 0 ? a.x[i] : 0) - offset[i];
            for (int k = 0; k < 4; k++) y[k] += decoded[i][k] * s;
        }
        double speed = 0, along = 0;
        for (int k = 0; k < D; k++) { speed += y[k] * y[k]; along += y[k] * want[k]; cursor[k] += y[k] * c.dt; }
        reward = along / std::fmax(std::sqrt(speed), 1e-12);
        aim(goal, cursor, want);
        tick++;
    }

    void run(long trials) override {
        for (long k = 0; k < trials; k++, reach++) {
            const double* goal = targets + D * int(goals ? goals[reach] : GOALS * random.uniform());
            double cursor[D] = {}, want[D];
            aim(goal, cursor, want);
            for (long n = 0; n < steps; n++) step(goal, cursor, want);
        }
    }
    void weights(double* out) override { form.weights(out); }
};

}  // namespace

extern "C" {
void* bench_new(const double* const* arrays, long steps, long form, const double* const* given) {
    Base* made = nullptr;
    if (form == 0) made = new Bci<Fused, true>(arrays, steps, given);
    if (form == 1) made = new Bci<Deferred, true>(arrays, steps, given);
    if (form == 2) made = new Bci<Encoder, false>(arrays, steps, given);
    return made;
}
void bench_run(void* bci, long trials) { static_cast<Base*>(bci)->run(trials); }
void bench_outcome(void* bci, double* out) { static_cast<Base*>(bci)->weights(out); }
}
