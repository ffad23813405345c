-- Schema 1 of a run's history. Append-only: the guards at the end of this file refuse UPDATE,
-- DELETE and every INSERT on a taken key. REPLACE needs that last one: it deletes the old row
-- without firing delete triggers.

BEGIN IMMEDIATE;

-- What determines the history; exactly one row.
CREATE TABLE run (
    run_id TEXT PRIMARY KEY CHECK (length(run_id) = 16),  -- first 16 hex digits of genesis
    seed INTEGER NOT NULL,
    scenario TEXT NOT NULL,
    config_json TEXT NOT NULL,  -- canonical, defaults included
    versions_json TEXT NOT NULL,  -- builds that determine results
    inputs_json TEXT NOT NULL,  -- SHA-256 of each tape
    genesis TEXT NOT NULL CHECK (length(genesis) = 64)
) STRICT, WITHOUT ROWID;

-- Everybody ever born. A death is an event, never a change here.
CREATE TABLE agent (
    agent_id INTEGER PRIMARY KEY CHECK (agent_id >= 1),
    parent_id INTEGER REFERENCES agent (agent_id) CHECK (parent_id < agent_id),  -- NULL: a founder
    founder_id INTEGER NOT NULL REFERENCES agent (agent_id) CHECK (founder_id <= agent_id),
    depth INTEGER NOT NULL CHECK (depth >= 0),  -- births since the founder
    jump_id INTEGER NOT NULL REFERENCES agent (agent_id) CHECK (jump_id <= agent_id),  -- Myers 1983
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
    genome_sha256 TEXT NOT NULL CHECK (length(genome_sha256) = 64),
    weights_sha256 TEXT NOT NULL,  -- '' for scripted minds
    identity TEXT NOT NULL UNIQUE CHECK (length(identity) = 64)  -- hash of the birth event
) STRICT;
CREATE INDEX agent_by_parent ON agent (parent_id);
CREATE INDEX agent_by_founder ON agent (founder_id);
CREATE INDEX agent_by_jump ON agent (jump_id);

CREATE TABLE gene (
    agent_id INTEGER NOT NULL REFERENCES agent (agent_id),
    name TEXT NOT NULL,
    value REAL NOT NULL,
    PRIMARY KEY (agent_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE round (
    round INTEGER PRIMARY KEY CHECK (round >= 0),
    first_tick INTEGER NOT NULL,
    last_tick INTEGER NOT NULL,
    first_event_id INTEGER NOT NULL,
    n_events INTEGER NOT NULL CHECK (n_events >= 1),  -- the round event included
    root TEXT NOT NULL CHECK (length(root) = 64),  -- Merkle root of all events before the round event
    head TEXT NOT NULL CHECK (length(head) = 64)  -- hash of the round event
) STRICT;

-- event_id counts from 0 and is the index of the Merkle leaf; agent_id NULL: an event of the run.
CREATE TABLE event (
    event_id INTEGER PRIMARY KEY CHECK (event_id >= 0),
    round INTEGER NOT NULL REFERENCES round (round),
    agent_id INTEGER REFERENCES agent (agent_id),
    seq INTEGER NOT NULL CHECK (seq >= 0),  -- place in the agent's (or the run's) chain
    tick INTEGER NOT NULL,
    kind TEXT NOT NULL,
    payload TEXT NOT NULL,  -- canonical JSON: integers and strings
    prev_hash TEXT NOT NULL CHECK (length(prev_hash) = 64),
    hash TEXT NOT NULL CHECK (length(hash) = 64),
    UNIQUE (agent_id, seq)
) STRICT;
CREATE UNIQUE INDEX event_of_run ON event (seq) WHERE agent_id IS NULL;
CREATE INDEX event_by_round ON event (round, kind);
CREATE INDEX event_by_kind ON event (kind, agent_id);

CREATE TABLE bar (
    market INTEGER NOT NULL,
    tick INTEGER NOT NULL,
    open REAL NOT NULL,
    high REAL NOT NULL,
    low REAL NOT NULL,
    close REAL NOT NULL,
    volume REAL NOT NULL,
    vwap REAL NOT NULL,
    time TEXT,  -- timestamp on the tape, NULL for synthetic markets
    PRIMARY KEY (market, tick)
) STRICT, WITHOUT ROWID;

-- Accounts of each market at the round's end, and what flowed between them during the round.
CREATE TABLE market_round (
    round INTEGER NOT NULL REFERENCES round (round),
    market INTEGER NOT NULL,
    close REAL NOT NULL,
    regime INTEGER NOT NULL,
    trading INTEGER NOT NULL,
    apprentices INTEGER NOT NULL,
    agents_cash REAL NOT NULL,
    agents_shares REAL NOT NULL,
    trust REAL NOT NULL,
    house_cash REAL NOT NULL,
    house_shares REAL NOT NULL,
    fees REAL NOT NULL,
    estate REAL NOT NULL,
    patron REAL NOT NULL,
    transfers REAL NOT NULL,
    cash_total REAL NOT NULL,
    shares_total REAL NOT NULL,
    flow_living_costs REAL NOT NULL,  -- bodies to estate
    flow_deaths REAL NOT NULL,  -- what the dead left, to estate
    flow_immigration REAL NOT NULL,  -- estate to endowments
    flow_patron REAL NOT NULL,  -- injected by the patron
    flow_fees REAL NOT NULL,  -- bodies to fees
    PRIMARY KEY (round, market)
) STRICT, WITHOUT ROWID;

CREATE TABLE agent_round (
    round INTEGER NOT NULL REFERENCES round (round),
    agent_id INTEGER NOT NULL REFERENCES agent (agent_id),
    market INTEGER NOT NULL,
    seat INTEGER NOT NULL,
    status INTEGER NOT NULL CHECK (status IN (1, 2, 3)),  -- apprentice, trading, died this round
    age_rounds INTEGER NOT NULL,
    equity REAL,
    cash REAL,
    shares REAL,
    drawdown REAL,
    damage INTEGER NOT NULL,
    scars INTEGER NOT NULL,
    closed_trades INTEGER NOT NULL,
    won_trades INTEGER NOT NULL,
    offspring INTEGER NOT NULL,
    invalid_actions INTEGER NOT NULL,
    reward REAL,
    loss REAL,
    td_error REAL,
    grad_norm REAL,
    q_mean REAL,
    q_max REAL,
    entropy REAL,
    weight_change REAL,
    replay_fill REAL,
    updates INTEGER NOT NULL,
    epsilon REAL,
    PRIMARY KEY (round, agent_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX agent_round_by_agent ON agent_round (agent_id, round);

-- Shortcuts for resuming. self_hash covers the row and the self_hash of the one before.
CREATE TABLE checkpoint (
    round INTEGER PRIMARY KEY REFERENCES round (round),
    file TEXT NOT NULL,
    sha256 TEXT NOT NULL CHECK (length(sha256) = 64),
    head TEXT NOT NULL CHECK (length(head) = 64),
    self_hash TEXT NOT NULL CHECK (length(self_hash) = 64)
) STRICT;

-- Every time a process worked on this run. Wall clock and machine: outside the chain of events.
CREATE TABLE session (
    session_id INTEGER PRIMARY KEY CHECK (session_id >= 1),
    started_at TEXT NOT NULL,
    pid INTEGER NOT NULL,
    threads INTEGER NOT NULL,
    device TEXT NOT NULL,
    numerics TEXT NOT NULL,  -- fingerprint of what this machine computes
    python TEXT NOT NULL,
    torch TEXT NOT NULL,
    numpy TEXT NOT NULL,
    package TEXT NOT NULL,
    provenance TEXT NOT NULL,  -- JSON: software, parameters, environment
    self_hash TEXT NOT NULL CHECK (length(self_hash) = 64)
) STRICT;

-- Views for people. Undefined is NULL. Payloads are canonical JSON, so a key is found as text and
-- CAST reads the digits after it; json_extract in a view is refused by older SQLite builds when the
-- schema is not trusted, and readers do not trust it.

CREATE VIEW agent_life AS
SELECT
    a.agent_id, a.parent_id, a.founder_id, a.clan, a.depth, a.market, a.mind, a.inheritance,
    a.birth_round, a.birth_tick, a.birthmark,
    (SELECT g.round FROM event g WHERE g.agent_id = a.agent_id AND g.kind = 'graduation') AS graduation_round,
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
    (SELECT count(*) FROM event s WHERE s.agent_id = a.agent_id AND s.kind = 'scar') AS scars,
    a.birthmark + (
        SELECT coalesce(sum(CAST(substr(s.payload, instr(s.payload, '"damage":') + 9) AS INTEGER)), 0)
        FROM event s WHERE s.agent_id = a.agent_id AND s.kind = 'scar'
    ) AS damage,
    (SELECT count(*) FROM agent c WHERE c.parent_id = a.agent_id) AS offspring
FROM agent a
LEFT JOIN event e ON e.agent_id = a.agent_id AND e.kind IN ('death', 'censored');

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
FROM event e JOIN agent a ON a.agent_id = e.agent_id
WHERE e.kind = 'scar'
GROUP BY e.agent_id, a.clan, scar_kind, severity;

CREATE VIEW round_summary AS
SELECT
    r.round, r.first_tick, r.last_tick, r.n_events,
    (SELECT sum(m.trading) FROM market_round m WHERE m.round = r.round) AS trading,
    (SELECT sum(m.apprentices) FROM market_round m WHERE m.round = r.round) AS apprentices,
    (SELECT count(*) FROM event e WHERE e.round = r.round AND e.kind = 'birth') AS births,
    (SELECT count(*) FROM event e WHERE e.round = r.round AND e.kind = 'death') AS deaths,
    (SELECT count(*) FROM event e WHERE e.round = r.round AND e.kind = 'scar') AS scars,
    (SELECT count(*) FROM event e WHERE e.round = r.round AND e.kind = 'graduation') AS graduations,
    (SELECT count(*) FROM event e WHERE e.round = r.round AND e.kind = 'alarm') AS alarms,
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

-- Guards.

CREATE TRIGGER run_no_update BEFORE UPDATE ON run BEGIN SELECT RAISE(ABORT, 'run is append-only: UPDATE refused'); END;
CREATE TRIGGER run_no_delete BEFORE DELETE ON run BEGIN SELECT RAISE(ABORT, 'run is append-only: DELETE refused'); END;
CREATE TRIGGER run_no_replace BEFORE INSERT ON run
WHEN EXISTS (SELECT 1 FROM run)
BEGIN SELECT RAISE(ABORT, 'run is append-only: its row is taken'); END;

CREATE TRIGGER agent_no_update BEFORE UPDATE ON agent BEGIN SELECT RAISE(ABORT, 'agent is append-only: UPDATE refused'); END;
CREATE TRIGGER agent_no_delete BEFORE DELETE ON agent BEGIN SELECT RAISE(ABORT, 'agent is append-only: DELETE refused'); END;
CREATE TRIGGER agent_no_replace BEFORE INSERT ON agent
WHEN EXISTS (SELECT 1 FROM agent WHERE agent_id = NEW.agent_id)
    OR EXISTS (SELECT 1 FROM agent WHERE identity = NEW.identity)
BEGIN SELECT RAISE(ABORT, 'agent is append-only: the key is taken'); END;

CREATE TRIGGER gene_no_update BEFORE UPDATE ON gene BEGIN SELECT RAISE(ABORT, 'gene is append-only: UPDATE refused'); END;
CREATE TRIGGER gene_no_delete BEFORE DELETE ON gene BEGIN SELECT RAISE(ABORT, 'gene is append-only: DELETE refused'); END;
CREATE TRIGGER gene_no_replace BEFORE INSERT ON gene
WHEN EXISTS (SELECT 1 FROM gene WHERE agent_id = NEW.agent_id AND name = NEW.name)
BEGIN SELECT RAISE(ABORT, 'gene is append-only: the key is taken'); END;

CREATE TRIGGER round_no_update BEFORE UPDATE ON round BEGIN SELECT RAISE(ABORT, 'round is append-only: UPDATE refused'); END;
CREATE TRIGGER round_no_delete BEFORE DELETE ON round BEGIN SELECT RAISE(ABORT, 'round is append-only: DELETE refused'); END;
CREATE TRIGGER round_no_replace BEFORE INSERT ON round
WHEN EXISTS (SELECT 1 FROM round WHERE round = NEW.round)
BEGIN SELECT RAISE(ABORT, 'round is append-only: the key is taken'); END;

CREATE TRIGGER event_no_update BEFORE UPDATE ON event BEGIN SELECT RAISE(ABORT, 'event is append-only: UPDATE refused'); END;
CREATE TRIGGER event_no_delete BEFORE DELETE ON event BEGIN SELECT RAISE(ABORT, 'event is append-only: DELETE refused'); END;
CREATE TRIGGER event_no_replace BEFORE INSERT ON event
WHEN EXISTS (SELECT 1 FROM event WHERE event_id = NEW.event_id)
    OR EXISTS (SELECT 1 FROM event WHERE agent_id = NEW.agent_id AND seq = NEW.seq)
    OR (NEW.agent_id IS NULL AND EXISTS (SELECT 1 FROM event WHERE agent_id IS NULL AND seq = NEW.seq))
BEGIN SELECT RAISE(ABORT, 'event is append-only: the key is taken'); END;

CREATE TRIGGER bar_no_update BEFORE UPDATE ON bar BEGIN SELECT RAISE(ABORT, 'bar is append-only: UPDATE refused'); END;
CREATE TRIGGER bar_no_delete BEFORE DELETE ON bar BEGIN SELECT RAISE(ABORT, 'bar is append-only: DELETE refused'); END;
CREATE TRIGGER bar_no_replace BEFORE INSERT ON bar
WHEN EXISTS (SELECT 1 FROM bar WHERE market = NEW.market AND tick = NEW.tick)
BEGIN SELECT RAISE(ABORT, 'bar is append-only: the key is taken'); END;

CREATE TRIGGER market_round_no_update BEFORE UPDATE ON market_round
BEGIN SELECT RAISE(ABORT, 'market_round is append-only: UPDATE refused'); END;
CREATE TRIGGER market_round_no_delete BEFORE DELETE ON market_round
BEGIN SELECT RAISE(ABORT, 'market_round is append-only: DELETE refused'); END;
CREATE TRIGGER market_round_no_replace BEFORE INSERT ON market_round
WHEN EXISTS (SELECT 1 FROM market_round WHERE round = NEW.round AND market = NEW.market)
BEGIN SELECT RAISE(ABORT, 'market_round is append-only: the key is taken'); END;

CREATE TRIGGER agent_round_no_update BEFORE UPDATE ON agent_round
BEGIN SELECT RAISE(ABORT, 'agent_round is append-only: UPDATE refused'); END;
CREATE TRIGGER agent_round_no_delete BEFORE DELETE ON agent_round
BEGIN SELECT RAISE(ABORT, 'agent_round is append-only: DELETE refused'); END;
CREATE TRIGGER agent_round_no_replace BEFORE INSERT ON agent_round
WHEN EXISTS (SELECT 1 FROM agent_round WHERE round = NEW.round AND agent_id = NEW.agent_id)
BEGIN SELECT RAISE(ABORT, 'agent_round is append-only: the key is taken'); END;

CREATE TRIGGER checkpoint_no_update BEFORE UPDATE ON checkpoint
BEGIN SELECT RAISE(ABORT, 'checkpoint is append-only: UPDATE refused'); END;
CREATE TRIGGER checkpoint_no_delete BEFORE DELETE ON checkpoint
BEGIN SELECT RAISE(ABORT, 'checkpoint is append-only: DELETE refused'); END;
CREATE TRIGGER checkpoint_no_replace BEFORE INSERT ON checkpoint
WHEN EXISTS (SELECT 1 FROM checkpoint WHERE round = NEW.round)
BEGIN SELECT RAISE(ABORT, 'checkpoint is append-only: the key is taken'); END;

CREATE TRIGGER session_no_update BEFORE UPDATE ON session
BEGIN SELECT RAISE(ABORT, 'session is append-only: UPDATE refused'); END;
CREATE TRIGGER session_no_delete BEFORE DELETE ON session
BEGIN SELECT RAISE(ABORT, 'session is append-only: DELETE refused'); END;
CREATE TRIGGER session_no_replace BEFORE INSERT ON session
WHEN EXISTS (SELECT 1 FROM session WHERE session_id = NEW.session_id)
BEGIN SELECT RAISE(ABORT, 'session is append-only: the key is taken'); END;

PRAGMA application_id = 1279349326;  -- "LARN"
PRAGMA user_version = 1;
COMMIT;
