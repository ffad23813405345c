/* What is legal, and what is ordered: arena/body/orders.py, arena/body/risk.py. */

/* limits_of and action_mask: -> room, fee_rate [P]; mask [P,A]. */
void arena_allow(const job *j) {
  EACH_SEAT {
    const double damage = j->damage[p] * 0.01, equity = j->equity[p], rate = (1.0 + damage) * j->fee;
    double room = max_of(1.0 - damage, 0.0);
    room *= j->max_weight;
    room *= equity;
    room -= j->shares[p] * j->close[m];
    room = min_of(room, j->cash[p] / (1.0 + rate));
    j->room[p] = room;
    j->fee_rate[p] = rate;
    const int alive = is_alive(j->status[p]), affordable = alive & (room >= j->min_notional);
    const int held = alive & (j->shares[p] > 0.0), opens = affordable & !held;
    const double full = j->position_scale[p] * equity;
    uint8_t *mask = j->mask + ACTIONS * p;
    mask[HOLD] = 1;
    mask[BUY_SMALL] = opens & (full * FRACTION[BUY_SMALL] >= j->min_notional);
    mask[BUY_MEDIUM] = opens & (full * FRACTION[BUY_MEDIUM] >= j->min_notional);
    mask[BUY_LARGE] = opens & (full * FRACTION[BUY_LARGE] >= j->min_notional) & (j->damage[p] < j->buy_large_limit);
    mask[SELL_PARTIAL] = mask[SELL_ALL] = held;
    mask[ADD] = held & affordable & (full * FRACTION[ADD] >= j->min_notional) & (j->damage[p] < j->add_limit);
  }
}

/* stop_fires: -> stop [P]. */
void arena_stops(const job *j) {
  EACH_SEAT j->stop[p] = j->shares[p] > 0.0 && j->close[m] <= j->entry_price[p] - j->stop_atr[p] * j->atr[m];
}

/* decide_orders: actions, stop [P] -> orders: buy_cash, sell_shares; flags: executed, stopped, liquidated, illegal.
   Returns 1, with nothing written, when an action is none. */
int64_t arena_decide(const job *j) {
  const int64_t seats_total = j->markets * j->seats;
  double *buy = j->orders, *sell = j->orders + seats_total;
  uint8_t *executed = j->flags, *stopped = executed + seats_total, *sold_off = stopped + seats_total;
  uint8_t *illegal = sold_off + seats_total;
  for (int64_t p = 0; p < seats_total; p++)
    if (j->actions[p] < 0 || j->actions[p] >= ACTIONS) return 1;
  EACH_SEAT {
    const int legal = j->mask[ACTIONS * p + j->actions[p]], forced = j->shares[p] > 0.0;
    const int estate = j->status[p] == ESTATE;
    int action = legal ? j->actions[p] : HOLD;
    illegal[p] = (j->agent_id[p] >= 0) > legal;
    j->invalid_actions[p] += illegal[p];
    stopped[p] = j->stop[p] && forced && !estate;
    sold_off[p] = j->arrears[p] > 0.0 && forced && !estate && !stopped[p];
    if (sold_off[p]) action = SELL_PARTIAL;
    if (stopped[p] || (estate && forced)) action = SELL_ALL;
    executed[p] = (uint8_t)action;
    const double wanted = FRACTION[action] * j->position_scale[p] * j->equity[p];
    buy[p] = min_of(max_of(j->room[p], 0.0), max_of(wanted, 0.0));
    sell[p] = SOLD[action] * j->shares[p];
    if (action == SELL_PARTIAL && sell[p] * j->close[m] < j->min_notional) sell[p] = j->shares[p];
  }
  return 0;
}

/* accounting.auction_totals: orders [2,P] -> totals [2,M]. */
void arena_totals(const job *j) {
  for (int64_t k = 0; k < 2; k++)
    for (int64_t m = 0; m < j->markets; m++)
      j->totals[k * j->markets + m] = real_sum(j, m, j->orders + k * j->markets * j->seats, j->rows);
}
