-- The most recent common ancestor of two agents; no row when their founders differ.
-- :agent = the one
-- :other = the other
WITH RECURSIVE one (agent_id, parent_id) AS (
    SELECT agent_id, parent_id FROM agent WHERE agent_id = :agent
    UNION ALL
    SELECT a.agent_id, a.parent_id FROM agent a JOIN one ON a.agent_id = one.parent_id
),
two (agent_id, parent_id) AS (
    SELECT agent_id, parent_id FROM agent WHERE agent_id = :other
    UNION ALL
    SELECT a.agent_id, a.parent_id FROM agent a JOIN two ON a.agent_id = two.parent_id
)
SELECT a.agent_id, a.clan, a.depth, a.birth_round
FROM agent a
WHERE a.agent_id = (SELECT max(agent_id) FROM one WHERE agent_id IN (SELECT agent_id FROM two))
