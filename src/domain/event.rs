//! What happened to records, as webhooks will tell it.

use serde::Serialize;
use serde_json::Value;

use super::clock::{UnixMs, rfc3339};
use super::email::EmailAddress;
use super::metadata::Metadata;
use super::organization::Organization;
use super::organization_domain::{DomainName, DomainType, OrganizationDomain};
use super::permission::Permission;
use super::role::Role;
use super::session::{Device, Session, SessionRecord, SessionStatus};
use super::settings::SessionSettings;
use super::user::User;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventType {
    OrganizationCreated,
    OrganizationUpdated,
    OrganizationDeleted,
    DomainCreated,
    DomainDeleted,
    /// A user was invited to an organization.
    UserInvited,
    /// A sign-up made a user and an organization.
    UserSignedUp,
    /// A session began.
    UserSignedIn,
    /// A session ended before its time.
    UserSignedOut,
    MembershipCreated,
    MembershipUpdated,
    MembershipDeleted,
    RoleCreated,
    RoleUpdated,
    RoleDeleted,
    PermissionCreated,
    PermissionUpdated,
    PermissionDeleted,
}

impl EventType {
    /// Every type.
    pub const ALL: [Self; 18] = [
        Self::OrganizationCreated,
        Self::OrganizationUpdated,
        Self::OrganizationDeleted,
        Self::DomainCreated,
        Self::DomainDeleted,
        Self::UserInvited,
        Self::UserSignedUp,
        Self::UserSignedIn,
        Self::UserSignedOut,
        Self::MembershipCreated,
        Self::MembershipUpdated,
        Self::MembershipDeleted,
        Self::RoleCreated,
        Self::RoleUpdated,
        Self::RoleDeleted,
        Self::PermissionCreated,
        Self::PermissionUpdated,
        Self::PermissionDeleted,
    ];

    /// The type of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event_type| event_type.as_str() == name)
    }

    /// What it happened to, as payloads call it.
    pub fn object(self) -> &'static str {
        match self {
            Self::OrganizationCreated
            | Self::OrganizationUpdated
            | Self::OrganizationDeleted
            | Self::DomainCreated
            | Self::DomainDeleted => "Organization",
            Self::UserInvited
            | Self::UserSignedUp
            | Self::MembershipCreated
            | Self::MembershipUpdated
            | Self::MembershipDeleted => "OrgMembership",
            Self::UserSignedIn | Self::UserSignedOut => "User",
            Self::RoleCreated | Self::RoleUpdated | Self::RoleDeleted => "Role",
            Self::PermissionCreated | Self::PermissionUpdated | Self::PermissionDeleted => "Permission",
        }
    }

    /// Its name for users: each word of Scalekit's name with a capital.
    pub fn display_name(self) -> String {
        let words = self.as_str().split(['.', '_']).map(|word| {
            let mut letters = word.chars();
            letters
                .next()
                .map(|first| first.to_ascii_uppercase())
                .into_iter()
                .chain(letters)
                .collect::<String>()
        });
        words.collect::<Vec<_>>().join(" ")
    }

    /// Scalekit's name of it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OrganizationCreated => "organization.created",
            Self::OrganizationUpdated => "organization.updated",
            Self::OrganizationDeleted => "organization.deleted",
            Self::DomainCreated => "organization.domain_created",
            Self::DomainDeleted => "organization.domain_deleted",
            Self::UserInvited => "user.organization_invitation",
            Self::UserSignedUp => "user.signup",
            Self::UserSignedIn => "user.login",
            Self::UserSignedOut => "user.logout",
            Self::MembershipCreated => "user.organization_membership_created",
            Self::MembershipUpdated => "user.organization_membership_updated",
            Self::MembershipDeleted => "user.organization_membership_deleted",
            Self::RoleCreated => "role.created",
            Self::RoleUpdated => "role.updated",
            Self::RoleDeleted => "role.deleted",
            Self::PermissionCreated => "permission.created",
            Self::PermissionUpdated => "permission.updated",
            Self::PermissionDeleted => "permission.deleted",
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// `evt_…`
    pub id: String,
    /// What happened.
    pub event_type: EventType,
    /// The organization that it happened in, or to.
    pub organization_id: Option<String>,
    /// When, by the environment's clock.
    pub occurred_at_ms: UnixMs,
    /// When, by the machine's: it is kept for so long from then on.
    pub logged_at_ms: UnixMs,
    /// What it happened to, as `data` of a webhook.
    pub data: Value,
}

impl Event {
    /// The body of a webhook that tells of it.
    pub fn payload(&self, environment_id: &str) -> Payload<'_> {
        Payload {
            spec_version: "1",
            id: &self.id,
            event_type: self.event_type.as_str(),
            object: self.event_type.object(),
            environment_id: environment_id.to_owned(),
            organization_id: self.organization_id.as_deref(),
            occurred_at: rfc3339(self.occurred_at_ms),
            display_name: self.event_type.display_name(),
            data: &self.data,
        }
    }
}

/// An event as webhooks tell it.
#[derive(Debug, Serialize)]
pub struct Payload<'e> {
    spec_version: &'static str,
    id: &'e str,
    #[serde(rename = "type")]
    event_type: &'static str,
    object: &'static str,
    environment_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    organization_id: Option<&'e str>,
    /// By the environment's clock.
    occurred_at: String,
    display_name: String,
    data: &'e Value,
}

impl Payload<'_> {
    /// As it is sent and signed.
    pub fn to_body(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// `data` of an event of this type that never happened, to try an endpoint with.
pub fn sample_data(environment_id: &str, event_type: EventType, now_ms: UnixMs) -> Value {
    let organization =
        Organization::new("org_000000000000000001".into(), "Sample organization".into(), now_ms);
    let is_deleted = event_type == EventType::OrganizationDeleted;
    match (event_type, event_type.object()) {
        (EventType::DomainCreated | EventType::DomainDeleted, _) => {
            let domain = DomainName::parse("sample.example").map(|name| OrganizationDomain {
                id: "dom_000000000000000001".into(),
                organization_id: organization.id.clone(),
                name,
                domain_type: DomainType::OrganizationDomain,
                created_at_ms: now_ms,
            });
            domain.map(|domain| domain_data(environment_id, &domain)).unwrap_or_default()
        }
        (_, "Organization") => organization_data(&organization, is_deleted.then_some(now_ms)),
        (_, "OrgMembership") => {
            sample_user(now_ms).map(|user| membership_data(&organization, &user)).unwrap_or_default()
        }
        (_, "User") => sample_user(now_ms).map(|user| sample_session(&user, now_ms)).unwrap_or_default(),
        (_, "Role") => {
            let (id, name) = ("role_000000000000000001".into(), "sample".into());
            role_data(&Role::new(id, name, "Sample".into(), now_ms), None)
        }
        _ => {
            let (id, name) = ("perm_000000000000000001".into(), "sample:read".into());
            permission_data(&Permission::new(id, name, "Sample".into(), now_ms))
        }
    }
}

fn sample_user(now_ms: UnixMs) -> Option<User> {
    let email = EmailAddress::parse("sample@sample.example").ok()?;
    let mut user = User::new("usr_000000000000000001".into(), email, now_ms);
    user.last_sign_in_at_ms = Some(now_ms);
    Some(user)
}

fn sample_session(user: &User, now_ms: UnixMs) -> Value {
    let settings = SessionSettings { absolute_timeout_s: 86_400, idle_timeout_s: 3_600 };
    let session = SessionRecord {
        session: Session {
            id: "ses_000000000000000001".into(),
            user_id: user.id.clone(),
            organization_id: None,
            authenticated_at_ms: now_ms,
            last_active_at_ms: now_ms,
            absolute_expires_at_ms: now_ms + settings.absolute_timeout_s * 1000,
            idle_timeout_s: None,
            ended_at_ms: None,
        },
        created_at_ms: now_ms,
        ended_by: None,
        device: Device::default(),
        entries: vec![],
    };
    session_data(user, &session, &Value::Null, &SessionTimes { now_ms, settings: &settings })
}

/// An organization as `data` of an event, as it is now or was before it was deleted.
pub fn organization_data(organization: &Organization, deleted_at_ms: Option<UnixMs>) -> Value {
    serde_json::to_value(OrganizationData::new(organization, deleted_at_ms)).unwrap_or_default()
}

/// A domain as `data` of an event.
pub fn domain_data(environment_id: &str, domain: &OrganizationDomain) -> Value {
    let (verification_status, verification_method) = domain.domain_type.verification();
    let data = DomainData {
        id: &domain.id,
        domain: domain.name.as_str(),
        domain_type: domain.domain_type.as_str(),
        organization_id: &domain.organization_id,
        environment_id,
        txt_record_key: "",
        txt_record_secret: "",
        verification_status,
        verification_method,
        updated_at: rfc3339(domain.created_at_ms),
    };
    serde_json::to_value(data).unwrap_or_default()
}

/// A domain in an event. It is verified already, so there is no record to verify it by.
#[derive(Debug, Serialize)]
struct DomainData<'d> {
    id: &'d str,
    domain: &'d str,
    domain_type: &'static str,
    organization_id: &'d str,
    environment_id: &'d str,
    txt_record_key: &'static str,
    txt_record_secret: &'static str,
    verification_status: &'static str,
    verification_method: &'static str,
    updated_at: String,
}

/// A user in an organization as `data` of an event.
pub fn membership_data(organization: &Organization, user: &User) -> Value {
    serde_json::json!({
        "organization": organization_data(organization, None),
        "user": serde_json::to_value(UserData::new(user)).unwrap_or_default(),
    })
}

/// A user with a session as `data` of an event; `device` is what its sign-in told.
pub fn session_data(user: &User, session: &SessionRecord, device: &Value, at: &SessionTimes<'_>) -> Value {
    let mut told = serde_json::to_value(UserData::new(user)).unwrap_or_default();
    if let Some(object) = told.as_object_mut() {
        object.insert("last_login_time".to_owned(), user.last_sign_in_at_ms.map(rfc3339).into());
    }
    let times = &session.session;
    let (status, settings) = (session.status(at.now_ms, at.settings), at.settings);
    let clients = session.entries.iter().map(
        |entry| serde_json::json!({ "client_id": entry.client_id, "organization_id": entry.organization_id }),
    );
    let data = serde_json::json!({
        "session_id": times.id,
        "user_id": times.user_id,
        "organization_id": times.organization_id,
        "authenticated_organizations": session.organization_ids(),
        "authenticated_clients": clients.collect::<Vec<_>>(),
        "created_at": rfc3339(session.created_at_ms),
        "updated_at": rfc3339(times.ended_at_ms.unwrap_or(times.last_active_at_ms)),
        "last_active_at": rfc3339(times.last_active_at_ms),
        "idle_expires_at": rfc3339(session.idle_expires_at_ms(settings)),
        "absolute_expires_at": rfc3339(times.absolute_expires_at_ms),
        "expired_at": session.expired_at_ms(at.now_ms, settings).map(rfc3339),
        "logout_at": times.ended_at_ms.filter(|_| status == SessionStatus::Logout).map(rfc3339),
        "status": status.as_str().to_uppercase(),
        "device": device,
    });
    serde_json::json!({ "user": told, "user_session": data })
}

/// When a session is looked at, and how long sessions last then.
#[derive(Debug, Clone, Copy)]
pub struct SessionTimes<'t> {
    pub now_ms: UnixMs,
    pub settings: &'t SessionSettings,
}

/// A role as `data` of an event, with the name of the role that it extends.
pub fn role_data(role: &Role, extends: Option<&str>) -> Value {
    serde_json::json!({
        "id": role.id,
        "name": role.name,
        "display_name": role.display_name,
        "description": role.description,
        "extends": extends,
    })
}

/// A permission as `data` of an event.
pub fn permission_data(permission: &Permission) -> Value {
    serde_json::json!({
        "id": permission.id,
        "name": permission.name,
        "description": permission.description,
    })
}

/// A user in an event.
#[derive(Debug, Serialize)]
struct UserData<'u> {
    id: &'u str,
    email: &'u str,
    /// Empty where there is none.
    external_id: &'u str,
    create_time: String,
    update_time: String,
    metadata: &'u Metadata,
    user_profile: ProfileData<'u>,
}

/// A profile in an event; null where nothing is known.
#[derive(Debug, Serialize)]
struct ProfileData<'u> {
    id: String,
    given_name: Option<&'u str>,
    family_name: Option<&'u str>,
    name: Option<String>,
    email_verified: bool,
    locale: Option<&'u str>,
    phone_number: Option<&'u str>,
    preferred_username: Option<&'u str>,
    picture: Option<&'u str>,
    gender: Option<&'u str>,
    groups: &'u [String],
    metadata: Option<&'u Metadata>,
    custom_attributes: Option<&'u Metadata>,
    external_identities: Option<Vec<Value>>,
}

impl<'u> UserData<'u> {
    fn new(user: &'u User) -> Self {
        let filled = |metadata: &'u Metadata| Some(metadata).filter(|metadata| !metadata.is_empty());
        let profile = &user.profile;
        let details = &profile.details;
        Self {
            id: &user.id,
            email: user.email.as_str(),
            external_id: user.external_id.as_deref().unwrap_or_default(),
            create_time: rfc3339(user.created_at_ms),
            update_time: rfc3339(user.updated_at_ms),
            metadata: &user.metadata,
            user_profile: ProfileData {
                id: user.profile_id(),
                given_name: profile.given_name.as_deref(),
                family_name: profile.family_name.as_deref(),
                name: profile.full_name(),
                email_verified: user.email_verified_at_ms.is_some(),
                locale: profile.locale.as_deref(),
                phone_number: details.phone_number.as_deref(),
                preferred_username: details.preferred_username.as_deref(),
                picture: profile.picture.as_deref(),
                gender: details.gender.as_deref(),
                groups: &details.groups,
                metadata: filled(&details.metadata),
                custom_attributes: filled(&details.custom_attributes),
                external_identities: None,
            },
        }
    }
}

/// An organization in an event.
#[derive(Debug, Serialize)]
struct OrganizationData<'o> {
    id: &'o str,
    display_name: &'o str,
    external_id: Option<&'o str>,
    /// Null where there is none.
    metadata: Option<&'o Metadata>,
    region_code: &'static str,
    create_time: String,
    update_time: String,
    settings: OrganizationSettings,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted_at: Option<String>,
}

#[derive(Debug, Serialize)]
struct OrganizationSettings {
    features: Vec<FeatureData>,
}

#[derive(Debug, Serialize)]
struct FeatureData {
    name: &'static str,
    enabled: bool,
}

impl<'o> OrganizationData<'o> {
    fn new(organization: &'o Organization, deleted_at_ms: Option<UnixMs>) -> Self {
        let features = organization.features.listed();
        let features = features.map(|(feature, enabled)| FeatureData { name: feature.as_str(), enabled });
        Self {
            id: &organization.id,
            display_name: &organization.display_name,
            external_id: organization.external_id.as_deref(),
            metadata: Some(&organization.metadata).filter(|metadata| !metadata.is_empty()),
            region_code: organization.region.as_str(),
            create_time: rfc3339(organization.created_at_ms),
            update_time: rfc3339(organization.updated_at_ms),
            settings: OrganizationSettings { features: features.collect() },
            deleted_at: deleted_at_ms.map(rfc3339),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::organization::Feature;
    use crate::domain::session::{SessionEnd, SessionEntry};

    #[test]
    fn a_session_is_told_with_its_user_as_it_stands() {
        let email = EmailAddress::parse("jane@example.com").unwrap();
        let mut jane = User::new("usr_1".into(), email, 1_767_225_600_000);
        jane.last_sign_in_at_ms = Some(1_767_225_600_000);
        let session = Session {
            id: "ses_1".into(),
            user_id: "usr_1".into(),
            organization_id: Some("org_1".into()),
            authenticated_at_ms: 1_767_225_600_000,
            last_active_at_ms: 1_767_225_600_000,
            absolute_expires_at_ms: 1_767_225_700_000,
            idle_timeout_s: Some(10),
            ended_at_ms: None,
        };
        let entry = SessionEntry { client_id: "skc_1".into(), organization_id: Some("org_1".into()) };
        let mut record = SessionRecord {
            session,
            created_at_ms: 1_767_225_600_000,
            ended_by: None,
            device: Device::default(),
            entries: vec![entry],
        };
        let settings = SessionSettings { absolute_timeout_s: 100, idle_timeout_s: 50 };
        let at = SessionTimes { now_ms: 1_767_225_601_000, settings: &settings };
        let device = serde_json::json!({ "browser": "Chrome" });
        let data = session_data(&jane, &record, &device, &at);
        assert_eq!(data["user"]["last_login_time"], "2026-01-01T00:00:00.000Z");
        let told = &data["user_session"];
        assert_eq!((&told["session_id"], &told["status"]), (&"ses_1".into(), &"ACTIVE".into()));
        assert_eq!(told["authenticated_organizations"], serde_json::json!(["org_1"]));
        assert_eq!(told["idle_expires_at"], "2026-01-01T00:00:10.000Z");
        assert_eq!((&told["device"], &told["logout_at"]), (&device, &Value::Null));
        record.session.ended_at_ms = Some(1_767_225_601_000);
        record.ended_by = Some(SessionEnd::Logout);
        let told = session_data(&jane, &record, &device, &at)["user_session"].clone();
        assert_eq!(
            (&told["status"], &told["logout_at"]),
            (&"LOGOUT".into(), &"2026-01-01T00:00:01.000Z".into())
        );
    }

    #[test]
    fn an_event_is_told_in_scalekits_envelope() {
        let event = Event {
            id: "evt_1".into(),
            event_type: EventType::DomainCreated,
            organization_id: Some("org_1".into()),
            occurred_at_ms: 1_767_225_600_000,
            logged_at_ms: 1,
            data: serde_json::json!({ "id": "dom_1" }),
        };
        assert_eq!(
            event.payload("env_1").to_body(),
            r#"{"spec_version":"1","id":"evt_1","type":"organization.domain_created","object":"Organization","environment_id":"env_1","organization_id":"org_1","occurred_at":"2026-01-01T00:00:00.000Z","display_name":"Organization Domain Created","data":{"id":"dom_1"}}"#
        );
        let role = Event { event_type: EventType::RoleDeleted, organization_id: None, ..event };
        let payload = serde_json::to_value(role.payload("env_1")).unwrap();
        assert_eq!((&payload["object"], payload.get("organization_id")), (&"Role".into(), None));
    }

    #[test]
    fn every_type_is_found_by_its_name_and_has_a_sample() {
        for event_type in EventType::ALL {
            assert_eq!(EventType::parse(event_type.as_str()), Some(event_type));
            assert!(sample_data("env_1", event_type, 1_767_225_600_000).is_object(), "{event_type:?}");
        }
        assert_eq!(EventType::parse("user.created"), None);
    }

    #[test]
    fn a_member_is_told_with_the_organization() {
        let acme = Organization::new("org_1".into(), "Acme".into(), 1_767_225_600_000);
        let email = EmailAddress::parse("jane@example.com").unwrap();
        let mut jane = User::new("usr_1".into(), email, 1_767_225_600_000);
        jane.profile.given_name = Some("Jane".into());
        let data = membership_data(&acme, &jane);
        assert_eq!(data["organization"], organization_data(&acme, None));
        assert_eq!(
            (&data["user"]["email"], &data["user"]["external_id"]),
            (&"jane@example.com".into(), &"".into())
        );
        assert_eq!(data["user"]["metadata"], serde_json::json!({}));
        let profile = &data["user"]["user_profile"];
        assert_eq!((&profile["id"], &profile["name"]), (&"usp_1".into(), &"Jane".into()));
        assert_eq!((&profile["family_name"], &profile["email_verified"]), (&Value::Null, &false.into()));
    }

    #[test]
    fn an_organization_is_told_as_webhooks_tell_it() {
        let mut acme = Organization::new("org_1".into(), "Acme".into(), 1_767_225_600_000);
        acme.features.set(Feature::Sso, true);
        let mut data = serde_json::json!({
            "id": "org_1",
            "display_name": "Acme",
            "external_id": null,
            "metadata": null,
            "region_code": "US",
            "create_time": "2026-01-01T00:00:00.000Z",
            "update_time": "2026-01-01T00:00:00.000Z",
            "settings": { "features": [
                { "name": "sso", "enabled": true },
                { "name": "dir_sync", "enabled": false },
            ] },
        });
        assert_eq!(organization_data(&acme, None), data);
        data["deleted_at"] = "2026-01-01T00:00:01.000Z".into();
        assert_eq!(organization_data(&acme, Some(1_767_225_601_000)), data);
    }
    #[test]
    fn a_domain_is_told_as_webhooks_tell_it() {
        let domain = OrganizationDomain {
            id: "dom_1".into(),
            organization_id: "org_1".into(),
            name: DomainName::parse("acme.com").unwrap(),
            domain_type: DomainType::AllowedEmailDomain,
            created_at_ms: 1_767_225_600_000,
        };
        let data = serde_json::json!({
            "id": "dom_1",
            "domain": "acme.com",
            "domain_type": "ALLOWED_EMAIL_DOMAIN",
            "organization_id": "org_1",
            "environment_id": "env_1",
            "txt_record_key": "",
            "txt_record_secret": "",
            "verification_status": "AUTO_VERIFIED",
            "verification_method": "NOT_APPLICABLE",
            "updated_at": "2026-01-01T00:00:00.000Z",
        });
        assert_eq!(domain_data("env_1", &domain), data);
    }
}
