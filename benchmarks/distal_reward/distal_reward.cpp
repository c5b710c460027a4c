// The benchmark network `distal-reward` by hand: the limit. A synapse is touched only when one of its units spikes. Between spikes
// its eligibility is c d^n and its weight w + c (G_n - G), with one sum G_n = sum dt M d^n for all; as M is positive, the weight
// moves one way only, so bounds applied at the next event are those of every step. Form 1: every synapse in every step.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "benchmarks/random.h"

namespace {

constexpr int NE = 800, NI = 200, N = NE + NI, OUT = 125, OUT_I = 100, DRAWS = 1008, REBASE = 4000;

struct Constants { double trace, keep, keep_d, plus, minus, most, w_i, noise, floor, dt, first; };
struct Synapse { double w, c, g; int pre, post; };

struct Distal {
    const Constants c;
    const long steps, form;
    const double *dopamine, *a, *d, *given;
    std::vector<Synapse> synapses;
    std::vector<std::vector<int>> into;
    std::vector<int> inhibited, fired, arrived;
    alignas(64) double v[N], u[N], in[N], x[NE] = {}, y[N] = {}, spiked[N] = {};
    alignas(64) uint32_t bits[DRAWS];
    Random random{1};
    double M = 0, reward = 0, G = 0, p = 1;
    long age = 0, tick = 0;

    Distal(const double* const* arrays, long steps, long form, const double* const* given)
        : c(*reinterpret_cast<const Constants*>(arrays[0])), steps(steps), form(form), dopamine(arrays[3]), a(arrays[4]),
          d(arrays[5]), given(given ? given[0] : nullptr), synapses(NE * OUT), into(N), inhibited(arrays[2], arrays[2] + NI * OUT_I) {
        for (int s = 0; s < NE * OUT; s++) {
            synapses[s] = {c.first, 0, 0, s / OUT, int(arrays[1][s])};
            into[synapses[s].post].push_back(s);
        }
        for (int i = 0; i < N; i++) { v[i] = -65; u[i] = 0.2 * v[i]; }
    }

    double bounded(double w) const { return std::min(std::max(w, 0.0), c.most); }
    double now(const Synapse& s) const { return bounded(s.w + s.c * (G - s.g)); }
    void jump(Synapse& s, double by) {
        s.w = now(s);
        s.g = G;
        s.c += by / p;
    }

    void learn() {
        G += c.dt * M * p;
        p *= c.keep;
        for (const int j : arrived) if (j < NE)
            for (int s = j * OUT; s < (j + 1) * OUT; s++) jump(synapses[s], -c.minus * y[synapses[s].post]);
        for (const int i : fired) for (const int s : into[i]) jump(synapses[s], c.plus * x[synapses[s].pre]);
        if (++age == REBASE) rebase();
    }
    void rebase() {
        for (Synapse& s : synapses) { s.w = now(s); s.g = 0; s.c *= p; }
        G = 0; p = 1; age = 0;
    }
    void learn_all() {  // c is the eligibility itself
        const double g = c.dt * M;
        double sent[NE] = {};
        for (const int j : arrived) if (j < NE) sent[j] = 1;
        for (Synapse& s : synapses) {
            s.w = bounded(s.w + g * s.c);
            s.c = c.keep * s.c + c.plus * x[s.pre] * spiked[s.post] - c.minus * y[s.post] * sent[s.pre];
        }
    }

    void step(long n) {
        M = reward + (M - reward) * c.keep_d;
        arrived.swap(fired);
        std::memset(in, 0, sizeof in);
        for (const int j : arrived) {
            if (j < NE) {
                for (int s = j * OUT; s < (j + 1) * OUT; s++) in[synapses[s].post] += form ? synapses[s].w : now(synapses[s]);
            } else {
                for (int s = (j - NE) * OUT_I; s < (j - NE + 1) * OUT_I; s++) in[inhibited[s]] += c.w_i;
            }
        }
        if (given) {
            for (int i = 0; i < N; i++) in[i] += given[tick * N + i];
        } else {
            random.fill(bits, DRAWS);
            for (int i = 0; i < N; i++) in[i] += c.noise * (unit_interval<double>(bits[i]) - 0.5);
        }
        for (int j = 0; j < NE; j++) x[j] *= c.trace;
        for (const int j : arrived) if (j < NE) x[j] += 1;
        for (int j = 0; j < NE; j++) x[j] = x[j] < c.floor ? 0 : x[j];
        for (int i = 0; i < N; i++) {
            const double was = v[i], next = was + (0.04 * was * was + 5 * was + 140 - u[i] + in[i]), follow = u[i] + a[i] * (0.2 * was - u[i]);
            const bool spike = next >= 30;
            v[i] = spike ? -65 : next;
            u[i] = spike ? follow + d[i] : follow;
            spiked[i] = spike ? 1 : 0;
            const double trace = y[i] * c.trace + spiked[i];
            y[i] = trace < c.floor ? 0 : trace;
        }
        fired.clear();
        for (int k = 0; k < N; k += 8) {
            double any = 0;
            for (int i = k; i < k + 8; i++) any += spiked[i];
            if (any > 0) for (int i = k; i < k + 8; i++) if (spiked[i] > 0) fired.push_back(i);
        }
        if (form) learn_all(); else learn();
        reward = dopamine[n];
        tick++;
    }

    void run(long trials) { for (long k = 0; k < trials; k++) for (long n = 0; n < steps; n++) step(n); }
};

}  // namespace

extern "C" {
void* bench_new(const double* const* arrays, long steps, long form, const double* const* given) {
    return new Distal(arrays, steps, form, given);
}
void bench_run(void* distal, long trials) { static_cast<Distal*>(distal)->run(trials); }
void bench_outcome(void* distal, double* out) {
    const Distal& made = *static_cast<Distal*>(distal);
    for (const Synapse& s : made.synapses) *out++ = made.form ? s.w : made.now(s);
}
}
