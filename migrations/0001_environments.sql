-- One text for SQLite and PostgreSQL: TEXT, BIGINT and BYTEA only; times are UTC milliseconds; digests are base64url.
-- `version` grows with every change of a row; a change is written only over the version that was read.

CREATE TABLE environments (
    id TEXT NOT NULL PRIMARY KEY,
    -- A template holds what a reset of its environment goes back to.
    kind TEXT NOT NULL CHECK (kind IN ('default', 'isolated', 'template')),
    -- Of an isolated environment: the first label of its host name.
    name TEXT CHECK ((kind = 'isolated') = (name IS NOT NULL)),
    template_of TEXT CHECK ((kind = 'template') = (template_of IS NOT NULL))
        REFERENCES environments (id) ON DELETE CASCADE,
    -- Grows with settings, clock, clients and faults, so that servers notice.
    version BIGINT NOT NULL,
    resets BIGINT NOT NULL,
    -- Grows with every change of roles, each of which is written over the one that was read.
    roles_version BIGINT NOT NULL DEFAULT 1,
    -- Changed settings in the words of the configuration file, sealed.
    settings BYTEA NOT NULL,
    clock_json TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL
);
CREATE UNIQUE INDEX environments_by_name ON environments (name) WHERE name IS NOT NULL;
CREATE UNIQUE INDEX environments_by_template ON environments (template_of) WHERE template_of IS NOT NULL;

CREATE TABLE server_secrets (
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    value BYTEA NOT NULL,
    created_at_ms BIGINT NOT NULL,
    PRIMARY KEY (environment_id, name)
);

-- `sequence` makes parallel first starts agree: only one of them can insert number 1.
CREATE TABLE signing_keys (
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    sequence BIGINT NOT NULL,
    kid TEXT NOT NULL,
    private_key BYTEA NOT NULL,
    created_at_ms BIGINT NOT NULL,
    signs_from_ms BIGINT NOT NULL,
    PRIMARY KEY (environment_id, sequence)
);

-- One row, written to learn whether anything can be written.
CREATE TABLE write_checks (
    id BIGINT NOT NULL PRIMARY KEY,
    filling BYTEA NOT NULL
);
