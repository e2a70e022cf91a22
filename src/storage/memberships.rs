//! Who belongs to which organization. Memberships are written together with their user: see [`Store::update_user`].

use super::{Batch, Statement, Store, StoreError, roles, row::Column, session_clients, sql};
use crate::domain::clock::UnixMs;
use crate::domain::membership::{Invitation, Membership, MembershipStatus, ProvisioningMethod};
use crate::domain::organization::{Organization, SessionPolicy};
use crate::domain::role::RoleSummary;
use crate::domain::user::User;

/// A membership of a user of a page with one of its roles; without an organization, none of both.
pub(super) struct MembershipRow {
    organization: Option<(String, String)>,
    session_policy: Option<SessionPolicy>,
    status: Option<String>,
    provisioning_method: Option<String>,
    metadata_json: Option<String>,
    invitation: Option<Invitation>,
    created_at_ms: Option<i64>,
    role: Option<RoleSummary>,
}

impl Column for MembershipRow {
    fn read(row: &sqlx::any::AnyRow, _name: &str) -> Result<Self, sqlx::Error> {
        let text = |name: &str| Option::<String>::read(row, name);
        let number = |name: &str| Option::<i64>::read(row, name);
        let role = match (text("role_id")?, text("role_name")?, text("role_display_name")?) {
            (Some(id), Some(name), Some(display_name)) => Some(RoleSummary { id, name, display_name }),
            _ => None,
        };
        let invitation = match (text("invitation_digest")?, number("expires_at_ms")?) {
            (Some(link_digest), Some(expires_at_ms)) => Some(Invitation {
                link_digest,
                expires_at_ms,
                inviter_email: text("inviter_email")?,
                accepted_at_ms: number("accepted_at_ms")?,
                resent_count: number("resent_count")?.unwrap_or_default(),
                resent_at_ms: number("resent_at_ms")?,
            }),
            _ => None,
        };
        let idle_timeout_min = number("idle_session_timeout_min")?;
        let policy = |absolute_timeout_min| SessionPolicy { absolute_timeout_min, idle_timeout_min };
        Ok(Self {
            organization: text("organization_id")?.zip(text("organization_name")?),
            session_policy: number("absolute_session_timeout_min")?.map(policy),
            status: text("membership_status")?,
            provisioning_method: text("provisioning_method")?,
            metadata_json: text("membership_metadata_json")?,
            invitation,
            created_at_ms: number("membership_created_at_ms")?,
            role,
        })
    }
}

impl MembershipRow {
    /// Adds what it says to the memberships of its user, of which those of one organization come one after the other.
    pub(super) fn add_to(self, memberships: &mut Vec<Membership>) -> Result<(), StoreError> {
        let unreadable = || StoreError::Unreadable("membership");
        let Some((organization_id, organization_name)) = self.organization else { return Ok(()) };
        if memberships.last().is_none_or(|last| last.organization_id != organization_id) {
            let text = |text: Option<String>| text.ok_or_else(unreadable);
            memberships.push(Membership {
                organization_id,
                organization_name,
                session_policy: self.session_policy,
                status: MembershipStatus::parse(&text(self.status)?).ok_or_else(unreadable)?,
                provisioning_method: ProvisioningMethod::parse(&text(self.provisioning_method)?)
                    .ok_or_else(unreadable)?,
                roles: vec![],
                metadata: serde_json::from_str(&text(self.metadata_json)?).map_err(|_| unreadable())?,
                invitation: self.invitation,
                created_at_ms: self.created_at_ms.ok_or_else(unreadable)?,
            });
        }
        if let Some(last) = memberships.last_mut() {
            last.roles.extend(self.role);
        }
        Ok(())
    }
}

impl Store {
    /// Whom an invitation was sent to, by the digest of its link, and to which organization.
    pub async fn invitation(
        &self,
        environment_id: &str,
        link_digest: &str,
    ) -> Result<Option<(String, String)>, StoreError> {
        let query = sql("SELECT user_id, organization_id FROM memberships \
             WHERE environment_id = $1 AND invitation_digest = $2");
        Ok(query.bind(environment_id).bind(link_digest).fetch_optional(&self.pool).await?)
    }

    /// How many members of an organization count against its limit: those who are active, and those who may still accept
    /// their invitation.
    pub async fn count_seats(
        &self,
        environment_id: &str,
        organization_id: &str,
        now_ms: UnixMs,
    ) -> Result<i64, StoreError> {
        let query =
            sql("SELECT COUNT(*) FROM memberships WHERE environment_id = $1 AND organization_id = $2 \
             AND (status = 'ACTIVE' OR (status = 'PENDING_INVITE' AND expires_at_ms > $3))");
        let query = query.bind(environment_id).bind(organization_id).bind(now_ms);
        let (count,): (i64,) = query.fetch_one(&self.pool).await?;
        Ok(count)
    }
}

/// Makes a batch fail where an organization was changed or deleted since it was read, and whoever else read it fail after
/// this batch: so its limit of members holds, however many come at once.
pub(super) fn hold_organization(batch: &mut Batch, environment_id: &str, organization: &Organization) {
    let query = sql(
        "UPDATE organizations SET version = version + 1 WHERE environment_id = $1 AND id = $2 AND version = $3",
    );
    let query = query.bind(environment_id.to_owned()).bind(organization.id.clone());
    batch.require_one_row(query.bind(organization.version));
}

/// Makes the memberships of a user those of `after`; `before` are the ones that are stored. With a membership end the
/// user's sessions in its organization.
pub(super) fn write_changed(
    batch: &mut Batch,
    environment_id: &str,
    before: &[Membership],
    after: &User,
) -> Result<(), StoreError> {
    let find = |list: &[Membership], id: &str| list.iter().find(|m| m.organization_id == id).cloned();
    for left in before.iter().filter(|m| after.membership(&m.organization_id).is_none()) {
        let query = sql(
            "DELETE FROM memberships WHERE environment_id = $1 AND user_id = $2 AND organization_id = $3",
        );
        let query = query.bind(environment_id.to_owned()).bind(after.id.clone());
        batch.write(query.bind(left.organization_id.clone()));
        let (organization_id, now_ms) = (&left.organization_id, after.updated_at_ms);
        session_clients::end_in_organization(batch, environment_id, organization_id, Some(&after.id), now_ms);
    }
    for membership in &after.memberships {
        let role_ids = membership.roles.iter().map(|role| role.id.as_str());
        match find(before, &membership.organization_id) {
            Some(stored) if stored == *membership => continue,
            Some(_) => {
                batch.require_one_row(updating(environment_id, &after.id, membership)?);
                batch.write(taking_roles(environment_id, &after.id, &membership.organization_id));
            }
            None => batch.write(inserting(environment_id, &after.id, membership)?),
        }
        roles::give(batch, environment_id, &after.id, &membership.organization_id, role_ids);
    }
    Ok(())
}

fn inserting(environment_id: &str, user_id: &str, membership: &Membership) -> Result<Statement, StoreError> {
    let query = sql(
        "INSERT INTO memberships (environment_id, user_id, organization_id, status, provisioning_method, \
         metadata_json, invitation_digest, expires_at_ms, inviter_email, accepted_at_ms, resent_count, resent_at_ms, \
         created_at_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    );
    Ok(bind_fields(query, environment_id, user_id, membership)?.bind(membership.created_at_ms))
}

fn updating(environment_id: &str, user_id: &str, membership: &Membership) -> Result<Statement, StoreError> {
    let query = sql(
        "UPDATE memberships SET version = version + 1, status = $4, provisioning_method = $5, metadata_json = $6, \
         invitation_digest = $7, expires_at_ms = $8, inviter_email = $9, accepted_at_ms = $10, resent_count = $11, \
         resent_at_ms = $12 WHERE environment_id = $1 AND user_id = $2 AND organization_id = $3",
    );
    bind_fields(query, environment_id, user_id, membership)
}

/// Takes all roles from a member.
pub(super) fn taking_roles(environment_id: &str, user_id: &str, organization_id: &str) -> Statement {
    sql("DELETE FROM membership_roles WHERE environment_id = $1 AND user_id = $2 AND organization_id = $3")
        .bind(environment_id.to_owned())
        .bind(user_id.to_owned())
        .bind(organization_id.to_owned())
}

/// Binds what is known of a membership to $1 to $12, with the names that the statements above give them.
fn bind_fields(
    query: Statement,
    environment_id: &str,
    user_id: &str,
    membership: &Membership,
) -> Result<Statement, StoreError> {
    let metadata =
        serde_json::to_string(&membership.metadata).map_err(|_| StoreError::Unreadable("membership"))?;
    let invitation = membership.invitation.as_ref();
    Ok(query
        .bind(environment_id.to_owned())
        .bind(user_id.to_owned())
        .bind(membership.organization_id.clone())
        .bind(membership.status.as_str())
        .bind(membership.provisioning_method.as_str())
        .bind(metadata)
        .bind(invitation.map(|i| i.link_digest.clone()))
        .bind(invitation.map(|i| i.expires_at_ms))
        .bind(invitation.and_then(|i| i.inviter_email.clone()))
        .bind(invitation.and_then(|i| i.accepted_at_ms))
        .bind(invitation.map_or(0, |i| i.resent_count))
        .bind(invitation.and_then(|i| i.resent_at_ms)))
}
