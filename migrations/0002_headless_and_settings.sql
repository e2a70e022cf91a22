-- Requests that a server made by API: what it asked for. Their authorization_json, browser_digest and issuer are empty.
ALTER TABLE auth_requests ADD COLUMN headless_json TEXT;

-- The last refused code, for which repetitions count once.
ALTER TABLE auth_requests ADD COLUMN last_guess_digest TEXT;
ALTER TABLE auth_requests ADD COLUMN last_guess_at_ms BIGINT;

-- Settings that were changed while the server runs; what is not in here is as configured.
CREATE TABLE changed_settings (
    environment_id TEXT NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    passwordless_json TEXT NOT NULL,
    updated_at_ms BIGINT NOT NULL
);
