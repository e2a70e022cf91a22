-- Sign-ins under way. A row is found by its key, by the digest of the link in its mail, or by its age.
CREATE TABLE auth_requests (
    environment_id TEXT NOT NULL,
    id TEXT NOT NULL,
    client_id TEXT NOT NULL,
    version BIGINT NOT NULL,
    stage TEXT NOT NULL
        CHECK (stage IN ('awaiting_email', 'awaiting_proof', 'awaiting_organization', 'completed', 'dead')),
    -- Of a browser's request. These are empty in a request by API, which has `headless_json`.
    authorization_json TEXT NOT NULL,
    browser_digest TEXT NOT NULL,
    issuer TEXT NOT NULL,
    headless_json TEXT,
    -- What the last email carried, as it was when it was sent; null before the first one.
    email TEXT CHECK ((stage = 'awaiting_email') = (email IS NULL)),
    passwordless_type TEXT CHECK (passwordless_type IN ('OTP', 'LINK', 'LINK_OTP')),
    generation BIGINT,
    -- The code is derived with so many digits, or is a test user's.
    code_length BIGINT,
    static_code TEXT,
    link_digest TEXT,
    sent_at_ms BIGINT,
    credentials_expire_at_ms BIGINT,
    attempts_at_ms TEXT NOT NULL,
    -- The last refused code, for which repetitions count once.
    last_guess_digest TEXT,
    last_guess_at_ms BIGINT,
    created_at_ms BIGINT NOT NULL,
    expires_at_ms BIGINT NOT NULL,
    PRIMARY KEY (environment_id, id),
    FOREIGN KEY (environment_id, client_id) REFERENCES clients (environment_id, id) ON DELETE CASCADE
);
CREATE INDEX auth_requests_by_client ON auth_requests (environment_id, client_id);
CREATE UNIQUE INDEX auth_requests_by_link ON auth_requests (environment_id, link_digest)
    WHERE link_digest IS NOT NULL;
-- Rows are cleaned up environment by environment: an index on the time alone would not serve that.
CREATE INDEX auth_requests_by_expiry ON auth_requests (environment_id, expires_at_ms);

-- Authorization requests that clients pushed (RFC 9126), found by the digest of their request_uri.
CREATE TABLE pushed_requests (
    environment_id TEXT NOT NULL,
    request_digest TEXT NOT NULL,
    client_id TEXT NOT NULL,
    parameters_json TEXT NOT NULL,
    used_at_ms BIGINT,
    expires_at_ms BIGINT NOT NULL,
    PRIMARY KEY (environment_id, request_digest),
    FOREIGN KEY (environment_id, client_id) REFERENCES clients (environment_id, id) ON DELETE CASCADE
);
CREATE INDEX pushed_requests_by_client ON pushed_requests (environment_id, client_id);
CREATE INDEX pushed_requests_by_expiry ON pushed_requests (environment_id, expires_at_ms);

-- How many emails an address received lately.
CREATE TABLE mail_budgets (
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    email_key TEXT NOT NULL,
    version BIGINT NOT NULL,
    sent_at_ms TEXT NOT NULL,
    expires_at_ms BIGINT NOT NULL,
    PRIMARY KEY (environment_id, email_key)
);
CREATE INDEX mail_budgets_by_expiry ON mail_budgets (environment_id, expires_at_ms);

-- When codes for an address were refused lately, over all its sign-ins.
CREATE TABLE failed_attempts (
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    email_key TEXT NOT NULL,
    version BIGINT NOT NULL,
    failed_at_ms TEXT NOT NULL,
    expires_at_ms BIGINT NOT NULL,
    PRIMARY KEY (environment_id, email_key)
);
CREATE INDEX failed_attempts_by_expiry ON failed_attempts (environment_id, expires_at_ms);
