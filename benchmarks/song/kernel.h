// The plastic projection of the song network as one function of plain arrays, for Brian2's user functions: arrivals, then rows
// whose trace is not negligible. A, D carry what an untouched row misses, as in brian2_events.py.
#ifndef BENCH_SONG_KERNEL_H
#define BENCH_SONG_KERNEL_H

static inline void song_touch(double* __restrict w, double* __restrict e, const double* __restrict gN, double& A, double& D, int n,
                              double drive, double etadt, double mu) {
    const double g = etadt * A, d = D;
    for (int i = 0; i < n; i++) {
        const double old = e[i];
        w[i] += g * old;
        e[i] = d * old + drive * (gN[i] - mu);
    }
    A = 0;
    D = 1;
}

template <class Index>
static inline double song_step(double* w, double* e, const double* s, const double* gN, double* gE, double* A, double* D,
                               const Index* spikes, int n_spikes, int n_pre, int n_post, double R, double etadt, double keep,
                               double dt, double mu, double floor) {
    for (int k = 0; k < n_spikes; k++) {
        const double *row = w + spikes[k] * n_post, *el = e + spikes[k] * n_post;
        const double g = etadt * A[spikes[k]];
        for (int i = 0; i < n_post; i++) gE[i] += row[i] + g * el[i];
    }
    for (int j = 0; j < n_pre; j++) { A[j] += R * D[j]; D[j] *= keep; }
    for (int j = 0; j < n_pre; j++)
        if (s[j] > floor) song_touch(w + j * n_post, e + j * n_post, gN, A[j], D[j], n_post, dt * s[j], etadt, mu);
    return 0.0;
}

static inline double song_flush(double* w, double* e, const double* gN, double* A, double* D, int n_pre, int n_post, double etadt,
                                double mu, double w_max) {
    for (int j = 0; j < n_pre; j++) song_touch(w + j * n_post, e + j * n_post, gN, A[j], D[j], n_post, 0.0, etadt, mu);
    for (int k = 0; k < n_pre * n_post; k++) w[k] = w[k] < 0 ? 0 : w[k] > w_max ? w_max : w[k];
    return 0.0;
}

#endif
