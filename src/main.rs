//! The `vestibule` command.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

use vestibule::cli::{self, Cli};
use vestibule::telemetry;

fn main() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|error| cli::with_hint(error).exit());
    match cli::run(cli) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "vestibule: {}", telemetry::said_once(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}
