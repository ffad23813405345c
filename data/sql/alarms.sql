-- The alarms of the last rounds about minds that do not learn as they should.
-- :rounds = how many rounds back [500]
-- :rows = how many alarms at most [50]
SELECT
    e.round, e.agent_id, a.clan,
    json_extract(e.payload, '$.check') AS failed_check,
    json_extract(e.payload, '$.value_millionths') / 1e6 AS value
FROM event e JOIN agent a ON a.agent_id = e.agent_id
WHERE e.kind = 'alarm' AND e.round > (SELECT max(round) FROM round) - :rounds
ORDER BY e.round DESC, e.event_id DESC
LIMIT :rows
