-- Those with the most equity at the end of the newest round.
-- :rows = how many [20]
SELECT r.agent_id, a.clan, a.depth, r.age_rounds, r.equity, r.drawdown, r.damage, r.closed_trades, r.won_trades, r.offspring
FROM agent_round r JOIN agent a ON a.agent_id = r.agent_id
WHERE r.round = (SELECT max(round) FROM round) AND r.status = 2
ORDER BY r.equity DESC, r.agent_id
LIMIT :rows
