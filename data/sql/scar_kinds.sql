-- Scars by kind and severity in the last rounds.
-- :rounds = how many rounds back [200]
SELECT
    json_extract(payload, '$.scar_kind') AS scar_kind,
    json_extract(payload, '$.severity') AS severity,
    count(*) AS scars,
    sum(json_extract(payload, '$.damage')) AS damage
FROM event
WHERE kind = 'scar' AND round > (SELECT max(round) FROM round) - :rounds
GROUP BY scar_kind, severity
ORDER BY scars DESC
