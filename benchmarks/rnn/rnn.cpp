// The benchmark network `rnn` by hand: the limit. A step is one product of the weight matrix (in the second-level cache) with the
// rates, its 200 sums in registers; impulses are drawn by the time to the next one; and as the eligibility of a trial is a sum of
// outer products, no synapse is touched within it: E = P^T Q of the kept r^3 (T x N) and d^3 (T x N), once, in register blocks.
// Form 1 is what one writes first: the eligibility of all synapses in every step.
// -DREAL=float: in single precision.
#include <cmath>
#include <vector>

#include "benchmarks/functions.h"
#include "benchmarks/random.h"

#ifndef REAL
#define REAL double
#endif

namespace {

constexpr int N = 200, WIDTH = 208, VECTOR = 64 / sizeof(REAL), VECTORS = WIDTH / VECTOR;
typedef REAL T;
typedef T V __attribute__((vector_size(64)));
struct alignas(64) Row { T x[WIDTH]; };

struct Constants { double keep, mean_keep, chance, impulse, eta, most, smooth; };

struct Rnn {
    const Constants c;
    const long steps, form;
    const double *drive, *target, *given;
    std::vector<Row> w, p, q, e;
    Row x{}, x0{}, r{}, mean{};
    Random random{1};
    double expected = 0, wait;
    bool seen = false;
    long tick = 0;

    Rnn(const double* const* a, long steps, long form, const double* const* given)
        : c(*reinterpret_cast<const Constants*>(a[0])), steps(steps), form(form), drive(a[3]), target(a[4]),
          given(given ? given[0] : nullptr), w(N), p(form ? 0 : steps), q(form ? 0 : steps), e(N) {
        for (int j = 0; j < N; j++) for (int i = 0; i < WIDTH; i++) w[j].x[i] = i < N ? T(a[1][j * N + i]) : T(0);
        for (int i = 0; i < N; i++) x0.x[i] = T(a[2][i]);
        wait = gap();
    }

    double gap() { return std::floor(std::log(random.uniform()) / std::log1p(-c.chance)); }  // draws without an impulse

    void product(T* into) const {  // sum_j r_j w_j
        V sum[VECTORS] = {};
        for (int j = 0; j < N; j++) {
            const V* row = reinterpret_cast<const V*>(w[j].x);
            const T rj = r.x[j];
            #pragma GCC unroll 32
            for (int v = 0; v < VECTORS; v++) sum[v] += rj * row[v];
        }
        for (int v = 0; v < VECTORS; v++) reinterpret_cast<V*>(into)[v] = sum[v];
    }

    void impulses(T* input) {
        if (given) {
            for (int i = 0; i < N; i++) input[i] += T(given[tick * N + i]);
            return;
        }
        for (; wait < N; wait += 1 + gap()) input[int(wait)] += T(c.impulse * (2 * random.uniform() - 1));
        wait -= N;
    }

    double trial() {
        double error = 0;
        x = x0;
        for (int i = 0; i < WIDTH; i++) r.x[i] = tangent(x.x[i]);
        if (form) for (Row& row : e) row = Row{};
        for (long n = 0; n < steps; n++, tick++) {
            alignas(64) T input[WIDTH];
            product(input);
            for (int i = 0; i < N; i++) input[i] += T(drive[n * N + i]);
            impulses(input);
            const double off = r.x[0] - target[n];
            error += off * off;
            Row kept_p, kept_q, &pn = form ? kept_p : p[n], &qn = form ? kept_q : q[n];
            const T keep = T(c.keep), step = T(1 - c.mean_keep);
            for (int i = 0; i < WIDTH; i++) {
                pn.x[i] = r.x[i] * r.x[i] * r.x[i];
                x.x[i] = input[i] + (x.x[i] - input[i]) * keep;
                r.x[i] = tangent(x.x[i]);
                const T d = x.x[i] - mean.x[i];
                mean.x[i] += step * d;
                qn.x[i] = d * d * d;
            }
            if (form) for (int j = 0; j < N; j++) for (int i = 0; i < WIDTH; i++) e[j].x[i] += pn.x[j] * qn.x[i];
        }
        return error / steps;
    }

    template <int J, int I> void block(int j, int v, T g) {  // J rows, I vectors of the change
        V sum[J][I] = {};
        for (long t = 0; t < steps; t++) {
            const V* qt = reinterpret_cast<const V*>(q[t].x) + v;
            const T* pt = p[t].x + j;
            #pragma GCC unroll 8
            for (int a = 0; a < J; a++) {
                #pragma GCC unroll 4
                for (int b = 0; b < I; b++) sum[a][b] += pt[a] * qt[b];
            }
        }
        for (int a = 0; a < J; a++) for (int b = 0; b < I; b++) change(w[j + a].x + (v + b) * VECTOR, sum[a][b], g);
    }

    void change(T* at, V e, T g) const {
        V* weights = reinterpret_cast<V*>(at);
        const V most = V{} + T(c.most), dw = g * e, low = dw > -most ? dw : -most;
        *weights += low < most ? low : most;
    }

    void learn(T g) {
        if (form) {
            for (int j = 0; j < N; j++) for (int i = 0; i < WIDTH; i += VECTOR) change(w[j].x + i, *reinterpret_cast<V*>(e[j].x + i), g);
            return;
        }
        int v = 0;
        for (; v + 4 <= VECTORS; v += 4) for (int j = 0; j < N; j += 5) block<5, 4>(j, v, g);
        for (; v + 2 <= VECTORS; v += 2) for (int j = 0; j < N; j += 8) block<8, 2>(j, v, g);
        for (; v < VECTORS; v++) for (int j = 0; j < N; j += 8) block<8, 1>(j, v, g);
    }

    void run(long trials) {
        for (long k = 0; k < trials; k++) {
            const double reward = -trial();
            if (seen) learn(T(c.eta * (reward - expected)));
            expected = seen ? expected + c.smooth * (reward - expected) : reward;
            seen = true;
        }
    }
};

}  // namespace

extern "C" {
void* bench_new(const double* const* arrays, long steps, long form, const double* const* given) {
    return new Rnn(arrays, steps, form, given);
}
void bench_run(void* rnn, long trials) { static_cast<Rnn*>(rnn)->run(trials); }
void bench_outcome(void* rnn, double* out) {
    for (int j = 0; j < N; j++) for (int i = 0; i < N; i++) out[j * N + i] = static_cast<Rnn*>(rnn)->w[j].x[i];
}
}
