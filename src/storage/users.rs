//! Users with their memberships.

use serde_json::{Map, Value};

use super::environment_record::template_id;
use super::memberships::{self, MembershipRow};
use super::{
    Batch, NewMail, SeedOrganization, SessionChange, Statement, Store, StoreError, Transaction, events,
    like_key_pattern, like_pattern, mail, organizations, roles, row::row, sessions, sql,
};
use crate::domain::clock::UnixMs;
use crate::domain::email::EmailAddress;
use crate::domain::event::Event;
use crate::domain::organization::Organization;
use crate::domain::page::{PageAnchor, PageRequest};
use crate::domain::permission::Permission;
use crate::domain::record_key::RecordKey;
use crate::domain::role_catalog::RoleSeed;
use crate::domain::user::{Profile, User, UserSummary};

/// A user that configuration asks for.
#[derive(Debug, Clone)]
pub struct SeedUser {
    pub id: String,
    pub email: EmailAddress,
    pub name: Option<String>,
    pub given_name: Option<String>,
    pub family_name: Option<String>,
    pub picture: Option<String>,
    pub locale: Option<String>,
    pub external_id: Option<String>,
    /// Ids of the organizations the user belongs to.
    pub organization_ids: Vec<String>,
    /// Ids of organizations, and names of roles of the environment that the user has there. Where there are none, the
    /// role of members.
    pub roles: Vec<(String, String)>,
}

/// What configuration asks for.
#[derive(Debug, Clone, Default)]
pub struct Seed {
    pub permissions: Vec<Permission>,
    pub roles: Vec<RoleSeed>,
    pub organizations: Vec<SeedOrganization>,
    pub users: Vec<SeedUser>,
}

impl Seed {
    fn is_empty(&self) -> bool {
        let has_roles = !self.permissions.is_empty() || !self.roles.is_empty();
        !has_roles && self.organizations.is_empty() && self.users.is_empty()
    }
}

row! {
    struct SummaryRow {
        id: String,
        email: String,
        name: Option<String>,
        given_name: Option<String>,
        family_name: Option<String>,
        picture: Option<String>,
        locale: Option<String>,
        external_id: Option<String>,
        created_at_ms: i64,
        updated_at_ms: i64,
    }
}

impl From<SummaryRow> for UserSummary {
    fn from(row: SummaryRow) -> Self {
        Self {
            id: row.id,
            email: row.email,
            name: row.name,
            given_name: row.given_name,
            family_name: row.family_name,
            picture: row.picture,
            locale: row.locale,
            external_id: row.external_id,
            created_at_ms: row.created_at_ms,
            updated_at_ms: row.updated_at_ms,
        }
    }
}

row! {
    /// A user, once for each role in each organization.
    struct UserRow {
        id: String,
        version: i64,
        email: String,
        email_verified_at_ms: Option<i64>,
        external_id: Option<String>,
        name: Option<String>,
        given_name: Option<String>,
        family_name: Option<String>,
        picture: Option<String>,
        locale: Option<String>,
        details_json: String,
        metadata_json: String,
        created_at_ms: i64,
        updated_at_ms: i64,
        last_sign_in_at_ms: Option<i64>,
        membership: MembershipRow,
    }
}

impl UserRow {
    /// The user without memberships, and the first of them.
    fn split(self) -> Result<(User, MembershipRow), StoreError> {
        let unreadable = || StoreError::Unreadable("user");
        let user = User {
            id: self.id,
            version: self.version,
            email: EmailAddress::parse(&self.email).map_err(|_| unreadable())?,
            email_verified_at_ms: self.email_verified_at_ms,
            external_id: self.external_id,
            profile: Profile {
                name: self.name,
                given_name: self.given_name,
                family_name: self.family_name,
                picture: self.picture,
                locale: self.locale,
                details: serde_json::from_str(&self.details_json).map_err(|_| unreadable())?,
            },
            metadata: serde_json::from_str(&self.metadata_json).map_err(|_| unreadable())?,
            memberships: vec![],
            created_at_ms: self.created_at_ms,
            updated_at_ms: self.updated_at_ms,
            last_sign_in_at_ms: self.last_sign_in_at_ms,
        };
        Ok((user, self.membership))
    }
}

/// Users of rows, of which those of one user come one after the other.
fn users_of(rows: Vec<UserRow>) -> Result<Vec<User>, StoreError> {
    let mut users: Vec<User> = vec![];
    for row in rows {
        match users.last_mut() {
            Some(last) if last.id == row.id => row.membership.add_to(&mut last.memberships)?,
            _ => {
                let (mut user, membership) = row.split()?;
                membership.add_to(&mut user.memberships)?;
                users.push(user);
            }
        }
    }
    Ok(users)
}

/// Reads the users that a statement finds, with memberships and roles. It says for each when it is listed. They are found
/// first and joined then: PostgreSQL would keep a plan from when the tables were small, which joins all memberships of the
/// environment.
macro_rules! users_with_memberships {
    ($page:literal, $order:literal) => {
        sql(concat!(
            "WITH u AS MATERIALIZED ( ",
            $page,
            ") SELECT u.id, u.version, u.email, u.email_verified_at_ms, u.external_id, u.name, u.given_name, \
             u.family_name, u.picture, u.locale, u.details_json, u.metadata_json, u.created_at_ms, u.updated_at_ms, \
             u.last_sign_in_at_ms, o.id AS organization_id, o.display_name AS organization_name, \
             o.absolute_session_timeout_min, o.idle_session_timeout_min, \
             m.status AS membership_status, m.provisioning_method, m.metadata_json AS membership_metadata_json, \
             m.invitation_digest, m.expires_at_ms, m.inviter_email, m.accepted_at_ms, m.resent_count, m.resent_at_ms, \
             m.created_at_ms AS membership_created_at_ms, \
             r.id AS role_id, r.name AS role_name, r.display_name AS role_display_name FROM u \
             LEFT JOIN memberships m ON m.environment_id = u.environment_id AND m.user_id = u.id \
             LEFT JOIN organizations o ON o.environment_id = m.environment_id AND o.id = m.organization_id \
             LEFT JOIN membership_roles g ON g.environment_id = m.environment_id AND g.user_id = m.user_id \
             AND g.organization_id = m.organization_id \
             LEFT JOIN roles r ON r.environment_id = g.environment_id AND r.id = g.role_id ORDER BY ",
            $order,
            ", m.created_at_ms, m.organization_id, r.id"
        ))
    };
}

/// What is written in the same transaction as a user.
#[derive(Debug, Clone, Copy, Default)]
pub struct WithUser<'w> {
    /// The organization whose limit of members was checked.
    pub held: Option<&'w Organization>,
    pub events: &'w [Event],
    /// What is told of sessions, by their ids, that are ended.
    pub logouts: &'w [(String, Event)],
    /// An invitation.
    pub mail: Option<&'w NewMail>,
    /// A session of the user in a browser, with the digest of its cookie.
    pub session: Option<(&'w SessionChange, &'w str)>,
    /// What interceptors add to the tokens of that session.
    pub custom_claims: Option<&'w Map<String, Value>>,
}

impl WithUser<'_> {
    /// Comes first, so that a loser writes nothing, and what is told of sessions is told before they end.
    fn hold(&self, batch: &mut Batch, environment_id: &str) {
        if let Some(organization) = self.held {
            memberships::hold_organization(batch, environment_id, organization);
        }
        events::write_logouts(batch, environment_id, self.logouts);
    }

    fn write(&self, batch: &mut Batch, environment_id: &str, user: &User) {
        write_events(batch, environment_id, self.events);
        if let Some(mail) = self.mail {
            mail::insert(batch, environment_id, mail, user.updated_at_ms);
        }
        if let Some((change, cookie_digest)) = self.session {
            sessions::write(batch, environment_id, change, cookie_digest, user.updated_at_ms);
            if let Some(custom_claims) = self.custom_claims {
                batch.write(sessions::claiming(environment_id, change.session_id(), custom_claims));
            }
        }
    }
}

/// Which users to list.
#[derive(Debug, Clone, Default)]
pub struct UserFilter {
    /// Members of this organization, newest membership first; `None`: all users, newest first.
    pub organization_id: Option<String>,
    /// Part of an address, an id or an external id; case does not count. Empty asks for nothing.
    pub query: String,
}

impl UserFilter {
    /// Patterns for ids and for keys of addresses.
    fn patterns(&self) -> (String, String) {
        if self.query.is_empty() {
            return (String::new(), String::new());
        }
        (like_pattern(&self.query), like_key_pattern(&self.query))
    }
}

/// Which users, organizations or sessions to list.
#[derive(Debug, Clone, Default)]
pub struct ListFilter {
    /// Part of an address, a name or an external id; case does not count.
    pub query: Option<String>,
    pub offset: i64,
    pub limit: i64,
}

impl ListFilter {
    pub(super) fn pattern(&self) -> String {
        self.query.as_deref().filter(|q| !q.is_empty()).map(like_pattern).unwrap_or_default()
    }

    pub(super) fn key_pattern(&self) -> String {
        self.query.as_deref().filter(|q| !q.is_empty()).map(like_key_pattern).unwrap_or_default()
    }
}

impl Store {
    /// Users, newest first, by the offset of a page.
    pub async fn listed_users(
        &self,
        environment_id: &str,
        filter: &ListFilter,
    ) -> Result<Vec<User>, StoreError> {
        let rows: Vec<UserRow> = users_with_memberships!(
            "SELECT * FROM users WHERE environment_id = $1 \
             AND ($2 = '' OR email_key LIKE $2 ESCAPE '~' OR email_key LIKE $3 ESCAPE '~' \
             OR LOWER(COALESCE(name, '')) LIKE $2 ESCAPE '~' OR LOWER(COALESCE(external_id, '')) LIKE $2 ESCAPE '~') \
             ORDER BY created_at_ms DESC, id DESC LIMIT $4 OFFSET $5",
            "u.created_at_ms DESC, u.id DESC"
        )
        .bind(environment_id)
        .bind(filter.pattern())
        .bind(filter.key_pattern())
        .bind(filter.limit)
        .bind(filter.offset)
        .fetch_all(&self.pool)
        .await?;
        users_of(rows)
    }

    /// A page of users, as [`PageRequest::page`] takes it.
    pub async fn users(
        &self,
        environment_id: &str,
        filter: &UserFilter,
        page: &PageRequest,
    ) -> Result<Vec<User>, StoreError> {
        let is_backwards = matches!(page.anchor, PageAnchor::Before(_));
        let query = match (&filter.organization_id, is_backwards) {
            (None, false) => users_with_memberships!(
                "SELECT * FROM users WHERE environment_id = $1 AND (created_at_ms, id) < ($2, $3) \
                 AND ($4 = '' OR email_key LIKE $4 ESCAPE '~' OR email_key LIKE $5 ESCAPE '~' \
                 OR LOWER(COALESCE(external_id, '')) LIKE $4 ESCAPE '~' OR id LIKE $4 ESCAPE '~') \
                 ORDER BY created_at_ms DESC, id DESC LIMIT $6",
                "u.created_at_ms DESC, u.id DESC"
            ),
            (None, true) => users_with_memberships!(
                "SELECT * FROM users WHERE environment_id = $1 AND (created_at_ms, id) > ($2, $3) \
                 AND ($4 = '' OR email_key LIKE $4 ESCAPE '~' OR email_key LIKE $5 ESCAPE '~' \
                 OR LOWER(COALESCE(external_id, '')) LIKE $4 ESCAPE '~' OR id LIKE $4 ESCAPE '~') \
                 ORDER BY created_at_ms, id LIMIT $6",
                "u.created_at_ms, u.id"
            ),
            (Some(_), false) => users_with_memberships!(
                "SELECT u.*, l.created_at_ms AS listed_at_ms FROM memberships l \
                 JOIN users u ON u.environment_id = l.environment_id AND u.id = l.user_id \
                 WHERE l.environment_id = $1 AND (l.created_at_ms, l.user_id) < ($2, $3) \
                 AND ($4 = '' OR u.email_key LIKE $4 ESCAPE '~' OR u.email_key LIKE $5 ESCAPE '~' \
                 OR LOWER(COALESCE(u.external_id, '')) LIKE $4 ESCAPE '~' OR u.id LIKE $4 ESCAPE '~') \
                 AND l.organization_id = $7 ORDER BY l.created_at_ms DESC, l.user_id DESC LIMIT $6",
                "u.listed_at_ms DESC, u.id DESC"
            ),
            (Some(_), true) => users_with_memberships!(
                "SELECT u.*, l.created_at_ms AS listed_at_ms FROM memberships l \
                 JOIN users u ON u.environment_id = l.environment_id AND u.id = l.user_id \
                 WHERE l.environment_id = $1 AND (l.created_at_ms, l.user_id) > ($2, $3) \
                 AND ($4 = '' OR u.email_key LIKE $4 ESCAPE '~' OR u.email_key LIKE $5 ESCAPE '~' \
                 OR LOWER(COALESCE(u.external_id, '')) LIKE $4 ESCAPE '~' OR u.id LIKE $4 ESCAPE '~') \
                 AND l.organization_id = $7 ORDER BY l.created_at_ms, l.user_id LIMIT $6",
                "u.listed_at_ms, u.id"
            ),
        };
        let (at_ms, id) = page.anchor.bound();
        let (pattern, key_pattern) = filter.patterns();
        let query = query.bind(environment_id).bind(at_ms).bind(id.to_owned()).bind(pattern);
        let query = query.bind(key_pattern).bind(page.limit());
        let query = match &filter.organization_id {
            None => query,
            Some(organization_id) => query.bind(organization_id.clone()),
        };
        users_of(query.fetch_all(&self.pool).await?)
    }

    /// How many users there are.
    pub async fn count_users(&self, environment_id: &str, filter: &UserFilter) -> Result<i64, StoreError> {
        let (pattern, key_pattern) = filter.patterns();
        let query = match &filter.organization_id {
            None => sql("SELECT COUNT(*) FROM users WHERE environment_id = $1 \
                 AND ($2 = '' OR email_key LIKE $2 ESCAPE '~' OR email_key LIKE $3 ESCAPE '~' \
                 OR LOWER(COALESCE(external_id, '')) LIKE $2 ESCAPE '~' OR id LIKE $2 ESCAPE '~')"),
            Some(_) => {
                sql("SELECT COUNT(*) FROM memberships l JOIN users u ON u.environment_id = l.environment_id \
                 AND u.id = l.user_id WHERE l.environment_id = $1 \
                 AND ($2 = '' OR u.email_key LIKE $2 ESCAPE '~' OR u.email_key LIKE $3 ESCAPE '~' \
                 OR LOWER(COALESCE(u.external_id, '')) LIKE $2 ESCAPE '~' OR u.id LIKE $2 ESCAPE '~') \
                 AND l.organization_id = $4")
            }
        };
        let query = query.bind(environment_id).bind(pattern).bind(key_pattern);
        let query = match &filter.organization_id {
            None => query,
            Some(organization_id) => query.bind(organization_id.clone()),
        };
        let (count,): (i64,) = query.fetch_one(&self.pool).await?;
        Ok(count)
    }

    /// The user of a key, with memberships and roles.
    pub async fn user(&self, environment_id: &str, key: &RecordKey) -> Result<Option<User>, StoreError> {
        let (query, id) = match key {
            RecordKey::Id(id) => (
                users_with_memberships!(
                    "SELECT * FROM users WHERE environment_id = $1 AND id = $2",
                    "u.created_at_ms"
                ),
                id,
            ),
            RecordKey::ExternalId(id) => (
                users_with_memberships!(
                    "SELECT * FROM users WHERE environment_id = $1 AND external_id = $2",
                    "u.created_at_ms"
                ),
                id,
            ),
        };
        let rows: Vec<UserRow> = query.bind(environment_id).bind(id.clone()).fetch_all(&self.pool).await?;
        Ok(users_of(rows)?.into_iter().next())
    }

    /// Adds a user with memberships; `false` when [`WithUser::held`] was changed meanwhile. [`StoreError::Exists`]: the
    /// address, the id or the external id is taken.
    pub async fn insert_user(
        &self,
        environment_id: &str,
        user: &User,
        with: WithUser<'_>,
    ) -> Result<bool, StoreError> {
        let mut batch = Batch::default();
        with.hold(&mut batch, environment_id);
        let query = sql(
            "INSERT INTO users (environment_id, id, version, email, email_key, name, given_name, family_name, \
             picture, locale, external_id, details_json, metadata_json, updated_at_ms, email_verified_at_ms, \
             created_at_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
        );
        let query = bind_fields(query, environment_id, user)?;
        batch.write(query.bind(user.email_verified_at_ms).bind(user.created_at_ms));
        memberships::write_changed(&mut batch, environment_id, &[], user)?;
        with.write(&mut batch, environment_id, user);
        Ok(self.commit(batch).await?.is_some())
    }

    /// Replaces what is known of a user, with memberships; `false` when the user was changed or deleted since `before` was
    /// read, or when [`WithUser::held`] was changed meanwhile.
    pub async fn update_user(
        &self,
        environment_id: &str,
        before: &User,
        after: &User,
        with: WithUser<'_>,
    ) -> Result<bool, StoreError> {
        let mut batch = Batch::default();
        with.hold(&mut batch, environment_id);
        // Sign-ins write when the user came last, and what that proves, without a new version. A new address is unproven.
        let query = sql(
            "UPDATE users SET version = version + 1, email = $4, email_key = $5, name = $6, given_name = $7, \
             family_name = $8, picture = $9, locale = $10, external_id = $11, details_json = $12, \
             metadata_json = $13, updated_at_ms = $14, \
             email_verified_at_ms = CASE WHEN email_key = $5 THEN COALESCE(email_verified_at_ms, $15) END \
             WHERE environment_id = $1 AND id = $2 AND version = $3",
        );
        let after_version = User { version: before.version, ..after.clone() };
        let query = bind_fields(query, environment_id, &after_version)?;
        batch.require_one_row(query.bind(after.email_verified_at_ms));
        memberships::write_changed(&mut batch, environment_id, &before.memberships, after)?;
        with.write(&mut batch, environment_id, after);
        Ok(self.commit(batch).await?.is_some())
    }

    /// Deletes a user with memberships, sessions and grants; `false` when the user was changed or deleted since.
    pub async fn delete_user(
        &self,
        environment_id: &str,
        user: &User,
        told: &[Event],
        logouts: &[(String, Event)],
    ) -> Result<bool, StoreError> {
        let mut batch = Batch::default();
        events::write_logouts(&mut batch, environment_id, logouts);
        // Zero is due whatever the time is.
        let notifying =
            sql("UPDATE session_clients SET notify_at_ms = 0 WHERE environment_id = $1 AND outcome IS NULL \
             AND session_id IN (SELECT id FROM sessions WHERE environment_id = $1 AND user_id = $2)");
        batch.write(notifying.bind(environment_id).bind(user.id.clone()));
        let deleting = sql("DELETE FROM users WHERE environment_id = $1 AND id = $2 AND version = $3");
        batch.require_one_row(deleting.bind(environment_id).bind(user.id.clone()).bind(user.version));
        write_events(&mut batch, environment_id, told);
        Ok(self.commit(batch).await?.is_some())
    }

    /// The user of an address, in any spelling, with memberships and roles.
    pub async fn user_of_email(
        &self,
        environment_id: &str,
        email: &EmailAddress,
    ) -> Result<Option<User>, StoreError> {
        let query = users_with_memberships!(
            "SELECT * FROM users WHERE environment_id = $1 AND email_key = $2",
            "u.created_at_ms"
        );
        let rows: Vec<UserRow> = query.bind(environment_id).bind(email.key()).fetch_all(&self.pool).await?;
        Ok(users_of(rows)?.into_iter().next())
    }

    /// What sign-in knows of a user.
    pub async fn user_summary(
        &self,
        environment_id: &str,
        id: &str,
    ) -> Result<Option<UserSummary>, StoreError> {
        let row: Option<SummaryRow> = sql(
            "SELECT id, email, name, given_name, family_name, picture, locale, external_id, created_at_ms, \
             updated_at_ms FROM users WHERE environment_id = $1 AND id = $2",
        )
        .bind(environment_id)
        .bind(id)
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(UserSummary::from))
    }

    /// The user of an address, in any spelling.
    pub async fn user_by_email(
        &self,
        environment_id: &str,
        email: &EmailAddress,
    ) -> Result<Option<UserSummary>, StoreError> {
        let row: Option<SummaryRow> = sql(
            "SELECT id, email, name, given_name, family_name, picture, locale, external_id, created_at_ms, \
             updated_at_ms FROM users WHERE environment_id = $1 AND email_key = $2",
        )
        .bind(environment_id)
        .bind(email.key().to_owned())
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(UserSummary::from))
    }

    /// Writes what configuration asks for: new records are made, earlier ones take the configured values. A user
    /// whose address is known keeps the id it has. With `until_reset`, resets do not go back to it.
    pub async fn seed(
        &self,
        environment_id: &str,
        seed: &Seed,
        until_reset: bool,
        now_ms: UnixMs,
    ) -> Result<(), StoreError> {
        if seed.is_empty() {
            return Ok(());
        }
        let mut tx = self.begin_write().await?;
        let ids = seed_into(&mut tx, environment_id, seed, now_ms).await?;
        if !until_reset {
            let mut seed = seed.clone();
            for (user, id) in seed.users.iter_mut().zip(ids) {
                user.id = id;
            }
            seed_into(&mut tx, &template_id(environment_id), &seed, now_ms).await?;
        }
        Ok(tx.commit().await?)
    }
}

/// Binds what is known of a user to $1 to $14, with the names that the statements above give them.
fn bind_fields(query: Statement, environment_id: &str, user: &User) -> Result<Statement, StoreError> {
    let json = |text: Result<String, _>| text.map_err(|_| StoreError::Unreadable("user"));
    let profile = user.profile.clone();
    Ok(query
        .bind(environment_id.to_owned())
        .bind(user.id.clone())
        .bind(user.version)
        .bind(user.email.as_str().to_owned())
        .bind(user.email.key().to_owned())
        .bind(profile.name)
        .bind(profile.given_name)
        .bind(profile.family_name)
        .bind(profile.picture)
        .bind(profile.locale)
        .bind(user.external_id.clone())
        .bind(json(serde_json::to_string(&profile.details))?)
        .bind(json(serde_json::to_string(&user.metadata))?)
        .bind(user.updated_at_ms))
}

fn write_events(batch: &mut Batch, environment_id: &str, list: &[Event]) {
    for event in list {
        events::write(batch, environment_id, event);
    }
}

/// Writes a seed and tells the ids that its users have.
async fn seed_into(
    connection: &mut Transaction,
    environment_id: &str,
    seed: &Seed,
    now_ms: UnixMs,
) -> Result<Vec<String>, StoreError> {
    roles::seed(connection, environment_id, &seed.roles, &seed.permissions, now_ms).await?;
    organizations::seed(connection, environment_id, &seed.organizations, now_ms).await?;
    let mut ids = Vec::with_capacity(seed.users.len());
    for user in &seed.users {
        let query = sql(
            "INSERT INTO users (environment_id, id, email, email_key, name, given_name, family_name, picture, \
             locale, external_id, created_at_ms, updated_at_ms) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11) \
             ON CONFLICT (environment_id, email_key) DO UPDATE SET version = users.version + 1, \
             name = excluded.name, given_name = excluded.given_name, family_name = excluded.family_name, \
             picture = excluded.picture, locale = excluded.locale, external_id = excluded.external_id, \
             updated_at_ms = excluded.updated_at_ms RETURNING id",
        );
        let query = bind_seed(query, environment_id, user).bind(now_ms);
        let (id,): (String,) = query.fetch_one(&mut *connection).await?;
        for organization_id in &user.organization_ids {
            let of_organization = user.roles.iter().filter(|(there, _)| there == organization_id);
            let names: Vec<&str> = of_organization.map(|(_, name)| name.as_str()).collect();
            seed_membership(connection, environment_id, &id, organization_id, &names, now_ms).await?;
        }
        ids.push(id);
    }
    Ok(ids)
}

/// Writes a membership of a seed. Where it names no roles, a new member has the one of members.
async fn seed_membership(
    connection: &mut Transaction,
    environment_id: &str,
    user_id: &str,
    organization_id: &str,
    role_names: &[&str],
    now_ms: UnixMs,
) -> Result<(), StoreError> {
    let adding = adding_membership(environment_id, user_id, organization_id, now_ms);
    let is_new = adding.execute(&mut *connection).await? == 1;
    if role_names.is_empty() {
        if is_new {
            let giving = roles::giving_member_role(environment_id, user_id, organization_id);
            giving.execute(&mut *connection).await?;
        }
        return Ok(());
    }
    if !is_new {
        let taking = memberships::taking_roles(environment_id, user_id, organization_id);
        taking.execute(&mut *connection).await?;
    }
    for name in role_names {
        let giving = roles::giving_role_named(environment_id, user_id, organization_id, name);
        giving.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Binds what a seed says of a user to $1 to $10, with the names that the statement above gives them.
fn bind_seed(query: Statement, environment_id: &str, user: &SeedUser) -> Statement {
    query
        .bind(environment_id.to_owned())
        .bind(user.id.clone())
        .bind(user.email.as_str().to_owned())
        .bind(user.email.key().to_owned())
        .bind(user.name.clone())
        .bind(user.given_name.clone())
        .bind(user.family_name.clone())
        .bind(user.picture.clone())
        .bind(user.locale.clone())
        .bind(user.external_id.clone())
}

/// Makes a user a member of an organization, if it is none.
fn adding_membership(
    environment_id: &str,
    user_id: &str,
    organization_id: &str,
    now_ms: UnixMs,
) -> Statement {
    sql("INSERT INTO memberships (environment_id, organization_id, user_id, created_at_ms) \
         VALUES ($1, $2, $3, $4) ON CONFLICT (environment_id, user_id, organization_id) DO NOTHING")
    .bind(environment_id.to_owned())
    .bind(organization_id.to_owned())
    .bind(user_id.to_owned())
    .bind(now_ms)
}
