use proptest::prelude::*;

use super::*;
use crate::domain::authorization::{Prompt, RequestedClaims};
use crate::domain::headless::Headless;

fn settings(regenerate: bool) -> PasswordlessSettings {
    PasswordlessSettings {
        enabled: true,
        passwordless_type: PasswordlessType::LinkOtp,
        validity_s: 300,
        enforce_same_browser_origin: true,
        regenerate_passwordless_credentials_on_resend: regenerate,
        code_length: 6,
        connection_id: "conn_1".into(),
        sign_up_allowed: true,
    }
}

const LIMITS: Limits = Limits {
    code_attempts: 5,
    code_attempts_window_s: 600,
    mails_per_address: Some(2),
    mails_window_s: 60,
    mails_per_source: None,
    mails_in_all: None,
    failed_attempts_per_address: Some(100),
    auth_request_lifetime_s: 3600,
};

fn started() -> AuthRequest {
    started_by(Hosted {
        authorization: AuthorizationRequest {
            client_id: "skc_1".into(),
            redirect_uri: "http://localhost/cb".into(),
            scope: vec!["openid".into()],
            state: None,
            nonce: None,
            login_hint: None,
            prompt: Prompt::Auto,
            max_age_s: None,
            id_token_hint: None,
            code_challenge: None,
            organization_id: None,
            claims: RequestedClaims::default(),
            language: None,
        },
        browser_digest: "browser".into(),
        issuer: "http://localhost:6870".into(),
    })
}

fn started_by<O>(origin: O) -> AuthRequest<O> {
    AuthRequest {
        id: "req".into(),
        version: 0,
        origin,
        stage: Stage::AwaitingEmail,
        attempts: RecentTimes::default(),
        last_guess: None,
        created_at_ms: 0,
        expires_at_ms: 3_600_000,
    }
}

fn jane() -> EmailAddress {
    EmailAddress::parse("jane@example.com").unwrap()
}

fn is_dead(request: &AuthRequest) -> bool {
    matches!(request.stage, Stage::Dead(_))
}

fn sent() -> AuthRequest {
    started().send(jane(), &settings(true), None, 0).unwrap()
}

#[test]
fn the_fifth_wrong_code_closes_the_request_even_for_the_right_one() {
    let mut request = sent();
    for left in (0..5).rev() {
        let (next, outcome) = request.verify_code(false, "digest", &LIMITS, 1_000);
        assert_eq!(outcome, CodeOutcome::Wrong { attempts_left: left });
        request = next;
    }
    assert!(is_dead(&request));
    let closed = Err(SendRefusal::Closed(Closed::TooManyAttempts));
    assert_eq!(
        request.clone().resend(&settings(true), None, 2_000),
        closed,
        "no code that could not be used"
    );
    assert_eq!(request.clone().send(jane(), &settings(true), None, 700_000), closed);
    let (request, outcome) = request.verify_code(true, "digest", &LIMITS, 2_000);
    assert_eq!(outcome, CodeOutcome::Closed(Closed::TooManyAttempts));
    let (_, outcome) = request.clone().verify_code(true, "digest", &LIMITS, 3_000_000);
    assert_eq!(outcome, CodeOutcome::Closed(Closed::TooManyAttempts));
    assert_eq!(
        request.verify_link(true, &settings(true), 2_000).1,
        LinkOutcome::Closed(Closed::TooManyAttempts)
    );
}

#[test]
fn the_fifth_guess_still_signs_in_when_it_is_right() {
    let mut request = sent();
    for _ in 0..4 {
        request = request.verify_code(false, "digest", &LIMITS, 1_000).0;
    }
    assert_eq!(request.verify_code(true, "digest", &LIMITS, 1_000).1, CodeOutcome::Accepted);
}

#[test]
fn a_resend_does_not_reset_the_count() {
    let mut request = sent();
    for _ in 0..4 {
        request = request.verify_code(false, "digest", &LIMITS, 1_000).0;
    }
    let request = request.resend(&settings(true), None, 2_000).unwrap();
    let (request, outcome) = request.verify_code(false, "digest", &LIMITS, 3_000);
    assert_eq!((outcome, is_dead(&request)), (CodeOutcome::Wrong { attempts_left: 0 }, true));
}

#[test]
fn guesses_older_than_ten_minutes_no_longer_count() {
    let mut request = sent();
    for _ in 0..4 {
        request = request.verify_code(false, "digest", &LIMITS, 1_000).0;
    }
    let request = request.resend(&settings(true), None, 600_999).unwrap();
    let left = |now_ms| request.clone().verify_code(false, "digest", &LIMITS, now_ms).1;
    assert_eq!(left(600_999), CodeOutcome::Wrong { attempts_left: 0 });
    assert_eq!(left(601_000), CodeOutcome::Wrong { attempts_left: 4 });
}

#[test]
fn five_codes_that_came_too_late_close_the_request_too() {
    let mut request = sent();
    for _ in 0..5 {
        let (next, outcome) = request.verify_code(true, "digest", &LIMITS, 300_000);
        assert_eq!(outcome, CodeOutcome::Expired);
        request = next;
    }
    assert!(is_dead(&request));
}

#[test]
fn a_limit_that_was_lowered_meanwhile_judges_no_further_code() {
    let request = sent().verify_code(false, "digest", &LIMITS, 1_000).0;
    let lower = Limits { code_attempts: 1, ..LIMITS };
    let (request, outcome) = request.verify_code(true, "digest", &lower, 1_000);
    assert_eq!((outcome, is_dead(&request)), (CodeOutcome::TooManyAttempts, true));
}

#[test]
fn a_code_lives_for_its_validity_and_not_a_millisecond_longer() {
    assert_eq!(sent().verify_code(true, "digest", &LIMITS, 299_999).1, CodeOutcome::Accepted);
    assert_eq!(sent().verify_code(true, "digest", &LIMITS, 300_000).1, CodeOutcome::Expired);
    assert_eq!(sent().verify_link(true, &settings(true), 300_000).1, LinkOutcome::Expired);
}

#[test]
fn a_completed_request_proves_nothing_twice() {
    let (request, _) = sent().verify_code(true, "digest", &LIMITS, 1);
    assert_eq!(
        request.clone().verify_code(true, "digest", &LIMITS, 2).1,
        CodeOutcome::Closed(Closed::Completed)
    );
    assert_eq!(
        request.clone().verify_link(true, &settings(true), 2).1,
        LinkOutcome::Closed(Closed::Completed)
    );
    assert_eq!(request.resend(&settings(true), None, 2), Err(SendRefusal::Closed(Closed::Completed)));
}

#[test]
fn a_link_opened_elsewhere_is_refused_and_stays_usable_where_it_was_asked_for() {
    let (request, outcome) = sent().verify_link(false, &settings(true), 1);
    assert_eq!(outcome, LinkOutcome::WrongBrowser);
    assert_eq!(request.verify_link(true, &settings(true), 2).1, LinkOutcome::Accepted);
}

#[test]
fn without_enforcement_any_browser_may_use_the_link() {
    let lenient = PasswordlessSettings { enforce_same_browser_origin: false, ..settings(true) };
    assert_eq!(sent().verify_link(false, &lenient, 1).1, LinkOutcome::Accepted);
}

#[test]
fn credentials_that_took_too_long_have_just_expired_and_a_resend_gives_good_ones() {
    let late = sent().with_expired_credentials(1_000);
    let expired = late.credentials().unwrap();
    assert_eq!((expired.validity_s(), expired.expire_at_ms), (300, 1_000));
    assert_eq!(late.clone().verify_code(true, "", &LIMITS, 1_000).1, CodeOutcome::Expired);
    assert_eq!(late.clone().verify_link(true, &settings(true), 1_000).1, LinkOutcome::Expired);
    assert_eq!(late.closed(1_000), None);
    let resent = late.resend(&settings(true), None, 1_000).unwrap();
    assert_eq!(resent.verify_code(true, "", &LIMITS, 1_000).1, CodeOutcome::Accepted);
    assert_eq!(started().with_expired_credentials(1_000), started());
}

#[test]
fn resend_makes_new_credentials_only_when_set_so() {
    assert_eq!(sent().resend(&settings(true), None, 1).unwrap().credentials().unwrap().generation, 2);
    assert_eq!(sent().resend(&settings(false), None, 1).unwrap().credentials().unwrap().generation, 1);
}

#[test]
fn another_address_always_gets_new_credentials() {
    let other = EmailAddress::parse("eve@example.com").unwrap();
    assert_eq!(sent().send(other, &settings(false), None, 1).unwrap().credentials().unwrap().generation, 2);
    let same = EmailAddress::parse("JANE@example.com").unwrap();
    assert_eq!(sent().send(same, &settings(false), None, 1).unwrap().credentials().unwrap().generation, 1);
}

#[test]
fn a_code_is_not_asked_for_before_an_email_nor_when_emails_carry_links_only() {
    assert_eq!(started().verify_code(true, "digest", &LIMITS, 1).1, CodeOutcome::NotOffered);
    assert_eq!(started().resend(&settings(true), None, 1), Err(SendRefusal::NothingSent));
    let links = PasswordlessSettings { passwordless_type: PasswordlessType::Link, ..settings(true) };
    let request = started().send(jane(), &links, None, 0).unwrap();
    assert_eq!(request.verify_code(true, "digest", &LIMITS, 1).1, CodeOutcome::NotOffered);
}

#[test]
fn what_was_emailed_stays_as_it_was_emailed_until_something_else_is() {
    let of = |request: &AuthRequest| request.credentials().unwrap().clone();
    let earlier = of(&sent());
    assert_eq!((earlier.code.clone(), earlier.validity_s()), (CodeForm::Digits(6), 300));
    let later = |regenerate| PasswordlessSettings {
        code_length: 8,
        passwordless_type: PasswordlessType::Link,
        validity_s: 60,
        ..settings(regenerate)
    };
    let kept = of(&sent().resend(&later(false), Some("111111"), 1_000).unwrap());
    assert_eq!(kept, Credentials { sent_at_ms: 1_000, expire_at_ms: 61_000, ..earlier });
    let renewed = of(&sent().resend(&later(true), Some("111111"), 1_000).unwrap());
    assert_eq!(renewed.code, CodeForm::Static("111111".into()));
    assert_eq!((renewed.passwordless_type, renewed.generation), (PasswordlessType::Link, 2));
    let derived = of(&sent().resend(&later(true), None, 1_000).unwrap());
    assert_eq!(derived.code, CodeForm::Digits(8));
}

#[derive(Debug, Clone)]
enum Step {
    Send,
    Resend,
    GuessRight,
    GuessWrong,
    GuessEarlierGeneration,
    OpenLink { same_browser: bool },
    Advance(i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => Just(Step::Send),
        2 => Just(Step::Resend),
        1 => Just(Step::GuessRight),
        5 => Just(Step::GuessWrong),
        1 => Just(Step::GuessEarlierGeneration),
        1 => any::<bool>().prop_map(|same_browser| Step::OpenLink { same_browser }),
        4 => (0i64..400_000).prop_map(Step::Advance),
    ]
}

/// An independent, naive account of the rules: whole history kept, nothing forgotten.
#[derive(Default)]
struct Model {
    now_ms: i64,
    /// (generation, expiry) of each email sent.
    mails: Vec<(i64, i64)>,
    judged_at_ms: Vec<i64>,
    dead: bool,
    completed: u32,
}

impl Model {
    fn open(&self) -> bool {
        !self.dead && self.completed == 0 && self.now_ms < 3_600_000
    }

    fn guess(&mut self, right: bool) -> CodeOutcome {
        if self.dead {
            return CodeOutcome::Closed(Closed::TooManyAttempts);
        }
        if self.completed > 0 {
            return CodeOutcome::Closed(Closed::Completed);
        }
        if self.now_ms >= 3_600_000 {
            return CodeOutcome::Closed(Closed::Expired);
        }
        let Some((_, expires)) = self.mails.last().copied() else { return CodeOutcome::NotOffered };
        let recent = self.judged_at_ms.iter().filter(|t| self.now_ms - **t < 600_000).count();
        self.judged_at_ms.push(self.now_ms);
        if self.now_ms < expires && right {
            self.completed += 1;
            return CodeOutcome::Accepted;
        }
        self.dead = recent == 4;
        if self.now_ms >= expires {
            CodeOutcome::Expired
        } else {
            CodeOutcome::Wrong { attempts_left: 4 - recent }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_sequence_of_steps_agrees_with_the_model(steps in proptest::collection::vec(step(), 1..60), regenerate: bool) {
        let settings = settings(regenerate);
        let mut request = started();
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Advance(ms) => model.now_ms += ms,
                Step::Send | Step::Resend => {
                    let first = model.mails.is_empty();
                    let is_send = matches!(step, Step::Send);
                    let result = if is_send {
                        request.clone().send(jane(), &settings, None, model.now_ms)
                    } else {
                        request.clone().resend(&settings, None, model.now_ms)
                    };
                    prop_assert_eq!(result.is_ok(), model.open() && (is_send || !first));
                    if let Ok(next) = result {
                        let last = model.mails.last().map_or(0, |m| m.0);
                        let generation = if first || regenerate { last + 1 } else { last };
                        model.mails.push((generation, model.now_ms + 300_000));
                        prop_assert_eq!(next.credentials().unwrap().generation, generation);
                        request = next;
                    }
                }
                Step::GuessRight | Step::GuessWrong | Step::GuessEarlierGeneration => {
                    // A code of an earlier email is right exactly when no newer generation replaced it.
                    let right = match step {
                        Step::GuessRight => true,
                        Step::GuessWrong => false,
                        _ => model.mails.first().map(|m| m.0) == model.mails.last().map(|m| m.0),
                    };
                    let (next, outcome) = request.clone().verify_code(right, "digest", &LIMITS, model.now_ms);
                    prop_assert_eq!(outcome, model.guess(right));
                    request = next;
                }
                Step::OpenLink { same_browser } => {
                    let alive = model.open() && model.mails.last().is_some_and(|m| model.now_ms < m.1);
                    let (next, outcome) = request.clone().verify_link(same_browser, &settings, model.now_ms);
                    prop_assert_eq!(outcome == LinkOutcome::Accepted, alive && same_browser);
                    if outcome == LinkOutcome::Accepted {
                        model.completed += 1;
                    }
                    request = next;
                }
            }
            prop_assert!(model.completed <= 1);
            prop_assert_eq!(is_dead(&request), model.dead);
            // Never more than five judged guesses in any ten minutes.
            for (i, first) in model.judged_at_ms.iter().enumerate() {
                let within = model.judged_at_ms[i..].iter().filter(|t| *t - first < 600_000).count();
                prop_assert!(within <= 5);
            }
        }
    }
}

/// A request by API, whose email was sent at time 0.
fn sent_by_api() -> AuthRequest<Headless> {
    let asked = Headless {
        client_id: "skc_1".into(),
        template: None,
        state: None,
        magiclink_auth_uri: None,
        template_variables: vec![],
        expires_in_s: Some(3_600),
    };
    started_by(asked).send(jane(), &settings(true), None, 0).unwrap()
}

#[test]
fn a_wrong_code_that_an_sdk_sends_three_times_counts_once() {
    let mut request = sent_by_api();
    for (guess, left) in ["a", "b", "c", "d", "e"].iter().zip((0..5).rev()) {
        for repeated_ms in [0, 700, 1_999] {
            let (next, outcome) = request.verify_code(false, guess, &LIMITS, 10_000 + repeated_ms);
            assert_eq!(outcome, CodeOutcome::Wrong { attempts_left: left });
            request = next;
        }
    }
    let closed = CodeOutcome::Closed(Closed::TooManyAttempts);
    assert_eq!(request.clone().verify_code(true, "right", &LIMITS, 12_000).1, closed);
    assert_eq!(
        request.verify_code(false, "e", &LIMITS, 12_000).1,
        closed,
        "two seconds later it is another attempt"
    );
}

#[test]
fn two_seconds_later_the_same_wrong_code_is_another_attempt() {
    let (request, first) = sent_by_api().verify_code(false, "a", &LIMITS, 1_000);
    assert_eq!(first, CodeOutcome::Wrong { attempts_left: 4 });
    assert_eq!(
        request.clone().verify_code(false, "a", &LIMITS, 3_000).1,
        CodeOutcome::Wrong { attempts_left: 3 }
    );
    // Repeating does not push the two seconds on.
    let (request, _) = request.verify_code(false, "a", &LIMITS, 2_900);
    assert_eq!(request.verify_code(false, "a", &LIMITS, 3_000).1, CodeOutcome::Wrong { attempts_left: 3 });
}

#[test]
fn the_application_chooses_how_long_credentials_live() {
    assert_eq!(sent_by_api().verify_code(true, "right", &LIMITS, 3_599_999).1, CodeOutcome::Accepted);
    let again = sent_by_api().resend(&settings(true), None, 1_000).unwrap();
    assert_eq!(again.credentials().unwrap().expire_at_ms, 3_601_000);
}

#[test]
fn a_right_code_after_its_time_counts_once_too() {
    let mut request = sent_by_api();
    let sent = request.credentials().unwrap().clone();
    request.stage = Stage::AwaitingProof(Credentials { expire_at_ms: 1_000, ..sent });
    for _ in 0..3 {
        let (next, outcome) = request.verify_code(true, "right", &LIMITS, 2_000);
        assert_eq!(outcome, CodeOutcome::Expired);
        request = next;
    }
    assert_eq!(request.attempts.count(2_000, 600), 1);
}

proptest! {
    /// Whatever somebody tries, and however fast: no more than five different codes are judged in ten minutes.
    #[test]
    fn repeating_helps_no_guesser(
        tries in proptest::collection::vec((0_u8..8, 0_i64..1_500), 1..60),
    ) {
        let mut request = sent_by_api();
        let mut now_ms = 1_000;
        let mut judged: Vec<(i64, u8)> = vec![];
        for (code, pause_ms) in tries {
            now_ms += pause_ms;
            let (next, outcome) = request.verify_code(false, &code.to_string(), &LIMITS, now_ms);
            request = next;
            if matches!(outcome, CodeOutcome::Wrong { .. }) {
                judged.push((now_ms, code));
            }
        }
        let different: std::collections::BTreeSet<u8> = judged.iter().map(|(_, code)| *code).collect();
        prop_assert!(different.len() <= 5, "{judged:?}");
    }
}

#[test]
fn digits_of_all_scripts_are_the_digits_they_are() {
    for typed in [
        "048213",
        "\u{ff10}\u{ff14}\u{ff18}\u{ff12}\u{ff11}\u{ff13}",
        "\u{660}\u{664}\u{668}\u{662}\u{661}\u{663}",
        "\u{966}\u{96a}\u{96e}\u{968}\u{967}\u{969}",
        "\u{1d7e2}\u{1d7e6}\u{1d7ea}\u{1d7e4}\u{1d7e3}\u{1d7e5}",
    ] {
        assert_eq!(ascii_digits(typed), "048213", "{typed}");
    }
    assert_eq!(ascii_digits("1a\u{b2}\u{2460}\u{4e00}"), "1a\u{b2}\u{2460}\u{4e00}", "no decimal digits");
}

#[test]
fn what_stands_between_the_digits_of_a_typed_code_is_left_out() {
    for typed in
        ["048213", " 048 213\n", "048-213", "048\u{2013}213", "048\u{a0}213", "\u{200e}０４８\u{3000}２１３"]
    {
        assert_eq!(typed_code(typed), "048213", "{typed:?}");
    }
    assert_eq!(typed_code("12a4 56"), "12a456", "a mistake stays one");
    assert_eq!(typed_code(" - "), "");
    assert_eq!(typed_code(&"1".repeat(1000)).len(), 64);
}

#[test]
fn a_proof_may_wait_for_a_choice_which_is_made_once_and_in_time() {
    let proven = sent().verify_code(true, "digest", &LIMITS, 1_000).0.await_choice();
    assert_eq!((proven.choosing(), proven.closed(2_000)), (Some(&jane()), None));
    assert_eq!(
        Stage::from_parts(proven.stage.as_str(), proven.credentials().cloned()).unwrap(),
        proven.stage
    );
    // The proof is used up.
    assert_eq!(proven.clone().verify_code(true, "digest", &LIMITS, 2_000).1, CodeOutcome::NotOffered);
    assert_eq!(proven.clone().verify_link(true, &settings(true), 2_000).1, LinkOutcome::Expired);
    assert_eq!(proven.clone().resend(&settings(true), None, 2_000), Err(SendRefusal::NothingSent));
    let chosen = proven.clone().choose(2_000).unwrap().unwrap();
    assert_eq!(chosen.choose(2_000), Err(Closed::Completed));
    assert_eq!(proven.choose(3_600_000), Err(Closed::Expired));
    assert_eq!(sent().choose(2_000), Ok(None), "nothing is proven");
    assert_eq!(sent().await_choice(), sent());
}
