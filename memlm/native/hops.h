/* The hops of one row of targets over its words, and their gradients.
 *
 * Targets are taken ROWS at a time: they share all words but the first and last few. States are scored against words
 * that lie as (D, M), and a diagonal of the scores is each target's own N slots; they are read as (M, D). */

/* A row's words of a table, (M, D) in rows of `wide` floats. */
static void NAME(copy)(const struct hops *h, const float *words, float *out)
{
    for (long m = 0; m < h->words_in_row; m++)
        memcpy(out + m * h->wide, words + m * h->units, sizeof(float) * h->units);
}

/* The same as (D, M) in rows of `words_wide` floats. */
static void NAME(transpose)(const struct hops *h, const float *words, float *out)
{
    const long block = 16; /* words whose cache lines are written together */
    for (long from = 0; from < h->words_in_row; from += block) {
        long to = from + block < h->words_in_row ? from + block : h->words_in_row;
        for (long d = 0; d < h->units; d++)
            for (long m = from; m < to; m++)
                out[d * h->words_wide + m] = words[m * h->units + d];
    }
}

/* scores (T, N) of states u (T, D): u . (word + time). */
INLINE void NAME(match)(const struct hops *h, int T, const float *u, long of_u, const float *words, const float *times,
                        float *band, float *scores, long of_scores)
{
    for (int t = 0; t < T; t++) {
        memset(band + t * h->words_wide, 0, sizeof(float) * h->words_wide);
        memset(scores + t * of_scores, 0, sizeof(float) * h->slots_wide);
    }
    NAME(add_product)(T, h->slots + T - 1, h->units, u, of_u, words, h->words_wide, band, h->words_wide);
    if (times)
        NAME(add_product)(T, h->slots, h->units, u, of_u, times, h->slots_wide, scores, of_scores);
    for (int t = 0; t < T; t++)
        for (long n = 0; n < h->slots; n++)
            scores[t * of_scores + n] += band[t * h->words_wide + t + n];
}

/* Add to out (T, D) the sums of p (T, N) times (word + time). */
INLINE void NAME(read)(const struct hops *h, int T, const float *p, long of_p, const float *words, const float *times,
                       float *band, float *out, long of_out)
{
    long slots = h->slots + T - 1;
    for (int t = 0; t < T; t++) {
        memset(band + t * h->words_wide, 0, sizeof(float) * slots);
        memcpy(band + t * h->words_wide + t, p + t * of_p, sizeof(float) * h->slots);
    }
    NAME(add_product)(T, h->units, slots, band, h->words_wide, words, h->wide, out, of_out);
    if (times)
        NAME(add_product)(T, h->units, h->slots, p, of_p, times, h->wide, out, of_out);
}

/* out (T, D) = u (T, D) times a matrix (D, D), or u without one. */
INLINE void NAME(pass)(const struct hops *h, int T, const float *u, long of_u, const float *matrix, float *out,
                       long of_out)
{
    for (int t = 0; t < T; t++)
        if (matrix)
            memset(out + t * of_out, 0, sizeof(float) * h->wide);
        else
            memcpy(out + t * of_out, u + t * of_u, sizeof(float) * h->wide);
    if (matrix)
        NAME(add_product)(T, h->units, h->units, u, of_u, matrix, h->wide, out, of_out);
}

/* Softmax over the slots that are filled; 0 in the others, and in all of them where none is filled. */
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

/* The gradient of the scores, in place of that of the weights p: p (g - sum of p g). */
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
    long K = h->hops, L = h->targets, D = h->units, restart = row / h->rows_of_restart;
    long of_words = row * h->words_in_row * D, of_state = K * h->wide, of_p = K * h->slots_wide;
    float *across = scratch, *words = across + D * h->words_wide, *band = words + h->words_in_row * h->wide;
    for (long k = 0; k < K; k++) {
        long matched = h->matched[k], read = h->read[k];
        if (!k || matched != h->matched[k - 1])
            NAME(transpose)(h, h->words[matched] + of_words, across);
        if (!k || read != h->read[k - 1])
            NAME(copy)(h, h->words[read] + of_words, words);
        for (long l = 0; l < L; l += ROWS) {
            int T = L - l < ROWS ? L - l : ROWS;
            long target = row * L + l, of_z = k + 1 < K ? of_state : h->wide;
            float *u = h->states + (target * K + k) * h->wide, *p = h->weights + (target * K + k) * h->slots_wide;
            float *z = k + 1 < K ? u + h->wide : h->last + target * h->wide;
            NAME(match)(h, T, u, of_state, across + l, times_across(h, matched, restart), band, p, of_p);
            for (int t = 0; t < T; t++)
                NAME(attend)(p + t * of_p, h->slots, h->filled ? h->filled + row * h->words_in_row + l + t : NULL);
            NAME(pass)(h, T, u, of_state, transition(h, h->transition_across, restart), z, of_z);
            NAME(read)(h, T, p, of_p, words + l * h->wide, times(h, read, restart), band, z, of_z);
            for (int t = 0; t < T; t++)
                for (long d = h->linear; d < D; d++)
                    z[t * of_z + d] = z[t * of_z + d] < 0 ? 0 : z[t * of_z + d];
        }
    }
}

/* Add to the gradients of a row's words (M, D): to that of word l + n the sum of p[l, k, n] v[l, k] over `run` hops
 * from k on, which is one hop or all of them. */
static void NAME(add_words)(const struct hops *h, const float *p, const float *v, long k, long run, float *factors,
                            float *sums, float *out)
{
    long K = h->hops, L = h->targets, M = h->words_in_row, of_v = run == 1 ? K * h->wide : h->wide;
    for (long m = 0; m < M; m += ROWS) {
        int T = M - m < ROWS ? M - m : ROWS;
        long first = m < h->slots ? 0 : m - h->slots + 1, end = m + T < L ? m + T : L; /* targets that see these words */
        for (int t = 0; t < T; t++) {
            float *into = factors + t * L * K;
            for (long l = first; l < end; l++) {
                long n = m + t - l;
                for (long i = k; i < k + run; i++)
                    *into++ = n >= 0 && n < h->slots ? p[(l * K + i) * h->slots_wide + n] : 0;
            }
            memset(sums + t * h->wide, 0, sizeof(float) * h->wide);
        }
        NAME(add_product)(T, h->units, (end - first) * run, factors, L * K, v + (first * K + k) * h->wide, of_v, sums,
                          h->wide);
        for (int t = 0; t < T; t++)
            for (long d = 0; d < h->units; d++)
                out[(m + t) * h->units + d] += sums[t * h->wide + d];
    }
}

/* The gradients of what each hop read and scored, last hop first; `gradient` goes from that of the last state to that
 * of the first. */
static void NAME(backward_hops)(const struct hops *h, long row, float *scratch)
{
    long K = h->hops, L = h->targets, D = h->units, restart = row / h->rows_of_restart;
    long of_words = row * h->words_in_row * D, of_z = K * h->wide, of_p = K * h->slots_wide;
    float *across = scratch, *words = across + D * h->words_wide, *band = words + h->words_in_row * h->wide;
    for (long k = K - 1; k >= 0; k--) {
        long matched = h->matched[k], read = h->read[k];
        if (k == K - 1 || read != h->read[k + 1])
            NAME(transpose)(h, h->words[read] + of_words, across);
        if (k == K - 1 || matched != h->matched[k + 1])
            NAME(copy)(h, h->words[matched] + of_words, words);
        for (long l = 0; l < L; l += ROWS) {
            int T = L - l < ROWS ? L - l : ROWS;
            long target = row * L + l, of_after = k + 1 < K ? of_z : h->wide;
            float *g = h->gradient + target * h->wide, *z = h->of_sums + (target * K + k) * h->wide;
            const float *after = k + 1 < K ? h->states + (target * K + k + 1) * h->wide : h->last + target * h->wide;
            const float *p = h->weights + (target * K + k) * h->slots_wide;
            float *of_scores = h->of_scores + (target * K + k) * h->slots_wide;
            for (int t = 0; t < T; t++)
                for (long d = 0; d < h->wide; d++)
                    z[t * of_z + d] = d < h->linear || after[t * of_after + d] > 0 ? g[t * h->wide + d] : 0;
            NAME(match)(h, T, z, of_z, across + l, times_across(h, read, restart), band, of_scores, of_p);
            for (int t = 0; t < T; t++)
                NAME(attend_backward)(p + t * of_p, of_scores + t * of_p, h->slots);
            if (!k && !h->wants_first)
                continue;
            NAME(pass)(h, T, z, of_z, transition(h, h->transition, restart), g, h->wide);
            NAME(read)(h, T, of_scores, of_p, words + l * h->wide, times(h, matched, restart), band, g, h->wide);
        }
    }
}

static void NAME(backward_row)(const void *given, long row, float *scratch)
{
    const struct hops *h = given;
    long K = h->hops, first = row * h->targets * K, of_words = row * h->words_in_row * h->units;
    float *sums = scratch, *factors = sums + ROWS * h->wide;
    NAME(backward_hops)(h, row, scratch);
    for (long i = 0; i < h->tables; i++)
        memset(h->of_words[i] + of_words, 0, sizeof(float) * h->words_in_row * h->units);
    for (long k = 0; k < K; k += h->alike) {
        NAME(add_words)(h, h->of_scores + first * h->slots_wide, h->states + first * h->wide, k, h->alike, factors,
                        sums, h->of_words[h->matched[k]] + of_words);
        NAME(add_words)(h, h->weights + first * h->slots_wide, h->of_sums + first * h->wide, k, h->alike, factors,
                        sums, h->of_words[h->read[k]] + of_words);
    }
}
