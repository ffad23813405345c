-- The line of descent of an agent: itself, its parent, and so on to the founder (1,000 at most).
-- :agent = whose line (an id or the name of a clan)
WITH RECURSIVE line (agent_id, parent_id) AS (
    SELECT agent_id, parent_id FROM agent WHERE agent_id = :agent
    UNION ALL
    SELECT a.agent_id, a.parent_id FROM agent a JOIN line ON a.agent_id = line.parent_id
    LIMIT 1000
)
SELECT l.agent_id, l.clan, l.depth, l.birth_round, l.end_round, l.fate, l.birthmark, l.damage, l.offspring
FROM line JOIN agent_life l ON l.agent_id = line.agent_id
ORDER BY l.depth DESC
