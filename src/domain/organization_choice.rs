//! Which organization a sign-in enters: the one that the application asks for, the only one, or the one that the user
//! chooses.

use super::clock::UnixMs;
use super::membership::Membership;
use super::organization::OrganizationSummary;
use super::user::User;

/// What an organization is to the user who signs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tie {
    /// The user is an active member.
    Member,
    /// An invitation can be accepted.
    Invited,
    /// Whoever has an address of this domain may join.
    AllowedDomain,
}

/// An organization that a sign-in can enter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrganizationOption {
    /// `org_…`
    pub id: String,
    pub display_name: String,
    pub tie: Tie,
}

/// The organizations that a user can enter: memberships first, then invitations, then those of the address's domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrganizationChoice {
    pub options: Vec<OrganizationOption>,
    /// May the user make an organization, having none?
    pub may_create: bool,
}

/// What a sign-in asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EntryRequest<'a> {
    /// Id of the organization that the application names.
    pub organization_id: Option<&'a str>,
    /// Scalekit's full-stack profile. The modular one leaves organizations to the application.
    pub is_full_stack: bool,
    /// Can the user be asked?
    pub shows_pages: bool,
}

/// What becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrganizationEntry {
    /// The user enters this one, or none.
    Existing(Option<String>),
    /// The sign-in makes one.
    New,
    /// The user has to choose.
    Choose,
    /// The application named one that the user does not belong to.
    NotAMember,
}

impl OrganizationChoice {
    /// What a user can enter; `None`: somebody who is new. `of_domain` are the organizations that the address's domain
    /// opens.
    pub fn of(
        user: Option<&User>,
        of_domain: Vec<OrganizationSummary>,
        sign_up_allowed: bool,
        now_ms: UnixMs,
    ) -> Self {
        let memberships = user.map(|user| user.memberships.as_slice()).unwrap_or_default();
        let option = |membership: &Membership, tie: Tie| OrganizationOption {
            id: membership.organization_id.clone(),
            display_name: membership.organization_name.clone(),
            tie,
        };
        let active = memberships.iter().filter(|membership| membership.is_active());
        let mut options: Vec<_> = active.map(|membership| option(membership, Tie::Member)).collect();
        let may_create = sign_up_allowed && options.is_empty();
        let invited = memberships
            .iter()
            .filter(|membership| membership.pending_invitation().is_some() && !membership.is_expired(now_ms));
        options.extend(invited.map(|membership| option(membership, Tie::Invited)));
        let is_known = |id: &str| memberships.iter().any(|membership| membership.organization_id == id);
        let joinable = of_domain.into_iter().filter(|organization| !is_known(&organization.id));
        options.extend(joinable.map(|organization| OrganizationOption {
            id: organization.id,
            display_name: organization.display_name,
            tie: Tie::AllowedDomain,
        }));
        Self { options, may_create }
    }

    /// What an organization is to the user; `None`: nothing that lets the user in.
    pub fn tie(&self, organization_id: &str) -> Option<Tie> {
        self.options.iter().find(|option| option.id == organization_id).map(|option| option.tie)
    }

    /// Decides without the user where nothing is left to choose.
    pub fn decide(&self, request: EntryRequest<'_>) -> OrganizationEntry {
        use OrganizationEntry::{Choose, Existing, New, NotAMember};
        if let Some(asked) = request.organization_id {
            return match self.tie(asked) {
                Some(Tie::Member) => Existing(Some(asked.to_owned())),
                _ if request.is_full_stack => NotAMember,
                _ => Existing(None),
            };
        }
        let mut members = self.options.iter().filter(|option| option.tie == Tie::Member);
        let (oldest, has_others) = (members.next().map(|option| option.id.clone()), members.next().is_some());
        if !request.is_full_stack {
            return Existing(oldest);
        }
        match oldest {
            Some(_) if has_others && request.shows_pages => Choose,
            Some(oldest) => Existing(Some(oldest)),
            None if !self.options.is_empty() && request.shows_pages => Choose,
            None if self.may_create => New,
            None => Existing(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::email::EmailAddress;
    use crate::domain::membership::{Invitation, MembershipStatus};

    const PAGES: EntryRequest<'_> =
        EntryRequest { organization_id: None, is_full_stack: true, shows_pages: true };

    fn jane(memberships: Vec<Membership>) -> User {
        let email = EmailAddress::parse("jane@acme.test").unwrap();
        User { memberships, ..User::new("usr_1".into(), email, 1) }
    }

    fn member(id: &str, created_at_ms: UnixMs) -> Membership {
        Membership::direct(id.into(), format!("Name of {id}"), created_at_ms)
    }

    fn invited(id: &str, expires_at_ms: UnixMs) -> Membership {
        let invitation = Invitation::new(None, expires_at_ms, "digest".into());
        Membership::invited(id.into(), format!("Name of {id}"), invitation, 1)
    }

    fn summary(id: &str) -> OrganizationSummary {
        OrganizationSummary { id: id.into(), display_name: format!("Name of {id}"), external_id: None }
    }

    fn choice(memberships: Vec<Membership>, of_domain: &[&str]) -> OrganizationChoice {
        let of_domain = of_domain.iter().map(|id| summary(id)).collect();
        OrganizationChoice::of(Some(&jane(memberships)), of_domain, true, 10)
    }

    fn existing(id: &str) -> OrganizationEntry {
        OrganizationEntry::Existing(Some(id.to_owned()))
    }

    #[test]
    fn memberships_invitations_and_domains_are_offered_each_organization_once() {
        let inactive = Membership { status: MembershipStatus::Inactive, ..member("org_4", 1) };
        let memberships = vec![invited("org_2", 20), member("org_1", 2), invited("org_3", 10), inactive];
        let choice = choice(memberships, &["org_1", "org_3", "org_4", "org_5"]);
        let offered: Vec<_> = choice.options.iter().map(|o| (o.id.as_str(), o.tie)).collect();
        assert_eq!(
            offered,
            [("org_1", Tie::Member), ("org_2", Tie::Invited), ("org_5", Tie::AllowedDomain)],
            "nothing is offered by an expired invitation or an inactive membership"
        );
        assert!(!choice.may_create);
    }

    #[test]
    fn the_only_organization_is_entered_and_of_several_one_is_chosen() {
        let (one, two) = (vec![member("org_1", 1)], vec![member("org_1", 1), member("org_2", 2)]);
        assert_eq!(choice(one.clone(), &["org_5"]).decide(PAGES), existing("org_1"));
        assert_eq!(choice(two.clone(), &[]).decide(PAGES), OrganizationEntry::Choose);
        let without_pages = EntryRequest { shows_pages: false, ..PAGES };
        assert_eq!(choice(two.clone(), &[]).decide(without_pages), existing("org_1"), "the oldest");
        let modular = EntryRequest { is_full_stack: false, ..PAGES };
        assert_eq!(choice(two, &[]).decide(modular), existing("org_1"));
        assert_eq!(choice(vec![], &[]).decide(modular), OrganizationEntry::Existing(None));
    }

    #[test]
    fn a_user_without_membership_chooses_what_is_offered_or_makes_an_organization() {
        for offered in [choice(vec![invited("org_1", 20)], &[]), choice(vec![], &["org_1"])] {
            assert_eq!(offered.decide(PAGES), OrganizationEntry::Choose);
            assert!(offered.may_create);
        }
        assert_eq!(choice(vec![], &[]).decide(PAGES), OrganizationEntry::New);
        assert_eq!(choice(vec![invited("org_1", 10)], &[]).decide(PAGES), OrganizationEntry::New, "expired");
        let closed = OrganizationChoice::of(Some(&jane(vec![])), vec![], false, 10);
        assert_eq!(closed.decide(PAGES), OrganizationEntry::Existing(None));
        let new = OrganizationChoice::of(None, vec![], true, 10);
        assert_eq!(new.decide(PAGES), OrganizationEntry::New);
    }

    #[test]
    fn an_organization_that_is_asked_for_is_entered_by_its_members_alone() {
        let asked = |id| EntryRequest { organization_id: Some(id), ..PAGES };
        let choice = choice(vec![member("org_1", 1), member("org_2", 2), invited("org_3", 20)], &["org_5"]);
        assert_eq!(choice.decide(asked("org_2")), existing("org_2"));
        for id in ["org_3", "org_5", "org_6"] {
            assert_eq!(choice.decide(asked(id)), OrganizationEntry::NotAMember, "{id}");
            let modular = EntryRequest { is_full_stack: false, ..asked(id) };
            assert_eq!(choice.decide(modular), OrganizationEntry::Existing(None), "{id}");
        }
    }
}
