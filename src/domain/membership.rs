//! Memberships: which user belongs to which organization, since when and with which roles.

use super::clock::UnixMs;
use super::metadata::Metadata;
use super::organization::SessionPolicy;
use super::role::RoleSummary;

/// A user in an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// `org_…`
    pub organization_id: String,
    /// The display name of the organization.
    pub organization_name: String,
    /// How long sessions in the organization last, where it says so.
    pub session_policy: Option<SessionPolicy>,
    pub status: MembershipStatus,
    pub provisioning_method: ProvisioningMethod,
    /// By their ids, which grow with time.
    pub roles: Vec<RoleSummary>,
    pub metadata: Metadata,
    /// How the user was invited; `None`: without an email.
    pub invitation: Option<Invitation>,
    pub created_at_ms: UnixMs,
}

/// An invitation that was sent by email.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Digest of the token in its link.
    pub link_digest: String,
    /// Who invited the user.
    pub inviter_email: Option<String>,
    /// Until when it can be accepted.
    pub expires_at_ms: UnixMs,
    pub accepted_at_ms: Option<UnixMs>,
    /// How often it was sent again.
    pub resent_count: i64,
    pub resent_at_ms: Option<UnixMs>,
}

impl Membership {
    /// A membership that holds at once.
    pub fn direct(organization_id: String, organization_name: String, now_ms: UnixMs) -> Self {
        Self {
            organization_id,
            organization_name,
            session_policy: None,
            status: MembershipStatus::Active,
            provisioning_method: ProvisioningMethod::DirectProvision,
            roles: vec![],
            metadata: Metadata::default(),
            invitation: None,
            created_at_ms: now_ms,
        }
    }

    /// A membership that the user has to accept.
    pub fn invited(
        organization_id: String,
        organization_name: String,
        invitation: Invitation,
        now_ms: UnixMs,
    ) -> Self {
        Self {
            status: MembershipStatus::PendingInvite,
            provisioning_method: ProvisioningMethod::Invitation,
            invitation: Some(invitation),
            ..Self::direct(organization_id, organization_name, now_ms)
        }
    }

    /// Does it hold?
    pub fn is_active(&self) -> bool {
        self.status == MembershipStatus::Active
    }

    /// The invitation that the user has not accepted yet.
    pub fn pending_invitation(&self) -> Option<&Invitation> {
        self.invitation.as_ref().filter(|_| self.status == MembershipStatus::PendingInvite)
    }

    /// Is it an invitation whose time has passed?
    pub fn is_expired(&self, now_ms: UnixMs) -> bool {
        self.pending_invitation().is_some_and(|invitation| invitation.is_expired(now_ms))
    }

    /// Accepts the invitation; `false`: there is none, it was accepted already, or its time has passed.
    pub fn accept(&mut self, now_ms: UnixMs) -> bool {
        if self.pending_invitation().is_none() || self.is_expired(now_ms) {
            return false;
        }
        self.status = MembershipStatus::Active;
        if let Some(invitation) = &mut self.invitation {
            invitation.accepted_at_ms = Some(now_ms);
        }
        true
    }

    /// Changes what is named; empty lists and maps leave what was there.
    pub fn change(&mut self, change: MembershipChange) {
        if !change.roles.is_empty() {
            self.roles = change.roles;
        }
        if !change.metadata.is_empty() {
            self.metadata = change.metadata;
        }
    }

    /// Gives more roles; those that the member has already change nothing.
    pub fn add_roles(&mut self, roles: impl IntoIterator<Item = RoleSummary>) {
        for role in roles {
            if !self.roles.iter().any(|held| held.id == role.id) {
                self.roles.push(role);
            }
        }
        self.roles.sort_by(|one, other| one.id.cmp(&other.id));
    }

    /// Takes a role away; `false`: the member does not have it.
    pub fn remove_role(&mut self, name: &str) -> bool {
        let before = self.roles.len();
        self.roles.retain(|role| role.name != name);
        self.roles.len() < before
    }
}

impl Invitation {
    /// An invitation that was just made.
    pub fn new(inviter_email: Option<String>, expires_at_ms: UnixMs, link_digest: String) -> Self {
        Self {
            link_digest,
            inviter_email,
            expires_at_ms,
            accepted_at_ms: None,
            resent_count: 0,
            resent_at_ms: None,
        }
    }

    /// Has its time passed?
    pub fn is_expired(&self, now_ms: UnixMs) -> bool {
        self.expires_at_ms <= now_ms
    }

    /// Notes that it was sent again.
    pub fn note_resent(&mut self, now_ms: UnixMs) {
        self.resent_count += 1;
        self.resent_at_ms = Some(now_ms);
    }
}

/// What changes about a membership.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MembershipChange {
    pub roles: Vec<RoleSummary>,
    pub metadata: Metadata,
}

/// Does a membership hold?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MembershipStatus {
    Active,
    Inactive,
    PendingInvite,
}

impl MembershipStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Inactive => "INACTIVE",
            Self::PendingInvite => "PENDING_INVITE",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Inactive, Self::PendingInvite].into_iter().find(|status| status.as_str() == text)
    }
}

/// How a user came to be a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProvisioningMethod {
    /// By the sign-up that made the organization.
    OrgCreator,
    /// By an invitation.
    Invitation,
    /// By the API, without an invitation.
    DirectProvision,
    /// By an address of a domain that the organization allows.
    AllowedEmailDomain,
}

impl ProvisioningMethod {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OrgCreator => "org_creator",
            Self::Invitation => "invitation",
            Self::DirectProvision => "direct_provision",
            Self::AllowedEmailDomain => "allowed_email_domain",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::OrgCreator, Self::Invitation, Self::DirectProvision, Self::AllowedEmailDomain]
            .into_iter()
            .find(|method| method.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(name: &str) -> RoleSummary {
        RoleSummary { id: format!("role_{name}"), name: name.into(), display_name: name.into() }
    }

    fn names(membership: &Membership) -> Vec<&str> {
        membership.roles.iter().map(|role| role.name.as_str()).collect()
    }

    fn invited() -> Membership {
        let invitation = Invitation::new(Some("boss@example.com".into()), 15, "digest".into());
        Membership::invited("org_1".into(), "Acme".into(), invitation, 5)
    }

    #[test]
    fn an_invitation_expires_at_its_time_and_not_before() {
        assert!(!invited().is_expired(14));
        assert!(invited().is_expired(15));
        let mut accepted = invited();
        assert!(accepted.accept(14));
        assert!(!accepted.is_expired(15));
    }

    #[test]
    fn an_invitation_is_accepted_once_and_in_time() {
        let mut membership = invited();
        assert!(!membership.accept(15), "too late");
        assert_eq!(membership, invited());
        assert!(membership.accept(9));
        assert_eq!(membership.status, MembershipStatus::Active);
        assert_eq!(membership.invitation.as_ref().unwrap().accepted_at_ms, Some(9));
        assert!(!membership.accept(10), "again");
        assert!(!Membership::direct("org_1".into(), "Acme".into(), 5).accept(9), "nobody was invited");
    }

    #[test]
    fn what_is_empty_in_a_change_stays_and_what_is_given_replaces() {
        let mut membership = Membership::direct("org_1".into(), "Acme".into(), 5);
        membership.roles = vec![role("member")];
        membership.metadata = [("team".to_owned(), "red".to_owned())].into();
        let before = membership.clone();
        membership.change(MembershipChange::default());
        assert_eq!(membership, before);
        let metadata = Metadata::from([("floor".to_owned(), "3".to_owned())]);
        membership.change(MembershipChange { roles: vec![role("admin")], metadata: metadata.clone() });
        assert_eq!((names(&membership), &membership.metadata), (vec!["admin"], &metadata));
    }

    #[test]
    fn roles_are_added_once_and_taken_by_name() {
        let mut membership = Membership::direct("org_1".into(), "Acme".into(), 5);
        membership.add_roles([role("member"), role("admin"), role("member")]);
        assert_eq!(names(&membership), ["admin", "member"]);
        assert!(membership.remove_role("member"));
        assert!(!membership.remove_role("member"));
        assert_eq!(names(&membership), ["admin"]);
    }
}
