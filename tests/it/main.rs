//! One integration binary: people, applications and attackers at a running server, on both databases.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests")]

mod support;

mod abuse;
mod architecture;
mod authorize;
mod command_line;
mod containers;
mod documents;
mod inbox;
mod links;
mod logout;
mod outbox;
mod proof;
mod relying_party;
mod sessions;
mod smtp;
mod storage;
mod tokens;
