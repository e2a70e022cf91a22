//! The claims of a token: what each is for, and whether it is as an application has to find it.

use serde_json::Value;

use crate::dashboard::blocks::{Block, Cell, Row, Table};
use crate::domain::clock::rfc3339;
use crate::domain::token::half_hash;
use crate::service::test_tokens::DecodedToken;

/// What an ID token is held against.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    pub nonce: &'a str,
    pub access_token: &'a str,
    /// `None`: the token came of a refresh token, and names no code.
    pub code: Option<&'a str>,
}

/// What a claim is for.
fn meaning(claim: &str) -> &'static str {
    match claim {
        "iss" => "Who issued the token: the environment URL.",
        "sub" => "Who the user is, in this environment.",
        "aud" => "Who the token is for: the client ID.",
        "azp" => "The client that asked for it.",
        "client_id" => "The application.",
        "iat" => "When it was issued.",
        "nbf" => "Not valid before.",
        "exp" => "Expires.",
        "auth_time" => "When the user signed in.",
        "amr" => "How the user signed in: the connection.",
        "sid" => "The session, which a logout ends.",
        "oid" | "xoid" => "The organization.",
        "xuid" => "The user's external ID.",
        "nonce" => "Ties the token to this sign-in.",
        "at_hash" => "Ties the ID token to the access token.",
        "c_hash" => "Ties the ID token to the authorization code.",
        "jti" => "The token's own ID.",
        "scope" | "scopes" => "What the token may be used for.",
        "roles" => "The user's roles in the organization.",
        "permissions" => "What the roles permit.",
        "email" => "The user's email address.",
        "email_verified" => "Was the address verified?",
        "name" | "given_name" | "family_name" | "picture" | "locale" => "From the user's profile.",
        "custom_claims" => "Added by an interceptor.",
        _ => "Added by the token template, or by an interceptor.",
    }
}

/// The check that a claim is subject to, by the name it has among the checks of a token.
fn check_name(claim: &str) -> &'static [&'static str] {
    match claim {
        "iss" => &["issuer"],
        "aud" => &["audience"],
        "exp" => &["expiry"],
        "iat" => &["date"],
        "jti" => &["revocation", "grant"],
        _ => &[],
    }
}

/// The signature, then each claim with its check. `expected` is given for ID tokens.
pub fn table(decoded: &DecodedToken, expected: Option<Expected<'_>>) -> Block {
    let verdict = |names: &[&str]| {
        let checks = decoded.checks.iter().filter(|check| names.contains(&check.name));
        let checks: Vec<_> = checks.collect();
        let wrong = checks.iter().find(|check| !check.ok);
        match (wrong, checks.first()) {
            (Some(wrong), _) => Cell::verdict(wrong.text.clone(), false),
            (None, Some(_)) => Cell::verdict("OK", true),
            (None, None) => Cell::default(),
        }
    };
    let algorithm = decoded.header.as_ref().and_then(|h| h["alg"].as_str()).unwrap_or_default();
    let key = decoded.header.as_ref().and_then(|h| h["kid"].as_str()).unwrap_or_default();
    let mut rows = vec![Row::new(vec![
        Cell::text("signature"),
        Cell::text(format!("{algorithm}, key {key}")),
        Cell::text("Made by a key of /keys, so that nobody can change the token."),
        verdict(&["form", "algorithm", "signature"]),
    ])];
    let empty = serde_json::Map::new();
    let claims = decoded.claims.as_ref().and_then(Value::as_object).unwrap_or(&empty);
    for (name, value) in claims {
        let own = expected.and_then(|expected| tie(name, value, expected));
        let check = match own {
            Some(true) => Cell::verdict("OK", true),
            Some(false) => Cell::verdict("Does not match", false),
            None => verdict(check_name(name)),
        };
        let cells = vec![Cell::text(name), Cell::text(shown(name, value)), Cell::text(meaning(name)), check];
        rows.push(Row::new(cells));
    }
    if expected.is_some_and(|expected| expected.code.is_some()) && !claims.contains_key("nonce") {
        let cells = vec![
            Cell::text("nonce"),
            Cell::default(),
            Cell::text(meaning("nonce")),
            Cell::verdict("Missing", false),
        ];
        rows.push(Row::new(cells));
    }
    Block::Table(Table { columns: &["Claim", "Value", "Meaning", "Check"], rows })
}

/// Is a claim that ties the token to this sign-in the right one? `None`: it is no such claim.
fn tie(name: &str, value: &Value, expected: Expected<'_>) -> Option<bool> {
    match name {
        "nonce" => Some(value == expected.nonce),
        "at_hash" => Some(value == half_hash(expected.access_token).as_str()),
        "c_hash" => expected.code.map(|code| value == half_hash(code).as_str()),
        _ => None,
    }
}

fn shown(name: &str, value: &Value) -> String {
    match (name, value) {
        ("iat" | "nbf" | "exp" | "auth_time", Value::Number(seconds)) => match seconds.as_i64() {
            Some(seconds) => format!("{seconds} ({})", rfc3339(seconds.saturating_mul(1000))),
            None => seconds.to_string(),
        },
        (_, Value::String(text)) => text.clone(),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::test_tokens::TokenCheck;
    use serde_json::json;

    fn cells(block: Block) -> Vec<(String, String)> {
        let Block::Table(table) = block else { panic!("a table") };
        table.rows.into_iter().map(|row| (row.cells[0].text.clone(), row.cells[3].text.clone())).collect()
    }

    fn check_of(cells: &[(String, String)], claim: &str) -> String {
        cells.iter().find(|(name, _)| name == claim).map(|(_, check)| check.clone()).unwrap()
    }

    #[test]
    fn a_token_of_another_sign_in_is_told_by_its_nonce_and_hashes() {
        let claims =
            json!({ "nonce": "n", "at_hash": half_hash("access"), "c_hash": half_hash("code"), "iss": "i" });
        let decoded = DecodedToken {
            header: Some(json!({ "alg": "RS256", "kid": "k" })),
            claims: Some(claims),
            checks: vec![TokenCheck { name: "issuer", ok: false, text: "It says \"i\".".to_owned() }],
            ..DecodedToken::default()
        };
        let right = Expected { nonce: "n", access_token: "access", code: Some("code") };
        let shown = cells(table(&decoded, Some(right)));
        for claim in ["nonce", "at_hash", "c_hash"] {
            assert_eq!(check_of(&shown, claim), "OK", "{claim}");
        }
        assert_eq!(check_of(&shown, "iss"), "It says \"i\".");
        let other = Expected { nonce: "m", access_token: "other", code: Some("else") };
        let shown = cells(table(&decoded, Some(other)));
        for claim in ["nonce", "at_hash", "c_hash"] {
            assert_eq!(check_of(&shown, claim), "Does not match", "{claim}");
        }
    }

    #[test]
    fn a_missing_nonce_is_told() {
        let decoded = DecodedToken { claims: Some(json!({})), ..DecodedToken::default() };
        let expected = Expected { nonce: "n", access_token: "a", code: Some("c") };
        assert_eq!(check_of(&cells(table(&decoded, Some(expected))), "nonce"), "Missing");
        assert!(
            cells(table(&decoded, None)).iter().all(|(name, _)| name != "nonce"),
            "access tokens have none"
        );
    }
}
