// "Active rows": plasticity in which the synapses of a presynaptic unit (a row) are brought up to date only when they must be.
//
// In each step  w += g e;  e <- decay e + sum_k pre_k[j] post_k[i].  A step only keeps g and the factors. After BLOCK steps the
// rows take them in at once, each synapse being read and written once and not BLOCK times. Sums are only put in another order:
//   * a row with pre = 0 in all of them notes two numbers: ``decayed``, the factor that its e missed, and ``missed``, what its
//     w missed, in units of e;
//   * rows whose pre factor runs in proportion to one profile (an exponential trace without a spike) share its sum over steps;
//   * a row whose weights are needed now (a spike is delivered) is brought up to date alone: ``current``.
//
// With bounds in every step the order matters. Then a block is stepped through in registers, and what was missed while e only
// decayed has a closed form as long as a weight cannot have met both bounds: ``lowest`` and ``highest`` of the missed sum tell.
//
// C: n_pre, n_post, n, rank, dense, moves (w changes in a step), bounded, decay(), low(), high().
#include <limits>

namespace np_kernel {

// Vectors to be added: w += gain e + sum of weight_part x, then e <- keep e + sum of memory_part x
template <int MOST> struct Intake {
    double gain, keep, weight_part[MOST], memory_part[MOST];
    const double* x[MOST];
    int terms;
    bool still;  // w does not change

    void clear() { terms = 0; still = true; }

    void add(double value, double alpha, double beta, const double* vector) {
        if (value == 0.0) return;
        weight_part[terms] = alpha * value;
        memory_part[terms] = beta * value;
        still = still && weight_part[terms] == 0.0;
        x[terms++] = vector;
    }

    // The synapses of a row to all units, 0..n
    template <bool moves> void take(double* w, double* e, long n) const {
        long i = 0;
        for (; i + UNROLL * LANES <= n; i += UNROLL * LANES) tile<moves, UNROLL>(w + i, e + i, i);
        for (; i + LANES <= n; i += LANES) tile<moves, 1>(w + i, e + i, i);
        for (; i < n; ++i) {
            double ww = moves ? w[i] + gain * e[i] : 0.0, ee = keep * e[i];
            for (int t = 0; t < terms; ++t) { ww += weight_part[t] * x[t][i]; ee += memory_part[t] * x[t][i]; }
            if (moves) w[i] = ww;
            e[i] = ee;
        }
    }

    template <bool moves, int N> void tile(double* w, double* e, long i) const {
        Vector ww[N], ee[N];
        for (int v = 0; v < N; ++v) {
            ee[v] = load(e + v * LANES);
            if (moves) ww[v] = load(w + v * LANES) + gain * ee[v];
            ee[v] *= keep;
        }
        for (int t = 0; t < terms; ++t) {
            const double a = weight_part[t], b = memory_part[t], *values = x[t] + i;
            for (int v = 0; v < N; ++v) {
                const Vector y = load(values + v * LANES);
                if (moves) ww[v] += a * y;
                ee[v] += b * y;
            }
        }
        for (int v = 0; v < N; ++v) {
            if (moves) store(w + v * LANES, ww[v]);
            store(e + v * LANES, ee[v]);
        }
    }

    // The synapses of a row to the units that are listed
    template <bool moves> void take(double* w, double* e, long n, const int32_t* posts) const {
        NP_IVDEP
        for (long i = 0; i < n; ++i) { if (moves) w[i] += gain * e[i]; e[i] *= keep; }
        for (int t = 0; t < terms; ++t) {
            const double a = weight_part[t], b = memory_part[t], *values = x[t];
            NP_IVDEP
            for (long i = 0; i < n; ++i) { const double y = values[posts[i]]; if (moves) w[i] += a * y; e[i] += b * y; }
        }
    }
};

template <class C> struct Rows {
    enum { BLOCK = 32, RANK = C::rank > 0 ? C::rank : 1, ENTRIES = BLOCK * RANK, GROUP = 8,
           HEIGHT = (C::n_pre + GROUP - 1) / GROUP * GROUP, WIDTH = (C::n_post + LANES - 1) / LANES * LANES,
           BOUNDED = C::bounded ? C::n_pre : 1 };
    double pre[ENTRIES][HEIGHT], post[ENTRIES][WIDTH], g[BLOCK], alpha[BLOCK], beta[BLOCK], block_gain, block_keep;
    double missed[HEIGHT], decayed[HEIGHT], touched[HEIGHT], active[HEIGHT], lowest[BOUNDED], highest[BOUNDED], largest[BOUNDED];
    int32_t from[HEIGHT];  // steps of this block that the row has taken in
    int logged;
    double *weight, *memory;
    const int32_t *row_start, *target;
    Intake<ENTRIES + 2 * RANK> intake;
    Intake<BLOCK> sums;
    double profile[RANK][BLOCK], candidate[RANK][BLOCK], profile_weight[RANK][WIDTH], profile_memory[RANK][WIDTH];
    bool known[RANK], summed[RANK];

    void bind(double* w, double* e, const int32_t* starts, const int32_t* posts) {
        weight = w; memory = e; row_start = starts; target = posts;
    }

    // Nothing is missed: a pass begins
    void start() {
        logged = 0;
        for (long j = 0; j < HEIGHT; ++j) { missed[j] = 0.0; decayed[j] = 1.0; touched[j] = 0.0; from[j] = 0; }
        if (C::bounded) for (long j = 0; j < C::n_pre; ++j) { nothing_missed(j); largest[j] = lowest[j]; }
        for (int k = 0; k < RANK; ++k) {
            known[k] = false;
            for (int b = 0; b < BLOCK; ++b) candidate[k][b] = 0.0;
        }
    }

    // A step is complete: its factors lie in pre[logged * rank + k], post[logged * rank + k]
    void log(double gain_now) {
        g[logged] = gain_now;
        if (++logged == BLOCK) close();
    }

    // Row j as of now
    void current(long j) {
        if (from[j] == logged && missed[j] == 0.0 && decayed[j] == 1.0 && !(C::bounded && lowest[j] <= highest[j])) return;
        touched[j] = 1.0;
        advance(j);
    }

    // All rows as of now
    void flush() {
        for (long j = 0; j < C::n_pre; ++j) current(j);
        begin_block();
    }

    void begin_block() {
        for (long j = 0; j < HEIGHT; ++j) { from[j] = 0; touched[j] = 0.0; }
        logged = 0;
    }

    long first(long j) const { return C::dense ? j * C::n_post : row_start[j]; }
    long length(long j) const { return C::dense ? static_cast<long>(C::n_post) : row_start[j + 1] - row_start[j]; }

    // Row j takes in what it missed and the steps of this block that it has not seen
    void advance(long j) {
        if (C::bounded) { step_through(j); return; }
        double a = 0.0, b = 1.0;  // what one unit of drive has done, by now, to w and to e
        intake.clear();
        for (int t = logged - 1; t >= from[j]; --t) {
            for (int k = 0; k < C::rank; ++k) intake.add(pre[t * RANK + k][j], a, b, post[t * RANK + k]);
            a = g[t] + C::decay() * a;
            b *= C::decay();
        }
        finish(j, missed[j] + decayed[j] * a, decayed[j] * b);
    }

    void finish(long j, double gain, double keep) {
        intake.gain = gain;
        intake.keep = keep;
        double *w = weight + first(j), *e = memory + first(j);
        if (C::moves && !(intake.still && gain == 0.0)) take<true>(j, w, e); else take<false>(j, w, e);
        missed[j] = 0.0;
        decayed[j] = 1.0;
        from[j] = logged;
    }

    template <bool moves> void take(long j, double* w, double* e) const {
        if (C::dense) intake.template take<moves>(w, e, C::n_post);
        else intake.template take<moves>(w, e, length(j), target + first(j));
    }

    // The block is full
    void close() {
        for (long j = 0; j < HEIGHT; ++j) active[j] = touched[j];
        for (int b = 0; b < BLOCK; ++b) for (int k = 0; k < C::rank; ++k) {
            const double* p = pre[b * RANK + k];
            for (long j = 0; j < HEIGHT; ++j) active[j] += std::fabs(p[j]);
        }
        block_gain = 0.0;
        block_keep = 1.0;
        for (int b = BLOCK - 1; b >= 0; --b) {
            alpha[b] = block_gain;
            beta[b] = block_keep;
            block_gain = g[b] + C::decay() * block_gain;
            block_keep *= C::decay();
        }
        if (C::bounded) {
            note_bounded();
            for (long j = 0; j < C::n_pre; ++j) if (active[j] != 0.0) step_through(j);
        } else {
            NP_IVDEP
            for (long j = 0; j < HEIGHT; ++j) {
                const bool idle = active[j] == 0.0;
                missed[j] = idle ? missed[j] + decayed[j] * block_gain : missed[j];
                decayed[j] = idle ? decayed[j] * block_keep : decayed[j];
            }
            for (int k = 0; k < C::rank; ++k) summed[k] = false;
            for (long j = 0; j < HEIGHT; j += GROUP) if (nonzero(active + j)) take_group(j);
        }
        begin_block();
    }

    void take_group(long j) {
        double factors[GROUP][ENTRIES];  // of one row side by side
        for (int t = 0; t < BLOCK * C::rank; ++t) for (int r = 0; r < GROUP; ++r) factors[r][t] = pre[t][j + r];
        for (int r = 0; r < GROUP; ++r) if (active[j + r] != 0.0) {
            if (touched[j + r] != 0.0) advance(j + r); else whole(j + r, factors[r]);
        }
    }

    // Row j takes in a whole block
    void whole(long j, const double* factors) {
        intake.clear();
        for (int k = 0; k < C::rank; ++k) {
            double p[BLOCK];
            for (int b = 0; b < BLOCK; ++b) p[b] = factors[b * RANK + k];
            if (shared(k, p)) {
                intake.add(p[0], 1.0, 0.0, profile_weight[k]);
                intake.add(p[0], 0.0, 1.0, profile_memory[k]);
            } else {
                for (int b = 0; b < BLOCK; ++b) intake.add(p[b], alpha[b], beta[b], post[b * RANK + k]);
            }
        }
        finish(j, missed[j] + decayed[j] * block_gain, decayed[j] * block_keep);
    }

    // Whether factor k of a row runs along the profile, which is that of two rows that agreed
    bool shared(int k, const double* p) {
        if (p[0] == 0.0) return false;
        if (!known[k] || !proportional(p, profile[k])) {
            const bool again = proportional(p, candidate[k]);
            for (int b = 0; b < BLOCK; ++b) (again ? profile : candidate)[k][b] = again ? candidate[k][b] : p[b] / p[0];
            if (!again) return false;
            known[k] = true;
            summed[k] = false;
        }
        if (!summed[k]) {
            for (long i = 0; i < WIDTH; ++i) profile_weight[k][i] = profile_memory[k][i] = 0.0;
            sums.clear();
            sums.gain = sums.keep = 1.0;
            for (int b = 0; b < BLOCK; ++b) sums.add(profile[k][b], alpha[b], beta[b], post[b * RANK + k]);
            sums.template take<true>(profile_weight[k], profile_memory[k], WIDTH);
            summed[k] = true;
        }
        return true;
    }

    static bool proportional(const double* p, const double* unit_profile) {
        double worst = 0.0;
        for (int b = 0; b < BLOCK; ++b) worst = most(worst, std::fabs(p[b] - p[0] * unit_profile[b]));
        return worst <= 1e-14 * std::fabs(p[0]);
    }

    // ---- bounds in every step ---------------------------------------------------------------------------------------------
    void nothing_missed(long j) {
        lowest[j] = std::numeric_limits<double>::infinity();
        highest[j] = -lowest[j];
    }

    // Rows without drive only take note, unless a weight might have met both bounds
    void note_bounded() {
        double low = std::numeric_limits<double>::infinity(), high = -low, sum = 0.0, power = 1.0;
        for (int b = 0; b < BLOCK; ++b) {
            sum += g[b] * power;
            power *= C::decay();
            low = least(low, sum);
            high = most(high, sum);
        }
        for (long j = 0; j < C::n_pre; ++j) {
            const double l = least(lowest[j], missed[j] + decayed[j] * low), h = most(highest[j], missed[j] + decayed[j] * high);
            const bool free = (h - l) * largest[j] < 0.99 * (C::high() - C::low()), idle = active[j] == 0.0 && free;
            active[j] = idle ? 0.0 : 1.0;
            lowest[j] = idle ? l : lowest[j];
            highest[j] = idle ? h : highest[j];
            missed[j] = idle ? missed[j] + decayed[j] * block_gain : missed[j];
            decayed[j] = idle ? decayed[j] * block_keep : decayed[j];
        }
    }

    void step_through(long j) {
        double *w = weight + first(j), *e = memory + first(j), drive[ENTRIES], biggest = 0.0;
        const long n = length(j);
        for (int b = from[j]; b < logged; ++b) for (int k = 0; k < C::rank; ++k) drive[b * RANK + k] = pre[b * RANK + k][j];
        const bool late = lowest[j] <= highest[j];
        long i = 0;
        if (C::dense) {
            for (; i + LANES <= n; i += LANES) {
                Vector ww = load(w + i), ee = load(e + i);
                if (late) catch_up(j, ww, ee);
                for (int b = from[j]; b < logged; ++b) {
                    ww = bound(ww + g[b] * ee);
                    ee *= C::decay();
                    for (int k = 0; k < C::rank; ++k) ee += drive[b * RANK + k] * load(post[b * RANK + k] + i);
                }
                store(w + i, ww);
                store(e + i, ee);
            }
            for (; i < n; ++i) {
                if (late) catch_up(j, w[i], e[i]);
                for (int b = from[j]; b < logged; ++b) {
                    w[i] = bound(w[i] + g[b] * e[i]);
                    e[i] *= C::decay();
                    for (int k = 0; k < C::rank; ++k) e[i] += drive[b * RANK + k] * post[b * RANK + k][i];
                }
            }
        } else {
            const int32_t* posts = target + first(j);
            if (late) {
                NP_IVDEP
                for (i = 0; i < n; ++i) catch_up(j, w[i], e[i]);
            }
            for (int b = from[j]; b < logged; ++b) {
                NP_IVDEP
                for (i = 0; i < n; ++i) {
                    double ee = e[i];
                    w[i] = bound(w[i] + g[b] * ee);
                    ee *= C::decay();
                    for (int k = 0; k < C::rank; ++k) ee += drive[b * RANK + k] * post[b * RANK + k][posts[i]];
                    e[i] = ee;
                }
            }
        }
        for (i = 0; i < n; ++i) biggest = most(biggest, std::fabs(e[i]));
        largest[j] = biggest;
        nothing_missed(j);
        missed[j] = 0.0;
        decayed[j] = 1.0;
        from[j] = logged;
    }

    static double bound(double x) { return minimum(maximum(x, C::low()), C::high()); }
    static Vector bound(Vector x) { return least(most(x, all(C::low())), all(C::high())); }

    // Steps in which e only decayed: the sum of g e, met by at most one bound on its way
    template <class X> void catch_up(long j, X& w, X& e) const {
        const X one = e * lowest[j], other = e * highest[j];
        w = bound(least(most(w, C::low() - least(one, other)), C::high() - most(one, other)) + e * missed[j]);
        e *= decayed[j];
    }
};

}  // namespace np_kernel
