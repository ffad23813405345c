-- The newest graves.
-- :rows = how many [50]
SELECT
    e.round, e.agent_id, a.clan, a.depth,
    json_extract(e.payload, '$.cause') AS cause,
    json_extract(e.payload, '$.age_rounds') AS age_rounds,
    json_extract(e.payload, '$.damage') AS damage,
    json_extract(e.payload, '$.equity_cents') / 100.0 AS equity
FROM event e JOIN agent a ON a.agent_id = e.agent_id
WHERE +e.kind = 'death'  -- the plus keeps SQLite on the primary key, backwards
ORDER BY e.event_id DESC
LIMIT :rows
