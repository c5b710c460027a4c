// A trace of spikes that nobody but a rule reads,  y <- a y + arrived;  0 below a floor,  kept as what it was at a base: y = S a^n.
// A step costs what arrives and, with a floor, the traces that are not zero.

namespace np_kernel {

template <int N> struct Trace {
    double S[N], left, jump[2 * N];  // left: a^n; jump: by how much y moved in this step, of the rows listed
    int32_t row[2 * N], count, awake[N], n_awake;
    bool listed[N];

    void start(const double* y) {
        left = 1.0;
        n_awake = count = 0;
        for (int32_t j = 0; j < N; ++j) {
            S[j] = y[j];
            listed[j] = false;
            if (y[j] != 0.0) wake(j);
        }
    }

    void wake(int32_t j) {
        if (listed[j]) return;
        listed[j] = true;
        awake[n_awake++] = j;
    }

    // arrived: how many, and who
    void step(double a, double floor, const int32_t* arrived) {
        left *= a;
        count = 0;
        for (int32_t c = 1; c <= arrived[0]; ++c) {
            S[arrived[c]] += 1.0 / left;
            wake(arrived[c]);
            moved(arrived[c], 1.0);
        }
        if (floor <= 0.0) return;
        const double least_kept = floor / left;
        for (int32_t c = 0; c < n_awake;) {
            const int32_t j = awake[c];
            if (!(S[j] < least_kept)) { ++c; continue; }
            moved(j, -S[j] * left);
            S[j] = 0.0;
            listed[j] = false;
            awake[c] = awake[--n_awake];
        }
    }

    void moved(int32_t j, double by) { row[count] = j; jump[count++] = by; }

    // A new base: now
    void renew() {
        for (int32_t c = 0; c < n_awake; ++c) S[awake[c]] *= left;
        left = 1.0;
    }

    void store(double* y) const { for (long j = 0; j < N; ++j) y[j] = S[j] * left; }
};

}  // namespace np_kernel
