-- One agent: where it comes from and what became of it.
-- :agent = who
SELECT l.*, a.seat, a.endowment_cents / 100.0 AS endowment, a.apprentice_rounds, a.identity
FROM agent_life l JOIN agent a ON a.agent_id = l.agent_id
WHERE l.agent_id = :agent
