-- The newest rounds in one line each.
-- :rows = how many [50]
SELECT round, trading, apprentices, births, deaths, scars, graduations, alarms, mean_equity, mean_damage, mean_loss
FROM round_summary
ORDER BY round DESC
LIMIT :rows
