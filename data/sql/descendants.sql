-- Who descends from an agent, nearest generation first.
-- :agent = from whom (an id or the name of a clan)
-- :rows = how many at most [100]
WITH RECURSIVE line (agent_id, generations) AS (
    SELECT agent_id, 1 FROM agent WHERE parent_id = :agent
    UNION ALL
    SELECT a.agent_id, line.generations + 1 FROM line JOIN agent a ON a.parent_id = line.agent_id
    LIMIT :rows
)
SELECT line.generations, l.agent_id, l.parent_id, l.birth_round, l.end_round, l.fate, l.damage, l.offspring
FROM line JOIN agent_life l ON l.agent_id = line.agent_id
