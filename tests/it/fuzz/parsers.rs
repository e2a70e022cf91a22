//! Parsers, each held against its property: most have an oracle that knows the answer by another way.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::{Value, json};
use vestibule::domain::pkce::{self, CodeChallenge};

use super::properties::{self, Signed};
use super::{corpus, fuzz, mutated, mutated_text};

#[test]
fn only_registered_redirect_uris_are_allowed_and_they_lead_where_they_say() {
    fuzz("redirect_uri", &mutated_text(corpus("redirect_uri.txt")), |uri| {
        properties::redirect_uri(&uri);
        Ok(())
    });
}

#[test]
fn an_authorization_request_is_what_was_sent_or_refused_where_it_is_safe() {
    fuzz("authorize", &mutated(corpus("authorize.txt")), |query| {
        properties::authorize(&query);
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
        properties::form(&body);
        Ok(())
    });
}

#[test]
fn an_expression_comes_to_the_same_however_it_is_wrapped() {
    fuzz("expression", &mutated_text(corpus("expression.txt")), |text| {
        properties::expression(&text);
        Ok(())
    });
}

#[test]
fn basic_credentials_come_back_as_they_were_encoded() {
    fuzz("basic, encoded", &(any::<String>(), any::<String>()), |(id, secret)| {
        properties::basic_encoded(&id, &secret);
        Ok(())
    });
    fuzz("basic, raw", &mutated(corpus("basic.txt")), |raw| {
        properties::basic_raw(&raw);
        Ok(())
    });
    fuzz("basic, header", &"[!-~ ]{0,40}", |header| {
        properties::basic_header(header.as_bytes());
        Ok(())
    });
}

#[test]
fn an_address_is_one_mailbox_for_everybody_who_reads_it() {
    fuzz("email", &mutated_text(corpus("email.txt")), |text| {
        properties::email(&text);
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
    /// The same with a header that need not be JSON.
    RawHeader {
        header: Vec<u8>,
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
    let signed = Signed::one();
    let (keys, token) = (&signed.keys, &signed.token);
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
        1 => (mutated(corpus("jwt.txt")), any::<bool>())
            .prop_map(|(header, keeps_signature)| Forgery::RawHeader { header, keeps_signature }),
        1 => (prop::sample::select(&["HS256", "HS384", "HS512", "RS256"][..]), 0..secrets.len(), any::<bool>())
            .prop_map(|(alg, secret, kid)| Forgery::Hmac { alg, secret, kid }),
        1 => prop::collection::vec(any::<u8>(), 0..200).prop_map(Forgery::Text),
    ];
    fuzz("jwt", &input, |forgery| {
        let forged = match forgery {
            Forgery::Text(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Forgery::Header { header, keeps_signature } => {
                let signature = (!keeps_signature).then_some("");
                signed.with(Some(header.to_string().as_bytes()), None, signature)
            }
            Forgery::RawHeader { header, keeps_signature } => {
                signed.with(Some(&header), None, (!keeps_signature).then_some(""))
            }
            Forgery::Hmac { alg, secret, kid } => {
                let header = if kid {
                    json!({ "alg": alg, "typ": "JWT", "kid": "snk_1" })
                } else {
                    json!({ "alg": alg })
                };
                let unsigned = signed.with(Some(header.to_string().as_bytes()), None, Some(""));
                let unsigned = unsigned.trim_end_matches('.');
                let hash = match alg {
                    "HS384" => aws_lc_rs::hmac::HMAC_SHA384,
                    "HS512" => aws_lc_rs::hmac::HMAC_SHA512,
                    _ => aws_lc_rs::hmac::HMAC_SHA256,
                };
                let key = aws_lc_rs::hmac::Key::new(hash, &secrets[secret]);
                let tag = aws_lc_rs::hmac::sign(&key, unsigned.as_bytes());
                format!("{unsigned}.{}", URL_SAFE_NO_PAD.encode(tag))
            }
        };
        signed.is_the_only_one_believed(&forged);
        Ok(())
    });
}
