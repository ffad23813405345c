-- The children of an agent and what became of them.
-- :agent = whose
SELECT l.agent_id, l.market, l.birth_round, l.birthmark, l.graduation_round, l.end_round, l.fate, l.damage, l.offspring
FROM agent_life l
WHERE l.parent_id = :agent
ORDER BY l.agent_id
