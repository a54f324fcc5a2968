/* The hops of MemN2N and the softmax of its output layer, in float32 on a CPU: what PyTorch's operators are slow at,
 * for each of them is small (RESULTS.md, "compiled kernels").
 *
 * __init__.py finds and calls these functions; hops.py, softmax.py and rows.py beside it prepare their jobs.
 * Work is shared out by rows, each computed by one thread alone: results do not depend on the number of threads.
 *
 * B rows, L targets in a row, N memory slots, M = L+N-1 words that the windows of a row cover, K hops, D units.
 */

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(long) == 8, "indices are int64");

#define INLINE static inline __attribute__((always_inline))
#define ROWS 4 /* of a tile of a product: 4 times STRIP sums and STRIP + 1 vectors fit the registers */
#if defined(__clang__)
#define UNROLLED _Pragma("clang loop unroll(full)")
#else
#define UNROLLED _Pragma("GCC unroll 8")
#endif

typedef unsigned bits __attribute__((may_alias)); /* of a float */

/* A matrix whose rows are padded to `wide` floats is (..., D), to `slots_wide` (..., N), to `words_wide` (..., M). */
struct hops {
    long rows, targets, slots, units, hops, tables, words_in_row; /* B, L, N, D, K, embeddings, M */
    long wide, slots_wide, words_wide;
    long linear;          /* a ReLU goes over the units from this one on */
    long alike;           /* how many hops use the same memories: 1 or K */
    long rows_of_restart; /* the rows that share times and a transition, which follow each other for each restart */
    long wants_first;     /* whether anyone wants the gradient of the first state */
    const long *matched, *read;                /* (K): the table that a hop matches, and the one that it reads */
    const long *ids;                           /* (B, M): the rows of the tables in which the words are */
    const float *const *embeddings;            /* of each table, rows of D floats */
    const float *const *times;                 /* of each table (R, N, wide), or NULL */
    const float *const *times_across;          /* the same as (R, D, slots_wide) */
    const float *transition;                   /* (R, D, wide), or NULL */
    const float *transition_across;            /* the same, transposed */
    const unsigned char *filled;               /* (B, M), or NULL: which words there are */
    float *states;                             /* (B, L, K, wide): the state before each hop; in: before the first */
    float *last;                               /* (B, L, wide): the state after the last one */
    float *weights;                            /* (B, L, K, words_wide): the attention, as bands (hops.h) */
    float *gradient;                           /* (B, L, wide); in: of the last state; out: of the first, if wanted */
    float *of_sums, *of_scores;                /* gradients, as states and weights: before the ReLU and the softmax */
    float *const *of_words;                    /* of each table (B, M, D) */
};

struct softmax {
    void *logits; /* (rows, classes), float32 or bfloat16; out: their gradient, or anything */
    const long *targets;
    float *nats; /* (rows) */
    long rows, classes;
    long gradient, low; /* whether the gradient is wanted, and whether the logits are bfloat16 */
};

/* Rows of places in a text, to be summed by the word that stands there. */
struct sums {
    long table, places, words, units; /* ids are below `table` */
    const long *ids;     /* (places) */
    long *different;     /* (words): the ids there are, in order */
    long *order, *first; /* (places), (words + 1): order[first[w]..first[w + 1]] are the places of different[w] */
    const float *rows;   /* (places, units) */
    float *out;          /* (words, units) */
};

struct additions {
    float *table;
    const long *words;
    const float *rows; /* (count, units), added times `factor` to the rows `words` of the table */
    long count, units;
    double factor;
};

typedef void (*Row)(const void *job, long row, float *scratch);

struct kernels {
    Row forward, backward, softmax, sum_word, add_row;
};

/* A word of a row in a table. */
static const float *word_of(const struct hops *h, long table, long row, long m)
{
    return h->embeddings[table] + h->ids[row * h->words_in_row + m] * h->units;
}

static const float *times_of(const struct hops *h, long table, long restart)
{
    return h->times ? h->times[table] + restart * h->slots * h->wide : NULL;
}

static const float *times_across_of(const struct hops *h, long table, long restart)
{
    return h->times ? h->times_across[table] + restart * h->units * h->slots_wide : NULL;
}

static const float *transition_of(const struct hops *h, const float *matrices, long restart)
{
    return matrices ? matrices + restart * h->units * h->wide : NULL;
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
    float *scratch = calloc(w->scratch + 1, sizeof(float)); /* zeros: the padding is multiplied too, if for nothing */
    if (!scratch)
        w->failed = 1;
    for (long row; scratch && (row = atomic_fetch_add(&w->next, w->at_once)) < w->rows;)
        for (long i = row; i < w->rows && i < row + w->at_once; i++)
            w->row(w->job, i, scratch);
    free(scratch);
}

/* GOMP_parallel of the OpenMP that PyTorch has loaded: a second one would compete with its threads. */
typedef void (*Parallel)(void (*function)(void *), void *data, unsigned threads, unsigned flags);

struct machine {
    Parallel parallel;
    long threads, floats; /* floats to a vector, at most */
};

/* What a function returns. */
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

/* Floats for a row's words as (D, M) and as (M, D), or else for ROWS gradients of words. */
static long scratch_of(const struct hops *h)
{
    return h->units * h->words_wide + (h->words_in_row + ROWS) * h->wide;
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
    return run(machine, kernels(machine->floats)->softmax, s, s->rows, 1, s->low ? s->classes : 0);
}

/* Find the different words among the ids, and where each stands. */
int memlm_find_words(const struct machine *machine, struct sums *s, long size)
{
    (void)machine; /* there is nothing to share out */
    if (size != sizeof(*s))
        return OTHER_VERSION;
    long table = s->table;
    unsigned long long *seen = calloc(table / 64 + 1, sizeof(*seen));
    long *number = malloc(table * sizeof(*number)), *first = s->first;
    if (!seen || !number) {
        free(seen);
        free(number);
        return NO_MEMORY;
    }
    for (long i = 0; i < s->places; i++)
        seen[s->ids[i] / 64] |= 1ULL << s->ids[i] % 64;
    s->words = 0;
    for (long i = 0; i <= table / 64; i++)
        for (; seen[i]; seen[i] &= seen[i] - 1) {
            long word = 64 * i + __builtin_ctzll(seen[i]);
            first[s->words] = 0;
            number[word] = s->words;
            s->different[s->words++] = word;
        }
    for (long i = 0; i < s->places; i++)
        first[number[s->ids[i]]]++;
    for (long w = 1; w < s->words; w++)
        first[w] += first[w - 1]; /* the end of each word's places, from which they are filled in */
    first[s->words] = s->places;
    for (long i = s->places - 1; i >= 0; i--)
        s->order[--first[number[s->ids[i]]]] = i;
    free(seen);
    free(number);
    return DONE;
}

#define ROWS_AT_ONCE 16 /* of a table: to take a task costs as much as one of them */

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

/* How many floats a vector of this machine's kernels has. */
long memlm_floats(void)
{
    const struct kernels *found = kernels(16);
    return found == &any_kernels ? 4 : found == kernels(8) ? 8 : 16;
}
