CREATE TABLE users (
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    email TEXT NOT NULL,
    -- The address as it is compared.
    email_key TEXT NOT NULL,
    name TEXT,
    given_name TEXT,
    family_name TEXT,
    picture TEXT,
    locale TEXT,
    external_id TEXT,
    -- Objects: the rest of the profile, and texts by name.
    details_json TEXT NOT NULL DEFAULT '{}',
    metadata_json TEXT NOT NULL DEFAULT '{}',
    -- Null: nobody has proven the address yet.
    email_verified_at_ms BIGINT,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    last_sign_in_at_ms BIGINT,
    PRIMARY KEY (environment_id, id)
);
CREATE UNIQUE INDEX users_by_email ON users (environment_id, email_key);
CREATE UNIQUE INDEX users_by_external_id ON users (environment_id, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX users_by_creation ON users (environment_id, created_at_ms, id);

CREATE TABLE organizations (
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    display_name TEXT NOT NULL,
    region_code TEXT NOT NULL DEFAULT 'US' CHECK (region_code IN ('US', 'EU')),
    external_id TEXT,
    slug TEXT,
    logo_url TEXT,
    -- Objects: texts by name, and which features were ever switched on or off.
    metadata_json TEXT NOT NULL DEFAULT '{}',
    features_json TEXT NOT NULL DEFAULT '{}',
    max_allowed_users BIGINT,
    -- Null: sessions last as the application says.
    absolute_session_timeout_min BIGINT,
    idle_session_timeout_min BIGINT CHECK (idle_session_timeout_min IS NULL OR absolute_session_timeout_min IS NOT NULL),
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    PRIMARY KEY (environment_id, id)
);
CREATE UNIQUE INDEX organizations_by_external_id ON organizations (environment_id, external_id)
    WHERE external_id IS NOT NULL;
CREATE UNIQUE INDEX organizations_by_slug ON organizations (environment_id, slug) WHERE slug IS NOT NULL;
CREATE INDEX organizations_by_creation ON organizations (environment_id, created_at_ms, id);

-- Links to the pages where an organization sets itself up, for one use.
CREATE TABLE portal_links (
    environment_id TEXT NOT NULL,
    id TEXT NOT NULL,
    organization_id TEXT NOT NULL,
    -- A list of the features that it is for.
    features_json TEXT NOT NULL,
    used_at_ms BIGINT,
    expires_at_ms BIGINT NOT NULL,
    PRIMARY KEY (environment_id, id),
    FOREIGN KEY (environment_id, organization_id) REFERENCES organizations (environment_id, id) ON DELETE CASCADE
);
CREATE INDEX portal_links_by_organization ON portal_links (environment_id, organization_id);
CREATE INDEX portal_links_by_expiry ON portal_links (environment_id, expires_at_ms);

-- Email domains of organizations. They are made and deleted, never changed.
CREATE TABLE domains (
    environment_id TEXT NOT NULL,
    id TEXT NOT NULL,
    organization_id TEXT NOT NULL,
    -- As it is compared: lower case, in ASCII.
    domain TEXT NOT NULL,
    domain_type TEXT NOT NULL CHECK (domain_type IN ('ALLOWED_EMAIL_DOMAIN', 'ORGANIZATION_DOMAIN')),
    created_at_ms BIGINT NOT NULL,
    PRIMARY KEY (environment_id, id),
    FOREIGN KEY (environment_id, organization_id) REFERENCES organizations (environment_id, id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX organization_domains_by_domain ON domains (environment_id, domain)
    WHERE domain_type = 'ORGANIZATION_DOMAIN';
CREATE UNIQUE INDEX allowed_email_domains_by_domain ON domains (environment_id, organization_id, domain)
    WHERE domain_type = 'ALLOWED_EMAIL_DOMAIN';
-- Which organizations does an address open?
CREATE INDEX allowed_email_domains ON domains (environment_id, domain) WHERE domain_type = 'ALLOWED_EMAIL_DOMAIN';
CREATE INDEX domains_by_organization ON domains (environment_id, organization_id, created_at_ms, id);

-- Machine clients of organizations (OAuth clients for client_credentials alone).
CREATE TABLE organization_clients (
    environment_id TEXT NOT NULL,
    id TEXT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    organization_id TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    -- Lists of texts.
    scopes_json TEXT NOT NULL,
    audience_json TEXT NOT NULL,
    -- A list of objects with key and value.
    custom_claims_json TEXT NOT NULL,
    -- 0: nobody said.
    expiry_s BIGINT NOT NULL CHECK (expiry_s >= 0),
    -- A list of one or two, the newest last, with keyed digests.
    secrets_json TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    PRIMARY KEY (environment_id, id),
    FOREIGN KEY (environment_id, organization_id) REFERENCES organizations (environment_id, id) ON DELETE CASCADE
);
CREATE INDEX organization_clients_by_organization
    ON organization_clients (environment_id, organization_id, created_at_ms, id);

-- What roles let their members do. Names that begin with sk_ are Scalekit's own.
CREATE TABLE permissions (
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    name TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    PRIMARY KEY (environment_id, id)
);
CREATE UNIQUE INDEX permissions_by_name ON permissions (environment_id, name);
CREATE INDEX permissions_by_creation ON permissions (environment_id, created_at_ms, id);

-- Roles and what hangs on them are changed over `environments.roles_version`.
CREATE TABLE roles (
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    -- Null: a role of the environment.
    organization_id TEXT,
    name TEXT NOT NULL,
    display_name TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    -- 1: who creates an organization gets it, or who joins one.
    is_default_creator BIGINT NOT NULL DEFAULT 0 CHECK (is_default_creator IN (0, 1)),
    is_default_member BIGINT NOT NULL DEFAULT 0 CHECK (is_default_member IN (0, 1)),
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    PRIMARY KEY (environment_id, id),
    FOREIGN KEY (environment_id, organization_id) REFERENCES organizations (environment_id, id) ON DELETE CASCADE,
    CHECK (organization_id IS NULL OR (is_default_creator = 0 AND is_default_member = 0))
);
CREATE UNIQUE INDEX roles_by_name ON roles (environment_id, name) WHERE organization_id IS NULL;
CREATE UNIQUE INDEX roles_of_organizations_by_name ON roles (environment_id, organization_id, name)
    WHERE organization_id IS NOT NULL;
-- No environment role has the name of an organization's.
CREATE INDEX roles_by_any_name ON roles (environment_id, name);
CREATE UNIQUE INDEX roles_by_default_creator ON roles (environment_id) WHERE is_default_creator = 1;
CREATE UNIQUE INDEX roles_by_default_member ON roles (environment_id) WHERE is_default_member = 1;

-- Which role a role extends.
CREATE TABLE role_bases (
    environment_id TEXT NOT NULL,
    role_id TEXT NOT NULL,
    base_role_id TEXT NOT NULL CHECK (base_role_id <> role_id),
    PRIMARY KEY (environment_id, role_id),
    FOREIGN KEY (environment_id, role_id) REFERENCES roles (environment_id, id) ON DELETE CASCADE,
    FOREIGN KEY (environment_id, base_role_id) REFERENCES roles (environment_id, id) ON DELETE CASCADE
);
CREATE INDEX role_bases_by_base ON role_bases (environment_id, base_role_id);

CREATE TABLE role_permissions (
    environment_id TEXT NOT NULL,
    role_id TEXT NOT NULL,
    permission_id TEXT NOT NULL,
    PRIMARY KEY (environment_id, role_id, permission_id),
    FOREIGN KEY (environment_id, role_id) REFERENCES roles (environment_id, id) ON DELETE CASCADE,
    FOREIGN KEY (environment_id, permission_id) REFERENCES permissions (environment_id, id) ON DELETE CASCADE
);
CREATE INDEX role_permissions_by_permission ON role_permissions (environment_id, permission_id);

-- Of organizations that chose a role for their members; others have the environment's.
CREATE TABLE organization_default_roles (
    environment_id TEXT NOT NULL,
    organization_id TEXT NOT NULL,
    role_id TEXT NOT NULL,
    PRIMARY KEY (environment_id, organization_id),
    FOREIGN KEY (environment_id, organization_id) REFERENCES organizations (environment_id, id) ON DELETE CASCADE,
    FOREIGN KEY (environment_id, role_id) REFERENCES roles (environment_id, id) ON DELETE CASCADE
);
CREATE INDEX organization_default_roles_by_role ON organization_default_roles (environment_id, role_id);

-- Changed only together with its user, over the version of the user that was read.
CREATE TABLE memberships (
    environment_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    organization_id TEXT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    -- An invitation expires by its time, without a change of the row.
    status TEXT NOT NULL DEFAULT 'ACTIVE' CHECK (status IN ('ACTIVE', 'INACTIVE', 'PENDING_INVITE')),
    provisioning_method TEXT NOT NULL DEFAULT 'direct_provision'
        CHECK (provisioning_method IN ('org_creator', 'invitation', 'direct_provision', 'allowed_email_domain')),
    metadata_json TEXT NOT NULL DEFAULT '{}',
    -- Of an invitation by email: digest of the token in its link, and until when it can be accepted.
    invitation_digest TEXT CHECK (status <> 'PENDING_INVITE' OR invitation_digest IS NOT NULL),
    expires_at_ms BIGINT CHECK ((expires_at_ms IS NULL) = (invitation_digest IS NULL)),
    inviter_email TEXT,
    accepted_at_ms BIGINT,
    resent_count BIGINT NOT NULL DEFAULT 0,
    resent_at_ms BIGINT,
    created_at_ms BIGINT NOT NULL,
    PRIMARY KEY (environment_id, user_id, organization_id),
    FOREIGN KEY (environment_id, user_id) REFERENCES users (environment_id, id) ON DELETE CASCADE,
    FOREIGN KEY (environment_id, organization_id) REFERENCES organizations (environment_id, id) ON DELETE CASCADE
);
CREATE INDEX memberships_by_organization ON memberships (environment_id, organization_id, created_at_ms, user_id);
CREATE UNIQUE INDEX memberships_by_invitation ON memberships (environment_id, invitation_digest)
    WHERE invitation_digest IS NOT NULL;

CREATE TABLE membership_roles (
    environment_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    organization_id TEXT NOT NULL,
    role_id TEXT NOT NULL,
    PRIMARY KEY (environment_id, user_id, organization_id, role_id),
    FOREIGN KEY (environment_id, user_id, organization_id)
        REFERENCES memberships (environment_id, user_id, organization_id) ON DELETE CASCADE,
    FOREIGN KEY (environment_id, role_id) REFERENCES roles (environment_id, id) ON DELETE CASCADE
);
CREATE INDEX membership_roles_by_role ON membership_roles (environment_id, role_id);

-- API tokens of organizations, or of members, with whose membership they go.
CREATE TABLE api_tokens (
    environment_id TEXT NOT NULL,
    id TEXT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    organization_id TEXT NOT NULL,
    user_id TEXT,
    description TEXT,
    -- An object of texts.
    custom_claims_json TEXT NOT NULL,
    -- Keyed digest of the value, and its last characters.
    digest TEXT NOT NULL,
    suffix TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    expires_at_ms BIGINT,
    invalidated_at_ms BIGINT,
    PRIMARY KEY (environment_id, id),
    FOREIGN KEY (environment_id, organization_id) REFERENCES organizations (environment_id, id) ON DELETE CASCADE,
    FOREIGN KEY (environment_id, user_id, organization_id)
        REFERENCES memberships (environment_id, user_id, organization_id) ON DELETE CASCADE
);
CREATE INDEX api_tokens_by_organization ON api_tokens (environment_id, organization_id, created_at_ms, id);
CREATE INDEX api_tokens_by_member ON api_tokens (environment_id, user_id, organization_id);
CREATE INDEX api_tokens_by_end ON api_tokens (environment_id, (COALESCE(invalidated_at_ms, expires_at_ms)));
