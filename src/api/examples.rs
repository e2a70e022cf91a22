//! Values for the examples of the description, by what fields are called.

/// An example of a text in this field of this message.
pub fn text(message: &str, field: &str) -> Option<&'static str> {
    Some(match field {
        "id" => return id_of(message),
        "user_id" => USER_ID,
        "organization_id" | "org_id" | "authenticated_organizations" => ORGANIZATION_ID,
        "environment_id" => "env_687000000000000001",
        "connection_id" => "conn_687000000000000001",
        "session_id" => "ses_1893456000000000001",
        "token_id" => "apit_1893456000000000001",
        "domain_id" => "dom_1893456000000000001",
        "secret_id" => "sks_1893456000000000001",
        "auth_request_id" => "1893456000000000001",
        "client_id" if message.contains("OrganizationClient") || message.contains("M2M") => {
            "m2morg_1893456000000000001"
        }
        "client_id" => "skc_687000000000000001",
        "external_id" if message.contains("User") => "ada",
        "external_id" | "organization_external_id" | "slug" => "acme",
        "user_external_id" | "preferred_username" | "query" => "ada",
        "email" => "ada@example.com",
        "inviter_email" => "grace@example.com",
        "name" if message.contains("Permission") => PERMISSION,
        "name" if message.contains("Role") => ROLE,
        "name" if message.contains("User") => "Ada Lovelace",
        "name" | "client_name" => "Reports",
        "display_name" if message.contains("Role") => "Billing admin",
        "display_name" | "organization_name" => "Acme",
        "given_name" | "first_name" => "Ada",
        "family_name" | "last_name" => "Lovelace",
        "locale" => "en",
        "phone_number" => "+15550100",
        "picture" => "https://app.example.com/ada.png",
        "logo_url" => "https://app.example.com/logo.png",
        "role_name"
        | "roles"
        | "extends"
        | "default_member_role"
        | "default_creator_role"
        | "reassign_role_name"
        | "reassign_role_id" => ROLE,
        "permission_name" | "permission_names" | "permissions" => PERMISSION,
        "domain" | "domains" => "acme.example.com",
        "code" => "123456",
        "state" => "xyz",
        "ip" => "203.0.113.7",
        "expires_at" | "expiry" | "access_token_expiry" => "1893456000",
        "audience" | "aud" => "https://api.example.com",
        "scopes" => "reports:read",
        "redirect_uri" | "redirect_uris" | "default_redirect_uri" | "magiclink_auth_uri" => {
            "https://app.example.com/callback"
        }
        "back_channel_logout_uris" | "backchannel_logout_redirect_uri" => {
            "https://app.example.com/backchannel-logout"
        }
        "initiate_login_uri" | "auth_initiation_uri" => "https://app.example.com/login",
        "post_logout_redirect_uri" | "post_logout_redirect_uris" => "https://app.example.com/",
        _ => return None,
    })
}

const USER_ID: &str = "usr_1893456000000000001";
const ORGANIZATION_ID: &str = "org_1893456000000000001";
const ROLE: &str = "billing_admin";
const PERMISSION: &str = "invoices:read";

/// The field `id` of a message, which says by its name whose it is: `GetUserRequest`.
fn id_of(message: &str) -> Option<&'static str> {
    let kinds = [
        ("MembershipRequest", USER_ID),
        ("Membership", ORGANIZATION_ID),
        ("User", USER_ID),
        ("Role", "role_1893456000000000001"),
        ("Permission", "perm_1893456000000000001"),
        ("Domain", "dom_1893456000000000001"),
        ("Connection", "conn_687000000000000001"),
        ("Secret", "sks_1893456000000000001"),
        ("Org", ORGANIZATION_ID),
    ];
    kinds.into_iter().find(|(kind, _)| message.contains(kind)).map(|(_, id)| id)
}
