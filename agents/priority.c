/* Prioritised draws of one agent: what agents/priority.py does for all of them, in the same order with the same bits.

   Compiled in one piece with sum_tree.c before it and fused.c behind it (agents/fused_build.py). Doubles are only
   added, subtracted, multiplied, divided and compared, nothing is contracted: numpy gives the same. */

#include <string.h>

enum { FOLLOWED_BY_ANOTHER_LIFE = 2 }; /* CUT of agents/replay.py */

typedef struct { /* the same fields in the same order as the end of agents/fused_job.py Job */
    double *levels, *largest; /* all sums and leaves (agents/sum_tree.py), null: no priorities; [P] */
    int64_t *waiting; /* [P] */
    int64_t seats, depth;
    double alpha, beta, beta_updates, epsilon;
} trees;

/* x[n] to the power of `exponent` in [0,1], for 0 <= x < inf, as 2^(exponent log2 x), since the libraries' pow differ
   (priority.raised). Both series stand written out, the highest power first: only so is the loop vectorised. */
static void raise_all(double *x, int64_t n, double exponent) {
    const int64_t tiny = 0x0010000000000000; /* bits of 2^-1022 */
    const double whole = 0x1.8p52;
    for (int64_t i = 0; i < n; i++) {
        double m, scale;
        int64_t bits, places;
        memcpy(&bits, x + i, sizeof bits);
        bits = bits > tiny ? bits : tiny;
        const int64_t over = bits - 0x3FE6A09E667F3BCD; /* x = m 2^k with m between the roots of 1/2 and 2 */
        bits -= over & ~0xFFFFFFFFFFFFF;
        memcpy(&m, &bits, sizeof m);
        const double s = (m - 1.0) / (m + 1.0), z = s * s; /* log2 m = 2 / ln 2 (s + s^3 / 3 + s^5 / 5 + ...) */
        double sum = 0.15186263588304877;
        sum = sum * z + 0.16972882833987804;
        sum = sum * z + 0.19235933878519512;
        sum = sum * z + 0.22195308321368667;
        sum = sum * z + 0.2623081892525388;
        sum = sum * z + 0.3205988979753252;
        sum = sum * z + 0.4121985831111324;
        sum = sum * z + 0.5770780163555853;
        sum = sum * z + 0.9617966939259756;
        sum = sum * z + 2.8853900817779268;
        const double y = exponent * ((double)(over >> 52) + s * sum), rounded = y + whole, rest = y - (rounded - whole);
        sum = 2.5678435993488206e-11; /* 2^rest = 1 + rest ln 2 + (rest ln 2)^2 / 2! + ... */
        sum = sum * rest + 4.4455382718708116e-10;
        sum = sum * rest + 7.054911620801123e-09;
        sum = sum * rest + 1.01780860092397e-07;
        sum = sum * rest + 1.321548679014431e-06;
        sum = sum * rest + 1.5252733804059841e-05;
        sum = sum * rest + 0.0001540353039338161;
        sum = sum * rest + 0.0013333558146428443;
        sum = sum * rest + 0.009618129107628477;
        sum = sum * rest + 0.05550410866482158;
        sum = sum * rest + 0.24022650695910072;
        sum = sum * rest + 0.6931471805599453;
        sum = sum * rest + 1.0;
        memcpy(&places, &rounded, sizeof places); /* the integer stands in the lowest bits */
        places = (int64_t)((uint64_t)places << 52) + 0x3FF0000000000000;
        memcpy(&scale, &places, sizeof scale);
        x[i] = sum * scale;
    }
}

static double *level_of(const trees *t, int64_t seat, int64_t d) {
    return t->levels + t->seats * (((int64_t)1 << d) - 1) + (seat << d);
}

/* Give rows from .. to - 1 of the ring their priority, and the sums above them; the newest n_step are after `ripe`. */
static void enter(const trees *t, int64_t seat, const uint8_t *done, int64_t from, int64_t to, int64_t ripe, double entry) {
    double *leaf = level_of(t, seat, t->depth);
    for (int64_t row = from; row < to; row++)
        leaf[row] = row < ripe && done[row] != FOLLOWED_BY_ANOTHER_LIFE ? entry : 0.0;
    for (int64_t d = t->depth - 1; d >= 0 && from < to; d--) {
        double *above = level_of(t, seat, d);
        const double *below = level_of(t, seat, d + 1);
        from >>= 1, to = (to + 1) >> 1;
        for (int64_t i = from; i < to; i++) above[i] = below[2 * i] + below[2 * i + 1];
    }
}

/* Take in the rows that were added since (Priorities._see): a stretch of the ring, in two where it wraps. */
static void take_in(const trees *t, int64_t seat, const uint8_t *done, int64_t write, int64_t filled, int64_t capacity,
                    int64_t n_step) {
    const int64_t fresh = t->waiting[seat] < filled ? t->waiting[seat] : filled;
    t->waiting[seat] = 0;
    if (!fresh) return;
    const int64_t count = n_step + fresh < filled ? n_step + fresh : filled, ripe = write - n_step;
    const double entry = t->largest[seat] > 0.0 ? t->largest[seat] : 1.0;
    if (count > write) enter(t, seat, done, write - count + capacity, capacity, ripe + capacity, entry);
    enter(t, seat, done, write - count > 0 ? write - count : 0, write, ripe, entry);
}

/* rest[n], counted from the left, leads to leaf flat[n], never into an empty subtree (sum_tree.descend_with_care). */
static void descend_with_care(const trees *t, int64_t seat, int64_t n, double *rest, int64_t *flat) {
    for (int64_t i = 0; i < n; i++) {
        int64_t node = 0;
        for (int64_t d = 1; d <= t->depth; d++) {
            const double *level = level_of(t, seat, d), left = level[2 * node];
            const int64_t right = rest[i] >= left && level[2 * node + 1] > 0.0;
            rest[i] -= right ? left : 0.0;
            node = 2 * node + right;
        }
        flat[i] = (seat << t->depth) + node;
    }
}

typedef struct { /* the draws of one agent, on their way down its tree while another one learns */
    int64_t seat, level;
    double *mass, *rest; /* [B] counted from the left of the tree, of the subtree */
    int64_t *flat, *row; /* [B] leaf of all trees, row of the ring */
    float *weight; /* [B] */
} draws;

enum { NEAR = 7 }; /* levels that are asked for as a whole: 34 cache lines */

/* Begin with w->mass[n] uniform in [0, 1), each in its part of the total (appendix B.2.1). */
static void begin_draws(const trees *t, draws *w, int64_t seat, int64_t n) {
    const double part = t->levels[seat] / (double)n;
    w->seat = seat, w->level = 0;
    for (int64_t i = 0; i < n; i++) {
        w->mass[i] = w->rest[i] = ((double)i + w->mass[i]) * part;
        w->flat[i] = seat;
    }
    for (int64_t d = 1; d <= NEAR && d <= t->depth; d++)
        for (int64_t i = 0; i < (int64_t)1 << d; i += 8) __builtin_prefetch(level_of(t, seat, d) + i);
}

/* Some levels further, and ask for the nodes of the next: what comes between two calls hides the way to memory. */
static void go_down(const trees *t, draws *w, int64_t n, int64_t levels) {
    while (levels-- > 0 && w->level < t->depth) one_level(level_of(t, 0, ++w->level), n, w->rest, w->flat);
    if (w->level >= t->depth) return;
    const double *below = level_of(t, 0, w->level + 1);
    for (int64_t i = 0; i < n; i++) __builtin_prefetch(below + 2 * w->flat[i]);
}

/* The rows that came out and their importance weights; leaf[n] is scratch. */
static void end_draws(const trees *t, draws *w, int64_t updates, int64_t n, double *leaf) {
    const double *leaves = level_of(t, 0, t->depth);
    double lowest = 0.0;
    go_down(t, w, n, t->depth);
    for (int again = 0; again < 2; again++) {
        lowest = leaves[w->flat[0]];
        for (int64_t i = 0; i < n; i++) leaf[i] = leaves[w->flat[i]], lowest = leaf[i] < lowest ? leaf[i] : lowest;
        if (lowest > 0.0) break;
        if (!again) descend_with_care(t, w->seat, n, w->mass, w->flat);
    }
    const double share = (double)updates / t->beta_updates;
    for (int64_t i = 0; i < n; i++) w->row[i] = w->flat[i] - (w->seat << t->depth);
    for (int64_t i = 0; i < n; i++) leaf[i] = lowest > 0.0 ? lowest / leaf[i] : 0.0;
    raise_all(leaf, n, t->beta + (1.0 - t->beta) * (share < 1.0 ? share : 1.0));
    for (int64_t i = 0; i < n; i++) w->weight[i] = lowest > 0.0 ? (float)leaf[i] : 0.0f; /* or there is nothing to draw */
}

/* Give the leaves flat[n] the priority of their |TD error|; flat and leaf[n] are used up. */
static void remember_errors(const trees *t, int64_t seat, int64_t n, const float *error, double *leaf, int64_t *flat) {
    double *leaves = level_of(t, 0, t->depth), most = t->largest[seat];
    for (int64_t i = 0; i < n; i++) leaf[i] = (double)error[i] + t->epsilon;
    raise_all(leaf, n, t->alpha);
    for (int64_t i = 0; i < n; i++) leaf[i] = leaves[flat[i]] > 0.0 ? leaf[i] : 0.0; /* what may not be drawn stays so */
    for (int64_t i = 0; i < n; i++) {
        leaves[flat[i]] = leaf[i];
        most = leaf[i] > most ? leaf[i] : most;
    }
    t->largest[seat] = most;
    sum_tree_refresh(t->levels, t->seats, t->depth, n, flat);
}
