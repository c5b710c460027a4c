// The benchmark network `song` by hand: the limit that targets are measured against. Same network and same law of a step as
// network.py, nothing general: sizes are constants (-DHVC=500 -DRA=200), the network loop is one pass over RA, and plasticity comes in three forms:
//   Dense   every synapse in every step;
//   Active  rows whose presynaptic trace is not zero; two scalars a row carry what an untouched row misses (A, D);
//   Exact   rows only when their unit spikes, by two running sums P, Q for each postsynaptic unit.
// Exact: between spikes s_j = S a^k, so e = d^k (E + dt S P_i) and w = W + eta dt (E A + dt S Q_i), k counted from a base, with
//   P_i = sum (a/d)^k x_i,  A = sum M d^(k-1),  Q_i = sum M d^(k-1) P_i(k-1).
// A spike moves S, E and W of its row. As (a/d)^k runs out of digits, active rows get a new base every REBASE steps.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

constexpr int NH = HVC, NR = RA, NM = 2, DELAY = 251, REBASE = 200, LANES = 16, DRAWS = (NR + 15) / 16 * 16;

struct Constants { double dt, a_s, a_e, a_n, a_motor, d, h, rest, threshold, reset, reversal, chance, lman_weight, mean, floor,
                          eta, w_max, distance; };

template <class T> inline T exponential(T x) {  // x in -2..0, which is all a membrane needs; vectorises
    const T y = x * T(0.125);
    T p = sizeof(T) == 8 ? T(1) / T(3628800) : T(1) / T(720);
    if (sizeof(T) == 8) {
        p = p * y + T(1) / T(362880); p = p * y + T(1) / T(40320); p = p * y + T(1) / T(5040); p = p * y + T(1) / T(720);
    }
    p = p * y + T(1) / T(120); p = p * y + T(1) / T(24); p = p * y + T(1) / T(6); p = p * y + T(0.5);
    p = p * y + T(1); p = p * y + T(1);
    p *= p; p *= p; return p * p;
}

// xoshiro128++ (Blackman & Vigna), one generator a lane
struct Generator {
    uint32_t s[4][LANES];
    explicit Generator(uint64_t seed) {
        for (auto& word : s) for (auto& lane : word) {  // splitmix64
            uint64_t z = (seed += 0x9e3779b97f4a7c15ull);
            z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull; z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
            lane = uint32_t(z ^ (z >> 31));
        }
    }
    static uint32_t left(uint32_t x, int k) { return (x << k) | (x >> (32 - k)); }
    void fill(uint32_t* out) {
        for (int k = 0; k < DRAWS; k += LANES) {
            for (int l = 0; l < LANES; l++) {
                out[k + l] = left(s[0][l] + s[3][l], 7) + s[0][l];
                const uint32_t t = s[1][l] << 9;
                s[2][l] ^= s[0][l]; s[3][l] ^= s[1][l]; s[1][l] ^= s[2][l]; s[0][l] ^= s[3][l]; s[2][l] ^= t;
                s[3][l] = left(s[3][l], 11);
            }
        }
    }
};

template <class T> struct Rows {
    const Constants& c;
    std::vector<T> w, e;
    double s[NH] = {};
    Rows(const Constants& c, const double* first) : c(c), w(first, first + NH * NR), e(NH * NR) {}
    void clip() { for (T& x : w) x = x < T(0) ? T(0) : x > T(c.w_max) ? T(c.w_max) : x; }
};

template <class T> struct Dense : Rows<T> {
    using Rows<T>::Rows; using Rows<T>::c; using Rows<T>::w; using Rows<T>::e; using Rows<T>::s;
    void traces(const int* spikes, int n, T* into) {
        for (double& x : s) x *= c.a_s;
        for (int k = 0; k < n; k++) {
            s[spikes[k]] += 1;
            for (int i = 0; i < NR; i++) into[i] += w[spikes[k] * NR + i];
        }
        for (double& x : s) x = x < c.floor ? 0 : x;
    }
    void learn(double M, const T* __restrict x) {
        const T g = T(c.eta * c.dt * M), d = T(c.d);
        for (int j = 0; j < NH; j++) {
            T* __restrict wj = &w[j * NR]; T* __restrict ej = &e[j * NR];
            const T drive = T(c.dt * s[j]);
            for (int i = 0; i < NR; i++) { const T old = ej[i]; wj[i] += g * old; ej[i] = d * old + drive * x[i]; }
        }
    }
    void end_trial() { this->clip(); }
};

template <class T> struct Active : Dense<T> {
    using Dense<T>::c; using Dense<T>::w; using Dense<T>::e; using Dense<T>::s;
    double A[NH], D[NH];
    Active(const Constants& c, const double* first) : Dense<T>(c, first) { for (int j = 0; j < NH; j++) A[j] = 0, D[j] = 1; }
    void traces(const int* spikes, int n, T* into) {
        const T zero[NR] = {};
        for (int k = 0; k < n; k++) if (s[spikes[k]] == 0) touch(spikes[k], T(0), zero);  // before its weights are used
        Dense<T>::traces(spikes, n, into);
    }
    void touch(int j, T drive, const T* __restrict x) {
        T* __restrict wj = &w[j * NR]; T* __restrict ej = &e[j * NR];
        const T g = T(c.eta * c.dt * A[j]), d = T(D[j]);
        for (int i = 0; i < NR; i++) { const T old = ej[i]; wj[i] += g * old; ej[i] = d * old + drive * x[i]; }
        A[j] = 0; D[j] = 1;
    }
    void learn(double M, const T* __restrict x) {
        for (int j = 0; j < NH; j++) { A[j] += M * D[j]; D[j] *= c.d; }
        for (int j = 0; j < NH; j++) if (s[j] > 0) touch(j, T(c.dt * s[j]), x);
    }
    void end_trial() {
        const T zero[NR] = {};
        for (int j = 0; j < NH; j++) touch(j, T(0), zero);
        this->clip();
    }
};

template <class T> struct Exact : Rows<T> {  // here w and e hold W and E
    using Rows<T>::c; using Rows<T>::w; using Rows<T>::e; using Rows<T>::s;
    alignas(64) T P[NR] = {}, Q[NR] = {};
    double A = 0, dk = 1, ak = 1;          // A; d^k and a^k at the last step
    double S[NH] = {}, pend[NH] = {}, dec[NH];  // pend, dec: A and d^k that a silent row gathered over earlier bases
    int active[NH], n_active = 0, age = 0;
    bool fresh[NH] = {};
    Exact(const Constants& c, const double* first) : Rows<T>(c, first) { for (double& x : dec) x = 1; }
    void wake(int j) {
        T* wj = &w[j * NR]; T* ej = &e[j * NR];
        const T g = T(c.eta * c.dt * pend[j]), d = T(dec[j]);
        for (int i = 0; i < NR; i++) { wj[i] += g * ej[i]; ej[i] *= d; }
        pend[j] = 0; dec[j] = 1;
    }
    void move(int j, double to) {  // the trace of row j becomes to (in units of the base)
        T* __restrict wj = &w[j * NR]; T* __restrict ej = &e[j * NR];
        const double delta = to - S[j];
        const T g = T(c.eta * c.dt * c.dt * delta), f = T(c.dt * delta), a = T(A);
        for (int i = 0; i < NR; i++) { wj[i] += g * (a * P[i] - Q[i]); ej[i] -= f * P[i]; }
        S[j] = to;
    }
    void traces(const int* spikes, int n, T* __restrict into) {
        const double base = 1 / (ak * c.a_s);
        for (int k = 0; k < n; k++) {
            const int j = spikes[k];
            if (S[j] == 0) { wake(j); active[n_active++] = j; }
            const T g = T(c.eta * c.dt * A), q = T(c.eta * c.dt * c.dt * S[j]);
            const T* wj = &w[j * NR]; const T* ej = &e[j * NR];
            for (int i = 0; i < NR; i++) into[i] += wj[i] + g * ej[i] + q * Q[i];
            move(j, S[j] + base);
            s[j] = s[j] * c.a_s + 1;
            fresh[j] = true;
        }
        for (int k = 0; k < n_active;) {
            const int j = active[k];
            if (fresh[j]) { fresh[j] = false; k++; continue; }
            s[j] *= c.a_s;
            if (s[j] >= c.floor) { k++; continue; }
            s[j] = 0;
            move(j, 0);
            active[k] = active[--n_active];
        }
    }
    void learn(double M, const T* __restrict x) {
        const T m = T(M * dk);
        A += M * dk; dk *= c.d; ak *= c.a_s;
        const T r = T(ak / dk);
        for (int i = 0; i < NR; i++) { Q[i] += m * P[i]; P[i] += r * x[i]; }
        if (++age == REBASE) rebase();
    }
    void rebase() {
        for (int k = 0; k < n_active; k++) {
            const int j = active[k];
            T* __restrict wj = &w[j * NR]; T* __restrict ej = &e[j * NR];
            const T g = T(c.eta * c.dt * A), q = T(c.eta * c.dt * c.dt * S[j]), f = T(c.dt * S[j]), d = T(dk);
            for (int i = 0; i < NR; i++) { wj[i] += g * ej[i] + q * Q[i]; ej[i] = d * (ej[i] + f * P[i]); }
            S[j] = s[j];
        }
        for (int j = 0; j < NH; j++) if (S[j] == 0) { pend[j] += dec[j] * A; dec[j] *= dk; }
        A = 0; dk = ak = 1; age = 0;
        memset(P, 0, sizeof P); memset(Q, 0, sizeof Q);
    }
    void end_trial() {
        rebase();
        for (int j = 0; j < NH; j++) wake(j);
        this->clip();
    }
};

struct Base {
    virtual ~Base() {}
    virtual void run(long trials) = 0;
    virtual void weights(double* out) const = 0;
};

template <class T, template <class> class Form> struct Song final : Base {
    Constants c;
    Form<T> rows;
    Generator random;
    std::vector<double> target;
    std::vector<int> offsets, units;
    const uint8_t* given;
    long steps, tick = 0;
    alignas(64) T v[NR], gE[NR] = {}, gN[NR], inE[NR], x[NR], fired[NR] = {}, out[NM][NR] = {};
    alignas(64) uint32_t drawn[DRAWS];
    const int* spikes = nullptr; int n_spikes = 0;
    double m[NM] = {}, ring[DELAY] = {}, error = 0;

    Song(const Constants& c, const double* w, const double* v0, const double* g0, const double* target, const double* motor,
         const int* offsets, const int* units, const uint8_t* given, long steps, uint64_t seed)
        : c(c), rows(this->c, w), random(seed), target(target, target + steps * NM), offsets(offsets, offsets + steps + 1),
          units(units, units + offsets[steps]), given(given), steps(steps) {
        for (int i = 0; i < NR; i++) { v[i] = T(v0[i]); gN[i] = T(g0[i]); out[i / (NR / NM)][i] = T(motor[i]); drawn[i] = ~0u; }
    }

    void step(long n) {
        const uint32_t chance = uint32_t(c.chance * 4294967296.0);
        memset(inE, 0, sizeof inE);
        rows.traces(spikes, n_spikes, inE);  // what was sent in the last step arrives
        double& slot = ring[tick % DELAY];
        const double M = slot;
        double heard[NM];
        for (int k = 0; k < NM; k++) {
            T sum = 0;
            #pragma omp simd reduction(+ : sum)
            for (int i = 0; i < NR; i++) sum += fired[i] * out[k][i];
            heard[k] = sum;
        }
        const T aE = T(c.a_e), aN = T(c.a_n), jump = T(c.lman_weight), mean = T(c.mean), rest = T(c.rest), rev = T(c.reversal),
                h = T(-c.h), top = T(c.threshold), reset = T(c.reset);
        for (int i = 0; i < NR; i++) {
            gE[i] = aE * gE[i] + inE[i];
            gN[i] = aN * gN[i] + (drawn[i] < chance ? jump : T(0));
            x[i] = gN[i] - mean;
            const T g = T(1) + gE[i] + gN[i], to = (rest + (gE[i] + gN[i]) * rev) / g;
            const T u = to + (v[i] - to) * exponential(h * g);
            fired[i] = u > top ? T(1) : T(0);
            v[i] = u > top ? reset : u;
        }
        if (given) for (int i = 0; i < NR; i++) drawn[i] = given[tick * NR + i] ? 0u : ~0u;
        else random.fill(drawn);
        spikes = units.data() + offsets[n]; n_spikes = offsets[n + 1] - offsets[n];
        rows.learn(M, x);
        double D = 0;
        for (int k = 0; k < NM; k++) {
            m[k] = c.a_motor * m[k] + heard[k];
            const double off = m[k] - target[n * NM + k];
            D += off * off;
        }
        error += D;
        slot = D < c.distance ? 1 : 0;
        tick++;
    }

    void run(long trials) override {
        for (long k = 0; k < trials; k++) {
            for (long n = 0; n < steps; n++) step(n);
            rows.end_trial();
        }
    }
    void weights(double* to) const override { for (int k = 0; k < NH * NR; k++) to[k] = rows.w[k]; }
};

template <class T> Base* make(int form, const Constants& c, const double* w, const double* v, const double* g,
                              const double* target, const double* motor, const int* offsets, const int* units,
                              const uint8_t* given, long steps) {
    if (form == 0) return new Song<T, Dense>(c, w, v, g, target, motor, offsets, units, given, steps, 1);
    if (form == 1) return new Song<T, Active>(c, w, v, g, target, motor, offsets, units, given, steps, 1);
    return new Song<T, Exact>(c, w, v, g, target, motor, offsets, units, given, steps, 1);
}

}  // namespace

extern "C" {
// given: (tick, NR) LMAN spikes, or null for random ones
void* song_new(const double* constants, const double* w, const double* v, const double* g, const double* target,
               const double* motor, const int* offsets, const int* units, const uint8_t* given, long steps, int form,
               int single) {
    Constants c;
    memcpy(&c, constants, sizeof c);
    return single ? make<float>(form, c, w, v, g, target, motor, offsets, units, given, steps)
                  : make<double>(form, c, w, v, g, target, motor, offsets, units, given, steps);
}
void song_run(void* song, long trials) { static_cast<Base*>(song)->run(trials); }
void song_weights(void* song, double* out) { static_cast<Base*>(song)->weights(out); }
}
