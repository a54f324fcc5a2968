/* The hops of one row of targets over its words, and their gradients.
 *
 * The weights of a target are a band: M floats, of which N from its own number on are its slots, and the others are 0.
 * Words are scored and read for ROWS targets at a time, which share all but the first and last few: as (D, M), and by
 * their bands as (M, D). */

/* A row's words of a table, (M, D) in rows of `wide` floats. */
static void NAME(copy)(const struct hops *h, long table, long row, float *out)
{
    for (long m = 0; m < h->words_in_row; m++)
        memcpy(out + m * h->wide, word_of(h, table, row, m), sizeof(float) * h->units);
}

/* The same as (D, M) in rows of `words_wide` floats. */
static void NAME(transpose)(const struct hops *h, long table, long row, float *out)
{
    const float *words[WIDTH]; /* whose cache lines are written together */
    for (long from = 0; from < h->words_in_row; from += WIDTH) {
        long count = h->words_in_row - from < WIDTH ? h->words_in_row - from : WIDTH;
        for (long i = 0; i < count; i++)
            words[i] = word_of(h, table, row, from + i);
        for (long d = 0; d < h->units; d++)
            for (long i = 0; i < count; i++)
                out[d * h->words_wide + from + i] = words[i][d];
    }
}

/* The scores of states u (L, D) in their bands: u . (word + time) in the slots, and anything elsewhere. */
INLINE void NAME(match)(const struct hops *h, const float *u, long of_u, const float *words, const float *times,
                        float *band)
{
    long L = h->targets, of_band = h->hops * h->words_wide;
    for (long l = 0; l < L; l += ROWS) {
        long rows = L - l < ROWS ? L - l : ROWS;
        for (long t = l; t < l + rows; t++)
            memset(band + t * of_band, 0, sizeof(float) * h->words_wide);
        NAME(add_product)(rows, h->slots + rows - 1, h->units, u + l * of_u, of_u, 1, words + l, h->words_wide,
                          band + l * of_band + l, of_band);
    }
    if (times)
        NAME(add_product)(L, h->slots, h->units, u, of_u, 1, times, h->slots_wide, band, of_band + 1);
}

/* Zeros in the bands, but for the slots. */
INLINE void NAME(trim)(const struct hops *h, float *band)
{
    for (long l = 0; l < h->targets; l++, band += h->hops * h->words_wide) {
        memset(band, 0, sizeof(float) * l);
        memset(band + l + h->slots, 0, sizeof(float) * (h->words_wide - l - h->slots));
    }
}

/* Add to out (L, D) the sums of the bands' weights times (word + time). */
INLINE void NAME(read)(const struct hops *h, const float *band, const float *words, const float *times, float *out,
                       long of_out)
{
    long L = h->targets, of_band = h->hops * h->words_wide;
    for (long l = 0; l < L; l += ROWS) {
        long rows = L - l < ROWS ? L - l : ROWS;
        NAME(add_product)(rows, h->units, h->slots + rows - 1, band + l * of_band + l, of_band, 1, words + l * h->wide,
                          h->wide, out + l * of_out, of_out);
    }
    if (times)
        NAME(add_product)(L, h->units, h->slots, band, of_band + 1, 1, times, h->wide, out, of_out);
}

/* out (L, D) = u (L, D) times a matrix (D, D), or u without one. */
INLINE void NAME(pass)(const struct hops *h, const float *u, long of_u, const float *matrix, float *out, long of_out)
{
    for (long l = 0; l < h->targets; l++)
        if (matrix)
            memset(out + l * of_out, 0, sizeof(float) * h->wide);
        else
            memcpy(out + l * of_out, u + l * of_u, sizeof(float) * h->wide);
    if (matrix)
        NAME(add_product)(h->targets, h->units, h->units, u, of_u, 1, matrix, h->wide, out, of_out);
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
        long matched = h->matched[k], read = h->read[k], at = row * L * K + k, of_z = k + 1 < K ? of_state : h->wide;
        float *u = h->states + at * h->wide, *z = k + 1 < K ? u + h->wide : h->last + row * L * h->wide;
        float *band = h->weights + at * h->words_wide;
        if (!k || matched != h->matched[k - 1])
            NAME(transpose)(h, matched, row, across);
        if (!k || read != h->read[k - 1])
            NAME(copy)(h, read, row, words);
        NAME(match)(h, u, of_state, across, times_across_of(h, matched, restart), band);
        for (long l = 0; l < L; l++)
            NAME(attend)(band + l * of_band + l, h->slots, h->filled ? h->filled + row * h->words_in_row + l : NULL);
        NAME(trim)(h, band);
        NAME(pass)(h, u, of_state, transition_of(h, h->transition_across, restart), z, of_z);
        NAME(read)(h, band, words, times_of(h, read, restart), z, of_z);
        for (long l = 0; l < L; l++)
            for (long d = h->linear; d < D; d++)
                z[l * of_z + d] = z[l * of_z + d] < 0 ? 0 : z[l * of_z + d];
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
    float *across = scratch, *words = across + D * h->words_wide, *g = h->gradient + row * L * h->wide;
    for (long k = K - 1; k >= 0; k--) {
        long matched = h->matched[k], read = h->read[k], at = row * L * K + k, of_after = k + 1 < K ? of_z : h->wide;
        const float *after = k + 1 < K ? h->states + (at + 1) * h->wide : h->last + row * L * h->wide;
        const float *p = h->weights + at * h->words_wide;
        float *z = h->of_sums + at * h->wide, *of_scores = h->of_scores + at * h->words_wide;
        if (k == K - 1 || read != h->read[k + 1])
            NAME(transpose)(h, read, row, across);
        if (k == K - 1 || matched != h->matched[k + 1])
            NAME(copy)(h, matched, row, words);
        for (long l = 0; l < L; l++)
            for (long d = 0; d < D; d++)
                z[l * of_z + d] = g[l * h->wide + d] * (d < h->linear || after[l * of_after + d] > 0); /* NaN stays */
        NAME(match)(h, z, of_z, across, times_across_of(h, read, restart), of_scores);
        for (long l = 0; l < L; l++)
            NAME(attend_backward)(p + l * of_band + l, of_scores + l * of_band + l, h->slots);
        NAME(trim)(h, of_scores);
        if (!k && !h->wants_first)
            return;
        NAME(pass)(h, z, of_z, transition_of(h, h->transition, restart), g, h->wide);
        NAME(read)(h, of_scores, words, times_of(h, matched, restart), g, h->wide);
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
