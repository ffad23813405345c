-- Causes of death in the last rounds.
-- :rounds = how many rounds back [200]
SELECT
    json_extract(payload, '$.cause') AS cause,
    count(*) AS deaths,
    avg(json_extract(payload, '$.age_rounds')) AS mean_age_rounds,
    avg(json_extract(payload, '$.damage')) AS mean_damage
FROM event
WHERE kind = 'death' AND round > (SELECT max(round) FROM round) - :rounds
GROUP BY cause
ORDER BY deaths DESC
