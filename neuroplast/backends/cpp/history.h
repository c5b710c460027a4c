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
    double post[ENTRIES][WIDTH], g[C::steps], value[C::n_pre][ENTRIES], influence[C::steps];
    int32_t when[C::n_pre][ENTRIES], count[C::n_pre];
    long logged;
    const int32_t *row_start, *target;
    // the entries of one row or of a group of rows: which, and the factor for each row
    int32_t entry[ENTRIES], place[ENTRIES], stamp[ENTRIES], stamps;
    double factor[ENTRIES * GROUP];

    void bind(const int32_t* starts, const int32_t* posts) { row_start = starts; target = posts; }

    void start() {
        logged = 0;
        for (long j = 0; j < C::n_pre; ++j) count[j] = 0;
    }

    // The presynaptic factor k of this step; most of its values are zero
    void keep(const double* pre, int k) {
        const int32_t at = static_cast<int32_t>(logged * RANK + k);
        long j = 0;
        for (; j + 8 <= C::n_pre; j += 8) {
            double any = 0.0;
            for (int l = 0; l < 8; ++l) any += std::fabs(pre[j + l]);
            if (any != 0.0) for (int l = 0; l < 8; ++l) keep_one(j + l, pre[j + l], at);
        }
        for (; j < C::n_pre; ++j) keep_one(j, pre[j], at);
    }
    void keep_one(long j, double x, int32_t at) {
        if (x == 0.0) return;
        value[j][count[j]] = x;
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
        stamps = 0;
        for (long t = 0; t < ENTRIES; ++t) stamp[t] = 0;
        for (long i = 0; i < WIDTH; i += TILE) {  // the factors of one tile stay in the cache for all rows
            const long stop = i + TILE < WIDTH ? i + TILE : static_cast<long>(WIDTH);
            long j = 0;
            for (; j + GROUP <= C::n_pre; j += GROUP) add_group(out, j, i, stop);
            for (; j < C::n_pre; ++j) add_row(out, j, i, stop);
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

    void add_row(double* out, long j, long i, long stop) {
        for (int32_t c = 0; c < count[j]; ++c) {
            entry[c] = when[j][c];
            factor[c] = value[j][c] * influence[when[j][c] / RANK];
        }
        for (; i + CHUNK <= stop; i += CHUNK) sum<1, UNROLL>(out, j, i, count[j]);
        for (; i < stop; i += LANES) sum<1, 1>(out, j, i, count[j]);
    }

    // Rows that are active in much the same steps share the reading of the postsynaptic factors
    void add_group(double* out, long j, long i, long stop) {
        int32_t n = 0, total = 0;
        ++stamps;
        for (int r = 0; r < GROUP; ++r) {
            total += count[j + r];
            for (int32_t c = 0; c < count[j + r]; ++c) {
                const int32_t at = when[j + r][c];
                if (stamp[at] != stamps) {
                    stamp[at] = stamps;
                    entry[n] = at;
                    place[at] = n;
                    for (int l = 0; l < GROUP; ++l) factor[GROUP * n + l] = 0.0;
                    ++n;
                }
                factor[GROUP * place[at] + r] = value[j + r][c] * influence[at / RANK];
            }
        }
        if (2 * n > total) {
            for (int r = 0; r < GROUP; ++r) add_row(out, j + r, i, stop);
            return;
        }
        for (; i + CHUNK <= stop; i += CHUNK) sum<GROUP, UNROLL>(out, j, i, n);
        for (; i < stop; i += LANES) sum<GROUP, 1>(out, j, i, n);
    }

    template <int R, int N> void sum(double* out, long j, long i, int32_t n) {
        Vector total[R][N];
        for (int r = 0; r < R; ++r) for (int v = 0; v < N; ++v) total[r][v] = all(0.0);
        for (int32_t c = 0; c < n; ++c) {
            const double* y = post[entry[c]] + i;
            Vector yy[N];
            for (int v = 0; v < N; ++v) yy[v] = load(y + v * LANES);
            for (int r = 0; r < R; ++r) for (int v = 0; v < N; ++v) total[r][v] += factor[R * c + r] * yy[v];
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
