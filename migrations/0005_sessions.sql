CREATE TABLE sessions (
    environment_id TEXT NOT NULL,
    id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    -- The organization that the user is in, if any. It may be gone since.
    organization_id TEXT,
    cookie_digest TEXT NOT NULL,
    authenticated_at_ms BIGINT NOT NULL,
    last_active_at_ms BIGINT NOT NULL,
    absolute_expires_at_ms BIGINT NOT NULL,
    -- By the session policy of the organization. Null: it says nothing.
    idle_timeout_s BIGINT,
    ended_at_ms BIGINT,
    ended_by TEXT CHECK (ended_by IN ('logout', 'revocation')),
    -- Of the request that signed in.
    user_agent TEXT,
    ip_address TEXT,
    -- What an interceptor added: `custom_claims` of its access tokens.
    custom_claims_json TEXT NOT NULL DEFAULT '{}',
    created_at_ms BIGINT NOT NULL,
    PRIMARY KEY (environment_id, id),
    CHECK ((ended_at_ms IS NULL) = (ended_by IS NULL)),
    FOREIGN KEY (environment_id, user_id) REFERENCES users (environment_id, id) ON DELETE CASCADE
);
CREATE INDEX sessions_by_user ON sessions (environment_id, user_id, created_at_ms, id);
CREATE INDEX sessions_by_expiry ON sessions (environment_id, absolute_expires_at_ms);
-- Those that end with their organization.
CREATE INDEX sessions_by_organization ON sessions (environment_id, organization_id) WHERE ended_at_ms IS NULL;

-- Authorization codes with the refresh tokens that come of them. Whose they are says their session.
CREATE TABLE grants (
    environment_id TEXT NOT NULL,
    id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    client_id TEXT NOT NULL,
    -- The organization that was entered, if any. It may be gone since.
    organization_id TEXT,
    code_digest TEXT NOT NULL,
    authorization_json TEXT NOT NULL,
    issuer TEXT NOT NULL,
    -- Those of the session when the grant was made.
    custom_claims_json TEXT NOT NULL DEFAULT '{}',
    authenticated_at_ms BIGINT NOT NULL,
    code_expires_at_ms BIGINT NOT NULL,
    code_used_at_ms BIGINT,
    refresh_generation BIGINT,
    refresh_rotated_at_ms BIGINT NOT NULL,
    refresh_expires_at_ms BIGINT NOT NULL,
    revoked_at_ms BIGINT,
    created_at_ms BIGINT NOT NULL,
    expires_at_ms BIGINT NOT NULL,
    PRIMARY KEY (environment_id, id),
    FOREIGN KEY (environment_id, session_id) REFERENCES sessions (environment_id, id) ON DELETE CASCADE,
    FOREIGN KEY (environment_id, client_id) REFERENCES clients (environment_id, id) ON DELETE CASCADE
);
CREATE INDEX grants_by_client ON grants (environment_id, client_id);
CREATE INDEX grants_by_session ON grants (environment_id, session_id);
CREATE INDEX grants_by_expiry ON grants (environment_id, expires_at_ms);

-- Access tokens that were revoked one by one, until they would have expired anyway.
CREATE TABLE revoked_tokens (
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    jti TEXT NOT NULL,
    expires_at_ms BIGINT NOT NULL,
    PRIMARY KEY (environment_id, jti)
);
CREATE INDEX revoked_tokens_by_expiry ON revoked_tokens (environment_id, expires_at_ms);

-- Applications with a back-channel logout address that got tokens in a session: they are told when it ends. A row
-- outlives its session, because what ends a session may delete it.
CREATE TABLE session_clients (
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    session_id TEXT NOT NULL,
    client_id TEXT NOT NULL,
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    -- When to tell, by the environment's clock: null while the session is active, and when the delivery is over.
    notify_at_ms BIGINT,
    -- Until then, by the machine's clock, it is left to the server that took it.
    leased_until_ms BIGINT NOT NULL DEFAULT 0,
    attempts BIGINT NOT NULL,
    outcome TEXT CHECK (outcome IN ('delivered', 'refused', 'given_up')),
    last_answer TEXT,
    expires_at_ms BIGINT NOT NULL,
    PRIMARY KEY (environment_id, session_id, client_id)
);
CREATE INDEX session_clients_by_due ON session_clients (environment_id, client_id, notify_at_ms)
    WHERE notify_at_ms IS NOT NULL;
CREATE INDEX session_clients_by_expiry ON session_clients (environment_id, expires_at_ms);
