-- Mean, least and largest value of each gene over those who were alive in the newest round.
SELECT g.name, count(*) AS agents, avg(g.value) AS mean, min(g.value) AS least, max(g.value) AS largest
FROM agent_round r JOIN gene g ON g.agent_id = r.agent_id
WHERE r.round = (SELECT max(round) FROM round) AND r.status <> 3
GROUP BY g.name
ORDER BY g.name
