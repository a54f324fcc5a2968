/* The softmax of a row of logits, and its loss. */

/* exp(x) for x <= 0, to 2 units in the last place; 0 for x <= -87; NaN for NaN. exp(n log 2 + r) = 2^n exp(r), and the
 * polynomial for exp(r) is that of Cephes (https://www.netlib.org/cephes, expf). */
INLINE VEC NAME(exponential)(VEC x)
{
    const float shift = 12582912 + 127; /* 1.5 * 2^23 rounds to a whole number n; the low bits are n + 127 */
    VEC shifted = x * 1.44269504f + shift;
    VEC n = shifted - shift;
    VEC r = x - n * 0.693359375f - n * -2.12194440e-4f;
    VEC p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1;
    VEC power = (VEC)((INTS)shifted << 23); /* 2^n: the other bits are shifted out */
    return (VEC)((INTS)(p * power) & ~(x <= -87));
}

INLINE float NAME(largest)(const float *x, long count)
{
    VEC found = x[0] + (VEC){0};
    long i = 0;
    for (; i + WIDTH <= count; i += WIDTH) {
        VEC here = *(const VEC *)(x + i);
        INTS more = here > found;
        found = (VEC)(((INTS)here & more) | ((INTS)found & ~more));
    }
    float most = x[0];
    for (int w = 0; w < WIDTH; w++)
        most = found[w] > most ? found[w] : most;
    for (; i < count; i++)
        most = x[i] > most ? x[i] : most;
    return most;
}

/* The sum of exp(x - most). The exponentials replace x if `store` is set. */
INLINE float NAME(exponentials)(float *x, long count, float most, int store)
{
    VEC sum = {0};
    long i = 0;
    for (; i + WIDTH <= count; i += WIDTH) {
        VEC here = NAME(exponential)(*(const VEC *)(x + i) - most);
        if (store)
            *(VEC *)(x + i) = here;
        sum += here;
    }
    float total = 0;
    for (int w = 0; w < WIDTH; w++)
        total += sum[w];
    if (i < count) {
        VEC rest = {0};
        for (long j = i; j < count; j++)
            rest[j - i] = x[j] - most;
        rest = NAME(exponential)(rest);
        for (long j = i; j < count; j++) {
            if (store)
                x[j] = rest[j - i];
            total += rest[j - i];
        }
    }
    return total;
}

INLINE void NAME(from_bfloat16)(const unsigned short *from, long count, float *x)
{
    for (long i = 0; i < count; i++)
        ((bits *)x)[i] = (bits)from[i] << 16;
}

/* Round to nearest, ties to even. */
INLINE void NAME(to_bfloat16)(const float *x, long count, unsigned short *to)
{
    for (long i = 0; i < count; i++) {
        bits found = ((const bits *)x)[i];
        to[i] = (found + 0x7fff + (found >> 16 & 1)) >> 16;
    }
}

/* -log p of a row's target. If wanted, its gradient, softmax - onehot, replaces the logits. */
static void NAME(softmax_row)(const void *given, long row, float *scratch)
{
    const struct softmax *job = given;
    unsigned short *bfloat16 = (unsigned short *)job->logits + row * job->classes;
    float *x = job->is_bfloat16 ? scratch : (float *)job->logits + row * job->classes;
    if (job->is_bfloat16)
        NAME(from_bfloat16)(bfloat16, job->classes, x);
    long target = job->targets[row];
    float target_logit = x[target], most = NAME(largest)(x, job->classes);
    float sum = NAME(exponentials)(x, job->classes, most, job->wants_gradient);
    job->nats[row] = most - target_logit + logf(sum);
    if (!job->wants_gradient)
        return;
    for (long i = 0; i < job->classes; i++)
        x[i] *= 1 / sum;
    x[target] -= 1;
    if (job->is_bfloat16)
        NAME(to_bfloat16)(x, job->classes, bfloat16);
}
