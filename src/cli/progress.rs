//! How far a command is: a bar on a terminal, plain lines elsewhere. Standard output is for its result.

use std::io::{IsTerminal as _, Write as _};

const BAR_WIDTH: usize = 30;

/// So many records of a kind are read.
pub(super) fn step(what: &str, count: usize, total: Option<usize>) -> anyhow::Result<()> {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        write!(stderr, "\r\x1b[2K{}", bar(what, count, total))?;
        stderr.flush()?;
    }
    Ok(())
}

/// All records of a kind are read.
pub(super) fn done(what: &str, count: usize) -> anyhow::Result<()> {
    note(&format!("{count} {what}"))
}

/// A line that stays.
pub(super) fn note(line: &str) -> anyhow::Result<()> {
    let mut stderr = std::io::stderr();
    let clear = if stderr.is_terminal() { "\r\x1b[2K" } else { "" };
    Ok(writeln!(stderr, "{clear}{line}")?)
}

fn bar(what: &str, count: usize, total: Option<usize>) -> String {
    let Some(total) = total.filter(|total| *total > 0) else { return format!("{what}: {count}") };
    let filled = count.min(total) * BAR_WIDTH / total;
    let left = BAR_WIDTH - filled;
    format!("[{}{}] {what}: {count} of {total}", "#".repeat(filled), " ".repeat(left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_fills_as_far_as_the_records_are_read() {
        assert_eq!(
            bar("users", 50, Some(100)),
            format!("[{}{}] users: 50 of 100", "#".repeat(15), " ".repeat(15))
        );
        assert_eq!(bar("users", 101, Some(100)), format!("[{}] users: 101 of 100", "#".repeat(30)));
        assert_eq!(bar("users", 5, None), "users: 5");
        assert_eq!(bar("users", 0, Some(0)), "users: 0");
    }
}
