//! Parsers, each beside an oracle that knows the answer by another way.

use actix_web::test::TestRequest;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;
use url::Url;
use vestibule::crypto::entropy::SystemEntropy;
use vestibule::crypto::signing::{KeySet, SigningKey, generate_pkcs8};
use vestibule::domain::authorization::{self, Refusal, SUPPORTED_SCOPES, response_url};
use vestibule::domain::client::ClientKind;
use vestibule::domain::email::EmailAddress;
use vestibule::domain::environment::{Environment, MailFrom, Mode};
use vestibule::domain::pkce::{self, CodeChallenge};
use vestibule::domain::redirect_uri::{RedirectVerdict, check_redirect_uri};
use vestibule::http::oidc::client_credentials;
use vestibule::http::params;

use super::{corpus, fuzz, mutated, mutated_text};
use crate::support::configuration;

const CLIENTS: &str = r#"
[[clients]]
client_id = "web"
client_secret = "secret"
redirect_uris = ["https://app.example.com/cb", "https://app.example.com/query?tenant=1", "https://auth-*.acme.example.com/cb"]
[[clients]]
client_id = "spa"
type = "spa"
redirect_uris = ["https://spa.example.com/cb"]
[[clients]]
client_id = "native"
type = "native"
redirect_uris = ["http://127.0.0.1/callback", "http://[::1]:0/callback", "com.example.app:/callback"]
"#;

fn environment(strict_redirects: bool) -> Environment {
    configuration(&format!("strict_redirects = {strict_redirects}\n{CLIENTS}")).environment
}

/// The URL without its port, when it has the form `http://host[:port]/…`.
fn without_port(uri: &str) -> Option<(String, &str)> {
    let rest = uri.strip_prefix("http://")?;
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    };
    Some((host.to_owned(), path))
}

/// May a browser be sent to this URI? Judged by where it would really go.
fn is_safe(environment: &Environment, client_id: &str, uri: &str) -> bool {
    let client = environment.client(client_id).unwrap();
    if client.redirect_uris.iter().any(|registered| registered.as_str() == uri) {
        return true;
    }
    // Resolved as browsers resolve a Location, relative to our page.
    let Ok(target) = Url::parse("http://id.example.com/oauth/authorize").unwrap().join(uri) else {
        return false;
    };
    if !target.username().is_empty() || target.password().is_some() || target.fragment().is_some() {
        return false;
    }
    let host = target.host_str().unwrap_or_default();
    let is_loopback = matches!(host, "localhost" | "[::1]" | "0.0.0.0" | "[::]")
        || host.ends_with(".localhost")
        || host.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.octets()[0] == 127);
    let by_wildcard = client_id == "web"
        && target.scheme() == "https"
        && host.starts_with("auth-")
        && host.ends_with(".acme.example.com")
        && host.split('.').count() == 4
        && target.port().is_none()
        && (target.path(), target.query()) == ("/cb", None);
    let by_port = matches!(client.kind, ClientKind::Native)
        && without_port(uri).is_some_and(|(host, rest)| {
            matches!(host.as_str(), "127.0.0.1" | "[::1]") && rest == "/callback"
        });
    let by_development = !environment.strict_redirects && target.scheme() == "http" && is_loopback;
    by_wildcard || by_port || by_development
}

#[test]
fn only_registered_redirect_uris_are_allowed_and_they_lead_where_they_say() {
    let environments = [environment(true), environment(false)];
    let input = (
        0..2_usize,
        prop::sample::select(&["web", "spa", "native"][..]),
        mutated_text(corpus("redirect_uri.txt")),
    );
    fuzz("redirect_uri", &input, |(which, client_id, uri)| {
        let environment = &environments[which];
        let client = environment.client(client_id).unwrap();
        let verdict = check_redirect_uri(client, &uri, Mode::Development, environment.strict_redirects);
        let is_registered = client.redirect_uris.iter().any(|r| r.as_str() == uri);
        prop_assert!(!is_registered || verdict == RedirectVerdict::Registered, "{uri:?} is registered");
        if verdict.is_allowed() {
            prop_assert!(is_safe(environment, client_id, &uri), "{client_id} may use {uri:?}");
        }
        let in_production = check_redirect_uri(client, &uri, Mode::Production, false);
        prop_assert!(in_production != RedirectVerdict::LoopbackInDevelopment);
        Ok(())
    });
}

#[test]
fn an_authorization_request_is_what_was_sent_or_refused_where_it_is_safe() {
    let environments = [environment(true), environment(false)];
    let input = (0..2_usize, mutated(corpus("authorize.txt")));
    fuzz("authorize", &input, |(which, query)| {
        let environment = &environments[which];
        let Ok(parameters) = params::parse(&query) else { return Ok(()) };
        // Another reader of the same query.
        let sent = |name: &str| -> Vec<String> {
            let pairs = url::form_urlencoded::parse(&query).filter(|(n, _)| n == name);
            pairs.map(|(_, value)| value.into_owned()).collect()
        };
        let one = |name: &str| sent(name).pop().filter(|v| !v.is_empty());
        match authorization::parse(environment, &parameters) {
            Ok(request) => {
                let client = environment.client(&request.client_id).unwrap();
                for name in [
                    "client_id",
                    "redirect_uri",
                    "response_type",
                    "state",
                    "scope",
                    "code_challenge",
                    "claims",
                    "prompt",
                ] {
                    prop_assert!(sent(name).len() <= 1, "{name} was sent twice");
                }
                prop_assert!(one("response_type").as_deref() == Some("code"));
                for name in ["request", "request_uri", "registration", "provider"] {
                    prop_assert_eq!(one(name), None);
                }
                prop_assert_eq!(Some(request.redirect_uri.clone()), one("redirect_uri"));
                prop_assert!(is_safe(environment, &request.client_id, &request.redirect_uri));
                prop_assert_eq!(&request.state, &one("state"));
                prop_assert_eq!(&request.nonce, &one("nonce"));
                prop_assert!(
                    request
                        .max_age_s
                        .is_none_or(|s| s >= 0 && Some(s) == one("max_age").unwrap().parse().ok())
                );
                let mut scopes = request.scope.clone();
                scopes.sort();
                scopes.dedup();
                prop_assert_eq!(scopes.len(), request.scope.len());
                prop_assert!(scopes.iter().all(|s| SUPPORTED_SCOPES.contains(&s.as_str())));
                match &request.code_challenge {
                    None => prop_assert!(!client.needs_pkce() && one("code_challenge").is_none()),
                    Some(_) => {
                        prop_assert!(one("code_challenge_method").as_deref() == Some("S256"));
                        let digest = one("code_challenge").unwrap();
                        prop_assert!(
                            digest.len() == 43
                                && digest.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
                        );
                    }
                }
                let claims: Value =
                    one("claims").map_or(json!({}), |text| serde_json::from_str(&text).unwrap());
                for (member, names) in
                    [("userinfo", &request.claims.userinfo), ("id_token", &request.claims.id_token)]
                {
                    prop_assert!(names.iter().all(|name| claims[member].get(name).is_some()), "{member}");
                }
                // It is stored as JSON until the person is done.
                let stored = serde_json::to_string(&request).unwrap();
                prop_assert_eq!(
                    serde_json::from_str::<authorization::AuthorizationRequest>(&stored).unwrap(),
                    request
                );
            }
            Err(Refusal::Redirect { redirect_uri, state, code, description }) => {
                let client_id = one("client_id").unwrap();
                prop_assert!(is_safe(environment, &client_id, &redirect_uri), "{redirect_uri:?}");
                prop_assert_eq!(Some(redirect_uri.clone()), one("redirect_uri"));
                let state = state.as_deref();
                prop_assert!(sent("state").len() > 1 || state == one("state").as_deref());
                let answer = response_url(
                    &redirect_uri,
                    &[("error", code.as_str()), ("error_description", &description)],
                    state,
                    "https://id.example.com",
                );
                prop_assert!(
                    answer.starts_with(&redirect_uri) && !answer.contains(['\r', '\n', '#', ' ']),
                    "{answer:?}"
                );
                let answer = Url::parse(&answer).unwrap();
                let said = |name: &str| {
                    answer.query_pairs().filter(|(n, _)| n == name).last().map(|(_, v)| v.into_owned())
                };
                prop_assert!(said("error").as_deref() == Some(code.as_str()));
                prop_assert!(said("iss").as_deref() == Some("https://id.example.com"));
                prop_assert!(state.is_none() || said("state").as_deref() == state);
            }
            Err(Refusal::Page(_)) => {}
        }
        Ok(())
    });
}

#[test]
fn only_the_verifier_itself_answers_a_challenge() {
    let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let digest = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    let challenge = CodeChallenge::parse(digest);
    assert!(challenge.is_some());
    fuzz("pkce", &mutated_text(vec![verifier.into(), digest.into()]), |text| {
        prop_assert_eq!(pkce::check(challenge.as_ref(), Some(&text)).is_ok(), text == verifier);
        prop_assert_eq!(pkce::check(None, Some(&text)).is_ok(), text.is_empty());
        let is_digest = URL_SAFE_NO_PAD.decode(&text).is_ok_and(|digest| digest.len() == 32);
        prop_assert!(!is_digest || CodeChallenge::parse(&text).is_some(), "{text:?} is a digest");
        Ok(())
    });
}

#[test]
fn a_form_says_what_another_reader_sees_or_is_refused() {
    fuzz("form", &mutated(corpus("form.txt")), |body| {
        let lossy: Vec<(String, String)> =
            url::form_urlencoded::parse(&body).map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
        // Separators are ASCII, so the parts are UTF-8 exactly when the whole is.
        let is_text = percent_encoding::percent_decode(&body).decode_utf8().is_ok();
        prop_assert_eq!(params::parse(&body).is_ok(), is_text);
        match params::parse(&body) {
            Ok(read) => {
                prop_assert_eq!(read.pairs(), &lossy);
                let written =
                    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(read.pairs()).finish();
                let again = params::parse(written.as_bytes()).unwrap();
                prop_assert_eq!(again.pairs(), read.pairs());
            }
            Err(error) => prop_assert_eq!(error, params::ParamsError::NotUtf8),
        }
        Ok(())
    });
}

#[test]
fn basic_credentials_come_back_as_they_were_encoded() {
    let read = |header: &str, body: &str| {
        let request = TestRequest::post().insert_header(("authorization", header)).to_http_request();
        client_credentials(&request, &params::parse(body.as_bytes()).unwrap())
    };
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    fuzz("basic, encoded", &(any::<String>(), any::<String>()), |(id, secret)| {
        let header = format!("Basic {}", STANDARD.encode(format!("{}:{}", encode(&id), encode(&secret))));
        let found = read(&header, "").unwrap();
        prop_assert_eq!(found.client_id.unwrap_or_default(), id);
        prop_assert_eq!(found.client_secret.unwrap_or_default(), secret);
        prop_assert!(read(&header, "client_secret=other").is_err(), "one method only (RFC 6749 §2.3)");
        Ok(())
    });
    fuzz("basic, raw", &mutated(corpus("basic.txt")), |raw| {
        let found = read(&format!("Basic {}", STANDARD.encode(&raw)), "");
        let Ok(text) = std::str::from_utf8(&raw) else {
            prop_assert!(found.is_err());
            return Ok(());
        };
        prop_assert_eq!(found.is_ok(), text.contains(':'));
        let decode = |part: &str| {
            let spaced = part.replace('+', " ");
            percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
        };
        if let (Ok(found), Some((id, secret))) = (found, text.split_once(':')) {
            prop_assert_eq!(found.client_id.unwrap_or_default(), decode(id));
            prop_assert_eq!(found.client_secret.unwrap_or_default(), decode(secret));
        }
        Ok(())
    });
    fuzz("basic, header", &"[!-~ ]{0,40}", |header| {
        let _ = read(&header, "client_id=a");
        Ok(())
    });
}

#[test]
fn an_address_is_one_mailbox_for_everybody_who_reads_it() {
    let from =
        MailFrom { name: "Vestibule".into(), address: EmailAddress::parse("no-reply@example.com").unwrap() };
    fuzz("email", &mutated_text(corpus("email.txt")), |text| {
        let Ok(address) = EmailAddress::parse(&text) else { return Ok(()) };
        let kept = address.as_str();
        prop_assert_eq!(kept, text.trim_matches([' ', '\t']), "nothing is dropped");
        prop_assert!(
            !kept.chars().any(|c| c.is_control() || c.is_whitespace() || ",;:<>()[]\"\\".contains(c)),
            "{kept:?}"
        );
        prop_assert_eq!(kept.matches('@').count(), 1);
        prop_assert!(EmailAddress::parse(kept).as_ref() == Ok(&address));
        prop_assert!(!address.domain().is_empty());
        // Whoever reads mail for one spelling is the person of all spellings with the same key, so no key may stand
        // for two mailboxes: upper case and lower case lead back to each other.
        prop_assert!(!address.key().is_ascii() || kept.is_ascii(), "{kept:?} passes for {:?}", address.key());
        let key = EmailAddress::parse(&address.key());
        prop_assert!(key.as_ref().is_ok_and(|key| key.key() == address.key()), "{key:?}");
        // As the mail is sent: exactly one recipient, and it is this one.
        let mailboxes: lettre::message::Mailboxes =
            kept.parse().map_err(|e| TestCaseError::fail(format!("{kept:?}: {e}")))?;
        prop_assert_eq!(mailboxes.iter().count(), 1);
        let envelope = vestibule::mail::Envelope {
            from: &from,
            to: kept,
            message_id: "msg_1",
            subject: "Code",
            text: "1",
            html: "<p>1</p>",
            created_at_ms: 0,
        };
        let source =
            vestibule::mail::source(&envelope).map_err(|e| TestCaseError::fail(format!("{kept:?}: {e}")))?;
        let source = String::from_utf8(source).unwrap();
        let recipients: Vec<&str> = source
            .lines()
            .take_while(|l| !l.is_empty())
            .filter(|line| {
                let line = line.to_ascii_lowercase();
                line.starts_with("to:") || line.starts_with("cc:") || line.starts_with("bcc:")
            })
            .collect();
        prop_assert_eq!(recipients.len(), 1);
        prop_assert_eq!(recipients[0].matches('@').count(), 1);
        Ok(())
    });
}

/// A token in its three parts, with other headers and signatures than ours.
#[derive(Debug, Clone)]
enum Forgery {
    /// Header, claims as the original has them, no signature or that of the original.
    Header {
        header: Value,
        keeps_signature: bool,
    },
    /// HMAC with something public as its key (the confusion of RFC 8725 §2.1).
    Hmac {
        alg: &'static str,
        secret: usize,
        kid: bool,
    },
    Text(Vec<u8>),
}

#[test]
fn no_change_of_a_token_is_ever_believed() {
    let key = |n: i64| {
        let der = generate_pkcs8(vestibule::domain::token::SigningAlgorithm::Rs256, &SystemEntropy).unwrap();
        Arc::new(SigningKey::from_pkcs8(n, &format!("snk_{n}"), 0, &der).unwrap())
    };
    let (ours, other) = (key(1), key(2));
    let keys = KeySet::new(vec![ours.clone(), other]);
    let claims = json!({ "iss": "https://id.example.com", "sub": "usr_1", "aud": ["web"], "exp": 4_102_444_800_i64, "jti": "tkn_1" });
    let token = ours.sign(&claims).unwrap();
    let parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    assert_eq!(keys.verify::<Value>(&token), Ok(claims));
    let jwk = keys.jwks()["keys"][0].clone();
    let modulus = jwk["n"].as_str().unwrap();
    let secrets: Vec<Vec<u8>> = vec![
        vec![],
        modulus.as_bytes().to_vec(),
        URL_SAFE_NO_PAD.decode(modulus).unwrap(),
        jwk.to_string().into_bytes(),
        keys.jwks().to_string().into_bytes(),
        b"snk_1".to_vec(),
    ];
    let algorithms = [
        "none", "None", "NONE", "", "HS256", "HS384", "HS512", "RS256", "RS384", "PS256", "ES256", "EdDSA",
        "rs256",
    ];
    let header = (
        prop::sample::select(algorithms.to_vec()),
        prop::option::of(prop::sample::select(&["snk_1", "snk_2", "", "snk_1\0"][..])),
        any::<[bool; 4]>(),
    )
        .prop_map(move |(alg, kid, [jwk_inside, crit, zip, jku])| {
            let mut header = json!({ "alg": alg, "typ": "JWT" });
            if let Some(kid) = kid {
                header["kid"] = json!(kid);
            }
            if jwk_inside {
                header["jwk"] = jwk.clone();
            }
            if crit {
                header["crit"] = json!(["exp"]);
            }
            if zip {
                header["zip"] = json!("DEF");
            }
            if jku {
                header["jku"] = json!("https://evil.example/keys");
            }
            header
        });
    let input = prop_oneof![
        3 => mutated(vec![token.clone().into_bytes()]).prop_map(Forgery::Text),
        2 => (header, any::<bool>()).prop_map(|(header, keeps_signature)| Forgery::Header { header, keeps_signature }),
        1 => (prop::sample::select(&["HS256", "HS384", "HS512", "RS256"][..]), 0..secrets.len(), any::<bool>())
            .prop_map(|(alg, secret, kid)| Forgery::Hmac { alg, secret, kid }),
        1 => prop::collection::vec(any::<u8>(), 0..200).prop_map(Forgery::Text),
    ];
    fuzz("jwt", &input, |forgery| {
        let forged = match forgery {
            Forgery::Text(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Forgery::Header { header, keeps_signature } => {
                let signature = if keeps_signature { parts[2].as_str() } else { "" };
                format!("{}.{}.{signature}", URL_SAFE_NO_PAD.encode(header.to_string()), parts[1])
            }
            Forgery::Hmac { alg, secret, kid } => {
                let header = if kid {
                    json!({ "alg": alg, "typ": "JWT", "kid": "snk_1" })
                } else {
                    json!({ "alg": alg })
                };
                let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), parts[1]);
                let hash = match alg {
                    "HS384" => aws_lc_rs::hmac::HMAC_SHA384,
                    "HS512" => aws_lc_rs::hmac::HMAC_SHA512,
                    _ => aws_lc_rs::hmac::HMAC_SHA256,
                };
                let tag = aws_lc_rs::hmac::sign(
                    &aws_lc_rs::hmac::Key::new(hash, &secrets[secret]),
                    signed.as_bytes(),
                );
                format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
            }
        };
        prop_assert_eq!(keys.verify::<Value>(&forged).is_ok(), forged == token, "{}", forged);
        Ok(())
    });
}
