/* Descents and sums of agents/sum_tree.py. The same additions, subtractions and comparisons in double precision,
   nothing contracted: the same bits as numpy's, sooner. Level d is [seats,2^d], behind all levels above it. */
#include <stdint.h>

enum { BLOCK = 64 };

/* m descents go down to this level: node[i] is a parent and becomes one of its children. */
static inline void one_level(const double *level, int64_t m, double *rest, int64_t *node) {
  for (int64_t i = 0; i < m; i++) { /* independent of each other: the cache misses overlap */
    const double left = level[2 * node[i]];
    const int64_t right = rest[i] >= left;
    rest[i] -= left * (double)right; /* a jump here would be foretold wrongly half of the time */
    node[i] = 2 * node[i] + right;
  }
}

/* Follow n descents at once: flat[i] is a root and becomes a leaf, mass[i] counts from the left. */
void sum_tree_descend(const double *levels, int64_t seats, int64_t depth, int64_t n, const double *mass, int64_t *flat) {
  for (int64_t start = 0; start < n; start += BLOCK) {
    const int64_t m = n - start < BLOCK ? n - start : BLOCK;
    int64_t node[BLOCK];
    double rest[BLOCK];
    for (int64_t i = 0; i < m; i++) {
      node[i] = flat[start + i];
      rest[i] = mass[start + i];
    }
    for (int64_t d = 1; d <= depth; d++) one_level(levels + seats * (((int64_t)1 << d) - 1), m, rest, node);
    for (int64_t i = 0; i < m; i++) flat[start + i] = node[i];
  }
}

/* Recompute the sums above the leaves flat[n]; neighbours in the list often share their parents. */
void sum_tree_refresh(double *levels, int64_t seats, int64_t depth, int64_t n, int64_t *flat) {
  for (int64_t d = depth - 1; d >= 0; d--) {
    double *above = levels + seats * (((int64_t)1 << d) - 1);
    const double *below = above + (seats << d);
    int64_t kept = 0, last = -1;
    for (int64_t i = 0; i < n; i++) {
      const int64_t node = flat[i] >> 1;
      if (node == last) continue;
      last = node;
      above[node] = below[2 * node] + below[2 * node + 1];
      flat[kept++] = node;
    }
    n = kept;
  }
}
