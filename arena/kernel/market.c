/* Price formation of the default source: arena/market/background.py, clearing.py and franke_westerhoff.py. */

static const double MU = 0.01, BETA = 1.0, PHI = 0.12, CHI = 1.50; /* franke_westerhoff.py */
static const double ALPHA_0 = -0.327, ALPHA_N = 1.79, ALPHA_P = 18.43;

typedef struct { /* the same fields in the same order as arena/kernel/binding.py MarketJob */
  int64_t markets, auctions, jumps; /* M; K in a bar; whether jump is given */
  double collar, volatility;
  const double *ladder, *depth, *base_volume;            /* [K], [M], [M] */
  const double *now;                                     /* [4,M] log_close, last_return, value, fundamentalists */
  const double *noise, *drift, *volume, *jump;           /* of this bar: [2,M,K], [M] each */
  const double *given;                                   /* [2,M] buy cash and sell shares, crossed and imbalance */
  double *path;                                          /* [M,K] log moves of this bar */
  double *exps;                                          /* [2,M] of these the exponential is taken: -a, m */
  double *m, *b, *s, *x, *e;                             /* [M] each, of the auction; e: x, then its exponential */
  double *log_price, *prices;                            /* [M]; [M,K] log prices, then prices */
  double *after, *bars;                                  /* [3,M] the next log_close, last_return, value; [6,M] */
} market_job;

int64_t arena_market_job_size(void) { return sizeof(market_job); }

/* Market.reserve as far as the exponentials: -> path, m, exps. */
void arena_reserve(const market_job *j) {
  const int64_t n = j->markets, k = j->auctions;
  for (int64_t m = 0; m < n; m++) {
    const double log_close = j->now[m], last_return = j->now[n + m], share = j->now[3 * n + m];
    const double gap = j->now[2 * n + m] - log_close, chartist = MU * CHI * last_return;
    const double move = chartist + share * (MU * PHI * gap - chartist) + j->drift[m];
    const double *founded = j->noise + m * k, *charted = j->noise + (n + m) * k;
    double *path = j->path + m * k;
    for (int64_t i = 0; i < k; i++) path[i] = charted[i] + share * (founded[i] - charted[i]) + move * j->ladder[i];
    if (j->jumps) path[0] += j->jump[m];
    j->exps[m] = -(ALPHA_P * BETA * gap * gap + 2.0 * ALPHA_N * BETA * share + BETA * (ALPHA_0 - ALPHA_N));
    j->exps[n + m] = j->m[m] = log_close + path[0];
  }
}

/* clearing.clear and _offset as far as Halley's first exponential: exps, given -> b, s, x, e. */
void arena_bid(const market_job *j) {
  const int64_t n = j->markets;
  for (int64_t m = 0; m < n; m++) {
    const double s = j->given[n + m] * j->exps[n + m] / j->depth[m];
    const double b = min_of(j->given[m] / j->depth[m], 3.0 * s + 500.0);
    j->s[m] = s, j->b[m] = b;
    j->e[m] = j->x[m] = (b - s) / (1.0 + s);
  }
}

/* One step of clearing._halley: e is now the exponential of x, and then x again. */
void arena_step(const market_job *j) {
  for (int64_t m = 0; m < j->markets; m++) {
    const double g = j->s[m] * j->e[m], f = j->b[m] - g - j->x[m], slope = g + 1.0;
    j->x[m] = j->x[m] + f / (slope + 0.5 * f * (g / slope));
    j->e[m] = j->x[m];
  }
}

/* x -> log_price; prices, as logs. Returns 1 when a price is beyond the collar: clearing.clear knows what to do. */
int64_t arena_meet(const market_job *j) {
  int64_t beyond = 0;
  for (int64_t m = 0; m < j->markets; m++) {
    const double log_price = j->m[m] + j->x[m];
    beyond |= fabs(j->x[m]) > j->collar;
    j->log_price[m] = log_price;
    double *path = j->path + m * j->auctions;
    path[0] = 0.0;
    for (int64_t i = 0; i < j->auctions; i++) j->prices[m * j->auctions + i] = log_price + path[i];
  }
  return beyond;
}

/* Market.roll_bar: prices, given -> after; bars. */
void arena_roll(const market_job *j) {
  const int64_t n = j->markets, k = j->auctions;
  for (int64_t m = 0; m < n; m++) {
    const double *prices = j->prices + m * k, price = prices[0];
    const double log_close = j->log_price[m] + j->path[m * k + k - 1], moved = log_close - j->now[m];
    double high = price, low = price;
    for (int64_t i = 1; i < k; i++) high = max_of(high, prices[i]), low = min_of(low, prices[i]);
    j->after[m] = log_close;
    j->after[n + m] = moved;
    j->after[2 * n + m] = j->now[2 * n + m] + j->drift[m];
    const double quiet = j->base_volume[m] * j->volume[m] * (1.0 + fabs(moved / j->volatility));
    const double bar[6] = {
      price, high, low, prices[k - 1],
      (j->given[m] + fabs(j->given[n + m])) / price + quiet, sum_of(prices, k) / (double)k,
    };
    for (int64_t i = 0; i < 6; i++) j->bars[i * n + m] = bar[i];
  }
}
