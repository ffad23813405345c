-- The newest agents.
-- :rows = how many [20]
SELECT l.agent_id, l.parent_id, l.clan, l.depth, l.market, l.birth_round, l.birthmark, l.graduation_round, l.fate
FROM agent_life l
ORDER BY l.agent_id DESC
LIMIT :rows
