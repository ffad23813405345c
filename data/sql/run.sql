-- What this run is: seed, scenario, rounds, events, and the newest head.
SELECT
    run.run_id, run.scenario, run.seed,
    (SELECT max(round) + 1 FROM round) AS rounds,
    (SELECT max(agent_id) FROM agent) AS agents_born,
    (SELECT max(event_id) + 1 FROM event) AS events,
    (SELECT head FROM round ORDER BY round DESC LIMIT 1) AS head
FROM run
