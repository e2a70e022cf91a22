//! Whole sign-ins while the application is told of each by a webhook.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix_web::{App, HttpResponse, HttpServer, web};

use super::servers::{self, Process};
use super::{Bench, TASKS, ours, rounds_in_turns};

/// Sign-ins of full-stack environments, which tell of users, sessions and logins.
const FULL_STACK: &str = "[tokens]\nuser_management = true\n";

pub fn webhooks(bench: &mut Bench) {
    let takes_all = Receiver::start(0);
    let fails_a_third = Receiver::start(3);
    let cases = [
        ("no webhook", String::new()),
        ("one webhook for every event", telling(&takes_all)),
        ("one that answers every third event with 503", telling(&fails_a_third)),
    ];
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let servers: Vec<Process> =
        cases.iter().zip(&folders).map(|((_, settings), folder)| start(folder.path(), settings)).collect();
    let rounds = rounds_in_turns(bench.rounds, bench.measure, TASKS, &servers, ours::sign_in);
    bench.report.title(
        "Whole sign-ins with a webhook, eight at once",
        "| | per second | of those without | p99 | p99 to that without |",
    );
    let of = |server: usize| (rounds.median(server, |o| o.per_s), rounds.median(server, |o| o.p99_ms));
    let (first_per_s, first_p99_ms) = of(0);
    for (server, (name, _)) in cases.iter().enumerate() {
        let (per_s, p99_ms) = of(server);
        let (rate, slower) = (per_s / first_per_s, p99_ms / first_p99_ms);
        bench.report.line(&format!("| {name} | {per_s:.0} | {rate:.2} | {p99_ms:.1} ms | {slower:.2} |"));
    }
    bench.report.line(&format!(
        "\nThe receivers took {} and {} deliveries.",
        takes_all.taken(),
        fails_a_third.taken()
    ));
}

/// Settings that send every event to a receiver, and those that it refused again after a hundredth of the usual waits.
fn telling(receiver: &Receiver) -> String {
    format!(
        "{FULL_STACK}[delivery]\nretry_percent = 1\n[[webhooks]]\nurl = \"http://{}/\"\n",
        receiver.authority
    )
}

fn start(folder: &Path, settings: &str) -> Process {
    let settings = if settings.is_empty() { FULL_STACK } else { settings };
    std::fs::write(folder.join("vestibule.toml"), settings).unwrap();
    ours::start(folder, &[])
}

/// An application's endpoint.
struct Receiver {
    authority: String,
    requests: Arc<AtomicUsize>,
}

impl Receiver {
    /// `fails_one_of`: how many requests there are to one that is answered with 503; 0: none is.
    fn start(fails_one_of: usize) -> Self {
        let port = servers::free_port();
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = web::Data::from(requests.clone());
        std::thread::spawn(move || {
            let app = move || {
                let answer = move |counted: web::Data<AtomicUsize>| async move {
                    let number = counted.fetch_add(1, Ordering::Relaxed) + 1;
                    let fails = fails_one_of > 0 && number.is_multiple_of(fails_one_of);
                    if fails {
                        HttpResponse::ServiceUnavailable().finish()
                    } else {
                        HttpResponse::Ok().finish()
                    }
                };
                App::new().app_data(counted.clone()).route("/", web::post().to(answer))
            };
            let server = HttpServer::new(app).workers(1).disable_signals().bind(("127.0.0.1", port)).unwrap();
            actix_web::rt::System::new().block_on(server.run()).unwrap();
        });
        Self { authority: format!("127.0.0.1:{port}"), requests }
    }

    fn taken(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}
