/* What the phases of a tick work on, and the few ways in which they do arithmetic.

   The numpy of arena/body, arena/senses and arena/phases.py is the specification: the same operations on doubles in the
   same order, nothing contracted, so the same bytes. Logarithms and exponentials are numpy's own, taken between two
   calls. M markets, S seats a market, P = M*S; seat p belongs to market p / S. */

#include <math.h>
#include <stdint.h>
#include <string.h>

enum { APPRENTICE = 1, TRADING = 2, ESTATE = 3 }; /* arena/body/state.py */
enum { HOLD, BUY_SMALL, BUY_MEDIUM, BUY_LARGE, SELL_PARTIAL, SELL_ALL, ADD, ACTIONS }; /* arena/spec.py */
enum { N_MARKET = 21, N_OWN = 11, OBS_DIM = N_MARKET + N_OWN };
enum { IN_DEBT = 1, OWES = 2 }; /* what `arena_settle` found */

#define CLIP 5.0
#define EACH_SEAT for (int64_t m = 0; m < j->markets; m++) for (int64_t p = m * j->seats; p < (m + 1) * j->seats; p++)

static const double FRACTION[ACTIONS] = {0.0, 0.025, 0.06, 0.09, 0.0, 0.0, 0.03}; /* spec.BUY_FRACTION */
static const double SOLD[ACTIONS] = {0.0, 0.0, 0.0, 0.0, 0.5, 1.0, 0.0};

typedef struct { /* the same fields in the same order as arena/kernel/binding.py Job */
  int64_t markets, seats, buy_large_limit, add_limit;
  double endowment, equity_floor, reward_floor, fee, max_weight, min_notional, ruin, unit, benchmark, clip, tolerance;
  /* bodies, [P] each, reward_weights [P,3] */
  int64_t *agent_id;
  int8_t *status;
  double *cash, *shares, *entry_price, *trust, *arrears, *equity, *reward_equity, *peak_equity, *drawdown;
  int32_t *drawdown_step, *damage;
  double *pending_scar_points;
  int32_t *closed_trades, *won_trades, *paper_trades, *paper_wins;
  double *trade_profit, *closed_profit;
  int32_t *holding_ticks;
  double *round_fees;
  int32_t *invalid_actions, *age_rounds;
  double *position_scale, *stop_atr, *reward_weights;
  /* accounts, [M] each */
  double *house_cash, *house_shares, *fees, *estate, *patron, *transfers, *cash_total, *shares_total;
  /* kept between phases: [P,D]; [P,A]; stop, room, fee_rate [P]; for whoever needs room rows [S], logs [2,P]; [M] */
  float *obs;
  uint8_t *mask, *stop;
  double *room, *fee_rate, *rows, *logs, *crowding;
  /* given to and returned by one phase: [M] each; [M,N_MARKET]; [P] each; [2,M]; orders [2,P], flags [4,P]; [P];
     flows [5,P], parts [5,P]; [P] */
  const double *close, *sigma, *atr, *price, *buy_fill, *sell_fill, *depth, *moved;
  const float *columns;
  const int8_t *actions;
  const double *past;
  double *totals, *orders;
  uint8_t *flags, *ruined;
  double *flows, *parts;
  float *reward;
} job;

int64_t arena_job_size(void) { return sizeof(job); }

/* numpy's maximum and minimum: of two equal numbers the second, and what is not a number comes through. */
static inline double max_of(double a, double b) { return a > b || a != a ? a : b; }
static inline double min_of(double a, double b) { return a < b || a != a ? a : b; }
static inline double clipped(double x) { return min_of(max_of(x, -CLIP), CLIP); }
static inline int is_alive(int8_t status) { return status == TRADING || status == APPRENTICE; }

/* The order in which numpy adds up n numbers that lie side by side: eight sums at once, halves of what is longer. */
static double pairwise(const double *x, int64_t n) {
  if (n < 8) {
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) sum += x[i];
    return sum;
  }
  if (n > 128) {
    const int64_t half = n / 2 - (n / 2) % 8;
    return pairwise(x, half) + pairwise(x + half, n - half);
  }
  double r[8];
  int64_t i = 8;
  memcpy(r, x, sizeof r);
  for (; i < n - n % 8; i += 8)
    for (int k = 0; k < 8; k++) r[k] += x[i + k];
  double sum = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
  for (; i < n; i++) sum += x[i];
  return sum;
}

/* numpy's sum: what it begins with is +0. */
static double sum_of(const double *x, int64_t n) { return 0.0 + pairwise(x, n); }

/* The same over the seats of market m that trade real money; apprentices count as 0. `work` is [S]. */
static double real_sum(const job *j, int64_t m, const double *x, double *work) {
  const int64_t first = m * j->seats;
  for (int64_t i = 0; i < j->seats; i++) work[i] = j->status[first + i] == APPRENTICE ? 0.0 : x[first + i];
  return sum_of(work, j->seats);
}
