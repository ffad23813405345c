-- Those with the most children.
-- :rows = how many [20]
WITH most AS (
    SELECT parent_id, count(*) AS children FROM agent WHERE parent_id IS NOT NULL
    GROUP BY parent_id ORDER BY children DESC, parent_id LIMIT :rows
)
SELECT l.agent_id, l.clan, l.depth, most.children, l.birth_round, l.end_round, l.fate, l.damage
FROM most JOIN agent_life l ON l.agent_id = most.parent_id
ORDER BY most.children DESC, l.agent_id
