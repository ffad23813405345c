-- Every market's accounts at the end of the newest round.
SELECT
    market, close, regime, trading, apprentices, agents_cash, agents_shares, trust, house_cash, house_shares, fees,
    estate, patron, cash_total, shares_total
FROM market_round
WHERE round = (SELECT max(round) FROM round)
ORDER BY market
