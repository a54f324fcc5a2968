/* The kernels. This file is included once for each vector length: WIDTH floats per vector, STRIP vectors (at most 6)
 * per row of a tile, and NAME(x) for distinct names. */

typedef float NAME(vec) __attribute__((vector_size(4 * WIDTH), aligned(4), may_alias));
typedef int NAME(ints) __attribute__((vector_size(4 * WIDTH), aligned(4), may_alias));
#define VEC NAME(vec)
#define INTS NAME(ints)

#include "products.h"
#include "softmax.h"
#include "hops.h"
#include "rows.h"

static const struct kernels NAME(kernels) = {NAME(forward_row), NAME(backward_row), NAME(softmax_row), NAME(sum_word),
                                             NAME(add_row)};

#undef VEC
#undef INTS
#undef NAME
#undef STRIP
#undef WIDTH
