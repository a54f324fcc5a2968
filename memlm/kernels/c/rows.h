/* Rows of an embedding table: sum them by word, and add them to the table. */

/* The sum of the rows of all positions of a word, in the order of the positions. */
static void NAME(sum_word)(const void *given, long word, float *scratch)
{
    const struct sums *job = given;
    float *out = job->out + word * job->units;
    const float *row = job->rows + job->order[job->first[word]] * job->units;
    memcpy(out, row, sizeof(float) * job->units);
    for (long i = job->first[word] + 1; i < job->first[word + 1]; i++) {
        row = job->rows + job->order[i] * job->units;
        for (long d = 0; d < job->units; d++)
            out[d] += row[d];
    }
    (void)scratch;
}

static void NAME(add_row)(const void *given, long i, float *scratch)
{
    const struct additions *job = given;
    float *out = job->table + job->words[i] * job->units;
    const float *row = job->rows + i * job->units;
    float factor = job->factor;
    for (long d = 0; d < job->units; d++)
        out[d] += factor * row[d];
    (void)scratch;
}
