-- What happened to records, for webhooks. An event outlives whatever it names. `occurred_at_ms` is the environment's time,
-- `logged_at_ms` the machine's.
CREATE TABLE events (
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    type TEXT NOT NULL CHECK (type IN (
        'organization.created', 'organization.updated', 'organization.deleted',
        'organization.domain_created', 'organization.domain_deleted', 'user.organization_invitation', 'user.signup',
        'user.login', 'user.logout',
        'user.organization_membership_created', 'user.organization_membership_updated',
        'user.organization_membership_deleted', 'role.created', 'role.updated', 'role.deleted', 'permission.created',
        'permission.updated', 'permission.deleted'
    )),
    organization_id TEXT,
    data_json TEXT NOT NULL,
    occurred_at_ms BIGINT NOT NULL,
    logged_at_ms BIGINT NOT NULL,
    PRIMARY KEY (environment_id, id)
);
CREATE INDEX events_by_age ON events (environment_id, logged_at_ms);
