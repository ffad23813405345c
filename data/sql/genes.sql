-- The genes of an agent beside those of its parent.
-- :agent = whose
SELECT mine.name, mine.value, theirs.value AS parent_value
FROM gene mine
JOIN agent a ON a.agent_id = mine.agent_id
LEFT JOIN gene theirs ON theirs.agent_id = a.parent_id AND theirs.name = mine.name
WHERE mine.agent_id = :agent
ORDER BY mine.name
