-- Applications (OAuth clients): those of the configuration, and those that were made while the server ran.
CREATE TABLE clients (
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    -- Lists show them in this order.
    position BIGINT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('web', 'spa', 'native')),
    name TEXT NOT NULL,
    -- Lists of texts.
    redirect_uris_json TEXT NOT NULL,
    post_logout_redirect_uris_json TEXT NOT NULL,
    initiate_login_uri TEXT,
    backchannel_logout_uri TEXT,
    enforce_pkce BIGINT NOT NULL CHECK (enforce_pkce IN (0, 1)),
    require_pushed_authorization_requests BIGINT NOT NULL CHECK (require_pushed_authorization_requests IN (0, 1)),
    id_token_signed_response_alg TEXT NOT NULL CHECK (id_token_signed_response_alg IN ('RS256', 'ES256')),
    access_token_lifetime_s BIGINT,
    instant_sign_in BIGINT NOT NULL CHECK (instant_sign_in IN (0, 1)),
    -- An object: what Scalekit's API keeps with it beside that.
    api_json TEXT NOT NULL DEFAULT '{}',
    -- An object: what its sign-in pages and emails have of their own.
    branding_json TEXT NOT NULL DEFAULT '{}',
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    PRIMARY KEY (environment_id, id)
);

CREATE TABLE client_secrets (
    environment_id TEXT NOT NULL,
    client_id TEXT NOT NULL,
    id TEXT NOT NULL,
    -- Of a secret that is known as an argon2id hash alone.
    hash TEXT,
    -- Any other secret, sealed: the control API shows it.
    sealed BYTEA CHECK ((hash IS NULL) <> (sealed IS NULL)),
    -- Its last characters, where they are known.
    suffix TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('ACTIVE', 'INACTIVE')),
    created_at_ms BIGINT NOT NULL,
    PRIMARY KEY (environment_id, client_id, id),
    FOREIGN KEY (environment_id, client_id) REFERENCES clients (environment_id, id) ON DELETE CASCADE
);
