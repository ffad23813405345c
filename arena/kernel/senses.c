/* What is seen: arena/senses/indicators.py, arena/senses/regime.py, arena/senses/observe.py. */

enum { LOOKBACK = 100, WIDTH = 300, EMAS = 4, GAIN = EMAS, LOSS, RANGE, SQUARE, AVERAGES, SPANS = 7, RAMP = 200 };

static const int64_t LAGS[SPANS] = {1, 2, 5, 10, 25, 50, 100};
static const double FLOOR = 1e-6; /* indicators.SIGMA_FLOOR */

typedef struct { /* the same fields in the same order as arena/kernel/binding.py SensesJob */
  int64_t markets;
  int64_t *bars_seen;                                      /* [1] */
  double *history, *averages, *p_up, *close, *sigma;       /* [3,M,WIDTH], [8,M], [M] each: indicators.SensesState */
  float *columns;                                          /* [M,N_MARKET] */
  const double *weights, *root;                            /* [RAMP+1,8], [12] */
  const double *bar, *logs;                                /* [4,M] high, low, close, volume; [3,M] logs of the first */
  double *args;                                            /* [6,M] what a logarithm is taken of, then the logarithm */
} senses_job;

int64_t arena_senses_job_size(void) { return sizeof(senses_job); }

static double *past_of(const senses_job *j, int64_t what, int64_t m) {
  return j->history + (what * j->markets + m) * WIDTH;
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* regime.filter_step. */
static double filtered(double p_up, double z) {
  const double prior = (2.0 * 0.99 - 1.0) * p_up + (1.0 - 0.99), rise = z - 0.14, fall = z + 0.14;
  const double ratio = (fall * fall + 2.0) / (rise * rise + 2.0), odds = ratio * ratio * sqrt(ratio) * prior;
  return odds / (odds + (1.0 - prior));
}

/* regime.variance_ratio of n returns with q = 5; closes [n+1]. */
static double variance_ratio(const double *closes, int64_t n) {
  enum { Q = 5 };
  double one[LOOKBACK], many[LOOKBACK];
  if (n < 2 * Q) return 0.0;
  const double mean = (closes[n] - closes[0]) / (double)n;
  for (int64_t i = 0; i < n; i++) {
    const double x = closes[i + 1] - closes[i] - mean;
    one[i] = x * x;
  }
  for (int64_t i = 0; i + Q <= n; i++) {
    const double x = closes[i + Q] - closes[i] - Q * mean;
    many[i] = x * x;
  }
  const double shorter = sum_of(one, n), unbiased = Q * (n - Q + 1) * (1.0 - (double)Q / (double)n);
  const double longer = sum_of(many, n - Q + 1) * ((double)(n - 1) / unbiased);
  return (longer - shorter) / max_of(shorter, FLOOR * FLOOR * (double)(n - 1));
}

/* indicators.MarketSenses.update as far as the logarithms: bar, logs -> all of the state but columns; args. */
void arena_take_in(const senses_job *j) {
  const int64_t seen = j->bars_seen[0], newest = LOOKBACK + seen % (WIDTH - LOOKBACK), n = j->markets;
  const int64_t returns = least(least(seen, LOOKBACK), 20), recent = least(seen + 1, 5), usual = least(seen + 1, 50);
  const double *weight = j->weights + least(seen, RAMP) * AVERAGES;
  for (int64_t m = 0; m < n; m++) {
    double *closes = past_of(j, 0, m), *highs = past_of(j, 1, m), *volumes = past_of(j, 2, m);
    double squares[20], step[AVERAGES];
    if (newest == LOOKBACK) {
      double *all[3] = {closes, highs, volumes};
      for (int k = 0; k < 3; k++) memcpy(all[k], all[k] + WIDTH - LOOKBACK, LOOKBACK * sizeof(double));
    }
    closes[newest] = j->logs[2 * n + m], highs[newest] = j->logs[m], volumes[newest] = j->bar[3 * n + m];
    const double high = j->bar[m], low = j->bar[n + m], close = j->bar[2 * n + m], before = seen ? j->close[m] : close;
    const double change = closes[newest] - closes[newest - least(seen, 1)], rise = close - before;
    for (int k = 0; k < EMAS; k++) step[k] = close;
    step[GAIN] = max_of(rise, 0.0);
    step[LOSS] = step[GAIN] - rise;
    step[RANGE] = max_of(high, before) - min_of(low, before);
    step[SQUARE] = change * change;
    for (int k = 0; k < AVERAGES; k++) j->averages[k * n + m] += (step[k] - j->averages[k * n + m]) * weight[k];
    const double sigma = max_of(sqrt(j->averages[SQUARE * n + m]), FLOOR);
    j->sigma[m] = sigma;
    j->p_up[m] = filtered(j->p_up[m], clipped(change / sigma));
    j->close[m] = close;
    for (int k = 0; k < EMAS; k++) j->args[k * n + m] = j->averages[k * n + m];
    for (int64_t i = 0; i < returns; i++) {
      const double x = closes[newest - returns + i + 1] - closes[newest - returns + i];
      squares[i] = x * x;
    }
    const double mean = sum_of(squares, returns) / (double)(returns ? returns : 1);
    j->args[4 * n + m] = max_of(sqrt(mean), FLOOR) / sigma;
    const double soon = sum_of(volumes + newest + 1 - recent, recent) / (double)recent;
    j->args[5 * n + m] = (soon + 1.0) / (sum_of(volumes + newest + 1 - usual, usual) / (double)usual + 1.0);
  }
  j->bars_seen[0] = seen + 1;
}

/* indicators.MarketSenses._refresh: args, now logarithms -> columns. */
void arena_refresh(const senses_job *j) {
  const int64_t seen = j->bars_seen[0] - 1, newest = LOOKBACK + seen % (WIDTH - LOOKBACK), n = j->markets;
  const int64_t back = least(seen, LOOKBACK);
  for (int64_t m = 0; m < n; m++) {
    const double *closes = past_of(j, 0, m), *highs = past_of(j, 1, m), sigma = j->sigma[m];
    const double high = j->bar[m], low = j->bar[n + m], close = j->bar[2 * n + m], now = j->logs[2 * n + m];
    const double gain = j->averages[GAIN * n + m], loss = j->averages[LOSS * n + m];
    double work[N_MARKET] = {0.0}, top = highs[newest];
    for (int64_t i = newest - least(seen, LOOKBACK - 1); i < newest; i++) top = max_of(highs[i], top);
    for (int k = 0; k < SPANS; k++) work[k] = (now - closes[newest - least(LAGS[k], back)]) / (j->root[k] * sigma);
    for (int k = SPANS; k < SPANS + EMAS; k++) work[k] = (now - j->args[(k - SPANS) * n + m]) / (j->root[k] * sigma);
    work[11] = 2.0 * j->p_up[m] - 1.0;
    work[12] = (gain - loss) / max_of(gain + loss, 1e-12 * close);
    work[13] = j->averages[RANGE * n + m] / (close * sigma) - 1.0;
    work[14] = j->args[4 * n + m];
    work[15] = variance_ratio(closes + newest - back, back);
    work[16] = (now - top) / (j->root[SPANS + EMAS] * sigma);
    work[17] = (j->logs[m] - j->logs[n + m]) / sigma - 1.5;
    work[18] = (2.0 * close - high - low) / max_of(high - low, 1e-300);
    work[19] = j->args[5 * n + m];
    for (int k = 0; k < N_MARKET; k++) j->columns[m * N_MARKET + k] = (float)clipped(work[k]);
  }
}

/* The first half of an observation: -> crowding [M]; logs [2,P]: price over entry price, equity over endowment. */
void arena_look(const job *j) {
  const int64_t seats_total = j->markets * j->seats;
  for (int64_t m = 0; m < j->markets; m++) {
    int64_t holders = 0, seated = 0;
    for (int64_t p = m * j->seats; p < (m + 1) * j->seats; p++) {
      const int holds = j->shares[p] > 0.0, alive = is_alive(j->status[p]);
      seated += alive;
      holders += alive && holds;
      j->logs[p] = holds && j->entry_price[p] > 0.0 ? j->close[m] / j->entry_price[p] : 1.0;
      j->logs[seats_total + p] = max_of(j->equity[p], j->equity_floor) / j->endowment;
    }
    j->crowding[m] = (double)holders / (double)(seated ? seated : 1);
  }
}

/* The second half: columns [M,N_MARKET], logs -> obs [P,D]; zeros for who is not alive. */
void arena_see(const job *j) {
  const int64_t seats_total = j->markets * j->seats;
  EACH_SEAT {
    float *row = j->obs + OBS_DIM * p;
    const int paper = j->status[p] == APPRENTICE;
    if (!is_alive(j->status[p])) {
      memset(row, 0, OBS_DIM * sizeof *row);
      continue;
    }
    memcpy(row, j->columns + N_MARKET * m, (N_MARKET - 1) * sizeof *row);
    row[N_MARKET - 1] = (float)(2.0 * j->crowding[m] - 1.0);
    const double equity = max_of(j->equity[p], j->equity_floor), damage = j->damage[p] / 100.0;
    const int32_t wins = paper ? j->paper_wins[p] : j->won_trades[p];
    const int32_t trades = paper ? j->paper_trades[p] : j->closed_trades[p];
    const double own[N_OWN] = {
      j->shares[p] * j->close[m] / equity,
      j->cash[p] / equity,
      j->logs[p] / (10.0 * j->sigma[m]),
      min_of(equity / max_of(j->peak_equity[p], equity) - 1.0, 0.0) * 10.0,
      j->logs[seats_total + p],
      (2.0 * wins + 10.0) / (trades + 10.0) - 1.0,
      min_of(j->age_rounds[p] / 500.0, 1.0),
      damage,
      damage * (double)!paper,
      min_of(j->holding_ticks[p] / 50.0, 1.0),
      (double)paper,
    };
    for (int k = 0; k < N_OWN; k++) row[N_MARKET + k] = (float)clipped(own[k]);
  }
}
