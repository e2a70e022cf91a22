//! Nobody learns from the outside which addresses have an account: not by status, not by body, not by time.

use std::time::Instant;

use serde_json::json;

use crate::support::TestServer;
use crate::support::person::Page;

const LIMITS: &str = "[limits]\nmails_per_address = 0\nfailed_attempts_per_address = 0\n";

/// Samples of each kind. They are taken in turns, so that whatever else the machine does meets all kinds alike.
const SAMPLES: usize = 150;

/// Seconds that answers took.
#[derive(Default)]
struct Times {
    known: Vec<f64>,
    unknown: Vec<f64>,
}

/// How far two samples lie apart by Mann and Whitney: the normal approximation's z. Ranks know no outliers, so that
/// a machine that stops for a moment does not decide.
fn mann_whitney_z(one: &[f64], two: &[f64]) -> f64 {
    let (n, m) = (one.len() as f64, two.len() as f64);
    let wins: f64 = one
        .iter()
        .flat_map(|a| {
            two.iter().map(move |b| {
                if a < b {
                    1.0
                } else if a > b {
                    0.0
                } else {
                    0.5
                }
            })
        })
        .sum();
    (wins - n * m / 2.0) / (n * m * (n + m + 1.0) / 12.0).sqrt()
}

/// One in about 1.7 million pairs of samples of the same kind lies farther apart than this.
const TOLERATED_Z: f64 = 5.0;

impl Times {
    fn z(&self) -> f64 {
        mann_whitney_z(&self.known, &self.unknown)
    }
}

async fn timed<T>(work: impl Future<Output = T>) -> (f64, T) {
    let started = Instant::now();
    let done = work.await;
    (started.elapsed().as_secs_f64(), done)
}

/// What an answer says without what is random in it.
fn neutral(page: &Page, random: &[&str]) -> (u16, String) {
    let mut body = page.body.clone();
    for word in random {
        body = body.replace(word, "…");
    }
    (page.status, body)
}

/// Takes samples of known and unknown addresses in turns, first one and then the other ahead.
async fn interleaved<T>(mut one: impl AsyncFnMut(&str) -> T, mut note: impl FnMut(bool, T)) {
    for i in 0..SAMPLES {
        for known in [i % 2 == 0, i % 2 != 0] {
            let address =
                if known { format!("known{i:03}@example.com") } else { format!("other{i:03}@example.com") };
            note(known, one(&address).await);
        }
    }
}

/// Samples of a send and a wrong guess, with what their answers say, are alike for known and unknown addresses.
async fn assert_alike<W: PartialEq + std::fmt::Debug>(sample: impl AsyncFnMut(&str) -> (f64, f64, W)) {
    let (mut sends, mut guesses) = (Times::default(), Times::default());
    let mut said = vec![];
    interleaved(sample, |known, (send_s, guess_s, words)| {
        if known { &mut sends.known } else { &mut sends.unknown }.push(send_s);
        if known { &mut guesses.known } else { &mut guesses.unknown }.push(guess_s);
        said.push(words);
    })
    .await;
    assert!(said.iter().all(|words| *words == said[0]), "{said:#?}");
    let (sends, guesses) = (sends.z(), guesses.z());
    assert!(sends.abs() < TOLERATED_Z && guesses.abs() < TOLERATED_Z, "send {sends}, guess {guesses}");
}

async fn with_accounts() -> TestServer {
    let server = TestServer::with(&format!("{LIMITS}[passwordless]\ntype = \"OTP\"\n")).await;
    for i in 0..SAMPLES {
        let email = format!("known{i:03}@example.com");
        server.do_control("POST", "/users", json!({ "email": email })).await;
    }
    server
}

#[tokio::test]
async fn hosted_pages_answer_known_and_unknown_addresses_alike_in_words_and_time() {
    let server = with_accounts().await;
    let person = server.person();
    let sample = async |address: &str| {
        let sign_in = person.start_with(&[]).await;
        let id = sign_in.rsplit('/').next().unwrap().to_owned();
        let (send_s, sent) = timed(person.post(&format!("{sign_in}/email"), &[("email", address)])).await;
        let shown = person.get(&sign_in).await;
        let (guess_s, guessed) = timed(person.enter_code(&sign_in, "wrong")).await;
        let words = [&sent, &shown, &guessed].map(|p| neutral(p, &[&id, address]));
        (send_s, guess_s, words)
    };
    assert_alike(sample).await;
}

#[tokio::test]
async fn the_api_answers_known_and_unknown_addresses_alike_in_words_and_time() {
    let server = with_accounts().await;
    let (http, token) = (server.http(), server.client_token().await);
    let rest = async |what: &str, body: serde_json::Value| {
        let url = format!("{}/api/v1/passwordless/email/{what}", server.url);
        Page::of(http.post(url).bearer_auth(&token).json(&body).send().await.unwrap()).await
    };
    let sample = async |address: &str| {
        let (send_s, sent) = timed(rest("send", json!({ "email": address }))).await;
        let id = sent.json()["auth_request_id"].as_str().unwrap().to_owned();
        let body = json!({ "auth_request_id": id, "code": "wrong" });
        let (guess_s, guessed) = timed(rest("verify", body)).await;
        (send_s, guess_s, [&sent, &guessed].map(|p| neutral(p, &[&id, address])))
    };
    assert_alike(sample).await;
}

/// Times of answers as a machine at work gives them: two milliseconds at least, then ever rarer longer ones.
fn answer_times(more_s: f64) -> Vec<f64> {
    (0..SAMPLES).map(|i| more_s + 0.002 * (1.0 - ((i as f64 + 0.5) / SAMPLES as f64).ln())).collect()
}

/// The comparison above can fail. It is shown on given samples, because a busy machine hides a small difference.
#[test]
fn a_difference_of_two_milliseconds_would_be_found() {
    let (alike, slower) = (mann_whitney_z(&answer_times(0.0), &answer_times(0.0)), answer_times(0.002));
    assert_eq!(alike, 0.0);
    let apart = mann_whitney_z(&slower, &answer_times(0.0));
    assert!(apart.abs() > TOLERATED_Z, "z is only {apart}");
}
