// Elementary functions of the hand-written C++ forms, without branches or tables, so that loops over them become vector code.
#ifndef BENCH_FUNCTIONS_H
#define BENCH_FUNCTIONS_H
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

// exp(x) for |x| < 80 (float), < 700 (double)
template <class T> inline T exponential(T x) {
    typedef typename std::conditional<sizeof(T) == 8, int64_t, int32_t>::type Bits;
    const T magic = sizeof(T) == 8 ? T(6755399441055744.0) : T(12582912.0f);  // adding it rounds to whole numbers
    const T shifted = x * T(1.4426950408889634) + magic, k = shifted - magic;
    const T r = (x - k * (sizeof(T) == 8 ? T(0.693147180369123816490) : T(0.693359375))) -
                k * (sizeof(T) == 8 ? T(1.90821492927058770002e-10) : T(-2.12194440e-4));
    T p = sizeof(T) == 8 ? T(1) / T(479001600) : T(1) / T(5040);
    if (sizeof(T) == 8) {
        p = p * r + T(1) / T(39916800); p = p * r + T(1) / T(3628800); p = p * r + T(1) / T(362880); p = p * r + T(1) / T(40320);
        p = p * r + T(1) / T(5040);
    }
    p = p * r + T(1) / T(720); p = p * r + T(1) / T(120); p = p * r + T(1) / T(24); p = p * r + T(1) / T(6); p = p * r + T(0.5);
    p = p * r + T(1); p = p * r + T(1);
    Bits bits;
    std::memcpy(&bits, &shifted, sizeof bits);
    bits <<= sizeof(T) == 8 ? 52 : 23;  // the whole number is in the low bits of the shifted one
    Bits result;
    std::memcpy(&result, &p, sizeof result);
    result += bits;
    T out;
    std::memcpy(&out, &result, sizeof out);
    return out;
}

template <class T> inline T tangent(T x) {  // tanh
    const T a = x < T(0) ? -x : x, b = a < T(20) ? a : T(20), e = exponential(T(-2) * b), y = (T(1) - e) / (T(1) + e);
    return x < T(0) ? -y : y;
}

#endif
