-- An agent's vital signs in its last rounds.
-- :agent = whose
-- :rows = how many rounds [50]
SELECT round, equity, drawdown, damage, reward, loss, td_error, grad_norm, q_mean, q_max, entropy, weight_change, epsilon
FROM agent_round
WHERE agent_id = :agent
ORDER BY round DESC
LIMIT :rows
