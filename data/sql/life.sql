-- Everything that happened to an agent, in order.
-- :agent = whose life
SELECT event_id, round, tick, kind, payload FROM event WHERE agent_id = :agent ORDER BY seq
