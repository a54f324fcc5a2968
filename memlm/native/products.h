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

INLINE void NAME(strips)(int rows, long columns, long count, const float *c, long of_c, long step, const float *v,
                         long of_v, float *out, long of_out)
{
    for (long vectors = (columns + WIDTH - 1) / WIDTH; vectors > 0; vectors -= STRIP) {
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
        v += STRIP * WIDTH;
        out += STRIP * WIDTH;
    }
}

/* out (rows, columns) += c (rows, count) v (count, columns), for up to ROWS rows. Reads and writes whole vectors: up to
 * WIDTH - 1 floats after the columns. */
static void NAME(add_product)(int rows, long columns, long count, const float *c, long of_c, long step, const float *v,
                              long of_v, float *out, long of_out)
{
    switch (rows) {
    case 1: NAME(strips)(1, columns, count, c, of_c, step, v, of_v, out, of_out); break;
    case 2: NAME(strips)(2, columns, count, c, of_c, step, v, of_v, out, of_out); break;
    case 3: NAME(strips)(3, columns, count, c, of_c, step, v, of_v, out, of_out); break;
    case 4: NAME(strips)(4, columns, count, c, of_c, step, v, of_v, out, of_out); break;
    }
}
