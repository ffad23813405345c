/* Fills, marks, the books and what is paid for: arena/body/accounting.py, arena/body/reward.py. */

/* The first half of accounting.settle: orders -> flows: spent (row 0), sold (row 4); logs: what a paper order does to
   its own price. Returns how many are on paper. */
int64_t arena_fill(const job *j) {
  const int64_t seats_total = j->markets * j->seats;
  const double *buy = j->orders, *sell = j->orders + seats_total;
  double *spent = j->flows, *sold = j->flows + 4 * seats_total;
  int64_t on_paper = 0;
  EACH_SEAT {
    const int paper = j->status[p] == APPRENTICE;
    spent[p] = buy[p] * (paper ? 1.0 : j->buy_fill[m]);
    sold[p] = sell[p] * (paper ? 1.0 : j->sell_fill[m]);
    j->logs[p] = paper ? (spent[p] - sold[p] * j->price[m]) / j->depth[m] : 0.0;
    on_paper += paper;
  }
  return on_paper;
}

/* accounting._book_trades for one seat; nothing but its position, trade and record. */
static void book(const job *j, int64_t p, double spent, double sold, double proceeds, double fee, double net) {
  const int paper = j->status[p] == APPRENTICE, held = j->shares[p] > 0.0, sells = sold > 0.0;
  const double cost = j->entry_price[p] * j->shares[p] + (spent + fee);
  const double profit = proceeds - fee - j->entry_price[p] * sold;
  j->trade_profit[p] += sells ? profit : 0.0;
  j->shares[p] += net;
  if (spent > 0.0) j->entry_price[p] = cost / j->shares[p];
  const int remains = j->shares[p] > 0.0;
  j->holding_ticks[p] = held && remains ? j->holding_ticks[p] + 1 : 0;
  j->closed_profit[p] = 0.0;
  if (!sells || remains) return;
  const int won = j->trade_profit[p] > 0.0;
  *(paper ? j->paper_trades + p : j->closed_trades + p) += 1;
  *(paper ? j->paper_wins + p : j->won_trades + p) += won;
  j->closed_profit[p] = j->trade_profit[p];
  j->trade_profit[p] = j->entry_price[p] = j->shares[p] = 0.0;
}

/* The second half: logs are now factors on the price, unless nobody is on paper. -> flows: spent, proceeds, fee, net,
   sold; totals: crossed, imbalance. Returns what needs attention: IN_DEBT, OWES. */
int64_t arena_settle(const job *j, int64_t on_paper) {
  const int64_t seats_total = j->markets * j->seats;
  double *spent = j->flows, *proceeds = spent + seats_total, *fee = proceeds + seats_total, *net = fee + seats_total;
  const double *sold = net + seats_total;
  int64_t found = 0;
  EACH_SEAT {
    const double price = on_paper ? j->price[m] * j->logs[p] : j->price[m];
    proceeds[p] = sold[p] * price;
    fee[p] = (spent[p] + proceeds[p]) * j->fee_rate[p];
    net[p] = spent[p] / price - sold[p];
    book(j, p, spent[p], sold[p], proceeds[p], fee[p], net[p]);
    j->cash[p] += proceeds[p] - spent[p] - fee[p];
    j->shares[p] = max_of(j->shares[p], 0.0);
    j->round_fees[p] += fee[p];
    found |= (j->cash[p] < 0.0 ? IN_DEBT : 0) | (j->arrears[p] != 0.0 ? OWES : 0);
  }
  for (int64_t m = 0; m < j->markets; m++) {
    const double bought = real_sum(j, m, spent, j->rows), brought = real_sum(j, m, proceeds, j->rows);
    const double met_house = bought - brought;
    j->house_cash[m] += met_house;
    j->house_shares[m] -= real_sum(j, m, net, j->rows);
    j->fees[m] += real_sum(j, m, fee, j->rows);
    j->totals[m] = min_of(bought, brought);
    j->totals[j->markets + m] = fabs(met_house);
  }
  return found;
}

/* accounting.mark at close [M]. */
void arena_mark(const job *j) {
  EACH_SEAT {
    const double equity = j->shares[p] * j->close[m] + j->cash[p] - j->arrears[p];
    if (equity > j->peak_equity[p]) j->drawdown_step[p] = 0;
    const double peak = max_of(equity, j->peak_equity[p]);
    const int has_peak = peak > 0.0;
    j->equity[p] = equity;
    j->peak_equity[p] = peak;
    j->drawdown[p] = (1.0 - equity / (has_peak ? peak : 1.0)) * (double)has_peak;
  }
}

/* accounting.check_conservation: 0 where every market balances and nobody's cash is below 0. */
int64_t arena_check(const job *j) {
  int64_t on_paper = 0, wrong = 0;
  EACH_SEAT {
    on_paper += j->status[p] == APPRENTICE;
    wrong |= j->cash[p] < 0.0;
  }
  for (int64_t m = 0; m < j->markets; m++) {
    const double cash = real_sum(j, m, j->cash, j->rows), shares = real_sum(j, m, j->shares, j->rows);
    const double trust = on_paper ? sum_of(j->trust + m * j->seats, j->seats) : 0.0;
    const double have = cash + trust + j->house_cash[m] + j->fees[m] + j->estate[m];
    const double cash_gap = have - (j->cash_total[m] + j->patron[m] + j->transfers[m]);
    const double shares_gap = shares + j->house_shares[m] - j->shares_total[m];
    const double of_cash = fabs(j->cash_total[m]) + cash + fabs(j->house_cash[m]);
    const double of_shares = j->shares_total[m] + fabs(j->house_shares[m]);
    wrong |= !(fabs(cash_gap) - j->tolerance * of_cash <= 0.0);
    wrong |= !(fabs(shares_gap) - j->tolerance * of_shares <= 0.0);
  }
  return wrong;
}

/* What the reward takes the logarithm of: -> logs [P]; ruined [P]. Returns how many are ruined. */
int64_t arena_growth(const job *j) {
  int64_t count = 0;
  EACH_SEAT {
    j->ruined[p] = j->status[p] == APPRENTICE && j->equity[p] < j->ruin;
    count += j->ruined[p];
    j->logs[p] = max_of(j->equity[p], j->reward_floor) / max_of(j->reward_equity[p], j->reward_floor);
  }
  return count;
}

/* reward.reward_parts and total of the preset log_equity: logs, past [P], moved [M] -> parts [5,P], reward [P]. */
void arena_reward(const job *j) {
  const int64_t seats_total = j->markets * j->seats;
  EACH_SEAT {
    const double *weights = j->reward_weights + 3 * p;
    const double part[5] = {
      j->logs[p] * j->unit,
      j->agent_id[p] >= 0 ? -(j->benchmark * j->moved[m]) * j->unit : -0.0,
      -weights[0] * max_of(j->drawdown[p] - j->past[p], 0.0) * j->unit,
      -weights[1] * j->pending_scar_points[p],
      -weights[2] * (double)j->ruined[p],
    };
    double sum = 0.0;
    for (int64_t k = 0; k < 5; k++) {
      j->parts[k * seats_total + p] = part[k];
      sum += part[k];
    }
    j->reward[p] = (float)min_of(max_of(sum, -j->clip), j->clip);
    j->reward_equity[p] = j->equity[p];
    j->pending_scar_points[p] = 0.0;
  }
}
