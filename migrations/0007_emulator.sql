-- Faults that testers ask for. `matched` and `fired` count over all servers.
CREATE TABLE fault_rules (
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    rule_json TEXT NOT NULL,
    matched BIGINT NOT NULL,
    fired BIGINT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    PRIMARY KEY (environment_id, id)
);

-- The log of sign-ins: a row for each, and rows of steps. It outlives whatever it names. `logged_at_ms` is the machine's
-- time, the others are the environment's.
CREATE TABLE flows (
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    email TEXT,
    email_key TEXT,
    client_id TEXT,
    user_id TEXT,
    status TEXT NOT NULL CHECK (status IN ('INITIATED', 'PENDING', 'SUCCESS', 'FAILED')),
    -- The event that decided so: its kind and its data.
    last_event_json TEXT NOT NULL,
    started_at_ms BIGINT NOT NULL,
    changed_at_ms BIGINT NOT NULL,
    logged_at_ms BIGINT NOT NULL,
    PRIMARY KEY (environment_id, id)
);
CREATE INDEX flows_by_start ON flows (environment_id, started_at_ms);
CREATE INDEX flows_by_age ON flows (environment_id, logged_at_ms);

-- Steps of a sign-in that were logged together are one row.
CREATE TABLE flow_steps (
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    flow_id TEXT NOT NULL,
    -- That of its first step.
    id TEXT NOT NULL,
    -- Events with their ids and times.
    steps_json TEXT NOT NULL,
    logged_at_ms BIGINT NOT NULL,
    PRIMARY KEY (environment_id, flow_id, id)
);
CREATE INDEX flow_steps_by_age ON flow_steps (environment_id, logged_at_ms);
