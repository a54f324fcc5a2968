/* Products of small matrices: `of_x` is how many floats apart the rows of a matrix x lie, and `step` how many floats
 * apart the columns of c do. */

/* out (rows, vectors * WIDTH) += c (rows, count) v (count, vectors * WIDTH), with all of `out` in registers. */
INLINE void NAME(tile)(int rows, int vectors, long count, const float *c, long of_c, long step, const float *v,
                       long of_v, float *out, long of_out)
{
    VEC sum[ROWS][STRIP];
    UNROLLED for (int r = 0; r < rows; r++)
        UNROLLED for (int x = 0; x < vectors; x++)
            sum[r][x] = *(VEC *)(out + r * of_out + x * WIDTH);
    for (long j = 0; j < count; j++) {
        VEC here[STRIP];
        UNROLLED for (int x = 0; x < vectors; x++)
            here[x] = *(const VEC *)(v + j * of_v + x * WIDTH);
        UNROLLED for (int r = 0; r < rows; r++)
            UNROLLED for (int x = 0; x < vectors; x++)
                sum[r][x] += c[r * of_c + j * step] * here[x];
    }
    UNROLLED for (int r = 0; r < rows; r++)
        UNROLLED for (int x = 0; x < vectors; x++)
            *(VEC *)(out + r * of_out + x * WIDTH) = sum[r][x];
}

INLINE void NAME(rows)(int rows, long vectors, long count, const float *c, long of_c, long step, const float *v,
                       long of_v, float *out, long of_out)
{
    switch (vectors) {
#if STRIP > 3
    case 5: NAME(tile)(rows, 5, count, c, of_c, step, v, of_v, out, of_out); break;
    case 4: NAME(tile)(rows, 4, count, c, of_c, step, v, of_v, out, of_out); break;
    case 3: NAME(tile)(rows, 3, count, c, of_c, step, v, of_v, out, of_out); break;
#endif
    case 2: NAME(tile)(rows, 2, count, c, of_c, step, v, of_v, out, of_out); break;
    case 1: NAME(tile)(rows, 1, count, c, of_c, step, v, of_v, out, of_out); break;
    default: NAME(tile)(rows, STRIP, count, c, of_c, step, v, of_v, out, of_out);
    }
}

/* out (rows, columns) += c (rows, count) v (count, columns). A strip of v stays in the cache for all rows. Reads and
 * writes whole vectors: up to WIDTH - 1 floats after the columns. */
static void NAME(add_product)(long rows, long columns, long count, const float *c, long of_c, long step,
                              const float *v, long of_v, float *out, long of_out)
{
    for (long vectors = (columns + WIDTH - 1) / WIDTH; vectors > 0; vectors -= STRIP) {
        for (long r = 0; r < rows; r += ROWS) {
            const float *factors = c + r * of_c;
            float *sums = out + r * of_out;
            switch (rows - r) {
            case 1: NAME(rows)(1, vectors, count, factors, of_c, step, v, of_v, sums, of_out); break;
            case 2: NAME(rows)(2, vectors, count, factors, of_c, step, v, of_v, sums, of_out); break;
            case 3: NAME(rows)(3, vectors, count, factors, of_c, step, v, of_v, sums, of_out); break;
            default: NAME(rows)(ROWS, vectors, count, factors, of_c, step, v, of_v, sums, of_out);
            }
        }
        v += STRIP * WIDTH;
        out += STRIP * WIDTH;
    }
}
