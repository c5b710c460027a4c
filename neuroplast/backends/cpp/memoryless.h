// A change of all weights, an outer product of few factors, that is made when the weights are read the next time: in one pass.

namespace np_kernel {

template <int RANK, int ROWS, int COLUMNS> struct Owed {
    alignas(64) double pre[RANK][ROWS], post[RANK][COLUMNS], gain;

    void take(int k, const double* p, const double* q) {
        std::memcpy(pre[k], p, sizeof pre[k]);
        std::memcpy(post[k], q, sizeof post[k]);
    }

    // w += gain sum_k pre_k post_k, within bounds;  into += x w, where there is an x
    template <bool bounded> void pay(double* w, const double* x, double* into, double low, double high) {
        if (gain == 0.0) {
            if (x) add_transposed(w, x, into, ROWS, COLUMNS);
            return;
        }
        long j = 0;
        for (; j + 4 <= ROWS; j += 4) rows<bounded, 4>(w + j * COLUMNS, j, x, into, low, high);
        for (; j < ROWS; ++j) rows<bounded, 1>(w + j * COLUMNS, j, x, into, low, high);
        gain = 0.0;
    }

    template <bool bounded, int N> void rows(double* w, long j, const double* x, double* into, double low, double high) const {
        double p[RANK][N], y[N];
        for (int r = 0; r < N; ++r) {
            y[r] = x ? x[j + r] : 0.0;
            for (int k = 0; k < RANK; ++k) p[k][r] = gain * pre[k][j + r];
        }
        NP_IVDEP
        for (long i = 0; i < COLUMNS; ++i) {
            double total = 0.0;
            for (int r = 0; r < N; ++r) {
                double value = w[r * COLUMNS + i];
                for (int k = 0; k < RANK; ++k) value += p[k][r] * post[k][i];
                if (bounded) value = minimum(maximum(value, low), high);
                w[r * COLUMNS + i] = value;
                total += y[r] * value;
            }
            if (x) into[i] += total;
        }
    }
};

}  // namespace np_kernel
