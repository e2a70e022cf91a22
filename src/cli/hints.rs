//! What somebody may have meant by a flag or a command that there is not.

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Flags of other programs, and what they are here.
const FLAGS: &[(&[&str], &str)] = &[
    (
        &["--host", "--hostname", "--bind", "--address", "--addr"],
        "use --listen HOST:PORT, such as --listen 127.0.0.1:7000",
    ),
    (&["-p"], "use --port"),
    (&["--memory", "--in-memory", "--no-persist", "--temp"], "use --ephemeral, which keeps nothing"),
    (
        &["--db", "--database", "--postgres", "--dsn"],
        "use --database-url postgres://…; without it the database is embedded",
    ),
    (&["--data", "--dir", "--storage", "--data-folder"], "use --data-dir"),
    (&["--conf", "-c", "--config-file"], "use --config"),
    (&["--issuer", "--base-url", "--external-url"], "use --public-url"),
    (
        &["--https", "--ssl", "--cert", "--key"],
        "every port speaks TLS, too: `vestibule ca` says how to trust it. A certificate of your own is set in vestibule.toml, [tls]",
    ),
    (
        &["--verbose", "-v", "--debug", "--log-level", "--quiet", "-q"],
        "set VESTIBULE_LOG__FILTER, such as VESTIBULE_LOG__FILTER=debug",
    ),
    (&["--client-id", "--client-secret"], "set VESTIBULE_CLIENT_ID and VESTIBULE_CLIENT_SECRET"),
    (&["--seed", "--users"], "list users in vestibule.toml ([[users]]); `vestibule seed` makes some up"),
    (&["--open"], "run `vestibule open` beside the server"),
    (
        &["--detach", "--daemon", "--background", "-d"],
        "`vestibule exec -- COMMAND` runs a server beside a command, and ends it",
    ),
];

/// Commands of other programs, and what they are here.
const COMMANDS: &[(&[&str], &str)] = &[
    (&["start", "run", "up", "server", "listen"], "`vestibule` alone runs the server"),
    (&["stop", "down", "kill"], "a server ends by Ctrl-C or SIGTERM"),
    (&["status", "ping", "health"], "use `vestibule healthcheck`"),
    (&["credentials", "vars", "print-env", "dotenv"], "use `vestibule env`"),
    (&["cert", "certs", "trust", "tls"], "use `vestibule ca`"),
    (&["dashboard", "ui", "inbox"], "use `vestibule open`"),
    (&["test", "with", "wrap"], "use `vestibule exec -- COMMAND`"),
    (&["new", "create", "setup"], "use `vestibule init`"),
    (&["check", "validate"], "use `vestibule config check`"),
];

/// Adds to a refusal of the command line what may have been meant.
pub fn with_hint(mut error: clap::Error) -> clap::Error {
    if let Some(hint) = hint(&error) {
        let hints = ContextValue::StyledStrs(vec![StyledStr::from(hint)]);
        // In the place of guesses by spelling alone.
        error.insert(ContextKind::Suggested, hints);
    }
    error
}

fn hint(error: &clap::Error) -> Option<String> {
    let named = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    match error.kind() {
        ErrorKind::UnknownArgument => {
            let flag = named(ContextKind::InvalidArg)?;
            let flag = flag.split('=').next().unwrap_or_default();
            find(FLAGS, flag).or_else(|| find(COMMANDS, flag))
        }
        ErrorKind::InvalidSubcommand => find(COMMANDS, &named(ContextKind::InvalidSubcommand)?),
        ErrorKind::ArgumentConflict => {
            let command = named(ContextKind::InvalidSubcommand)?;
            Some(format!("flags stand behind the command: vestibule {command} …"))
        }
        _ => None,
    }
}

fn find(table: &[(&[&str], &str)], name: &str) -> Option<String> {
    table.iter().find(|(names, _)| names.contains(&name)).map(|(_, hint)| (*hint).to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::Cli;

    fn refusal(arguments: &[&str]) -> String {
        let arguments = ["vestibule"].iter().chain(arguments);
        with_hint(Cli::try_parse_from(arguments).unwrap_err()).to_string()
    }

    #[test]
    fn what_other_programs_call_it_leads_to_what_it_is_called_here() {
        for (arguments, hint) in [
            (&["--host", "0.0.0.0"][..], "tip: use --listen HOST:PORT"),
            (&["-p", "7000"], "tip: use --port"),
            (&["serve", "--in-memory"], "tip: use --ephemeral"),
            (&["--log-level=debug"], "VESTIBULE_LOG__FILTER=debug"),
            (&["start"], "tip: `vestibule` alone runs the server"),
            (&["dashboard"], "tip: use `vestibule open`"),
            (&["--ephemeral", "env"], "flags stand behind the command: vestibule env …"),
            // By spelling.
            (&["--listn", "x"], "--listen"),
        ] {
            let refusal = refusal(arguments);
            assert!(refusal.contains(hint), "{arguments:?}: {refusal}");
        }
    }

    #[test]
    fn no_hint_names_what_there_is() {
        let names: Vec<&str> = FLAGS.iter().flat_map(|(names, _)| names.iter().copied()).collect();
        for name in names {
            let refused = Cli::try_parse_from(["vestibule", name, "x"]).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::UnknownArgument, "{name}");
        }
    }
}
