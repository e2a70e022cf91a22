-- One text for SQLite and PostgreSQL: TEXT, BIGINT and BYTEA only; times are UTC milliseconds; digests are base64url.

CREATE TABLE server_secrets (
    environment_id TEXT NOT NULL,
    name TEXT NOT NULL,
    value BYTEA NOT NULL,
    created_at_ms BIGINT NOT NULL,
    PRIMARY KEY (environment_id, name)
);

-- One row, written to learn whether anything can be written.
CREATE TABLE write_checks (
    id BIGINT NOT NULL PRIMARY KEY,
    filling BYTEA NOT NULL
);

-- `sequence` makes parallel first starts agree: only one of them can insert number 1.
CREATE TABLE signing_keys (
    environment_id TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    kid TEXT NOT NULL,
    private_key BYTEA NOT NULL,
    created_at_ms BIGINT NOT NULL,
    signs_from_ms BIGINT NOT NULL,
    PRIMARY KEY (environment_id, sequence)
);

CREATE TABLE users (
    environment_id TEXT NOT NULL,
    id TEXT NOT NULL,
    email TEXT NOT NULL,
    email_key TEXT NOT NULL,
    name TEXT,
    given_name TEXT,
    family_name TEXT,
    picture TEXT,
    locale TEXT,
    external_id TEXT,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    last_sign_in_at_ms BIGINT,
    PRIMARY KEY (environment_id, id)
);
CREATE UNIQUE INDEX users_by_email ON users (environment_id, email_key);
CREATE UNIQUE INDEX users_by_external_id ON users (environment_id, external_id);

CREATE TABLE organizations (
    environment_id TEXT NOT NULL,
    id TEXT NOT NULL,
    display_name TEXT NOT NULL,
    external_id TEXT,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    PRIMARY KEY (environment_id, id)
);
CREATE UNIQUE INDEX organizations_by_external_id ON organizations (environment_id, external_id);

CREATE TABLE memberships (
    environment_id TEXT NOT NULL,
    organization_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    PRIMARY KEY (environment_id, user_id, organization_id)
);

CREATE TABLE auth_requests (
    environment_id TEXT NOT NULL,
    id TEXT NOT NULL,
    version BIGINT NOT NULL,
    stage TEXT NOT NULL,
    authorization_json TEXT NOT NULL,
    browser_digest TEXT NOT NULL,
    issuer TEXT NOT NULL,
    email TEXT,
    passwordless_type TEXT NOT NULL,
    generation BIGINT NOT NULL,
    link_digest TEXT,
    credentials_expire_at_ms BIGINT NOT NULL,
    attempts_at_ms TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    expires_at_ms BIGINT NOT NULL,
    PRIMARY KEY (environment_id, id)
);
CREATE UNIQUE INDEX auth_requests_by_link ON auth_requests (environment_id, link_digest);
CREATE INDEX auth_requests_by_expiry ON auth_requests (expires_at_ms);

-- How many mails an address received lately.
CREATE TABLE mail_budgets (
    environment_id TEXT NOT NULL,
    email_key TEXT NOT NULL,
    version BIGINT NOT NULL,
    sent_at_ms TEXT NOT NULL,
    expires_at_ms BIGINT NOT NULL,
    PRIMARY KEY (environment_id, email_key)
);
CREATE INDEX mail_budgets_by_expiry ON mail_budgets (expires_at_ms);

-- The inbox: every mail of a development environment, kept for people and tests to read.
CREATE TABLE messages (
    environment_id TEXT NOT NULL,
    id TEXT NOT NULL,
    to_address TEXT NOT NULL,
    to_key TEXT NOT NULL,
    subject TEXT NOT NULL,
    text_body TEXT NOT NULL,
    html_body TEXT NOT NULL,
    code TEXT,
    link TEXT,
    auth_request_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    recipient_kind TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    -- Why its delivery by SMTP was given up.
    delivery_error TEXT,
    PRIMARY KEY (environment_id, id)
);
CREATE INDEX messages_by_recipient ON messages (environment_id, to_key, id);

-- Mails on their way to the SMTP server; a row goes when its mail is delivered or given up. `sealed` is what it says,
-- encrypted, because neither engine wipes the place of a row that is gone.
CREATE TABLE outbox (
    environment_id TEXT NOT NULL,
    id TEXT NOT NULL,
    to_address TEXT NOT NULL,
    sealed BYTEA NOT NULL,
    auth_request_id TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    next_attempt_at_ms BIGINT NOT NULL,
    PRIMARY KEY (environment_id, id)
);
CREATE INDEX outbox_by_due ON outbox (next_attempt_at_ms);

CREATE TABLE sessions (
    environment_id TEXT NOT NULL,
    id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    cookie_digest TEXT NOT NULL,
    authenticated_at_ms BIGINT NOT NULL,
    last_active_at_ms BIGINT NOT NULL,
    absolute_expires_at_ms BIGINT NOT NULL,
    ended_at_ms BIGINT,
    created_at_ms BIGINT NOT NULL,
    PRIMARY KEY (environment_id, id)
);
CREATE UNIQUE INDEX sessions_by_cookie ON sessions (environment_id, cookie_digest);
CREATE INDEX sessions_by_expiry ON sessions (absolute_expires_at_ms);

CREATE TABLE grants (
    environment_id TEXT NOT NULL,
    id TEXT NOT NULL,
    code_digest TEXT NOT NULL,
    authorization_json TEXT NOT NULL,
    issuer TEXT NOT NULL,
    user_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    authenticated_at_ms BIGINT NOT NULL,
    code_expires_at_ms BIGINT NOT NULL,
    code_used_at_ms BIGINT,
    refresh_generation BIGINT,
    refresh_rotated_at_ms BIGINT NOT NULL,
    refresh_expires_at_ms BIGINT NOT NULL,
    revoked_at_ms BIGINT,
    created_at_ms BIGINT NOT NULL,
    expires_at_ms BIGINT NOT NULL,
    PRIMARY KEY (environment_id, id)
);
CREATE UNIQUE INDEX grants_by_code ON grants (environment_id, code_digest);
CREATE INDEX grants_by_expiry ON grants (expires_at_ms);

-- Access tokens that were revoked one by one, until they would have expired anyway.
CREATE TABLE revoked_tokens (
    environment_id TEXT NOT NULL,
    jti TEXT NOT NULL,
    expires_at_ms BIGINT NOT NULL,
    PRIMARY KEY (environment_id, jti)
);
CREATE INDEX revoked_tokens_by_expiry ON revoked_tokens (expires_at_ms);
