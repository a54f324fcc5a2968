/* The hops of MemN2N and the softmax of its output layer, in float32 on a CPU. PyTorch's operators are slow here,
 * since each of them does little work (RESULTS.md, "compiled kernels").
 *
 * __init__.py finds and calls these functions; hops.py, softmax.py and rows.py beside it prepare the arguments.
 * Each row is computed by a single thread, so results do not depend on the number of threads.
 *
 * B rows, L targets per row, N memory slots, M = L+N-1 words in the windows of a row, K hops, D units, R restarts.
 */

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(long) == 8, "indices are int64");

#define INLINE static inline __attribute__((always_inline))
#define ROWS 4 /* of a tile: 4 * STRIP sums and STRIP + 1 other vectors fit the registers */
#if defined(__clang__)
#define UNROLLED _Pragma("clang loop unroll(full)")
#else
#define UNROLLED _Pragma("GCC unroll 8")
#endif

typedef unsigned bits __attribute__((may_alias)); /* the bits of a float */

/* Rows of D floats are padded to `pad_D`, rows of N to `pad_N`, and rows of M to `pad_M`. */
struct hops {
    long rows, targets, slots, units, hops, tables, words_in_row; /* B, L, N, D, K, embedding tables, M */
    long pad_D, pad_N, pad_M;
    long linear;           /* the ReLU applies to the units from this one on */
    long same_memories;    /* how many hops share their memories: 1 or K */
    long rows_per_restart; /* how many consecutive rows share times and transition */
    long wants_first;      /* whether the gradient of the first state is wanted */
    const long *matched, *read;           /* (K): the table that each hop matches, and the one that it reads */
    const long *ids;                      /* (B, M): the words, as rows of the tables */
    const float *const *embeddings;       /* per table: rows of D floats */
    const float *const *times;            /* per table: (R, N, pad_D), or NULL */
    const float *const *times_transposed; /* per table: (R, D, pad_N), or NULL */
    const float *transition;              /* (R, D, pad_D), or NULL */
    const float *transition_transposed;   /* the same, transposed */
    const unsigned char *filled;          /* (B, M): which words exist; NULL if all do */
    float *states;                        /* (B, L, K, pad_D): the state before each hop; the first one is input */
    float *last;                          /* (B, L, pad_D): the state after the last hop */
    float *weights;                       /* (B, L, K, pad_M): the attention, as bands (hops.h) */
    float *grad_state;                    /* (B, L, pad_D); in: of the last state; out: of the first, if wanted */
    float *grad_sums, *grad_scores;       /* before the ReLU and the softmax; shapes of states and weights */
    float *const *grad_words;             /* per table: (B, M, D) */
};

struct softmax {
    void *logits; /* (rows, classes), float32 or bfloat16; out: their gradient if wanted, or else arbitrary */
    const long *targets;
    float *nats; /* (rows) */
    long rows, classes;
    long wants_gradient, is_bfloat16;
};

/* Sum rows, one per position of a text, by the word at the position. */
struct sums {
    long vocabulary, positions, words, units; /* ids are below `vocabulary` */
    const long *ids;     /* (positions) */
    long *unique;        /* (words): the unique ids, ascending */
    long *order, *first; /* (positions), (words + 1): order[first[w]..first[w + 1]] are the positions of unique[w] */
    const float *rows;   /* (positions, units) */
    float *out;          /* (words, units) */
};

/* Add rows to a table. */
struct additions {
    float *table;
    const long *words;
    const float *rows; /* (count, units): factor * rows are added to the rows `words` of the table */
    long count, units;
    double factor;
};

typedef void (*Row)(const void *job, long row, float *scratch);

struct kernels {
    Row forward, backward, softmax, sum_word, add_row;
};

/* The embedding of word m of a row. */
static const float *word_of(const struct hops *h, long table, long row, long m)
{
    return h->embeddings[table] + h->ids[row * h->words_in_row + m] * h->units;
}

static const float *times_of(const struct hops *h, long table, long restart)
{
    return h->times ? h->times[table] + restart * h->slots * h->pad_D : NULL;
}

static const float *times_transposed_of(const struct hops *h, long table, long restart)
{
    return h->times ? h->times_transposed[table] + restart * h->units * h->pad_N : NULL;
}

static const float *transition_of(const struct hops *h, const float *matrices, long restart)
{
    return matrices ? matrices + restart * h->units * h->pad_D : NULL;
}

#define WIDTH 4
#define STRIP 2
#define NAME(x) any_##x
#include "kernels.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define FOR_X86
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#define WIDTH 8
#define STRIP 3
#define NAME(x) avx2_##x
#include "kernels.h"
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,fma,prefer-vector-width=512")
#define WIDTH 16
#define STRIP 6
#define NAME(x) avx512_##x
#include "kernels.h"
#pragma GCC pop_options
#endif

static const struct kernels *kernels(long floats)
{
#if defined(FOR_X86)
    if (floats >= 16 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return &avx512_kernels;
    if (floats >= 8 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return &avx2_kernels;
#endif
    (void)floats;
    return &any_kernels;
}

struct work {
    Row row;
    const void *job;
    long rows, at_once, scratch;
    atomic_long next;
    atomic_int failed;
};

static void work(void *given)
{
    struct work *w = given;
    float *scratch = calloc(w->scratch + 1, sizeof(float)); /* zeros, since the padding is multiplied too */
    if (!scratch)
        w->failed = 1;
    for (long row; scratch && (row = atomic_fetch_add(&w->next, w->at_once)) < w->rows;)
        for (long i = row; i < w->rows && i < row + w->at_once; i++)
            w->row(w->job, i, scratch);
    free(scratch);
}

/* GOMP_parallel of the OpenMP that PyTorch has loaded. A second OpenMP would compete with its threads. */
typedef void (*Parallel)(void (*function)(void *), void *data, unsigned threads, unsigned flags);

struct machine {
    Parallel parallel;
    long threads, floats; /* floats per vector, at most */
};

/* The results of a function. */
enum { DONE, NO_MEMORY, OTHER_VERSION };

static int run(const struct machine *machine, Row row, const void *job, long rows, long at_once, long scratch)
{
    struct work w = {.row = row, .job = job, .rows = rows, .at_once = at_once, .scratch = scratch};
    long tasks = (rows + at_once - 1) / at_once, threads = machine->threads < tasks ? machine->threads : tasks;
    if (machine->parallel && threads > 1)
        machine->parallel(work, &w, threads, 0);
    else
        work(&w);
    return w.failed ? NO_MEMORY : DONE;
}

/* Floats for the words of a row as (D, M) and (M, D); enough for ROWS gradients of words, too. */
static long scratch_of(const struct hops *h)
{
    return h->units * h->pad_M + (h->words_in_row + ROWS) * h->pad_D;
}

int memlm_hops_forward(const struct machine *machine, const struct hops *h, long size)
{
    if (size != sizeof(*h))
        return OTHER_VERSION;
    return run(machine, kernels(machine->floats)->forward, h, h->rows, 1, scratch_of(h));
}

int memlm_hops_backward(const struct machine *machine, const struct hops *h, long size)
{
    if (size != sizeof(*h))
        return OTHER_VERSION;
    return run(machine, kernels(machine->floats)->backward, h, h->rows, 1, scratch_of(h));
}

int memlm_softmax(const struct machine *machine, const struct softmax *s, long size)
{
    if (size != sizeof(*s))
        return OTHER_VERSION;
    return run(machine, kernels(machine->floats)->softmax, s, s->rows, 1, s->is_bfloat16 ? s->classes : 0);
}

/* Find the unique words among the ids, and the positions of each. */
int memlm_find_words(const struct machine *machine, struct sums *s, long size)
{
    (void)machine; /* the work is not parallel */
    if (size != sizeof(*s))
        return OTHER_VERSION;
    long table = s->vocabulary;
    unsigned long long *seen = calloc(table / 64 + 1, sizeof(*seen));
    long *number = malloc(table * sizeof(*number)), *first = s->first;
    if (!seen || !number) {
        free(seen);
        free(number);
        return NO_MEMORY;
    }
    for (long i = 0; i < s->positions; i++)
        seen[s->ids[i] / 64] |= 1ULL << s->ids[i] % 64;
    s->words = 0;
    for (long i = 0; i <= table / 64; i++)
        for (; seen[i]; seen[i] &= seen[i] - 1) {
            long word = 64 * i + __builtin_ctzll(seen[i]);
            first[s->words] = 0;
            number[word] = s->words;
            s->unique[s->words++] = word;
        }
    for (long i = 0; i < s->positions; i++)
        first[number[s->ids[i]]]++;
    for (long w = 1; w < s->words; w++)
        first[w] += first[w - 1]; /* the end of each word's positions, which are filled in backwards */
    first[s->words] = s->positions;
    for (long i = s->positions - 1; i >= 0; i--)
        s->order[--first[number[s->ids[i]]]] = i;
    free(seen);
    free(number);
    return DONE;
}

#define ROWS_AT_ONCE 16 /* of a table: a task costs as much as one row */

int memlm_sum_words(const struct machine *machine, const struct sums *s, long size)
{
    if (size != sizeof(*s))
        return OTHER_VERSION;
    return run(machine, kernels(machine->floats)->sum_word, s, s->words, ROWS_AT_ONCE, 0);
}

int memlm_add_rows(const struct machine *machine, const struct additions *a, long size)
{
    if (size != sizeof(*a))
        return OTHER_VERSION;
    return run(machine, kernels(machine->floats)->add_row, a, a->count, ROWS_AT_ONCE, 0);
}

/* The number of floats per vector in the kernels of this machine. */
long memlm_floats(void)
{
    const struct kernels *found = kernels(16);
    return found == &any_kernels ? 4 : found == kernels(8) ? 8 : 16;
}
