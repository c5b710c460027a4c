// "Events": plasticity in which the synapses of a presynaptic unit (a row) are touched only when its presynaptic factor jumps.
//
// In each step  w += g e;  e <- d e + sum_k pre_k[j] post_k[i].  Between its jumps a trace only falls, pre_k[j] = S a^n, n counted
// from a base that all rows share. So what it did to all of its synapses is known from sums for each postsynaptic unit:
//
//     e = d^n (E + sum_k S_k P_k[i]),            P_k = sum over steps of (a/d)^n post_k
//     w = W + A E + sum_k S_k Q_k[i],            A = sum of g d^(n-1),  Q_k = sum of g d^(n-1) P_k(n-1)
//
// A jump by u changes S by u / a^n, and E and W so that e and w do not move. A factor without memory (a = 0) is added to E. As
// a^n runs out of digits, rows with a trace get a new base from time to time; the others only note what they miss: ``decayed``,
// the factor of their e, and ``missed``, what their w gets of E.
//
// C: n_pre, n_post, n, rank, dense, moves (w changes in a step), span (steps of a base), decay(), fall(k) = a of factor k.

namespace np_kernel {

template <class C> struct Events {
    enum { RANK = C::rank, WIDTH = (C::n_post + LANES - 1) / LANES * LANES, HEIGHT = (C::n_pre + 31) / 32 * 32 };
    double P[RANK][WIDTH], Q[RANK][WIDTH], post[RANK][WIDTH], S[RANK][HEIGHT], last[RANK][HEIGHT], jump[HEIGHT];  // S: at the base
    double missed[HEIGHT], decayed[HEIGHT], A, e_left, left[RANK];  // left: d^n, a^n
    int32_t awake[HEIGHT], place[HEIGHT], n_awake;  // rows with a trace; place: in that list, or -1
    int age;
    double *weight, *memory;
    const int32_t *row_start, *target;

    void bind(double* w, double* e, const int32_t* starts, const int32_t* posts) {
        weight = w; memory = e; row_start = starts; target = posts;
    }

    // Nothing is missed, and every trace that is there will be a jump: a pass begins
    void start() {
        std::memset(S, 0, sizeof S);
        std::memset(last, 0, sizeof last);
        std::memset(post, 0, sizeof post);
        for (long j = 0; j < HEIGHT; ++j) { missed[j] = 0.0; decayed[j] = 1.0; place[j] = -1; }
        n_awake = 0;
        begin();
    }

    void begin() {
        A = 0.0;
        e_left = 1.0;
        for (int k = 0; k < RANK; ++k) left[k] = 1.0;
        std::memset(P, 0, sizeof P);
        std::memset(Q, 0, sizeof Q);
        age = 0;
    }

    // What e does to w in this step; ``post`` holds the factors
    void step(double g) {
        const double m = g * e_left;
        if (C::moves && m != 0.0) {
            A += m;
            for (int k = 0; k < RANK; ++k) if (C::fall(k) != 0.0) for (long i = 0; i < WIDTH; ++i) Q[k][i] += m * P[k][i];
        }
        e_left *= C::decay();
        for (int k = 0; k < RANK; ++k) left[k] *= C::fall(k);
    }

    // The presynaptic factor k of this step
    void drive(int k, const double* pre) {
        double* const before = last[k];
        const double a = C::fall(k);
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
                    if (a == 0.0) pulse(k, row, pre[row]); else jumped(k, row, pre[row] == 0.0 ? 0.0 : S[k][row] + jump[row] / left[k]);
                }
    }

    // All factors are in; whether the base is a new one
    bool close() {
        for (int k = 0; k < RANK; ++k) if (C::fall(k) != 0.0) {
            const double r = left[k] / e_left;
            for (long i = 0; i < WIDTH; ++i) P[k][i] += r * post[k][i];
        }
        if (++age < C::span) return false;
        rebase();
        return true;
    }

    // The factor k of row j, without memory, is u in this step
    void pulse(int k, int32_t j, double u) {
        if (u == 0.0) return;
        settle(j);
        add(j, u / e_left, post[k], 0);
    }

    // The factor k of row j becomes ``to``, in units of the base
    void jumped(int k, int32_t j, double to) {
        settle(j);
        add(j, S[k][j] - to, P[k], Q[k]);
        S[k][j] = to;
        bool any = false;
        for (int l = 0; l < RANK; ++l) any = any || S[l][j] != 0.0;
        if (any && place[j] < 0) {
            place[j] = n_awake;
            awake[n_awake++] = j;
        } else if (!any && place[j] >= 0) {
            const int32_t other = awake[--n_awake];
            awake[place[j]] = other;
            place[other] = place[j];
            place[j] = -1;
        }
    }

    long first(long j) const { return C::dense ? j * C::n_post : row_start[j]; }
    long length(long j) const { return C::dense ? static_cast<long>(C::n_post) : row_start[j + 1] - row_start[j]; }

    // E += f x, and W so that w does not move: w has seen A of that E, or, where x is P, its Q
    void add(long j, double f, const double* x, const double* seen) {
        double *w = weight + first(j), *e = memory + first(j);
        const int32_t* posts = target + (C::dense ? 0 : first(j));
        const long n = length(j);
        const double a = A * f, q = seen ? f : 0.0, *y = seen ? seen : x;
        NP_IVDEP
        for (long s = 0; s < n; ++s) {
            const long i = C::dense ? s : posts[s];
            if (C::moves) w[s] += q * y[i] - a * x[i];
            e[s] += f * x[i];
        }
    }

    // What an idle row missed up to this base
    void settle(long j) {
        if (missed[j] == 0.0 && decayed[j] == 1.0) return;
        double *w = weight + first(j), *e = memory + first(j);
        const long n = length(j);
        const double gain = missed[j], keep = decayed[j];
        NP_IVDEP
        for (long s = 0; s < n; ++s) {
            if (C::moves) w[s] += gain * e[s];
            e[s] *= keep;
        }
        missed[j] = 0.0;
        decayed[j] = 1.0;
    }

    // A new base: now
    void rebase() {
        for (int32_t c = 0; c < n_awake; ++c) {
            const int32_t j = awake[c];
            double *w = weight + first(j), *e = memory + first(j);
            const int32_t* posts = target + (C::dense ? 0 : first(j));
            const long n = length(j);
            for (int k = 0; k < RANK; ++k) if (S[k][j] != 0.0) {
                const double f = S[k][j], *p = P[k], *q = Q[k];
                NP_IVDEP
                for (long s = 0; s < n; ++s) {
                    const long i = C::dense ? s : posts[s];
                    if (C::moves) w[s] += f * (q[i] - A * p[i]);
                    e[s] += f * p[i];
                }
                S[k][j] *= left[k];
            }
            NP_IVDEP
            for (long s = 0; s < n; ++s) {
                if (C::moves) w[s] += A * e[s];
                e[s] *= e_left;
            }
        }
        for (long j = 0; j < C::n_pre; ++j) if (place[j] < 0) {
            missed[j] += decayed[j] * A;
            decayed[j] *= e_left;
        }
        begin();
    }

    // All rows as of now
    void flush() {
        rebase();
        for (long j = 0; j < C::n_pre; ++j) settle(j);
    }

    // How much of E is in the weights of row j
    double gain(long j) const { return missed[j] + decayed[j] * A; }
};

}  // namespace np_kernel
