//! `vestibule probe`: asks an environment what docs/COMPATIBILITY.md assumes of Scalekit, and says where it differs.

mod interruption;
mod made;
mod questions;

use std::fmt::Write as _;
use std::io::{BufRead as _, Write as _};

use anyhow::bail;
use clap::Args;
use serde::Serialize;

use self::interruption::Interruption;
use self::made::Made;
use self::questions::{Asked, QUESTIONS};
use super::progress;
use super::remote::{Remote, RemoteOptions};
use crate::domain::clock::{Clock as _, SystemClock};

/// The environment, and how it is asked.
#[derive(Debug, Clone, Args)]
pub struct ProbeOptions {
    #[command(flatten)]
    pub remote: RemoteOptions,
    /// Print what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Begin without asking
    #[arg(long)]
    pub yes: bool,
    /// Print JSON, for a report of an issue
    #[arg(long)]
    pub json: bool,
}

/// What an environment does where the documentation leaves a question, beside what Vestibule does.
#[derive(Debug, Serialize)]
struct Finding {
    /// As docs/COMPATIBILITY.md puts it.
    question: &'static str,
    /// `None`: it could not be asked.
    environment: Option<String>,
    vestibule: &'static str,
    result: Comparison,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Comparison {
    Same,
    Different,
    NotAsked,
}

impl Finding {
    fn new(question: &'static str, vestibule: &'static str, environment: Option<String>) -> Self {
        let result = match &environment {
            None => Comparison::NotAsked,
            Some(found) if found == vestibule => Comparison::Same,
            Some(_) => Comparison::Different,
        };
        Self { question, environment, vestibule, result }
    }
}

/// Asks the questions one after the other, and deletes what it made.
pub(super) async fn run(options: &ProbeOptions) -> anyhow::Result<()> {
    if options.dry_run {
        return print(&plan(&options.remote.url));
    }
    if !options.yes && !is_agreed_to(&options.remote.url)? {
        bail!("nothing was done");
    }
    let mut remote = Remote::connect(&options.remote).await?;
    let mut made = Made::default();
    let interruption = Interruption::listen();
    let mark = (SystemClock.now_ms() / 1000).to_string();
    let asked = questions::ask(&mut remote, &mut made, &interruption, &mark).await;
    // Whatever happened, nothing stays behind.
    let left = made.delete(&mut remote).await;
    if !interruption.has_happened() {
        for problem in &asked.problems {
            progress::note(problem)?;
        }
        print(&report(&findings(&asked), options.json)?)?;
    }
    if !left.is_empty() {
        bail!("could not be deleted, please do that by hand: {}", left.join(", "));
    }
    if interruption.has_happened() {
        bail!("interrupted; what was made is deleted");
    }
    Ok(())
}

fn findings(asked: &Asked) -> Vec<Finding> {
    let finding = |(question, vestibule): &(&'static str, &'static str)| {
        Finding::new(question, vestibule, asked.answers.get(question).cloned())
    };
    QUESTIONS.iter().map(finding).collect()
}

/// What a run does, for whoever decides on it.
fn plan(url: &str) -> String {
    let questions: String = QUESTIONS.iter().map(|(question, _)| format!("  - {question}\n")).collect();
    format!(
        "In {url}, by its public API and without any email:\n\
         make organizations, a user, a role, a domain and a machine client, which are named after vestibule probe;\n\
         ask\n{questions}delete all of it again.\n"
    )
}

/// Asks at the terminal. No answer is none.
fn is_agreed_to(url: &str) -> anyhow::Result<bool> {
    let mut stderr = std::io::stderr();
    write!(stderr, "{}Only for a development environment. Begin? [y/N] ", plan(url))?;
    stderr.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn report(found: &[Finding], is_json: bool) -> anyhow::Result<String> {
    if is_json {
        return Ok(format!("{}\n", serde_json::to_string_pretty(found)?));
    }
    let mut text = String::new();
    for Finding { question, environment, vestibule, result } in found {
        let environment = environment.as_deref().unwrap_or_default();
        match result {
            Comparison::Same => writeln!(text, "same       {question}: {environment}")?,
            Comparison::Different => {
                writeln!(text, "different  {question}: {environment}; Vestibule: {vestibule}")?;
            }
            Comparison::NotAsked => writeln!(text, "not asked  {question}; Vestibule: {vestibule}")?,
        }
    }
    let count = |result| found.iter().filter(|finding| finding.result == result).count();
    let [same, different, not_asked] =
        [Comparison::Same, Comparison::Different, Comparison::NotAsked].map(count);
    writeln!(text, "{same} the same, {different} different, {not_asked} not asked")?;
    Ok(text)
}

fn print(text: &str) -> anyhow::Result<()> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_question_is_one_of_the_list_of_assumptions() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/COMPATIBILITY.md");
        let document = std::fs::read_to_string(path).unwrap();
        for (question, _) in QUESTIONS {
            assert!(document.contains(&format!("| {question} |")), "{question}");
        }
    }

    #[test]
    fn a_report_says_what_differs_and_how_much() {
        let finding = |environment: Option<&str>| Finding::new("q", "v", environment.map(str::to_owned));
        let found = [finding(Some("v")), finding(Some("e")), finding(None)];
        assert_eq!(
            report(&found, false).unwrap(),
            "same       q: v\ndifferent  q: e; Vestibule: v\nnot asked  q; Vestibule: v\n\
             1 the same, 1 different, 1 not asked\n"
        );
        let json = report(&found, true).unwrap();
        assert!(json.contains("\"result\": \"not_asked\""), "{json}");
    }
}
