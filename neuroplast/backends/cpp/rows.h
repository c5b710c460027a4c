// "Active rows": plasticity in which the synapses of a presynaptic unit (a row) are brought up to date only when they must be.
//
// In each step  w += g e;  e <- decay e + sum_k pre_k[j] post_k[i].  A step only keeps g and the factors. After BLOCK steps the
// rows take them in at once, each synapse being read and written once and not BLOCK times. Sums are only put in another order:
//   * an idle row, whose drive in all of them is zero or lost in the rounding of e, notes two numbers: ``decayed``, the factor
//     that its e missed, and ``missed``, what its w missed, in units of e;
//   * rows whose pre factor runs in proportion to one profile (an exponential trace without a spike) share its sum over steps;
//   * a row whose weights are needed now (a spike is delivered) is brought up to date alone: ``current``.
//
// With bounds in every step the order matters. Then a block in which g is not zero is stepped through in registers, and what an
// idle row missed has a closed form as long as a weight cannot have met both bounds: ``lowest`` and ``highest`` of the missed
// sum tell.
//
// C: n_pre, n_post, n, rank, dense, moves (w changes in a step), bounded, decay(), low(), high().
#include <limits>

namespace np_kernel {

// Vectors to be added: w += gain e + sum of weight_part x, then e <- keep e + sum of memory_part x; ``largest``: max |e| after
template <int MOST> struct Intake {
    double gain, keep, largest, weight_part[MOST], memory_part[MOST];
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
    template <bool moves> void take(double* w, double* e, long n) {
        Vector most_of_all = all(0.0);
        long i = 0;
        for (; i + UNROLL * LANES <= n; i += UNROLL * LANES) tile<moves, UNROLL>(w + i, e + i, i, most_of_all);
        for (; i + LANES <= n; i += LANES) tile<moves, 1>(w + i, e + i, i, most_of_all);
        largest = 0.0;
        for (int l = 0; l < LANES; ++l) largest = most(largest, most_of_all[l]);
        for (; i < n; ++i) {
            double ww = moves ? w[i] + gain * e[i] : 0.0, ee = keep * e[i];
            for (int t = 0; t < terms; ++t) { ww += weight_part[t] * x[t][i]; ee += memory_part[t] * x[t][i]; }
            if (moves) w[i] = ww;
            e[i] = ee;
            largest = most(largest, std::fabs(ee));
        }
    }

    template <bool moves, int N> void tile(double* w, double* e, long i, Vector& most_of_all) const {
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
            most_of_all = most(most_of_all, most(ee[v], -ee[v]));
        }
    }

    // The synapses of a row to the units that are listed
    template <bool moves> void take(double* w, double* e, long n, const int32_t* posts) {
        NP_IVDEP
        for (long i = 0; i < n; ++i) { if (moves) w[i] += gain * e[i]; e[i] *= keep; }
        for (int t = 0; t < terms; ++t) {
            const double a = weight_part[t], b = memory_part[t], *values = x[t];
            NP_IVDEP
            for (long i = 0; i < n; ++i) { const double y = values[posts[i]]; if (moves) w[i] += a * y; e[i] += b * y; }
        }
        largest = largest_of(e, n);
    }
};

template <class C> struct Rows {
    enum { BLOCK = 32, RANK = C::rank > 0 ? C::rank : 1, ENTRIES = BLOCK * RANK, GROUP = 8,
           HEIGHT = (C::n_pre + GROUP - 1) / GROUP * GROUP, WIDTH = (C::n_post + LANES - 1) / LANES * LANES,
           BOUNDED = C::bounded ? HEIGHT : 1 };
    double pre[ENTRIES][HEIGHT], post[ENTRIES][WIDTH], g[BLOCK], alpha[BLOCK], beta[BLOCK], block_gain, block_keep;
    double missed[HEIGHT], decayed[HEIGHT], touched[HEIGHT], active[HEIGHT], largest[HEIGHT], lowest[BOUNDED], highest[BOUNDED];
    int32_t from[HEIGHT];  // steps of this block that the row has taken in
    int logged;
    bool first_block;
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
        first_block = true;
        for (long j = 0; j < HEIGHT; ++j) { missed[j] = largest[j] = 0.0; decayed[j] = 1.0; }
        for (long j = 0; j < C::n_pre; ++j) largest[j] = largest_of(memory + first(j), length(j));
        if (C::bounded) for (long j = 0; j < HEIGHT; ++j) nothing_missed(j);
        for (int k = 0; k < RANK; ++k) {
            known[k] = false;
            for (int b = 0; b < BLOCK; ++b) candidate[k][b] = 0.0;
        }
        begin_block();
    }

    void begin_block() {
        for (long j = 0; j < HEIGHT; ++j) { from[j] = 0; touched[j] = 0.0; }
        logged = 0;
    }

    // A step is complete: its factors lie in pre[logged * rank + k], post[logged * rank + k]
    void log(double gain_now) {
        g[logged] = gain_now;
        if (++logged == BLOCK) close();
    }

    // Row j as of now
    void current(long j) {
        if (from[j] == logged && missed[j] == 0.0 && decayed[j] == 1.0 && !late(j)) return;
        touched[j] = 1.0;
        advance(j);
    }

    // All rows as of now
    void flush() {
        for (long j = 0; j < C::n_pre; ++j) current(j);
        begin_block();
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
        up_to_date(j, intake.largest);
    }

    void up_to_date(long j, double most_of_all) {
        largest[j] = most_of_all;
        missed[j] = 0.0;
        decayed[j] = 1.0;
        from[j] = logged;
        if (C::bounded) nothing_missed(j);
    }

    template <bool moves> void take(long j, double* w, double* e) {
        if (C::dense) intake.template take<moves>(w, e, C::n_post);
        else intake.template take<moves>(w, e, length(j), target + first(j));
    }

    // The block is full
    void close() {
        bool moving = false;
        block_gain = 0.0;
        block_keep = 1.0;
        for (int b = BLOCK - 1; b >= 0; --b) {
            alpha[b] = block_gain;
            beta[b] = block_keep;
            moving = moving || g[b] != 0.0;
            block_gain = g[b] + C::decay() * block_gain;
            block_keep *= C::decay();
        }
        sum_drives();
        find_active();
        for (int k = 0; k < C::rank; ++k) summed[k] = false;
        const bool step_by_step = C::bounded && (moving || first_block);
        for (long j = 0; j < HEIGHT; j += GROUP) if (nonzero(active + j)) take_group(j, step_by_step);
        first_block = false;
        begin_block();
    }

    // active <- the most that a row's drive can have added up to
    void sum_drives() {
        double strongest[RANK];
        for (int k = 0; k < C::rank; ++k) {
            strongest[k] = 0.0;
            for (int b = 0; b < BLOCK; ++b) strongest[k] = most(strongest[k], largest_of(post[b * RANK + k], WIDTH));
        }
        for (long j = 0; j < HEIGHT; ++j) active[j] = 0.0;
        for (int b = 0; b < BLOCK; ++b) for (int k = 0; k < C::rank; ++k) {
            const double *p = pre[b * RANK + k], s = strongest[k];
            for (long j = 0; j < HEIGHT; ++j) active[j] += s * std::fabs(p[j]);
        }
    }

    // active <- 1 or 0; rows that are idle only take note
    void find_active() {
        double low = std::numeric_limits<double>::infinity(), high = -low, sum = 0.0, power = 1.0;
        for (int b = 0; b < BLOCK; ++b) {
            sum += g[b] * power;
            power *= C::decay();
            low = least(low, sum);
            high = most(high, sum);
        }
        NP_IVDEP
        for (long j = 0; j < HEIGHT; ++j) {
            bool idle = active[j] <= 1e-17 * largest[j] * decayed[j] * block_keep && touched[j] == 0.0;
            if (C::bounded) {
                const double l = least(lowest[j], missed[j] + decayed[j] * low), h = most(highest[j], missed[j] + decayed[j] * high);
                idle = idle && (h - l) * largest[j] < 0.99 * (C::high() - C::low());
                lowest[j] = idle ? l : lowest[j];
                highest[j] = idle ? h : highest[j];
            }
            missed[j] = idle ? missed[j] + decayed[j] * block_gain : missed[j];
            decayed[j] = idle ? decayed[j] * block_keep : decayed[j];
            active[j] = idle ? 0.0 : 1.0;
        }
    }

    void take_group(long j, bool step_by_step) {
        double factors[GROUP][ENTRIES];  // of one row side by side
        if (!step_by_step) for (int t = 0; t < BLOCK * C::rank; ++t) for (int r = 0; r < GROUP; ++r) factors[r][t] = pre[t][j + r];
        for (int r = 0; r < GROUP; ++r) if (active[j + r] != 0.0 && j + r < C::n_pre) {
            if (step_by_step || touched[j + r] != 0.0) advance(j + r); else whole(j + r, factors[r]);
        }
    }

    // Row j takes in a whole block
    void whole(long j, const double* factors) {
        if (late(j)) catch_up_row(j);
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
    bool late(long j) const { return C::bounded && lowest[j] <= highest[j]; }

    static double bound(double x) { return minimum(maximum(x, C::low()), C::high()); }
    static Vector bound(Vector x) { return least(most(x, all(C::low())), all(C::high())); }

    // Steps in which e only decayed: the sum of g e, met by at most one bound on its way
    template <class X> void catch_up(long j, X& w, X& e) const {
        const X one = e * lowest[j], other = e * highest[j];
        w = bound(least(most(w, C::low() - least(one, other)), C::high() - most(one, other)) + e * missed[j]);
        e *= decayed[j];
    }

    void catch_up_row(long j) {
        double *w = weight + first(j), *e = memory + first(j);
        const long n = length(j);
        NP_IVDEP
        for (long i = 0; i < n; ++i) catch_up(j, w[i], e[i]);
        missed[j] = 0.0;
        decayed[j] = 1.0;
        nothing_missed(j);
    }

    void step_through(long j) {
        double *w = weight + first(j), *e = memory + first(j), drive[ENTRIES];
        const long n = length(j);
        for (int b = from[j]; b < logged; ++b) for (int k = 0; k < C::rank; ++k) drive[b * RANK + k] = pre[b * RANK + k][j];
        if (C::dense) {
            long i = 0;
            for (; i + UNROLL * LANES <= n; i += UNROLL * LANES) step_tile<UNROLL>(w + i, e + i, i, j, drive);
            for (; i + LANES <= n; i += LANES) step_tile<1>(w + i, e + i, i, j, drive);
            if (late(j)) for (long l = i; l < n; ++l) catch_up(j, w[l], e[l]);
            for (int b = from[j]; b < logged; ++b) for (long l = i; l < n; ++l) {
                w[l] = bound(w[l] + g[b] * e[l]);
                e[l] *= C::decay();
                for (int k = 0; k < C::rank; ++k) e[l] += drive[b * RANK + k] * post[b * RANK + k][l];
            }
        } else {
            const int32_t* posts = target + first(j);
            if (late(j)) catch_up_row(j);
            for (int b = from[j]; b < logged; ++b) {
                NP_IVDEP
                for (long i = 0; i < n; ++i) {
                    double ee = e[i];
                    w[i] = bound(w[i] + g[b] * ee);
                    ee *= C::decay();
                    for (int k = 0; k < C::rank; ++k) ee += drive[b * RANK + k] * post[b * RANK + k][posts[i]];
                    e[i] = ee;
                }
            }
        }
        up_to_date(j, largest_of(e, n));
    }

    template <int N> void step_tile(double* w, double* e, long i, long j, const double* drive) const {
        Vector ww[N], ee[N];
        for (int v = 0; v < N; ++v) {
            ww[v] = load(w + v * LANES);
            ee[v] = load(e + v * LANES);
            if (late(j)) catch_up(j, ww[v], ee[v]);
        }
        for (int b = from[j]; b < logged; ++b) {
            if (g[b] != 0.0 || b == from[j]) for (int v = 0; v < N; ++v) ww[v] = bound(ww[v] + g[b] * ee[v]);
            for (int v = 0; v < N; ++v) ee[v] *= C::decay();
            for (int k = 0; k < C::rank; ++k) if (drive[b * RANK + k] != 0.0)
                for (int v = 0; v < N; ++v) ee[v] += drive[b * RANK + k] * load(post[b * RANK + k] + i + v * LANES);
        }
        for (int v = 0; v < N; ++v) {
            store(w + v * LANES, ww[v]);
            store(e + v * LANES, ee[v]);
        }
    }
};

}  // namespace np_kernel
