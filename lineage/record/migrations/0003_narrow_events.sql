-- Schema 3: the same history in half the bytes. The tables `agent` and `event` become `stored_agent` and `stored_event`,
-- which hold hashes as 32 bytes and nothing that follows from the rest; views of the old names show the old columns,
-- text for text. What is hashed does not change, so neither do heads, roots, proofs and checkpoint lines.
--
-- Not stored any more: prev_hash (the hash of the event before), the payload of a birth (it repeats the agent's row),
-- the identity of an agent (the hash of its birth), and indexes that no question needs.
--
-- Needs lineage_unhex(text), a deterministic function of the migrating connection (record/schema.py): SQLite has
-- unhex() from 3.41 on only. It is NULL for anything but lower-case hex digits. Foreign keys are off meanwhile.
-- A file whose views would show another value than its tables did is not migrated: run verify on it.

BEGIN IMMEDIATE;

DROP VIEW fossil;
DROP VIEW alife_phylogeny;
DROP VIEW clan_summary;
DROP VIEW round_summary;
DROP VIEW scar_load;
DROP VIEW extant;
DROP VIEW agent_life;

ALTER TABLE agent RENAME TO stored_agent;  -- the references of other tables follow
CREATE TEMP TABLE old_agent AS SELECT * FROM stored_agent;
DROP TABLE stored_agent;
ALTER TABLE event RENAME TO old_event;

-- Everybody ever born. A death is an event, never a change here.
CREATE TABLE stored_agent (
    agent_id INTEGER PRIMARY KEY CHECK (agent_id >= 1),
    parent_id INTEGER REFERENCES stored_agent (agent_id) CHECK (parent_id < agent_id),  -- NULL: a founder
    founder_id INTEGER NOT NULL REFERENCES stored_agent (agent_id) CHECK (founder_id <= agent_id),
    depth INTEGER NOT NULL CHECK (depth >= 0),  -- births since the founder
    jump_id INTEGER NOT NULL REFERENCES stored_agent (agent_id) CHECK (jump_id <= agent_id),  -- Myers 1983
    clan TEXT NOT NULL,
    market INTEGER NOT NULL,
    seat INTEGER NOT NULL,
    birth_round INTEGER NOT NULL,
    birth_tick INTEGER NOT NULL,
    mind TEXT NOT NULL,  -- dqn or the name of a scripted strategy
    inheritance TEXT NOT NULL,  -- founder, immigrant or the mode
    endowment_cents INTEGER NOT NULL,
    birthmark INTEGER NOT NULL,  -- damage points inherited
    apprentice_rounds INTEGER NOT NULL,
    genome_sha256 BLOB NOT NULL CHECK (length(genome_sha256) = 32),
    weights_sha256 BLOB NOT NULL CHECK (length(weights_sha256) IN (0, 32))  -- x'' for scripted minds
) STRICT;

-- event_id counts from 0 and is the index of the Merkle leaf; agent_id NULL: an event of the run.
CREATE TABLE stored_event (
    event_id INTEGER PRIMARY KEY CHECK (event_id >= 0),
    round INTEGER NOT NULL REFERENCES round (round),
    agent_id INTEGER REFERENCES stored_agent (agent_id),
    seq INTEGER NOT NULL CHECK (seq >= 0),  -- place in the agent's (or the run's) chain
    tick INTEGER NOT NULL,
    kind TEXT NOT NULL,
    payload TEXT CHECK ((payload IS NULL) = (kind = 'birth')),  -- canonical JSON; that of a birth is the agent's row
    hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;

INSERT INTO stored_agent
SELECT
    agent_id, parent_id, founder_id, depth, jump_id, clan, market, seat, birth_round, birth_tick, mind, inheritance,
    endowment_cents, birthmark, apprentice_rounds, lineage_unhex(genome_sha256), lineage_unhex(weights_sha256)
FROM temp.old_agent ORDER BY agent_id;

INSERT INTO stored_event
SELECT
    event_id, round, agent_id, seq, tick, kind, CASE WHEN kind <> 'birth' THEN payload END, lineage_unhex(hash)
FROM old_event ORDER BY event_id;

CREATE INDEX agent_by_parent ON stored_agent (parent_id);
CREATE INDEX agent_by_founder ON stored_agent (founder_id);
CREATE INDEX event_by_agent ON stored_event (agent_id);  -- and event_id, which comes with every index
CREATE INDEX event_of_death ON stored_event (round) WHERE kind = 'death';  -- what is asked for over all agents
CREATE INDEX event_of_scar ON stored_event (round) WHERE kind = 'scar';
CREATE INDEX event_of_alarm ON stored_event (round) WHERE kind = 'alarm';

-- As everybody knows them. A column that is computed costs nothing where it is not asked for.

CREATE VIEW agent AS
SELECT
    a.agent_id, a.parent_id, a.founder_id, a.depth, a.jump_id, a.clan, a.market, a.seat, a.birth_round, a.birth_tick,
    a.mind, a.inheritance, a.endowment_cents, a.birthmark, a.apprentice_rounds,
    lower(hex(a.genome_sha256)) AS genome_sha256,
    lower(hex(a.weights_sha256)) AS weights_sha256,  -- '' for scripted minds
    (
        SELECT lower(hex(b.hash)) FROM stored_event b INDEXED BY event_by_agent
        WHERE b.agent_id = a.agent_id AND b.seq = 0 ORDER BY b.event_id LIMIT 1
    ) AS identity
FROM stored_agent a;

-- Escapes are those of JSON; the order of the keys is that of the canonical text.
CREATE VIEW event AS
SELECT
    e.event_id, e.round, e.agent_id, e.seq, e.tick, e.kind,
    coalesce(e.payload, (
        SELECT
            '{"apprentice_rounds":' || a.apprentice_rounds || ',"birthmark":' || a.birthmark
            || ',"depth":' || a.depth || ',"endowment_cents":' || a.endowment_cents
            || ',"founder":' || a.founder_id || ',"genome_sha256":"' || lower(hex(a.genome_sha256))
            || '","inheritance":"' || replace(replace(a.inheritance, '\', '\\'), '"', '\"')
            || '","jump":' || a.jump_id || ',"market":' || a.market
            || ',"mind":"' || replace(replace(a.mind, '\', '\\'), '"', '\"')
            || '","parent":' || coalesce(a.parent_id, 0) || ',"seat":' || a.seat
            || ',"weights_sha256":"' || lower(hex(a.weights_sha256)) || '"}'
        FROM stored_agent a WHERE a.agent_id = e.agent_id
    )) AS payload,
    coalesce(
        CASE WHEN e.kind = 'birth' THEN (
            SELECT lower(hex(s.hash))
            FROM stored_agent a JOIN stored_event s INDEXED BY event_by_agent ON s.agent_id = a.parent_id
            WHERE a.agent_id = e.agent_id AND s.kind = 'spawn' AND instr(s.payload, '"child":' || e.agent_id || ',') > 0
        ) ELSE (
            SELECT lower(hex(p.hash)) FROM stored_event p INDEXED BY event_by_agent
            WHERE p.agent_id IS e.agent_id AND p.event_id < e.event_id ORDER BY p.event_id DESC LIMIT 1
        ) END,
        (SELECT run.genesis FROM run)
    ) AS prev_hash,
    lower(hex(e.hash)) AS hash
FROM stored_event e;

-- The views must show what the tables showed, byte for byte; otherwise this fails and all is as it was.
CREATE TEMP TABLE shown_differently (
    agents INTEGER CONSTRAINT "agents do not follow from their births" CHECK (agents = 0),
    events INTEGER CONSTRAINT "events do not follow from those before" CHECK (events = 0)
);
INSERT INTO temp.shown_differently
SELECT
    (SELECT count(*) FROM (SELECT * FROM temp.old_agent EXCEPT SELECT * FROM agent)),
    (
        SELECT count(*) FROM old_event o LEFT JOIN stored_event s ON s.event_id = o.event_id
        WHERE s.event_id IS NULL OR o.payload IS NOT (SELECT v.payload FROM event v WHERE v.event_id = o.event_id)
            OR o.prev_hash IS NOT (SELECT v.prev_hash FROM event v WHERE v.event_id = o.event_id)
    );
DROP TABLE temp.shown_differently;
DROP TABLE temp.old_agent;
DROP TABLE old_event;

-- Views for people, as before: fields of payloads are found as text (0001).

CREATE VIEW agent_life AS
SELECT
    a.agent_id, a.parent_id, a.founder_id, a.clan, a.depth, a.market, a.mind, a.inheritance,
    a.birth_round, a.birth_tick, a.birthmark,
    (SELECT g.round FROM stored_event g WHERE g.agent_id = a.agent_id AND g.kind = 'graduation') AS graduation_round,
    e.round AS end_round,
    e.tick AS end_tick,
    CASE
        WHEN e.kind = 'death' THEN substr(
            e.payload,
            instr(e.payload, '"cause":"') + 9,
            instr(substr(e.payload, instr(e.payload, '"cause":"') + 9), '"') - 1
        )
        ELSE e.kind
    END AS fate,  -- NULL: alive
    (SELECT count(*) FROM stored_event s WHERE s.agent_id = a.agent_id AND s.kind = 'scar') AS scars,
    a.birthmark + (
        SELECT coalesce(sum(CAST(substr(s.payload, instr(s.payload, '"damage":') + 9) AS INTEGER)), 0)
        FROM stored_event s WHERE s.agent_id = a.agent_id AND s.kind = 'scar'
    ) AS damage,
    (SELECT count(*) FROM stored_agent c WHERE c.parent_id = a.agent_id) AS offspring
FROM stored_agent a
LEFT JOIN stored_event e ON e.agent_id = a.agent_id AND e.kind IN ('death', 'censored');

CREATE VIEW extant AS
SELECT * FROM agent_life WHERE fate IS NULL OR fate = 'censored';

CREATE VIEW scar_load AS
SELECT
    e.agent_id,
    a.clan,
    substr(
        e.payload,
        instr(e.payload, '"scar_kind":"') + 13,
        instr(substr(e.payload, instr(e.payload, '"scar_kind":"') + 13), '"') - 1
    ) AS scar_kind,
    substr(
        e.payload,
        instr(e.payload, '"severity":"') + 12,
        instr(substr(e.payload, instr(e.payload, '"severity":"') + 12), '"') - 1
    ) AS severity,
    count(*) AS scars,
    sum(CAST(substr(e.payload, instr(e.payload, '"damage":') + 9) AS INTEGER)) AS damage,
    min(e.round) AS first_round,
    max(e.round) AS last_round
FROM stored_event e JOIN stored_agent a ON a.agent_id = e.agent_id
WHERE e.kind = 'scar'
GROUP BY e.agent_id, a.clan, scar_kind, severity;

-- The events of a round lie side by side: its span of event_id is as good as an index.
CREATE VIEW round_summary AS
SELECT
    r.round, r.first_tick, r.last_tick, r.n_events,
    (SELECT sum(m.trading) FROM market_round m WHERE m.round = r.round) AS trading,
    (SELECT sum(m.apprentices) FROM market_round m WHERE m.round = r.round) AS apprentices,
    (
        SELECT count(*) FROM stored_event e
        WHERE e.event_id >= r.first_event_id AND e.event_id < r.first_event_id + r.n_events AND e.kind = 'birth'
    ) AS births,
    (
        SELECT count(*) FROM stored_event e
        WHERE e.event_id >= r.first_event_id AND e.event_id < r.first_event_id + r.n_events AND e.kind = 'death'
    ) AS deaths,
    (
        SELECT count(*) FROM stored_event e
        WHERE e.event_id >= r.first_event_id AND e.event_id < r.first_event_id + r.n_events AND e.kind = 'scar'
    ) AS scars,
    (
        SELECT count(*) FROM stored_event e
        WHERE e.event_id >= r.first_event_id AND e.event_id < r.first_event_id + r.n_events AND e.kind = 'graduation'
    ) AS graduations,
    (
        SELECT count(*) FROM stored_event e
        WHERE e.event_id >= r.first_event_id AND e.event_id < r.first_event_id + r.n_events AND e.kind = 'alarm'
    ) AS alarms,
    (SELECT avg(a.equity) FROM agent_round a WHERE a.round = r.round AND a.status = 2) AS mean_equity,
    (SELECT avg(a.damage) FROM agent_round a WHERE a.round = r.round AND a.status = 2) AS mean_damage,
    (SELECT avg(a.loss) FROM agent_round a WHERE a.round = r.round) AS mean_loss,
    r.root, r.head
FROM round r;

CREATE VIEW clan_summary AS
SELECT
    founder_id,
    clan,
    count(*) AS members,
    sum(fate IS NULL OR fate = 'censored') AS extant,
    max(depth) AS deepest,
    min(birth_round) AS first_round,
    CASE WHEN sum(fate IS NULL) = 0 THEN max(end_round) END AS last_round,  -- NULL: still alive
    sum(scars) AS scars,
    sum(fate = 'bankrupt') AS bankrupt,
    sum(fate = 'terminal_damage') AS terminal_damage,
    sum(fate = 'retired') AS retired
FROM agent_life
GROUP BY founder_id, clan;

-- Columns of the ALife standard phylogeny; destruction_time is NULL for the extant.
CREATE VIEW alife_phylogeny AS
SELECT
    agent_id AS id,
    CASE WHEN parent_id IS NULL THEN '[none]' ELSE '[' || parent_id || ']' END AS ancestor_list,
    coalesce(parent_id, agent_id) AS ancestor_id,
    birth_tick AS origin_time,
    CASE WHEN fate <> 'censored' THEN end_tick END AS destruction_time,
    clan AS taxon_label,
    depth, market, mind, inheritance, fate
FROM agent_life;

-- Every kept policy with who it was; agents without one (scripted, or still alive) are not here.
CREATE VIEW fossil AS
SELECT
    p.agent_id, a.clan, a.depth, a.parent_id, a.mind, p.reason, p.round,
    p.round - a.birth_round AS age_rounds,
    length(b.bytes) AS bytes,
    p.blob_sha256, p.weights_sha256
FROM policy p
JOIN stored_agent a ON a.agent_id = p.agent_id
JOIN policy_blob b ON b.sha256 = p.blob_sha256;

-- Guards. There is one key a table, so one look decides what REPLACE could take away.

CREATE TRIGGER stored_agent_no_update BEFORE UPDATE ON stored_agent
BEGIN SELECT RAISE(ABORT, 'stored_agent is append-only: UPDATE refused'); END;
CREATE TRIGGER stored_agent_no_delete BEFORE DELETE ON stored_agent
BEGIN SELECT RAISE(ABORT, 'stored_agent is append-only: DELETE refused'); END;
CREATE TRIGGER stored_agent_no_replace BEFORE INSERT ON stored_agent
WHEN EXISTS (SELECT 1 FROM stored_agent WHERE agent_id = NEW.agent_id)
BEGIN SELECT RAISE(ABORT, 'stored_agent is append-only: the key is taken'); END;

CREATE TRIGGER stored_event_no_update BEFORE UPDATE ON stored_event
BEGIN SELECT RAISE(ABORT, 'stored_event is append-only: UPDATE refused'); END;
CREATE TRIGGER stored_event_no_delete BEFORE DELETE ON stored_event
BEGIN SELECT RAISE(ABORT, 'stored_event is append-only: DELETE refused'); END;
CREATE TRIGGER stored_event_no_replace BEFORE INSERT ON stored_event
WHEN EXISTS (SELECT 1 FROM stored_event WHERE event_id = NEW.event_id)
BEGIN SELECT RAISE(ABORT, 'stored_event is append-only: the key is taken'); END;

PRAGMA user_version = 3;
COMMIT;
