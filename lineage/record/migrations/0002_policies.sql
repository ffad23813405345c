-- Schema 2: the policies of agents at moments of their lives, by content, and the gain of a learner over its own
-- birth policy on the fixed probe market. A column that is added later is NULL in older rounds; it enters a round's
-- digest only where it holds a value, so that older digests stay true.

BEGIN IMMEDIATE;

ALTER TABLE agent_round ADD COLUMN probe_gain REAL;  -- log-growth above the birth policy's, NULL where not probed

-- Whole safetensors files, as `policy export` writes them.
CREATE TABLE policy_blob (
    sha256 TEXT PRIMARY KEY CHECK (length(sha256) = 64),  -- of the bytes
    bytes BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- One row a learner and reason; the round's events seal weights_sha256, all else in the file follows from them.
CREATE TABLE policy (
    agent_id INTEGER NOT NULL REFERENCES agent (agent_id),
    reason TEXT NOT NULL CHECK (reason IN ('birth', 'death', 'end')),  -- end: alive when the run ended
    round INTEGER NOT NULL REFERENCES round (round),
    blob_sha256 TEXT NOT NULL REFERENCES policy_blob (sha256),
    weights_sha256 TEXT NOT NULL CHECK (length(weights_sha256) = 64),  -- of the padded row, as in the event
    PRIMARY KEY (agent_id, reason)
) STRICT, WITHOUT ROWID;
CREATE INDEX policy_by_round ON policy (round);
CREATE INDEX policy_by_blob ON policy (blob_sha256);

-- Every kept policy with who it was; agents without one (scripted, or still alive) are not here.
CREATE VIEW fossil AS
SELECT
    p.agent_id, a.clan, a.depth, a.parent_id, a.mind, p.reason, p.round,
    p.round - a.birth_round AS age_rounds,
    length(b.bytes) AS bytes,
    p.blob_sha256, p.weights_sha256
FROM policy p
JOIN agent a ON a.agent_id = p.agent_id
JOIN policy_blob b ON b.sha256 = p.blob_sha256;

CREATE TRIGGER policy_blob_no_update BEFORE UPDATE ON policy_blob
BEGIN SELECT RAISE(ABORT, 'policy_blob is append-only: UPDATE refused'); END;
CREATE TRIGGER policy_blob_no_delete BEFORE DELETE ON policy_blob
BEGIN SELECT RAISE(ABORT, 'policy_blob is append-only: DELETE refused'); END;
CREATE TRIGGER policy_blob_no_replace BEFORE INSERT ON policy_blob
WHEN EXISTS (SELECT 1 FROM policy_blob WHERE sha256 = NEW.sha256)
BEGIN SELECT RAISE(ABORT, 'policy_blob is append-only: the key is taken'); END;

CREATE TRIGGER policy_no_update BEFORE UPDATE ON policy
BEGIN SELECT RAISE(ABORT, 'policy is append-only: UPDATE refused'); END;
CREATE TRIGGER policy_no_delete BEFORE DELETE ON policy
BEGIN SELECT RAISE(ABORT, 'policy is append-only: DELETE refused'); END;
CREATE TRIGGER policy_no_replace BEFORE INSERT ON policy
WHEN EXISTS (SELECT 1 FROM policy WHERE agent_id = NEW.agent_id AND reason = NEW.reason)
BEGIN SELECT RAISE(ABORT, 'policy is append-only: the key is taken'); END;

PRAGMA user_version = 2;
COMMIT;
