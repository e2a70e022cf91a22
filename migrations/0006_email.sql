-- The inbox: every email of a development environment, kept for people and tests to read. It outlives the sign-in that
-- it was written for. Those of the kind `received` came from other programs, by `smtp_listen`.
CREATE TABLE messages (
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    to_address TEXT NOT NULL,
    to_key TEXT NOT NULL,
    subject TEXT NOT NULL,
    text_body TEXT NOT NULL,
    html_body TEXT NOT NULL,
    code TEXT,
    link TEXT,
    auth_request_id TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('signin', 'signup', 'invitation', 'received')),
    recipient_kind TEXT NOT NULL CHECK (recipient_kind IN ('person', 'test_user')),
    created_at_ms BIGINT NOT NULL,
    -- Why its delivery by SMTP was given up.
    delivery_error TEXT,
    -- Who sent a received email, and the email as it came. Our own are written anew when somebody asks for the source.
    from_address TEXT,
    source_base64 TEXT,
    -- When it was first opened in the inbox.
    read_at_ms BIGINT,
    PRIMARY KEY (environment_id, id)
);
CREATE INDEX messages_by_recipient ON messages (environment_id, to_key, id);

-- Emails on their way to the SMTP server; a row goes when its email is delivered or given up. `sealed` is what it says,
-- encrypted, because neither engine wipes the place of a row that is gone.
CREATE TABLE outbox (
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
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
