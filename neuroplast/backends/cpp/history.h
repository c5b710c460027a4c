// "History": plasticity that changes nothing before the trial ends. A step keeps its factors; the change is computed at the end:
//
//     dw[j, i] = sum over steps t of H(t) pre_j(t) post_i(t),    H(t) = sum over later steps s of g(s) K(s - t - 1)
//
// with K the kernel of the eligibility, of any order. Only steps in which pre_j is not zero count, and are kept.
//
// C: n_pre, n_post, n, rank, dense, steps, order, decay(), shift(m) = h^m / m!.

namespace np_kernel {

template <class C> struct History {
    enum { RANK = C::rank, ENTRIES = C::steps * C::rank, WIDTH = (C::n_post + LANES - 1) / LANES * LANES, TILE = 64, GROUP = 4,
           CHUNK = UNROLL * LANES };
    double post[ENTRIES][WIDTH], g[C::steps], influence[C::steps];
    double value[C::n_pre][ENTRIES];
    int32_t when[C::n_pre][ENTRIES], count[C::n_pre];
    long logged;
    bool complete;  // the eligibility arrays are those of the last step
    const int32_t *row_start, *target;
    // what is summed: rows one by one, or in groups that share their entries; the lists begin at the (first) row's place
    int32_t together[C::n_pre], entries[C::n_pre], entry[C::n_pre][ENTRIES], place[ENTRIES], stamp[ENTRIES];
    double factor[C::n_pre][ENTRIES];

    void bind(const int32_t* starts, const int32_t* posts) { row_start = starts; target = posts; complete = true; }

    void start() {
        logged = 0;
        complete = false;
        for (long j = 0; j < C::n_pre; ++j) count[j] = 0;
    }

    // The presynaptic factor k of this step; most of its values are zero
    void keep(const double* pre, int k) {
        const int32_t at = static_cast<int32_t>(logged * RANK + k), whole = C::n_pre / 8 * 8;
        for (int32_t j = 0; j < whole; j += 8)
            for (unsigned bits = nonzero(pre + j); bits; bits &= bits - 1) keep_one(j + __builtin_ctz(bits), pre, at);
        for (int32_t j = whole; j < C::n_pre; ++j) if (pre[j] != 0.0) keep_one(j, pre, at);
    }
    void keep_one(int32_t j, const double* pre, int32_t at) {
        value[j][count[j]] = pre[j];
        when[j][count[j]++] = at;
    }

    // What one unit of drive in each step has done by the end: to the sum of g e_last, or (terminal >= 0) to that e itself
    void weigh(int terminal) {
        double lambda[C::order + 1], next[C::order + 1];
        for (int k = 0; k <= C::order; ++k) lambda[k] = k == terminal ? 1.0 : 0.0;
        for (long t = logged - 1; t >= 0; --t) {
            influence[t] = lambda[0];
            for (int l = 0; l <= C::order; ++l) {
                double sum = 0.0;
                for (int k = l; k <= C::order; ++k) sum += C::shift(k - l) * lambda[k];
                next[l] = C::decay() * sum;
            }
            if (terminal < 0) next[C::order] += g[t];
            for (int k = 0; k <= C::order; ++k) lambda[k] = next[k];
        }
    }

    // out += the sum over steps, for all synapses
    void add(double* out) {
        if (!C::dense) {
            for (long j = 0; j < C::n_pre; ++j) add_sparse(out + row_start[j], j);
            return;
        }
        for (long t = 0; t < ENTRIES; ++t) stamp[t] = -1;
        for (long j = 0; j < C::n_pre; j += together[j]) list_entries(static_cast<int32_t>(j));
        for (long i = 0; i < WIDTH; i += TILE) {  // the factors of one tile stay in the cache for all rows
            const long stop = i + TILE < WIDTH ? i + TILE : static_cast<long>(WIDTH);
            for (long j = 0; j < C::n_pre; j += together[j]) {
                if (together[j] == GROUP) add_rows<GROUP>(out, j, i, stop); else add_rows<1>(out, j, i, stop);
            }
        }
    }

    void add_sparse(double* out, long j) {
        const int32_t* posts = target + row_start[j];
        const long n = row_start[j + 1] - row_start[j];
        for (int32_t c = 0; c < count[j]; ++c) {
            const double f = value[j][c] * influence[when[j][c] / RANK], *y = post[when[j][c]];
            NP_IVDEP
            for (long i = 0; i < n; ++i) out[i] += f * y[posts[i]];
        }
    }

    // Rows that are active in much the same steps go together: they share the reading of the postsynaptic factors
    void list_entries(int32_t j) {
        int32_t n = 0, total = 0, *all_of_them = entry[j];
        double* factors = factor[j];
        if (j + GROUP <= C::n_pre) {
            for (int r = 0; r < GROUP; ++r) {
                total += count[j + r];
                for (int32_t c = 0; c < count[j + r]; ++c) {
                    const int32_t at = when[j + r][c];
                    if (stamp[at] != j) {
                        stamp[at] = j;
                        all_of_them[n] = at;
                        place[at] = n;
                        for (int l = 0; l < GROUP; ++l) factors[GROUP * n + l] = 0.0;
                        ++n;
                    }
                    factors[GROUP * place[at] + r] = value[j + r][c] * influence[at / RANK];
                }
            }
        }
        if (2 * n < total) {
            together[j] = GROUP;
            entries[j] = n;
            return;
        }
        together[j] = 1;
        entries[j] = count[j];
        for (int32_t c = 0; c < count[j]; ++c) {
            all_of_them[c] = when[j][c];
            factors[c] = value[j][c] * influence[when[j][c] / RANK];
        }
    }

    template <int R> void add_rows(double* out, long j, long i, long stop) const {
        for (; i + CHUNK <= stop; i += CHUNK) sum<R, UNROLL>(out, j, i);
        for (; i < stop; i += LANES) sum<R, 1>(out, j, i);
    }

    template <int R, int N> void sum(double* out, long j, long i) const {
        Vector total[R][N];
        for (int r = 0; r < R; ++r) for (int v = 0; v < N; ++v) total[r][v] = all(0.0);
        const double* f = factor[j];
        for (int32_t c = 0; c < entries[j]; ++c, f += R) {
            const double* y = post[entry[j][c]] + i;
            Vector yy[N];
            for (int v = 0; v < N; ++v) yy[v] = load(y + v * LANES);
            for (int r = 0; r < R; ++r) for (int v = 0; v < N; ++v) total[r][v] += f[r] * yy[v];
        }
        double last[N * LANES];
        for (int r = 0; r < R; ++r) {
            for (int v = 0; v < N; ++v) store(last + v * LANES, total[r][v]);
            double* row = out + (j + r) * C::n_post + i;
            const long width = C::n_post - i < N * LANES ? C::n_post - i : static_cast<long>(N * LANES);
            for (long l = 0; l < width; ++l) row[l] += last[l];
        }
    }
};

}  // namespace np_kernel
