// "History": plasticity that changes nothing before the trial ends. A step keeps its factors; the change is computed at the end:
//
//     dw[j, i] = sum over steps t of H(t) pre_j(t) post_i(t),    H(t) = sum over later steps s of g(s) K(s - t - 1)
//
// with K the kernel of the eligibility, of any order. A factor that falls by a in each step but for its jumps u, as a trace of
// spikes does, is kept as these jumps:
//
//     sum over t of pre_j(t) y_i(t) = sum over t of u_j(t) z_i(t),    z(t) = y(t) + a z(t + 1),    y(t) = H(t) post(t)
//
// (a = 0: any factor, u = pre; one that is seldom zero is kept as it is, a row a step). The sum goes through blocks of steps, from
// the last to the first, each a small product of matrices.
//
// C: n_pre, n_post, n, rank, dense, steps, whole, order, decay(), shift(m) = h^m / m!, fall(k) = a of factor k, row(k) = place of
// factor k among the ``whole`` that are kept as they are, or -1.
#include <vector>

namespace np_kernel {

template <class C> struct History {
    enum { RANK = C::rank, WIDTH = (C::n_post + LANES - 1) / LANES * LANES, BLOCK = 128, GROUP = 4, CHUNK = UNROLL * LANES,
           BLOCKS = (C::steps + BLOCK - 1) / BLOCK, TILE = C::dense && WIDTH > 64 ? 64 : static_cast<int>(WIDTH),
           HEIGHT = (C::n_pre + 31) / 32 * 32, WHOLE = C::whole > 0 ? C::whole : 1, KEPT = C::whole > 0 ? C::steps * C::whole : 1 };
    double rows[KEPT][HEIGHT];
    double post[C::steps * RANK][WIDTH], last[RANK][HEIGHT], jump[HEIGHT], g[C::steps], influence[C::steps];
    struct Entry { double value; int32_t row, at; };  // at: number in its block of step and factor
    std::vector<Entry> kept, ordered;
    long starts[BLOCKS + 1];  // of the blocks, in ``kept``
    long logged;
    bool complete;  // the eligibility arrays are those of the last step
    const int32_t *row_start, *target;
    // one block: its entries row by row; rows that are active in much the same steps go together and share the reading of z
    alignas(64) double z[BLOCK * RANK][TILE], carry[RANK][WIDTH];
    long from[C::n_pre + 1], list_from[C::n_pre];
    int32_t together[C::n_pre], entries[C::n_pre], place[BLOCK * RANK], stamp[BLOCK * RANK];
    std::vector<double> factor;
    std::vector<int32_t> entry;

    void bind(const int32_t* first, const int32_t* posts) { row_start = first; target = posts; complete = true; }

    void start() {
        logged = 0;
        complete = false;
        kept.clear();
        std::memset(last, 0, sizeof last);
        std::memset(jump, 0, sizeof jump);
    }

    // A step begins
    void open() { if (logged % BLOCK == 0) starts[logged / BLOCK] = static_cast<long>(kept.size()); }

    // The presynaptic factor k of this step, as it is
    void keep_row(const double* pre, int k) { std::memcpy(rows[logged * WHOLE + C::row(k)], pre, sizeof(double) * C::n_pre); }

    // The same, where most of its jumps are zero
    void keep(const double* pre, int k) {
        const double a = C::fall(k);
        double* const before = last[k];
        NP_IVDEP
        for (long j = 0; j < C::n_pre; ++j) {
            const double u = pre[j] - a * before[j];
            jump[j] = std::fabs(u) > 1e-15 * std::fabs(pre[j]) ? u : 0.0;
            before[j] = pre[j];
        }
        for (int32_t j = 0; j < HEIGHT; j += 32) if (any_bits(jump + j))
            for (int32_t l = j; l < j + 32; l += 8)
                for (unsigned bits = nonzero(jump + l); bits; bits &= bits - 1) {
                    const int32_t row = l + __builtin_ctz(bits);
                    jumped(k, row, jump[row]);
                }
    }

    void jumped(int k, int32_t row, double by) { kept.push_back(Entry{by, row, static_cast<int32_t>(logged % BLOCK * RANK + k)}); }

    // What one unit of drive in each step has done by the end: to the sum of g e_last, or (terminal >= 0) to that e itself.
    // after: g of one more change, when the trial is over
    void weigh(int terminal, double after) {
        double lambda[C::order + 1], next[C::order + 1];
        for (int k = 0; k <= C::order; ++k) lambda[k] = k == terminal ? 1.0 : 0.0;
        if (terminal < 0) lambda[C::order] = after;
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
        if (logged == 0) return;
        std::memset(carry, 0, sizeof carry);
        const long blocks = (logged - 1) / BLOCK + 1;
        starts[blocks] = static_cast<long>(kept.size());
        for (long b = blocks - 1; b >= 0; --b) {
            const long first = b * BLOCK, steps = logged - first < BLOCK ? logged - first : static_cast<long>(BLOCK);
            order(b);
            if (C::dense) for (long j = 0; j < C::n_pre; j += together[j]) list_entries(static_cast<int32_t>(j));
            for (long i = 0; i < WIDTH; i += TILE) {
                const long width = WIDTH - i < TILE ? WIDTH - i : static_cast<long>(TILE);
                filter(first, steps, i, width);
                if (!C::dense) {
                    for (long j = 0; j < C::n_pre; ++j) add_sparse(out + row_start[j], j);
                    for (int k = 0; k < RANK; ++k) if (C::row(k) >= 0) add_whole_sparse(out, k, first, steps);
                    continue;
                }
                for (long j = 0; j < C::n_pre; j += together[j]) {
                    if (together[j] == GROUP) add_rows<GROUP>(out, j, i, width); else add_rows<1>(out, j, i, width);
                }
                for (int k = 0; k < RANK; ++k) if (C::row(k) >= 0) {
                    long j = 0;
                    for (; j + GROUP <= C::n_pre; j += GROUP) add_whole<GROUP>(out, k, first, steps, j, i, width);
                    for (; j < C::n_pre; ++j) add_whole<1>(out, k, first, steps, j, i, width);
                }
            }
        }
    }

    // The entries of a block, row by row
    void order(long b) {
        for (long j = 0; j <= C::n_pre; ++j) from[j] = 0;
        for (long c = starts[b]; c < starts[b + 1]; ++c) ++from[kept[c].row + 1];
        for (long j = 0; j < C::n_pre; ++j) from[j + 1] += from[j];
        ordered.resize(static_cast<size_t>(from[C::n_pre]));
        for (long c = starts[b]; c < starts[b + 1]; ++c) ordered[from[kept[c].row]++] = kept[c];
        for (long j = C::n_pre; j > 0; --j) from[j] = from[j - 1];
        from[0] = 0;
        factor.clear();
        entry.clear();
        for (int t = 0; t < BLOCK * RANK; ++t) stamp[t] = -1;
    }

    // z of a block, for the units i..i + width
    void filter(long first, long steps, long i, long width) {
        for (long t = steps - 1; t >= 0; --t) for (int k = 0; k < RANK; ++k) {
            const double a = C::fall(k), h = influence[first + t], *y = post[(first + t) * RANK + k] + i;
            double *to = z[t * RANK + k], *after = carry[k] + i;
            NP_IVDEP
            for (long l = 0; l < width; ++l) to[l] = after[l] = h * y[l] + a * after[l];
        }
    }

    void add_sparse(double* out, long j) {
        const int32_t* posts = target + row_start[j];
        const long n = row_start[j + 1] - row_start[j];
        for (long c = from[j]; c < from[j + 1]; ++c) {
            const double f = ordered[c].value, *y = z[ordered[c].at];
            NP_IVDEP
            for (long i = 0; i < n; ++i) out[i] += f * y[posts[i]];
        }
    }

    void add_whole_sparse(double* out, int k, long first, long steps) {
        for (long t = 0; t < steps; ++t) {
            const double *pre = rows[(first + t) * WHOLE + C::row(k)], *y = z[t * RANK + k];
            for (long j = 0; j < C::n_pre; ++j) {
                const double f = pre[j];
                if (f == 0.0) continue;
                const int32_t *posts = target + row_start[j];
                double* const to = out + row_start[j];
                const long n = row_start[j + 1] - row_start[j];
                NP_IVDEP
                for (long i = 0; i < n; ++i) to[i] += f * y[posts[i]];
            }
        }
    }

    template <int R> void add_whole(double* out, int k, long first, long steps, long j, long i, long width) const {
        long l = 0;
        for (; l + CHUNK <= width; l += CHUNK) sum_whole<R, UNROLL>(out, k, first, steps, j, i, l);
        for (; l < width; l += LANES) sum_whole<R, 1>(out, k, first, steps, j, i, l);
    }

    template <int R, int N> void sum_whole(double* out, int k, long first, long steps, long j, long i, long l) const {
        Vector total[R][N];
        for (int r = 0; r < R; ++r) for (int v = 0; v < N; ++v) total[r][v] = all(0.0);
        for (long t = 0; t < steps; ++t) {
            const double *f = rows[(first + t) * WHOLE + C::row(k)] + j, *y = z[t * RANK + k] + l;
            Vector yy[N];
            for (int v = 0; v < N; ++v) yy[v] = load(y + v * LANES);
            for (int r = 0; r < R; ++r) for (int v = 0; v < N; ++v) total[r][v] += f[r] * yy[v];
        }
        give<R, N>(out, total, j, i, l);
    }

    void list_entries(int32_t j) {
        const long begin = static_cast<long>(entry.size());
        list_from[j] = begin;
        if (j + GROUP <= C::n_pre) {
            int32_t n = 0;
            for (long c = from[j]; c < from[j + GROUP]; ++c) {
                const Entry& one = ordered[c];
                if (stamp[one.at] != j) {
                    stamp[one.at] = j;
                    place[one.at] = n++;
                    entry.push_back(one.at);
                    factor.resize(factor.size() + GROUP, 0.0);
                }
                factor[static_cast<size_t>(GROUP * (begin + place[one.at]) + one.row - j)] = one.value;
            }
            if (n > 0 && 2 * n < from[j + GROUP] - from[j]) {
                together[j] = GROUP;
                entries[j] = n;
                return;
            }
            entry.resize(static_cast<size_t>(begin));
        }
        together[j] = 1;
        entries[j] = static_cast<int32_t>(from[j + 1] - from[j]);
        for (long c = from[j]; c < from[j + 1]; ++c) entry.push_back(ordered[c].at);
        factor.resize(GROUP * entry.size(), 0.0);
        for (long c = 0; c < entries[j]; ++c) factor[static_cast<size_t>(GROUP * begin + c)] = ordered[from[j] + c].value;
    }

    template <int R> void add_rows(double* out, long j, long i, long width) const {
        if (entries[j] == 0) return;
        long l = 0;
        for (; l + CHUNK <= width; l += CHUNK) sum<R, UNROLL>(out, j, i, l);
        for (; l < width; l += LANES) sum<R, 1>(out, j, i, l);
    }

    template <int R, int N> void sum(double* out, long j, long i, long l) const {
        Vector total[R][N];
        for (int r = 0; r < R; ++r) for (int v = 0; v < N; ++v) total[r][v] = all(0.0);
        const double* f = factor.data() + GROUP * list_from[j];
        const int32_t* at = entry.data() + list_from[j];
        for (int32_t c = 0; c < entries[j]; ++c, f += R) {
            const double* y = z[at[c]] + l;
            Vector yy[N];
            for (int v = 0; v < N; ++v) yy[v] = load(y + v * LANES);
            for (int r = 0; r < R; ++r) for (int v = 0; v < N; ++v) total[r][v] += f[r] * yy[v];
        }
        give<R, N>(out, total, j, i, l);
    }

    template <int R, int N> static void give(double* out, const Vector (&total)[R][N], long j, long i, long l) {
        double sums[N * LANES];
        for (int r = 0; r < R; ++r) {
            for (int v = 0; v < N; ++v) store(sums + v * LANES, total[r][v]);
            double* row = out + (j + r) * C::n_post + i + l;
            const long n = C::n_post - i - l < N * LANES ? C::n_post - i - l : static_cast<long>(N * LANES);
            for (long c = 0; c < n; ++c) row[c] += sums[c];
        }
    }
};

}  // namespace np_kernel
