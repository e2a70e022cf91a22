//! The `vestibule` command.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

use vestibule::cli::{self, Cli};
use vestibule::telemetry;

fn main() -> ExitCode {
    match cli::run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "vestibule: {}", telemetry::said_once(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}
