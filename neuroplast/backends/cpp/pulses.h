// "Pulses": bounds in every step, and a drive that is only there when a spike arrives at a synapse or its postsynaptic unit fires.
//
// Between two pulses an eligibility falls, e(n) = e(m) d^(n-m), so the weight gets  w(n) = w(m) + e(m) d^-m (G(n) - G(m)),  with
// G(n) the sum of g d^k over the steps k < n, counted from a base that all synapses share. A synapse is touched at its pulses
// alone: with the spikes of its presynaptic unit (a row) and of its postsynaptic one (a column). The bounds act in every step:
//   * while g keeps its sign a weight moves one way, so that to bound it at the end is the same;
//   * else, if it cannot have met a bound on its way (the lowest and the highest G tell), nothing is to be bounded;
//   * else the steps are gone through.
//
// C: n_pre, n_post, n, span (steps of a base), decay(), low(), high().

namespace np_kernel {

template <class C> struct Pulses {
    enum { BLOCK = 32, BLOCKS = C::span / BLOCK + 1 };
    double G[C::span + 1], left[C::span + 1], grown[C::span + 1], lowest[BLOCKS], highest[BLOCKS], sign;  // left: d^n, grown: d^-n
    int32_t now, steady;  // steps since the base; from where on g has had one sign
    int32_t since[C::n], column_start[C::n_post + 1], column[C::n], list[C::n_post + 1];
    double *weight, *memory;
    const int32_t *row_start, *source, *target;

    void bind(double* w, double* e, const int32_t* starts, const int32_t* pres, const int32_t* posts) {
        weight = w; memory = e; row_start = starts; source = pres; target = posts;
        std::memset(column_start, 0, sizeof column_start);
        for (long s = 0; s < C::n; ++s) ++column_start[posts[s] + 1];
        for (long i = 0; i < C::n_post; ++i) column_start[i + 1] += column_start[i];
        for (long s = 0; s < C::n; ++s) column[column_start[posts[s]]++] = static_cast<int32_t>(s);
        for (long i = C::n_post; i > 0; --i) column_start[i] = column_start[i - 1];
        column_start[0] = 0;
        left[0] = grown[0] = 1.0;
        for (int n = 0; n < C::span; ++n) { left[n + 1] = left[n] * C::decay(); grown[n + 1] = grown[n] / C::decay(); }
    }

    // All synapses are up to date: a pass, or a base, begins
    void start() {
        std::memset(since, 0, sizeof since);
        now = steady = 0;
        sign = G[0] = lowest[0] = highest[0] = 0.0;
    }

    // What e does to w in this step
    void step(double g) {
        if (g * sign < 0.0) steady = now;
        if (g != 0.0) sign = g;
        const double sum = G[now] + g * left[now];
        G[++now] = sum;
        const int block = now / BLOCK;
        if (now % BLOCK == 0) { lowest[block] = highest[block] = sum; return; }
        lowest[block] = least(lowest[block], sum);
        highest[block] = most(highest[block], sum);
    }

    static double bound(double x) { return minimum(maximum(x, C::low()), C::high()); }

    // The weight of a synapse as of now
    double value(long s) const {
        const int32_t t = since[s];
        const double f = memory[s] * grown[t];
        return t >= steady ? bound(weight[s] + f * (G[now] - G[t])) : winding(weight[s], f, t);
    }

    double winding(double w, double f, int32_t t) const {
        double least_sum = G[t], most_sum = G[t];
        for (int b = t / BLOCK; b <= now / BLOCK; ++b) { least_sum = least(least_sum, lowest[b]); most_sum = most(most_sum, highest[b]); }
        const double a = f * (least_sum - G[t]), b = f * (most_sum - G[t]);
        if (w + least(a, b) >= C::low() && w + most(a, b) <= C::high()) return w + f * (G[now] - G[t]);
        for (int32_t n = t; n < now; ++n) w = bound(w + f * (G[n + 1] - G[n]));
        return w;
    }

    void touch(long s) {
        weight[s] = value(s);
        memory[s] *= left[now - since[s]];
        since[s] = now;
    }

    // The drive u y[i] at the synapses of row j
    void row(long j, double u, const double* y) {
        if (u == 0.0) return;
        if (steady == 0) {
            const double here = G[now];
            NP_IVDEP
            for (long s = row_start[j]; s < row_start[j + 1]; ++s) {
                const int32_t t = since[s];
                weight[s] = bound(weight[s] + memory[s] * grown[t] * (here - G[t]));
                memory[s] = memory[s] * left[now - t] + u * y[target[s]];
                since[s] = now;
            }
            return;
        }
        for (long s = row_start[j]; s < row_start[j + 1]; ++s) { touch(s); memory[s] += u * y[target[s]]; }
    }

    // The drive x[j] y[i] at all synapses onto units whose y is not zero
    void columns(const double* x, const double* y) {
        list_nonzero(y, C::n_post, list);
        for (int32_t c = 1; c <= list[0]; ++c) {
            const int32_t i = list[c];
            for (int32_t k = column_start[i]; k < column_start[i + 1]; ++k) {
                const long s = column[k];
                touch(s);
                memory[s] += x[source[s]] * y[i];
            }
        }
    }

    void close() { if (now == C::span) flush(); }

    // All synapses as of now, and a new base
    void flush() {
        for (long s = 0; s < C::n; ++s) touch(s);
        start();
    }
};

}  // namespace np_kernel
