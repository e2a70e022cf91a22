//! One integration binary: people, applications and attackers at a running server, on both databases.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests")]

mod support;

mod abuse;
mod action;
mod advisories;
mod architecture;
mod audit_logs;
mod authorize;
mod command_line;
mod connections;
mod containers;
mod control;
mod documents;
mod enumeration;
mod grpc;
mod guessing;
mod headless;
mod inbox;
mod links;
mod logout;
mod one_port;
mod outbox;
mod proof;
mod relying_party;
mod sessions;
mod smtp;
mod storage;
mod testing;
mod tokens;
