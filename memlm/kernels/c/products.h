/* Products of small matrices. `x_stride` is the distance between two rows of a matrix x, and `c_step` that between two
 * columns of c, in floats. */

/* out (rows, vectors * WIDTH) += c (rows, count) v (count, vectors * WIDTH), with all of out in registers. */
INLINE void NAME(tile)(int rows, int vectors, long count, const float *c, long c_stride, long c_step, const float *v,
                       long v_stride, float *out, long out_stride)
{
    VEC sum[ROWS][STRIP];
    UNROLLED for (int r = 0; r < rows; r++)
        UNROLLED for (int x = 0; x < vectors; x++)
            sum[r][x] = *(VEC *)(out + r * out_stride + x * WIDTH);
    for (long j = 0; j < count; j++) {
        VEC here[STRIP];
        UNROLLED for (int x = 0; x < vectors; x++)
            here[x] = *(const VEC *)(v + j * v_stride + x * WIDTH);
        UNROLLED for (int r = 0; r < rows; r++)
            UNROLLED for (int x = 0; x < vectors; x++)
                sum[r][x] += c[r * c_stride + j * c_step] * here[x];
    }
    UNROLLED for (int r = 0; r < rows; r++)
        UNROLLED for (int x = 0; x < vectors; x++)
            *(VEC *)(out + r * out_stride + x * WIDTH) = sum[r][x];
}

INLINE void NAME(strip)(int rows, long vectors, long count, const float *c, long c_stride, long c_step, const float *v,
                        long v_stride, float *out, long out_stride)
{
    switch (vectors) {
#if STRIP > 3
    case 5: NAME(tile)(rows, 5, count, c, c_stride, c_step, v, v_stride, out, out_stride); break;
    case 4: NAME(tile)(rows, 4, count, c, c_stride, c_step, v, v_stride, out, out_stride); break;
    case 3: NAME(tile)(rows, 3, count, c, c_stride, c_step, v, v_stride, out, out_stride); break;
#endif
    case 2: NAME(tile)(rows, 2, count, c, c_stride, c_step, v, v_stride, out, out_stride); break;
    case 1: NAME(tile)(rows, 1, count, c, c_stride, c_step, v, v_stride, out, out_stride); break;
    default: NAME(tile)(rows, STRIP, count, c, c_stride, c_step, v, v_stride, out, out_stride);
    }
}

/* out (rows, columns) += c (rows, count) v (count, columns). A strip of v stays in the cache for all rows. Whole
 * vectors are read and written: up to WIDTH - 1 floats beyond the columns. */
static void NAME(add_product)(long rows, long columns, long count, const float *c, long c_stride, long c_step,
                              const float *v, long v_stride, float *out, long out_stride)
{
    for (long vectors = (columns + WIDTH - 1) / WIDTH; vectors > 0; vectors -= STRIP) {
        for (long r = 0; r < rows; r += ROWS) {
            const float *factors = c + r * c_stride;
            float *sums = out + r * out_stride;
            switch (rows - r) {
            case 1: NAME(strip)(1, vectors, count, factors, c_stride, c_step, v, v_stride, sums, out_stride); break;
            case 2: NAME(strip)(2, vectors, count, factors, c_stride, c_step, v, v_stride, sums, out_stride); break;
            case 3: NAME(strip)(3, vectors, count, factors, c_stride, c_step, v, v_stride, sums, out_stride); break;
            default: NAME(strip)(ROWS, vectors, count, factors, c_stride, c_step, v, v_stride, sums, out_stride);
            }
        }
        v += STRIP * WIDTH;
        out += STRIP * WIDTH;
    }
}
