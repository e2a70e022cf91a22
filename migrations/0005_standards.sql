-- Applications with a back-channel logout address that got tokens in a session: they are told when it ends.
CREATE TABLE session_clients (
    environment_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    client_id TEXT NOT NULL,
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    -- When to tell: null while the session lives, and when the matter is closed.
    notify_at_ms BIGINT,
    attempts BIGINT NOT NULL,
    outcome TEXT,
    last_answer TEXT,
    expires_at_ms BIGINT NOT NULL,
    PRIMARY KEY (environment_id, session_id, client_id)
);
CREATE INDEX session_clients_by_due ON session_clients (notify_at_ms);
CREATE INDEX session_clients_by_expiry ON session_clients (expires_at_ms);

-- Authorization requests that clients pushed (RFC 9126), found by the digest of their request_uri.
CREATE TABLE pushed_requests (
    environment_id TEXT NOT NULL,
    request_digest TEXT NOT NULL,
    client_id TEXT NOT NULL,
    parameters_json TEXT NOT NULL,
    used_at_ms BIGINT,
    expires_at_ms BIGINT NOT NULL,
    PRIMARY KEY (environment_id, request_digest)
);
CREATE INDEX pushed_requests_by_expiry ON pushed_requests (expires_at_ms);
