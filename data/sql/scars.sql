-- The scars of an agent, in order.
-- :agent = whose
SELECT
    round, tick,
    json_extract(payload, '$.scar_kind') AS scar_kind,
    json_extract(payload, '$.severity') AS severity,
    json_extract(payload, '$.damage') AS damage,
    json_extract(payload, '$.total_damage') AS total_damage,
    json_extract(payload, '$.drawdown_bps') / 100.0 AS drawdown_percent
FROM event
WHERE agent_id = :agent AND kind = 'scar'
ORDER BY seq
