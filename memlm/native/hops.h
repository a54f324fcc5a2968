/* The hops of one row of targets over its words, and their gradients.
 *
 * The weights of a target are a band: M floats, of which N from its own number on are its slots, and the others are 0.
 * Targets are taken ROWS at a time, for they share all words but the first and last few: one product scores their states
 * against words that lie as (D, M), and one reads the words, as (M, D), by their bands. */

/* A row's words of a table, (M, D) in rows of `wide` floats. */
static void NAME(copy)(const struct hops *h, long table, long row, float *out)
{
    for (long m = 0; m < h->words_in_row; m++)
        memcpy(out + m * h->wide, word(h, table, row, m), sizeof(float) * h->units);
}

/* The same as (D, M) in rows of `words_wide` floats. */
static void NAME(transpose)(const struct hops *h, long table, long row, float *out)
{
    const float *words[WIDTH]; /* whose cache lines are written together */
    for (long from = 0; from < h->words_in_row; from += WIDTH) {
        long count = h->words_in_row - from < WIDTH ? h->words_in_row - from : WIDTH;
        for (long i = 0; i < count; i++)
            words[i] = word(h, table, row, from + i);
        for (long d = 0; d < h->units; d++)
            for (long i = 0; i < count; i++)
                out[d * h->words_wide + from + i] = words[i][d];
    }
}

/* Scores of states u (T, D), u . (word + time), in the bands of targets from the l-th on. What they have of the words
 * before and after a target's slots is not part of the scores. */
INLINE void NAME(match)(const struct hops *h, int T, const float *u, long of_u, const float *words, const float *times,
                        float *band, long l)
{
    long of_band = h->hops * h->words_wide;
    for (int t = 0; t < T; t++)
        memset(band + t * of_band + l, 0, sizeof(float) * (h->words_wide - l));
    NAME(add_product)(T, h->slots + T - 1, h->units, u, of_u, 1, words + l, h->words_wide, band + l, of_band);
    if (times)
        NAME(add_product)(T, h->slots, h->units, u, of_u, 1, times, h->slots_wide, band + l, of_band + 1);
}

/* Zeros in the bands of targets from the l-th on, but for their own slots. */
INLINE void NAME(trim)(const struct hops *h, int T, float *band, long l)
{
    for (int t = 0; t < T; t++, l++, band += h->hops * h->words_wide) {
        memset(band, 0, sizeof(float) * l);
        memset(band + l + h->slots, 0, sizeof(float) * (h->words_wide - l - h->slots));
    }
}

/* Add to out (T, D) the sums of the bands' weights times (word + time). */
INLINE void NAME(read)(const struct hops *h, int T, const float *band, const float *words, const float *times, long l,
                       float *out, long of_out)
{
    long of_band = h->hops * h->words_wide;
    NAME(add_product)(T, h->units, h->slots + T - 1, band + l, of_band, 1, words + l * h->wide, h->wide, out, of_out);
    if (times)
        NAME(add_product)(T, h->units, h->slots, band + l, of_band + 1, 1, times, h->wide, out, of_out);
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
        NAME(add_product)(T, h->units, h->units, u, of_u, 1, matrix, h->wide, out, of_out);
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
    long of_state = K * h->wide, of_band = K * h->words_wide;
    float *across = scratch, *words = across + D * h->words_wide;
    for (long k = 0; k < K; k++) {
        long matched = h->matched[k], read = h->read[k];
        if (!k || matched != h->matched[k - 1])
            NAME(transpose)(h, matched, row, across);
        if (!k || read != h->read[k - 1])
            NAME(copy)(h, read, row, words);
        for (long l = 0; l < L; l += ROWS) {
            int T = L - l < ROWS ? L - l : ROWS;
            long target = row * L + l, of_z = k + 1 < K ? of_state : h->wide;
            float *u = h->states + (target * K + k) * h->wide, *band = h->weights + (target * K + k) * h->words_wide;
            float *z = k + 1 < K ? u + h->wide : h->last + target * h->wide;
            NAME(match)(h, T, u, of_state, across, times_across(h, matched, restart), band, l);
            for (int t = 0; t < T; t++)
                NAME(attend)(band + t * of_band + l + t, h->slots,
                             h->filled ? h->filled + row * h->words_in_row + l + t : NULL);
            NAME(trim)(h, T, band, l);
            NAME(pass)(h, T, u, of_state, transition(h, h->transition_across, restart), z, of_z);
            NAME(read)(h, T, band, words, times(h, read, restart), l, z, of_z);
            for (int t = 0; t < T; t++)
                for (long d = h->linear; d < D; d++)
                    z[t * of_z + d] = z[t * of_z + d] < 0 ? 0 : z[t * of_z + d];
        }
    }
}

/* Add to the gradients of a row's words (M, D) the sum of band v^T over its targets and `run` hops from k on, which are
 * one hop or all of them; or put it there, where nothing `there` is yet. */
static void NAME(add_words)(const struct hops *h, const float *bands, const float *v, long k, long run, int there,
                            float *sums, float *out)
{
    long K = h->hops, M = h->words_in_row, between = run == 1 ? K : 1; /* hops from one to the next of the sum */
    for (long m = 0; m < M; m += ROWS) {
        int T = M - m < ROWS ? M - m : ROWS;
        long l = m < h->slots ? 0 : m - h->slots + 1, end = m + T < h->targets ? m + T : h->targets; /* who see them */
        for (int t = 0; t < T; t++)
            if (there)
                memcpy(sums + t * h->wide, out + (m + t) * h->units, sizeof(float) * h->units);
            else
                memset(sums + t * h->wide, 0, sizeof(float) * h->wide);
        NAME(add_product)(T, h->units, (end - l) * run, bands + (l * K + k) * h->words_wide + m, 1,
                          between * h->words_wide, v + (l * K + k) * h->wide, between * h->wide, sums, h->wide);
        for (int t = 0; t < T; t++)
            memcpy(out + (m + t) * h->units, sums + t * h->wide, sizeof(float) * h->units);
    }
}

/* The gradients of what each hop read and scored, last hop first; `gradient` goes from that of the last state to that
 * of the first. */
static void NAME(backward_hops)(const struct hops *h, long row, float *scratch)
{
    long K = h->hops, L = h->targets, D = h->units, restart = row / h->rows_of_restart;
    long of_z = K * h->wide, of_band = K * h->words_wide;
    float *across = scratch, *words = across + D * h->words_wide;
    for (long k = K - 1; k >= 0; k--) {
        long matched = h->matched[k], read = h->read[k];
        if (k == K - 1 || read != h->read[k + 1])
            NAME(transpose)(h, read, row, across);
        if (k == K - 1 || matched != h->matched[k + 1])
            NAME(copy)(h, matched, row, words);
        for (long l = 0; l < L; l += ROWS) {
            int T = L - l < ROWS ? L - l : ROWS;
            long target = row * L + l, of_after = k + 1 < K ? of_z : h->wide;
            float *g = h->gradient + target * h->wide, *z = h->of_sums + (target * K + k) * h->wide;
            const float *after = k + 1 < K ? h->states + (target * K + k + 1) * h->wide : h->last + target * h->wide;
            const float *p = h->weights + (target * K + k) * h->words_wide;
            float *of_scores = h->of_scores + (target * K + k) * h->words_wide;
            for (int t = 0; t < T; t++)
                for (long d = 0; d < h->wide; d++)
                    z[t * of_z + d] = d < h->linear || after[t * of_after + d] > 0 ? g[t * h->wide + d] : 0;
            NAME(match)(h, T, z, of_z, across, times_across(h, read, restart), of_scores, l);
            for (int t = 0; t < T; t++)
                NAME(attend_backward)(p + t * of_band + l + t, of_scores + t * of_band + l + t, h->slots);
            NAME(trim)(h, T, of_scores, l);
            if (!k && !h->wants_first)
                continue;
            NAME(pass)(h, T, z, of_z, transition(h, h->transition, restart), g, h->wide);
            NAME(read)(h, T, of_scores, words, times(h, matched, restart), l, g, h->wide);
        }
    }
}

static void NAME(backward_row)(const void *given, long row, float *scratch)
{
    const struct hops *h = given;
    long K = h->hops, first = row * h->targets * K, of_words = row * h->words_in_row * h->units;
    const float *scored = h->of_scores + first * h->words_wide, *states = h->states + first * h->wide;
    const float *read = h->weights + first * h->words_wide, *of_sums = h->of_sums + first * h->wide;
    NAME(backward_hops)(h, row, scratch);
    for (long i = 0; i < h->tables; i++) {
        int there = 0;
        for (long k = 0; k < K; k += h->alike) {
            float *out = h->of_words[i] + of_words;
            if (h->matched[k] == i)
                NAME(add_words)(h, scored, states, k, h->alike, there++, scratch, out);
            if (h->read[k] == i)
                NAME(add_words)(h, read, of_sums, k, h->alike, there++, scratch, out);
        }
    }
}
