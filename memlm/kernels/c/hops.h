/* The hops of one row of targets, and their gradients.
 *
 * The attention weights of target l are stored as a band: M floats, of which l to l+N-1 are its slots and the others
 * are 0. ROWS targets are processed at a time, since their windows overlap almost fully. The words of a row are stored
 * as (D, M) to score them, and as (M, D) to read them. */

/* The words of a row in a table: (M, D), in rows of `pad_D` floats. */
static void NAME(copy)(const struct hops *h, long table, long row, float *out)
{
    for (long m = 0; m < h->words_in_row; m++)
        memcpy(out + m * h->pad_D, word_of(h, table, row, m), sizeof(float) * h->units);
}

/* The same words transposed: (D, M), in rows of `pad_M` floats. */
static void NAME(transpose)(const struct hops *h, long table, long row, float *out)
{
    const float *words[WIDTH]; /* words whose values go to the same cache lines */
    for (long from = 0; from < h->words_in_row; from += WIDTH) {
        long count = h->words_in_row - from < WIDTH ? h->words_in_row - from : WIDTH;
        for (long i = 0; i < count; i++)
            words[i] = word_of(h, table, row, from + i);
        for (long d = 0; d < h->units; d++)
            for (long i = 0; i < count; i++)
                out[d * h->pad_M + from + i] = words[i][d];
    }
}

/* Write the scores of states u (L, D) into their bands: u . (word + time) in the slots, arbitrary values outside. */
INLINE void NAME(match)(const struct hops *h, const float *u, long u_stride, const float *words, const float *times,
                        float *band)
{
    long L = h->targets, band_stride = h->hops * h->pad_M;
    for (long l = 0; l < L; l += ROWS) {
        long rows = L - l < ROWS ? L - l : ROWS;
        for (long t = l; t < l + rows; t++)
            memset(band + t * band_stride, 0, sizeof(float) * h->pad_M);
        NAME(add_product)(rows, h->slots + rows - 1, h->units, u + l * u_stride, u_stride, 1, words + l, h->pad_M,
                          band + l * band_stride + l, band_stride);
    }
    if (times)
        NAME(add_product)(L, h->slots, h->units, u, u_stride, 1, times, h->pad_N, band, band_stride + 1);
}

/* Set the bands to zero outside the slots. */
INLINE void NAME(clear_outside)(const struct hops *h, float *band)
{
    for (long l = 0; l < h->targets; l++, band += h->hops * h->pad_M) {
        memset(band, 0, sizeof(float) * l);
        memset(band + l + h->slots, 0, sizeof(float) * (h->pad_M - l - h->slots));
    }
}

/* out (L, D) += the sum of weight * (word + time) over each band. */
INLINE void NAME(read)(const struct hops *h, const float *band, const float *words, const float *times, float *out,
                       long out_stride)
{
    long L = h->targets, band_stride = h->hops * h->pad_M;
    for (long l = 0; l < L; l += ROWS) {
        long rows = L - l < ROWS ? L - l : ROWS;
        NAME(add_product)(rows, h->units, h->slots + rows - 1, band + l * band_stride + l, band_stride, 1,
                          words + l * h->pad_D, h->pad_D, out + l * out_stride, out_stride);
    }
    if (times)
        NAME(add_product)(L, h->units, h->slots, band, band_stride + 1, 1, times, h->pad_D, out, out_stride);
}

/* out (L, D) = u (L, D) times a matrix (D, D), or u if there is none. */
INLINE void NAME(transform)(const struct hops *h, const float *u, long u_stride, const float *matrix, float *out,
                            long out_stride)
{
    for (long l = 0; l < h->targets; l++)
        if (matrix)
            memset(out + l * out_stride, 0, sizeof(float) * h->pad_D);
        else
            memcpy(out + l * out_stride, u + l * u_stride, sizeof(float) * h->pad_D);
    if (matrix)
        NAME(add_product)(h->targets, h->units, h->units, u, u_stride, 1, matrix, h->pad_D, out, out_stride);
}

/* Softmax over the filled slots. The other slots get 0, and so do all slots if none is filled. */
INLINE void NAME(attend)(float *scores, long slots, const unsigned char *filled)
{
    if (filled) {
        if (!memchr(filled, 1, slots)) {
            memset(scores, 0, sizeof(float) * slots);
            return;
        }
        for (long n = 0; n < slots; n++)
            scores[n] = filled[n] ? scores[n] : -INFINITY;
    }
    float sum = NAME(exponentials)(scores, slots, NAME(largest)(scores, slots), 1);
    for (long n = 0; n < slots; n++)
        scores[n] *= 1 / sum;
}

/* Replace the gradient g of the weights p by the gradient of the scores: p (g - sum of p g). */
INLINE void NAME(attend_backward)(const float *p, float *g, long slots)
{
    float mean = 0;
    for (long n = 0; n < slots; n++)
        mean += p[n] * g[n];
    for (long n = 0; n < slots; n++)
        g[n] = p[n] * (g[n] - mean);
}

static void NAME(forward_row)(const void *given, long row, float *scratch)
{
    const struct hops *h = given;
    long K = h->hops, L = h->targets, D = h->units, restart = row / h->rows_per_restart;
    long state_stride = K * h->pad_D, band_stride = K * h->pad_M;
    float *transposed = scratch, *words = transposed + D * h->pad_M;
    for (long k = 0; k < K; k++) {
        long matched = h->matched[k], read = h->read[k], at = row * L * K + k;
        long z_stride = k + 1 < K ? state_stride : h->pad_D;
        float *u = h->states + at * h->pad_D, *z = k + 1 < K ? u + h->pad_D : h->last + row * L * h->pad_D;
        float *band = h->weights + at * h->pad_M;
        if (!k || matched != h->matched[k - 1])
            NAME(transpose)(h, matched, row, transposed);
        if (!k || read != h->read[k - 1])
            NAME(copy)(h, read, row, words);
        NAME(match)(h, u, state_stride, transposed, times_transposed_of(h, matched, restart), band);
        for (long l = 0; l < L; l++)
            NAME(attend)(band + l * band_stride + l, h->slots,
                         h->filled ? h->filled + row * h->words_in_row + l : NULL);
        NAME(clear_outside)(h, band);
        NAME(transform)(h, u, state_stride, transition_of(h, h->transition_transposed, restart), z, z_stride);
        NAME(read)(h, band, words, times_of(h, read, restart), z, z_stride);
        for (long l = 0; l < L; l++)
            for (long d = h->linear; d < D; d++)
                z[l * z_stride + d] = z[l * z_stride + d] < 0 ? 0 : z[l * z_stride + d];
    }
}

/* Add the sum of band v^T to the gradients of a row's words (M, D). The sum is over the targets and over `run` hops
 * from k on: one hop or all of them. If the gradients are not `started`, they are set to the sum. */
static void NAME(add_words)(const struct hops *h, const float *bands, const float *v, long k, long run, int started,
                            float *sums, float *out)
{
    long K = h->hops, M = h->words_in_row, between = run == 1 ? K : 1; /* hops between two terms of the sum */
    for (long m = 0; m < M; m += ROWS) {
        int T = M - m < ROWS ? M - m : ROWS;
        /* The targets that see the words are l to end - 1. */
        long l = m < h->slots ? 0 : m - h->slots + 1, end = m + T < h->targets ? m + T : h->targets;
        for (int t = 0; t < T; t++)
            if (started)
                memcpy(sums + t * h->pad_D, out + (m + t) * h->units, sizeof(float) * h->units);
            else
                memset(sums + t * h->pad_D, 0, sizeof(float) * h->pad_D);
        NAME(add_product)(T, h->units, (end - l) * run, bands + (l * K + k) * h->pad_M + m, 1,
                          between * h->pad_M, v + (l * K + k) * h->pad_D, between * h->pad_D, sums, h->pad_D);
        for (int t = 0; t < T; t++)
            memcpy(out + (m + t) * h->units, sums + t * h->pad_D, sizeof(float) * h->units);
    }
}

/* The gradients of the sums and scores of each hop, last hop first. `grad_state` is the gradient of the last state,
 * and becomes that of the first. */
static void NAME(backward_hops)(const struct hops *h, long row, float *scratch)
{
    long K = h->hops, L = h->targets, D = h->units, restart = row / h->rows_per_restart;
    long z_stride = K * h->pad_D, band_stride = K * h->pad_M;
    float *transposed = scratch, *words = transposed + D * h->pad_M, *g = h->grad_state + row * L * h->pad_D;
    for (long k = K - 1; k >= 0; k--) {
        long matched = h->matched[k], read = h->read[k], at = row * L * K + k;
        long after_stride = k + 1 < K ? z_stride : h->pad_D;
        const float *after = k + 1 < K ? h->states + (at + 1) * h->pad_D : h->last + row * L * h->pad_D;
        const float *p = h->weights + at * h->pad_M;
        float *z = h->grad_sums + at * h->pad_D, *grad_scores = h->grad_scores + at * h->pad_M;
        if (k == K - 1 || read != h->read[k + 1])
            NAME(transpose)(h, read, row, transposed);
        if (k == K - 1 || matched != h->matched[k + 1])
            NAME(copy)(h, matched, row, words);
        for (long l = 0; l < L; l++)
            for (long d = 0; d < D; d++)
                /* A product keeps NaN. */
                z[l * z_stride + d] = g[l * h->pad_D + d] * (d < h->linear || after[l * after_stride + d] > 0);
        NAME(match)(h, z, z_stride, transposed, times_transposed_of(h, read, restart), grad_scores);
        for (long l = 0; l < L; l++)
            NAME(attend_backward)(p + l * band_stride + l, grad_scores + l * band_stride + l, h->slots);
        NAME(clear_outside)(h, grad_scores);
        if (!k && !h->wants_first)
            return;
        NAME(transform)(h, z, z_stride, transition_of(h, h->transition, restart), g, h->pad_D);
        NAME(read)(h, grad_scores, words, times_of(h, matched, restart), g, h->pad_D);
    }
}

static void NAME(backward_row)(const void *given, long row, float *scratch)
{
    const struct hops *h = given;
    long K = h->hops, first = row * h->targets * K, words_at = row * h->words_in_row * h->units;
    const float *scored = h->grad_scores + first * h->pad_M, *states = h->states + first * h->pad_D;
    const float *read = h->weights + first * h->pad_M, *grad_sums = h->grad_sums + first * h->pad_D;
    NAME(backward_hops)(h, row, scratch);
    for (long i = 0; i < h->tables; i++) {
        int started = 0;
        for (long k = 0; k < K; k += h->same_memories) {
            float *out = h->grad_words[i] + words_at;
            if (h->matched[k] == i)
                NAME(add_words)(h, scored, states, k, h->same_memories, started++, scratch, out);
            if (h->read[k] == i)
                NAME(add_words)(h, read, grad_sums, k, h->same_memories, started++, scratch, out);
        }
    }
}
