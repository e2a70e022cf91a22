//! Tests that cannot run here are counted and named; they never look like tests that passed.

use std::io::Write as _;

/// Notes that the test on this thread cannot run, or only in part, and why. With `CI=true` it fails instead.
///
/// The scripts name a file in `VESTIBULE_TEST_SKIPPED` and print it at their end. Without one, the line goes to standard
/// error, past the harness, which shows nothing of a test that passes.
pub fn skip(reason: &str) {
    let thread = std::thread::current();
    // Tests run on threads that have their names.
    let test = thread.name().unwrap_or("unnamed test");
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{test} cannot run: {reason}");
    let line = format!("{test}: {reason}\n");
    match std::env::var_os("VESTIBULE_TEST_SKIPPED") {
        Some(file) => {
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(file).unwrap();
            file.write_all(line.as_bytes()).unwrap();
        }
        None => std::io::stderr().write_all(format!("skipped {line}").as_bytes()).unwrap(),
    }
}

/// `./scripts/check` asks for the tests that need no other server.
pub fn is_quick() -> bool {
    std::env::var_os("VESTIBULE_TEST_QUICK").is_some()
}
