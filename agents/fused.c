/* One update of many agents, each worked off from its observations to its new weights while it lies in the cache.

   The mathematics is that of learn.py. Every sum has one order and every multiply-add is one fused operation on
   vectors of 16 floats, whatever width the processor has: the bytes that come out depend neither on the threads, nor
   on the neighbours, nor on the instruction set or the compiler. Hence no -ffast-math, and -ffp-contract=off.
   M, K are sizes; ld is the distance of two rows in floats; "padded" is a multiple of 16, the rest zeros. */

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define LANES 16
#define MAX_ACTIONS 8 /* a mask is a byte */
enum { GOES_ON, DONE, CUT }; /* agents/replay.py */
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")
#define EACH UNROLL for (int i = 0; i < PARTS; i++)
#define BOTH UNROLL for (int i = 0; i < HALVES; i++)

/* ---- what differs between processors: how many of their vectors make 16 floats, and the instructions ---- */

#if defined(__AVX512F__)
#define PARTS 1
#define HALVES 1
#elif defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#define PARTS 2
#define HALVES 1
#elif defined(__aarch64__)
#define PARTS 4
#define HALVES 2
#else
#error "this processor has no fused multiply-add (AVX2 with FMA and F16C, AVX-512 or 64-bit Arm)"
#endif

#define NATIVE (LANES / PARTS)
typedef float part __attribute__((vector_size(64 / PARTS), aligned(4), may_alias));
typedef int32_t bits __attribute__((vector_size(64 / PARTS)));
typedef float half __attribute__((vector_size(32 / HALVES), aligned(4), may_alias));
typedef struct { part p[PARTS]; } v16;
typedef struct { half p[HALVES]; } v8;

#if PARTS == 1
#define FMA(a, b, c) (part)_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(c))
#define FMA_HALF(a, b, c) (half)_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c))
#define SQRT(a) (part)_mm512_sqrt_ps((__m512)(a))
#define WIDEN(h) (part)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(h)))
#define LOW 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#define REPEAT(s) s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s
#define REPEAT_HALF(s) s, s, s, s, s, s, s, s
#define WIDE 4 /* v16 in a row of the largest tile: what the registers hold */
#define KEEP(a) __asm__("" : "+v"(a.p[0])) /* in its register: loaded again for each product, loads are the limit */
#elif PARTS == 2
#define FMA(a, b, c) (part)_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c))
#define FMA_HALF(a, b, c) FMA(a, b, c)
#define SQRT(a) (part)_mm256_sqrt_ps((__m256)(a))
#define WIDEN(h) (part)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(h)))
#define REPEAT(s) s, s, s, s, s, s, s, s
#define REPEAT_HALF(s) REPEAT(s)
#define LOW 0, 8, 1, 9, 2, 10, 3, 11
#define HIGH 4, 12, 5, 13, 6, 14, 7, 15
#define WIDE 1
#define KEEP(a) __asm__("" : "+x"(a.p[0]), "+x"(a.p[1]))
#else
#define FMA(a, b, c) (part)vfmaq_f32((float32x4_t)(c), (float32x4_t)(a), (float32x4_t)(b))
#define FMA_HALF(a, b, c) FMA(a, b, c)
#define SQRT(a) (part)vsqrtq_f32((float32x4_t)(a))
#define WIDEN(h) (part)vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(h)))
#define REPEAT(s) s, s, s, s
#define REPEAT_HALF(s) REPEAT(s)
#define LOW 0, 4, 1, 5
#define HIGH 2, 6, 3, 7
#define WIDE 1
#define KEEP(a) __asm__("" : "+w"(a.p[0]), "+w"(a.p[1]), "+w"(a.p[2]), "+w"(a.p[3]))
#endif

#ifdef __clang__
#define ZIP(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define ZIP(a, b, ...) __builtin_shuffle(a, b, (bits){__VA_ARGS__})
#endif

INLINE v16 load16(const float *m) { v16 a; EACH a.p[i] = *(const part *)(m + NATIVE * i); return a; }
INLINE void store16(float *m, v16 a) { EACH *(part *)(m + NATIVE * i) = a.p[i]; }
INLINE v16 widen16(const uint16_t *h) { v16 a; EACH a.p[i] = WIDEN(h + NATIVE * i); return a; }
INLINE v16 splat16(float s) { v16 a; EACH a.p[i] = (part){REPEAT(s)}; return a; }
INLINE v16 fma16(v16 a, v16 b, v16 c) { EACH c.p[i] = FMA(a.p[i], b.p[i], c.p[i]); return c; }
INLINE v16 add16(v16 a, v16 b) { EACH a.p[i] += b.p[i]; return a; }
INLINE v16 sub16(v16 a, v16 b) { EACH a.p[i] -= b.p[i]; return a; }
INLINE v16 mul16(v16 a, v16 b) { EACH a.p[i] *= b.p[i]; return a; }
INLINE v16 div16(v16 a, v16 b) { EACH a.p[i] /= b.p[i]; return a; }
INLINE v16 sqrt16(v16 a) { EACH a.p[i] = SQRT(a.p[i]); return a; }
INLINE v16 relu16(v16 a) { EACH a.p[i] = (part)((bits)a.p[i] & ~(bits)(a.p[i] < (part){0})); return a; } /* keeps NaN */
INLINE v16 gate16(v16 a, v16 h) { EACH a.p[i] = (part)((bits)a.p[i] & (bits)(h.p[i] > (part){0})); return a; }
INLINE v8 load8(const float *m) { v8 a; BOTH a.p[i] = *(const half *)(m + 8 / HALVES * i); return a; }
INLINE void store8(float *m, v8 a) { BOTH *(half *)(m + 8 / HALVES * i) = a.p[i]; }
INLINE v8 splat8(float s) { v8 a; BOTH a.p[i] = (half){REPEAT_HALF(s)}; return a; }
INLINE v8 fma8(v8 a, v8 b, v8 c) { BOTH c.p[i] = FMA_HALF(a.p[i], b.p[i], c.p[i]); return c; }
INLINE v8 add8(v8 a, v8 b) { BOTH a.p[i] += b.p[i]; return a; }

static float sum_of(const float *a, int n) { /* 8 or 16: always the same tree */
    if (n == 16) {
        float both[8];
        for (int i = 0; i < 8; i++) both[i] = a[i] + a[i + 8];
        return sum_of(both, 8);
    }
    return ((a[0] + a[4]) + (a[1] + a[5])) + ((a[2] + a[6]) + (a[3] + a[7]));
}

/* ---- products ---- */

/* R rows and V vectors of c [M,N] = bias + a @ w; a's element (m, k) lies at a[m * row + k * col]. */
INLINE void tile(const int R, const int V, float *c, long ldc, const float *a, long row, long col, const float *w,
                 long ldw, long depth, const float *bias, const int relu) {
    v16 sum[8][4];
    UNROLL for (int r = 0; r < R; r++)
        UNROLL for (int v = 0; v < V; v++) sum[r][v] = bias ? load16(bias + LANES * v) : splat16(0.0f);
    for (long k = 0; k < depth; k++) {
        v16 weights[4];
        UNROLL for (int v = 0; v < V; v++) weights[v] = load16(w + k * ldw + LANES * v);
        UNROLL for (int v = 0; v < V; v++) KEEP(weights[v]);
        UNROLL for (int r = 0; r < R; r++) {
            v16 x = splat16(a[r * row + k * col]);
            UNROLL for (int v = 0; v < V; v++) sum[r][v] = fma16(x, weights[v], sum[r][v]);
        }
    }
    UNROLL for (int r = 0; r < R; r++)
        UNROLL for (int v = 0; v < V; v++)
            store16(c + r * ldc + LANES * v, relu ? relu16(sum[r][v]) : sum[r][v]);
}

INLINE void column(const int R, const int V, float *c, long ldc, const float *a, long row, long col, const float *w,
                   long ldw, long rows, long depth, const float *bias, const int relu) {
    long m = 0;
    for (; m + R <= rows; m += R) tile(R, V, c + m * ldc, ldc, a + m * row, row, col, w, ldw, depth, bias, relu);
    for (; m < rows; m++) tile(1, V, c + m * ldc, ldc, a + m * row, row, col, w, ldw, depth, bias, relu);
}

/* c [rows,n] = bias + a [rows,depth] @ w [depth,n] for padded n; with relu if asked. How it is cut up is not seen. */
INLINE void product(float *c, long ldc, const float *a, long row, long col, const float *w, long ldw, long rows,
                    long n, long depth, const float *bias, const int relu) {
    long j = 0;
#if WIDE == 4
    for (; j + 4 * LANES <= n; j += 4 * LANES)
        column(4, 4, c + j, ldc, a, row, col, w + j, ldw, rows, depth, bias ? bias + j : 0, relu);
    for (; j + 2 * LANES <= n; j += 2 * LANES)
        column(8, 2, c + j, ldc, a, row, col, w + j, ldw, rows, depth, bias ? bias + j : 0, relu);
#endif
    for (; j < n; j += LANES)
        column(4, 1, c + j, ldc, a, row, col, w + j, ldw, rows, depth, bias ? bias + j : 0, relu);
}

static void layer(float *h, long ldh, const float *x, long ldx, const float *w, const float *bias, long rows, long k) {
    product(h, ldh, x, ldx, 1, w, ldh, rows, ldh, k, bias, 1);
}

/* dw [m,n] = a [depth,m] transposed @ d [depth,n] */
static void outer(float *dw, long n, const float *a, long lda, const float *d, long m, long depth) {
    product(dw, n, a, 1, lda, d, n, m, n, depth, 0, 0);
}

static void back(float *dx, long ldx, const float *d, long ldd, const float *transposed, long rows, long k) {
    product(dx, ldx, d, ldd, 1, transposed, ldx, rows, ldx, k, 0, 0);
}

/* ---- one agent ---- */

typedef struct { /* the same fields in the same order as agents/fused_job.py Job */
    int64_t obs_dim, hidden1, hidden2, actions, n_params, batch, count;
    int64_t dueling, double_q, mask, target, hard_every; /* target: 0 none, 1 soft, 2 hard */
    double beta1, beta2;
    float eps, huber, clip, unused;
    float *params, *frozen, *moment1, *moment2; /* [P,n_params] */
    int64_t *steps; /* [P] */
    const int64_t *seats; /* [N], as are the next three */
    const uint8_t *wanted;
    const float *rate, *tau; /* [P], by seat */
    /* the transitions: either those of a batch, */
    const float *x; /* [N,2B,D], or null: then the replay's */
    const int64_t *a_tm1; /* [N,B] */
    const float *r_t, *discount_t; /* [N,B] */
    const uint8_t *legal_t; /* [N,B] */
    const float *weight; /* [N,B] or null; either way */
    /* or those of the replay (Replay.transitions) */
    const uint16_t *obs; /* [P,C,D] half precision */
    const int8_t *action; /* [P,C], as are the next three */
    const float *reward;
    const uint8_t *done, *legal;
    const int64_t *write, *filled; /* [P] */
    const float *gamma; /* [N] */
    int64_t capacity, n_step;
    const int64_t *row; /* [N,B] where the transitions begin, or null: drawn uniformly (rng.uniforms, Replay.draw) */
    const int64_t *ids; /* [N] */
    uint64_t key, tick, column;
    float *figures; /* [5,N]: loss, |TD error|, gradient norm, mean Q, largest |Q| */
    float *priority; /* [N,B] or null: unweighted |TD error| */
    uint8_t *good; /* [N] */
    int64_t *next; /* the row that nobody has taken yet */
    const int64_t *rows; /* [N] how many of the B observations are asked about, or null: all */
    float *q; /* [N,B,A], or null where only a decision is asked for */
    const double *explore; /* [N] the probability of it; as are the next two */
    int8_t *decided;
    uint8_t *forbidden; /* whether the best action by Q alone is illegal */
    trees priorities; /* with levels: drawn from them (priority.c), and the errors remembered there */
} job;

typedef struct { /* a network's weights, padded */
    const float *origin, *w1, *b1, *w2, *b2, *w3, *b3;
    float *q_rows, *q_columns, *q_bias; /* the head that gives Q at once: [A,p2], [H2,8], [8] */
} net;

typedef struct {
    long p1, p2; /* padded widths */
    int padded; /* whether they differ from the true ones: then the weights are copied */
    float *packed[2], *heads[2], *x, *h1, *h2, *t1, *t2, *q, *t_q, *d1, *d2, *d_head, *transposed, *gradient, *wide;
    float *slope, *reward, *discount, *weight;
    double *leaf, *u;
    int64_t *action, *row, *after;
    uint8_t *legal;
    draws now, coming; /* by priority: of the agent that learns, of the next one */
} space;

typedef struct { /* the transitions of one agent */
    const float *x, *r_t, *discount_t, *weight;
    const int64_t *a_tm1;
    const uint8_t *legal_t;
} sample;

INLINE long up(long n) { return (n + LANES - 1) / LANES * LANES; }

static long packed_size(const job *j) {
    return j->obs_dim * up(j->hidden1) + up(j->hidden1) + (j->hidden1 + 1 + j->actions + 1) * up(j->hidden2) + LANES;
}

/* Cut `memory` into the buffers of one worker, or only count their floats. */
static long divide(const job *j, space *s, float *memory) {
    long p1 = up(j->hidden1), p2 = up(j->hidden2), b = j->batch, at = 0;
    s->p1 = p1, s->p2 = p2, s->padded = p1 != j->hidden1 || p2 != j->hidden2;
    struct { float **place; long size; } parts[] = {
        {&s->packed[0], packed_size(j)}, {&s->packed[1], packed_size(j)}, {&s->x, 2 * b * j->obs_dim},
        {&s->heads[0], (MAX_ACTIONS * 2 + 1) * (p2 + MAX_ACTIONS)},
        {&s->heads[1], (MAX_ACTIONS * 2 + 1) * (p2 + MAX_ACTIONS)},
        {&s->h1, 2 * b * p1}, {&s->h2, 2 * b * p2}, {&s->t1, b * p1}, {&s->t2, b * p2},
        {&s->q, 2 * b * MAX_ACTIONS}, {&s->t_q, b * MAX_ACTIONS}, {&s->d1, b * p1}, {&s->d2, b * p2},
        {&s->d_head, (MAX_ACTIONS + 1) * p2}, {&s->transposed, p1 * p2}, {&s->gradient, j->n_params},
        {&s->wide, packed_size(j)}, {&s->slope, b},
        {&s->reward, b}, {&s->discount, b}, {&s->weight, b}, {(float **)&s->action, 2 * b}, {(float **)&s->row, 2 * b},
        {(float **)&s->after, 2 * b}, {(float **)&s->legal, b}, {(float **)&s->leaf, 2 * b}, {(float **)&s->u, 2 * b},
        {(float **)&s->now.mass, 2 * b}, {(float **)&s->now.rest, 2 * b}, {(float **)&s->now.flat, 2 * b},
        {(float **)&s->now.row, 2 * b}, {&s->now.weight, b},
        {(float **)&s->coming.mass, 2 * b}, {(float **)&s->coming.rest, 2 * b}, {(float **)&s->coming.flat, 2 * b},
        {(float **)&s->coming.row, 2 * b}, {&s->coming.weight, b},
    };
    for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++) {
        *parts[i].place = memory + at;
        at += up(parts[i].size);
    }
    return at;
}

static void copy_rows(float *to, long ld_to, const float *from, long ld_from, long rows, long n) {
    for (long i = 0; i < rows; i++) {
        memcpy(to + i * ld_to, from + i * ld_from, n * sizeof(float));
        if (ld_to > n) memset(to + i * ld_to + n, 0, (ld_to - n) * sizeof(float));
    }
}

/* Where the weights of a row lie, after padding where the widths ask for it; and the head that gives Q at once:
   Q = T (w3 h + b3) = (T w3) h + T b3 with T of the dueling head (qnet.head_matrix). */
static net open_net(const job *j, const space *s, const float *row, float *packed, float *head) {
    long d = j->obs_dim, h1 = j->hidden1, h2 = j->hidden2, a = j->actions, o = a + j->dueling, p1 = s->p1, p2 = s->p2;
    net n = {row, row, row + d * h1, row + (d + 1) * h1, row + (d + 1 + h2) * h1, 0, 0, head, head + a * p2, 0};
    n.w3 = n.b2 + h2, n.b3 = n.w3 + o * h2, n.q_bias = n.q_columns + MAX_ACTIONS * p2;
    if (s->padded) {
        net to = {row, packed, packed + d * p1, packed + (d + 1) * p1, 0, 0, n.b3, n.q_rows, n.q_columns, n.q_bias};
        to.b2 = to.w2 + h1 * p2, to.w3 = to.b2 + p2;
        copy_rows((float *)to.w1, p1, n.w1, h1, d + 1, h1);
        copy_rows((float *)to.w2, p2, n.w2, h2, h1 + 1 + o, h2);
        n = to;
    }
    float part = -1.0f / (float)a, lift = 0.0f;
    if (j->dueling) {
        for (long i = 0; i < a; i++) lift = fmaf(part, n.b3[i], lift);
        lift += n.b3[a];
    }
    for (long i = 0; i < a; i++) n.q_bias[i] = n.b3[i] + lift;
    for (long c = 0; c < p2; c += LANES) {
        v16 common = splat16(0.0f);
        if (j->dueling) {
            for (long i = 0; i < a; i++) common = fma16(splat16(part), load16(n.w3 + i * p2 + c), common);
            common = add16(common, load16(n.w3 + a * p2 + c));
        }
        for (long i = 0; i < a; i++) {
            v16 weights = add16(load16(n.w3 + i * p2 + c), common);
            store16(n.q_rows + i * p2 + c, weights);
        }
    }
    return n;
}

/* Many rows are asked at once: the head is laid out by column, eight actions in a vector. */
static void turn_head(const net *n, long p2, long actions) {
    memset(n->q_columns, 0, MAX_ACTIONS * p2 * sizeof(float));
    for (long i = 0; i < actions; i++)
        for (long c = 0; c < p2; c++) n->q_columns[c * MAX_ACTIONS + i] = n->q_rows[i * p2 + c];
    for (long i = actions; i < MAX_ACTIONS; i++) n->q_bias[i] = 0.0f;
}

/* R rows of q [rows,8] from h2 [rows,p2] */
INLINE void q_tile(const int R, const net *n, const float *h2, long ld, long depth, float *q) {
    v8 sum[8];
    UNROLL for (int r = 0; r < R; r++) sum[r] = load8(n->q_bias);
    for (long k = 0; k < depth; k++) {
        v8 weights = load8(n->q_columns + k * MAX_ACTIONS);
        UNROLL for (int r = 0; r < R; r++) sum[r] = fma8(splat8(h2[r * ld + k]), weights, sum[r]);
    }
    UNROLL for (int r = 0; r < R; r++) store8(q + r * MAX_ACTIONS, sum[r]);
}

static void q_values(const job *j, const space *s, const net *n, const float *h2, float *q, long rows) {
    long m = 0;
    turn_head(n, s->p2, j->actions);
    for (; m + 8 <= rows; m += 8) q_tile(8, n, h2 + m * s->p2, s->p2, j->hidden2, q + m * MAX_ACTIONS);
    for (; m < rows; m++) q_tile(1, n, h2 + m * s->p2, s->p2, j->hidden2, q + m * MAX_ACTIONS);
}

/* ---- transitions out of the replay: the same numbers as Replay.draw and Replay.transitions give ---- */

static uint64_t mix(uint64_t x) { /* arena/rng.py */
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

static void uniforms(const job *j, int64_t n, double *u, int64_t count) { /* [count] */
    const uint64_t golden = 0x9E3779B97F4A7C15u;
    const uint64_t start = mix(mix((uint64_t)j->ids[n] * golden + j->key) + j->tick * 0x94D049BB133111EBu);
    for (int64_t i = 0; i < count; i++)
        u[i] = (double)(mix(start + (j->column + i + 1) * golden) >> 11) * 0x1p-53;
}

static void draw(const job *j, const space *s, int64_t n) {
    int64_t seat = j->seats[n], choices = j->filled[seat] - j->n_step, newest = j->write[seat] - 1 - j->n_step;
    uniforms(j, n, s->u, j->batch);
    for (int64_t i = 0; i < j->batch; i++) {
        int64_t row = newest - (int64_t)(s->u[i] * (double)(choices > 1 ? choices : 1));
        while (row < 0) row += j->capacity;
        s->row[i] = row;
    }
}

/* Draws by priority: row n's begin, go down a level while something else is done, end. */
static void begin(const job *j, space *s, int64_t n) {
    const trees *t = &j->priorities;
    if (!t->levels || n >= j->count) return;
    int64_t seat = j->seats[n];
    take_in(t, seat, j->done + seat * j->capacity, j->write[seat], j->filled[seat], j->capacity, j->n_step);
    uniforms(j, n, s->coming.mass, j->batch);
    begin_draws(t, &s->coming, seat, j->batch);
}

INLINE void meanwhile(const job *j, space *s, int64_t levels) {
    if (j->priorities.levels) go_down(&j->priorities, &s->coming, j->batch, levels);
}

INLINE int64_t around(const job *j, int64_t row) { return row >= j->capacity ? row - j->capacity : row; }

/* Reward, discount and successor of the transition that begins at `row`: Replay._sum_steps, one at a time. */
static void follow(const job *j, const space *s, const int64_t *row, int64_t base, long n, long i) {
    int64_t at = base + row[i], steps = 1;
    uint8_t code = j->done[at];
    float total = j->reward[at], gamma = j->gamma[n], discount = code == DONE ? 0.0f : gamma;
    s->action[i] = j->action[at];
    s->weight[i] = j->weight ? j->weight[n * j->batch + i] : code == CUT ? 0.0f : 1.0f;
    if (j->n_step == 1 && code != GOES_ON) discount = 0.0f;
    for (; steps < j->n_step && code == GOES_ON; steps++) {
        int64_t next = base + around(j, row[i] + steps);
        code = j->done[next];
        if (code == CUT) break;
        float gain = discount * j->reward[next];
        total += gain;
        discount = code == DONE ? 0.0f : discount * gamma;
    }
    s->reward[i] = total;
    s->discount[i] = discount;
    s->after[i] = base + around(j, row[i] + steps);
    s->legal[i] = j->legal[s->after[i]];
}

static void widen_row(const uint16_t *from, float *to, long d) {
    long c = 0;
    for (; c + LANES <= d; c += LANES) store16(to + c, widen16(from + c));
    if (c < d) { /* a remainder is widened alone: the ring may end here */
        uint16_t rest[LANES] = {0};
        float full[LANES];
        memcpy(rest, from + c, (d - c) * sizeof *rest);
        store16(full, widen16(rest));
        memcpy(to + c, full, (d - c) * sizeof(float));
    }
}

/* Rows lie scattered over memory: ask for all of them beforehand. */
static void ask_for(const job *j, int64_t base, const int64_t *row) {
    for (long i = 0; i < j->batch; i++) {
        __builtin_prefetch(j->done + base + row[i]);
        __builtin_prefetch(j->reward + base + row[i]);
        __builtin_prefetch(j->action + base + row[i]);
        __builtin_prefetch(j->legal + base + row[i]);
        __builtin_prefetch(j->obs + (base + row[i]) * j->obs_dim);
        __builtin_prefetch(j->obs + (base + around(j, row[i] + j->n_step)) * j->obs_dim);
    }
}

static void end(const job *j, space *s, int64_t n) {
    const trees *t = &j->priorities;
    if (!t->levels || n >= j->count) return;
    end_draws(t, &s->coming, j->steps[j->seats[n]], j->batch, s->leaf);
    ask_for(j, j->seats[n] * j->capacity, s->coming.row);
}

static sample transitions(const job *j, const space *s, long n) {
    long b = j->batch, d = j->obs_dim, at = n * b;
    if (j->x)
        return (sample){j->x + 2 * at * d, j->r_t + at, j->discount_t + at, j->weight ? j->weight + at : 0,
                        j->a_tm1 + at, j->legal_t + at};
    int64_t base = j->seats[n] * j->capacity;
    const int sorted = j->priorities.levels != 0;
    const int64_t *row = sorted ? s->now.row : j->row ? j->row + at : s->row;
    if (!sorted && !j->row) draw(j, s, n);
    if (!sorted) ask_for(j, base, row);
    for (long i = 0; i < b; i++) follow(j, s, row, base, n, i);
    for (long i = 0; i < b; i++) {
        widen_row(j->obs + (base + row[i]) * d, s->x + i * d, d);
        widen_row(j->obs + s->after[i] * d, s->x + (b + i) * d, d);
    }
    return (sample){s->x, s->reward, s->discount, sorted ? s->now.weight : s->weight, s->action, s->legal};
}

/* The best action by q [8] among those of the bits, the first of equals; HOLD when there is none. NaN wins. */
INLINE long best(const float *q, long actions, unsigned bits) {
    long found = -1;
    for (long a = 0; a < actions; a++)
        if ((bits >> a & 1) && (found < 0 || (!(q[a] <= q[found]) && q[found] == q[found]))) found = a;
    return found < 0 ? 0 : found;
}

/* Forward passes and the loss; fills s->slope [B] = d loss / d Q(s_tm1, a_tm1), writes the figures of row n. */
static void judge(const job *j, space *s, const net *online, const net *frozen, const sample *from, long n) {
    long b = j->batch, d = j->obs_dim, a = j->actions;
    const float *x = from->x;
    layer(s->h1, s->p1, x, d, online->w1, online->b1, 2 * b, d);
    meanwhile(j, s, NEAR);
    layer(s->h2, s->p2, s->h1, s->p1, online->w2, online->b2, 2 * b, j->hidden1);
    meanwhile(j, s, 1);
    q_values(j, s, online, s->h2, s->q, 2 * b);
    const float *q_t = s->q + b * MAX_ACTIONS, *t_q = q_t;
    if (j->target) {
        layer(s->t1, s->p1, x + b * d, d, frozen->w1, frozen->b1, b, d);
        meanwhile(j, s, 1);
        layer(s->t2, s->p2, s->t1, s->p1, frozen->w2, frozen->b2, b, j->hidden1);
        meanwhile(j, s, 1);
        q_values(j, s, frozen, s->t2, s->t_q, b);
        t_q = s->t_q;
    }
    const float *selector = j->double_q ? q_t : t_q;
    float loss = 0.0f, size = 0.0f, largest = 0.0f, share = 1.0f / (float)b;
    v8 total = splat8(0.0f);
    for (long i = 0; i < b; i++) {
        const float *q = s->q + i * MAX_ACTIONS;
        long a_t = best(selector + i * MAX_ACTIONS, a, j->mask ? from->legal_t[i] : 255u);
        float td = q[from->a_tm1[i]] - fmaf(from->discount_t[i], t_q[i * MAX_ACTIONS + a_t], from->r_t[i]);
        float slope = td > j->huber ? j->huber : td < -j->huber ? -j->huber : td;
        float weight = from->weight ? from->weight[i] : 1.0f;
        if (j->priority) j->priority[n * b + i] = fabsf(td);
        loss = fmaf(weight * slope, fmaf(-0.5f, slope, td), loss);
        size = fmaf(weight, fabsf(td), size);
        s->slope[i] = weight * slope * share;
        total = add8(total, load8(q));
        for (long k = 0; k < a; k++) largest = fabsf(q[k]) > largest ? fabsf(q[k]) : largest;
    }
    float *figure = j->figures + n;
    figure[0] = loss * share;
    figure[j->count] = size * share;
    float totals[MAX_ACTIONS];
    store8(totals, total);
    figure[3 * j->count] = sum_of(totals, MAX_ACTIONS) * share / (float)a;
    figure[4 * j->count] = largest;
}

/* d [B,n] = 0 where h is not above 0; its sum over the batch goes to bias [n]. */
INLINE void through_relu(float *d, const float *h, float *bias, long rows, long n) {
    for (long c = 0; c < n; c += LANES) {
        v16 sum = splat16(0.0f);
        for (long i = 0; i < rows; i++) {
            v16 kept = gate16(load16(d + i * n + c), load16(h + i * n + c));
            store16(d + i * n + c, kept);
            sum = add16(sum, kept);
        }
        store16(bias + c, sum);
    }
}

/* to [p2,p1] = w [h1,p2] transposed, a square of native vectors at a time; rows past h1 count as zeros. */
static void transpose(float *to, long p1, const float *w, long p2, long h1) {
    for (long i = 0; i < p1; i += NATIVE)
        for (long k = 0; k < p2; k += NATIVE) {
            part a[NATIVE], b[NATIVE];
            UNROLL for (int r = 0; r < NATIVE; r++) a[r] = i + r < h1 ? *(const part *)(w + (i + r) * p2 + k) : (part){0};
            UNROLL for (int turn = 1; turn < NATIVE; turn *= 2) {
                UNROLL for (int r = 0; r < NATIVE / 2; r++) {
                    b[2 * r] = ZIP(a[r], a[r + NATIVE / 2], LOW);
                    b[2 * r + 1] = ZIP(a[r], a[r + NATIVE / 2], HIGH);
                }
                UNROLL for (int r = 0; r < NATIVE; r++) a[r] = b[r];
            }
            UNROLL for (int r = 0; r < NATIVE; r++) *(part *)(to + (k + r) * p1 + i) = a[r];
        }
}

/* The gradient of the head: each sample touches one row of the head that gives Q; then back through T. */
static void head_backward(const job *j, const space *s, const net *n, const int64_t *a_tm1, float *dw3, float *db3) {
    long b = j->batch, a = j->actions, p2 = s->p2;
    float bias[MAX_ACTIONS + 1] = {0}, part = -1.0f / (float)a;
    memset(s->d_head, 0, (a + 1) * p2 * sizeof(float));
    for (long i = 0; i < b; i++) {
        long chosen = a_tm1[i];
        v16 slope = splat16(s->slope[i]);
        bias[chosen] += s->slope[i];
        for (long c = 0; c < p2; c += LANES) {
            float *to = s->d_head + chosen * p2 + c;
            store16(to, fma16(slope, load16(s->h2 + i * p2 + c), load16(to)));
            store16(s->d2 + i * p2 + c, mul16(slope, load16(n->q_rows + chosen * p2 + c)));
        }
    }
    for (long i = 0; i < a; i++) bias[a] += bias[i];
    for (long i = 0; i < a; i++) db3[i] = j->dueling ? fmaf(part, bias[a], bias[i]) : bias[i];
    if (j->dueling) db3[a] = bias[a];
    for (long c = 0; c < p2; c += LANES) {
        v16 all = splat16(0.0f);
        for (long i = 0; i < a; i++) all = add16(all, load16(s->d_head + i * p2 + c));
        for (long i = 0; i < a; i++) {
            v16 own = load16(s->d_head + i * p2 + c);
            store16(dw3 + i * p2 + c, j->dueling ? fma16(splat16(part), all, own) : own);
        }
        if (j->dueling) store16(dw3 + a * p2 + c, all);
    }
}

/* Fill s->gradient [n_params] of the mean loss; its tail stays zero. */
static void backward(const job *j, space *s, const net *n, const sample *from) {
    long b = j->batch, d = j->obs_dim, h1 = j->hidden1, h2 = j->hidden2, p1 = s->p1, p2 = s->p2;
    long outputs = j->actions + j->dueling;
    float *dw1 = s->padded ? s->wide : s->gradient, *db1 = dw1 + d * p1, *dw2 = db1 + p1;
    float *db2 = dw2 + h1 * p2, *dw3 = db2 + p2, *db3 = s->gradient + (n->b3 - n->origin);
    head_backward(j, s, n, from->a_tm1, dw3, db3);
    through_relu(s->d2, s->h2, db2, b, p2);
    outer(dw2, p2, s->h1, p1, s->d2, h1, b);
    meanwhile(j, s, 1);
    transpose(s->transposed, p1, n->w2, p2, h1);
    back(s->d1, p1, s->d2, p2, s->transposed, b, h2);
    meanwhile(j, s, 1);
    through_relu(s->d1, s->h1, db1, b, p1);
    outer(dw1, p1, from->x, d, s->d1, d, b);
    meanwhile(j, s, 1);
    if (s->padded) {
        for (long i = 0; i < d + 1; i++) memcpy(s->gradient + i * h1, dw1 + i * p1, h1 * sizeof(float));
        for (long i = 0; i < h1 + 1 + outputs; i++)
            memcpy(s->gradient + (d + 1) * h1 + i * h2, dw2 + i * p2, h2 * sizeof(float));
    }
}

static float length(const float *v, long n) { /* n is a multiple of 32 */
    v16 even = splat16(0.0f), odd = even;
    for (long i = 0; i < n; i += 2 * LANES) {
        v16 one = load16(v + i), two = load16(v + i + LANES);
        even = fma16(one, one, even);
        odd = fma16(two, two, odd);
    }
    float sums[LANES];
    store16(sums, add16(even, odd));
    return sqrtf(sum_of(sums, LANES));
}

static double power(double base, int64_t exponent) { /* libm's differ */
    double result = 1.0;
    for (; exponent; exponent >>= 1, base *= base)
        if (exponent & 1) result *= base;
    return result;
}

/* Adam in the order of Kingma & Ba 2015, end of section 2, then the target network. Meanwhile the rows of the seat that
   is next come into the cache. */
static void update(const job *j, const space *s, int64_t seat, int64_t next, float norm) {
    const float *gradient = s->gradient;
    float *params = j->params + seat * j->n_params, *frozen = j->frozen + seat * j->n_params;
    float *moment1 = j->moment1 + seat * j->n_params, *moment2 = j->moment2 + seat * j->n_params;
    int64_t steps = ++j->steps[seat], ahead = (next - seat) * j->n_params;
    float rate = j->rate[seat] * sqrt(1.0 - power(j->beta2, steps)) / (1.0 - power(j->beta1, steps));
    int copy = !j->target || (j->target == 2 && steps % j->hard_every == 0);
    const v16 clip = splat16(norm > j->clip ? j->clip / norm : 1.0f), tau = splat16(j->tau[seat]);
    const v16 keep1 = splat16((float)(1.0 - j->beta1)), keep2 = splat16((float)(1.0 - j->beta2));
    const v16 beta2 = splat16((float)j->beta2), eps = splat16(j->eps), down = splat16(-rate);
    for (long i = 0; i < j->n_params; i += LANES) {
        __builtin_prefetch(params + i + ahead, 1, 2);
        __builtin_prefetch(moment1 + i + ahead, 1, 2);
        __builtin_prefetch(moment2 + i + ahead, 1, 2);
        __builtin_prefetch(frozen + i + ahead, 1, 2);
        v16 g = mul16(clip, load16(gradient + i)), old = load16(moment1 + i);
        v16 first = fma16(keep1, sub16(g, old), old);
        v16 second = fma16(mul16(keep2, g), g, mul16(beta2, load16(moment2 + i)));
        v16 weights = fma16(down, div16(first, add16(sqrt16(second), eps)), load16(params + i));
        store16(moment1 + i, first);
        store16(moment2 + i, second);
        store16(params + i, weights);
        if (j->target == 1) {
            old = load16(frozen + i);
            store16(frozen + i, fma16(tau, sub16(weights, old), old));
        } else if (copy) store16(frozen + i, weights);
    }
}

static void learn_one(const job *j, space *s, long n, long next) {
    int64_t seat = j->seats[n];
    sample from = transitions(j, s, n);
    begin(j, s, next);
    net online = open_net(j, s, j->params + seat * j->n_params, s->packed[0], s->heads[0]), frozen = online;
    if (j->target) frozen = open_net(j, s, j->frozen + seat * j->n_params, s->packed[1], s->heads[1]);
    judge(j, s, &online, &frozen, &from, n);
    backward(j, s, &online, &from);
    end(j, s, next);
    float norm = length(s->gradient, j->n_params);
    j->figures[2 * j->count + n] = norm;
    j->good[n] = isfinite(norm) && isfinite(j->figures[n]);
    if (!j->good[n]) return;
    update(j, s, seat, next < j->count ? j->seats[next] : seat, norm);
    if (j->priorities.levels)
        remember_errors(&j->priorities, seat, j->batch, j->priority + n * j->batch, s->leaf, s->now.flat);
}

/* ---- acting ---- */

static float dot(const float *a, const float *b, long n) { /* n is padded */
    v16 sum = splat16(0.0f);
    float sums[LANES];
    for (long i = 0; i < n; i += LANES) sum = fma16(load16(a + i), load16(b + i), sum);
    store16(sums, sum);
    return sum_of(sums, LANES);
}

/* Q [rows,8] of row n's network for its observations, each by itself: the bytes of one do not depend on the others. */
static const float *ask(const job *j, space *s, int64_t n) {
    long a = j->actions, rows = j->rows ? j->rows[n] : j->batch;
    net online = open_net(j, s, j->params + j->seats[n] * j->n_params, s->packed[0], s->heads[0]);
    layer(s->h1, s->p1, j->x + n * j->batch * j->obs_dim, j->obs_dim, online.w1, online.b1, rows, j->obs_dim);
    layer(s->h2, s->p2, s->h1, s->p1, online.w2, online.b2, rows, j->hidden1);
    for (long i = 0; i < rows; i++)
        for (long k = 0; k < a; k++)
            s->q[i * MAX_ACTIONS + k] = online.q_bias[k] + dot(online.q_rows + k * s->p2, s->h2 + i * s->p2, s->p2);
    for (long i = 0; j->q && i < rows; i++)
        memcpy(j->q + (n * j->batch + i) * a, s->q + i * MAX_ACTIONS, a * sizeof(float));
    return s->q;
}

/* The best legal action by q, or with probability j->explore a uniform legal one: agents/policy.py. */
static int8_t decide(const job *j, int64_t n, const float *q) {
    double u[2];
    uniforms(j, n, u, 2);
    unsigned legal = j->legal_t[n];
    if (!(u[0] < j->explore[n])) return best(q, j->actions, legal);
    long skip = (long)(u[1] * __builtin_popcount(legal));
    for (; skip > 0; skip--) legal &= legal - 1;
    return legal ? __builtin_ctz(legal) : 0;
}

/* ---- what agents/fused.py and agents/fused_play.py call ---- */

int64_t fused_job_size(void) { return sizeof(job); }

int64_t fused_space(const job *j) { /* floats that one worker needs, zero at first and aligned to 64 bytes */
    space s;
    return divide(j, &s, 0);
}

static int64_t take(const job *j) {
    int64_t n;
    do n = __atomic_fetch_add(j->next, 1, __ATOMIC_RELAXED);
    while (n < j->count && !j->wanted[n]);
    return n;
}

/* Work off rows until none is left; any number of workers may do so at once, each with memory of its own. */
void fused_learn(const job *j, float *memory) {
    space s;
    divide(j, &s, memory);
    int64_t n = take(j);
    begin(j, &s, n);
    end(j, &s, n);
    while (n < j->count) {
        int64_t following = take(j);
        draws drawn = s.coming;
        s.coming = s.now, s.now = drawn;
        learn_one(j, &s, n, following);
        n = following;
    }
}

/* Q of every wanted row, and its decision where one is asked for (then one observation each). */
void fused_play(const job *j, float *memory) {
    space s;
    divide(j, &s, memory);
    for (int64_t n = take(j); n < j->count; n = take(j)) {
        const float *q = ask(j, &s, n);
        if (!j->decided) continue;
        j->decided[n] = decide(j, n, q);
        j->forbidden[n] = !(j->legal_t[n] >> best(q, j->actions, 255u) & 1);
    }
}

/* How far row i of a lies from row i of b, as a share of b's length; n is a multiple of 32. */
void fused_gaps(const float *a, const float *b, int64_t rows, int64_t n, double *gaps) {
    for (int64_t i = 0; i < rows; i++, a += n, b += n) {
        v16 apart = splat16(0.0f), known = apart;
        float sums[2][LANES];
        for (int64_t k = 0; k < n; k += LANES) {
            v16 y = load16(b + k), gap = sub16(load16(a + k), y);
            apart = fma16(gap, gap, apart);
            known = fma16(y, y, known);
        }
        store16(sums[0], apart);
        store16(sums[1], known);
        double size = sqrtf(sum_of(sums[1], LANES));
        gaps[i] = sqrtf(sum_of(sums[0], LANES)) / (size < 1e-12 ? 1e-12 : size);
    }
}
