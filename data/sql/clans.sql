-- The largest clans by the number of agents ever born.
-- :rows = how many [20]
WITH size AS (
    SELECT founder_id, count(*) AS members FROM agent GROUP BY founder_id ORDER BY members DESC, founder_id LIMIT :rows
)
SELECT size.founder_id, a.clan, size.members, a.birth_round AS founded, a.market, a.inheritance
FROM size JOIN agent a ON a.agent_id = size.founder_id
ORDER BY size.members DESC, size.founder_id
