-- What the control API changed of an environment; the default one has a row once something of it was changed.
-- `revision` grows with every change, so that servers notice.
CREATE TABLE environments (
    id TEXT NOT NULL PRIMARY KEY,
    -- The default one's is its id.
    name TEXT NOT NULL,
    revision BIGINT NOT NULL,
    resets BIGINT NOT NULL,
    -- Settings in the words of the configuration file; the first ones are what a reset goes back to.
    settings BYTEA NOT NULL,
    first_settings BYTEA NOT NULL,
    clock_json TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL
);
CREATE UNIQUE INDEX environments_by_name ON environments (name);

DROP TABLE changed_settings;

-- Faults that testers ask for. `matched` and `fired` count over all servers.
CREATE TABLE fault_rules (
    environment_id TEXT NOT NULL,
    id TEXT NOT NULL,
    rule_json TEXT NOT NULL,
    matched BIGINT NOT NULL,
    fired BIGINT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    PRIMARY KEY (environment_id, id)
);

-- The log of sign-ins: one row per check or decision, and one per sign-in. `logged_at_ms` is the machine's time,
-- the others are the environment's.
CREATE TABLE flow_events (
    environment_id TEXT NOT NULL,
    id TEXT NOT NULL,
    flow_id TEXT NOT NULL,
    event_json TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    logged_at_ms BIGINT NOT NULL,
    PRIMARY KEY (environment_id, id)
);
CREATE INDEX flow_events_by_flow ON flow_events (environment_id, flow_id, id);
CREATE INDEX flow_events_by_age ON flow_events (environment_id, logged_at_ms);
CREATE TABLE flows (
    environment_id TEXT NOT NULL,
    id TEXT NOT NULL,
    email TEXT,
    email_key TEXT,
    client_id TEXT,
    user_id TEXT,
    status TEXT NOT NULL,
    why TEXT NOT NULL,
    started_at_ms BIGINT NOT NULL,
    changed_at_ms BIGINT NOT NULL,
    logged_at_ms BIGINT NOT NULL,
    PRIMARY KEY (environment_id, id)
);
CREATE INDEX flows_by_start ON flows (environment_id, started_at_ms);
CREATE INDEX flows_by_age ON flows (environment_id, logged_at_ms);

-- Listing people and sessions, newest first.
CREATE INDEX sessions_by_user ON sessions (environment_id, user_id);
