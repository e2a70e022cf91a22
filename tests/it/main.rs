//! One integration binary: people, applications and attackers at a running server, on both databases.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests")]

mod support;

mod abuse;
mod action;
mod advisories;
mod api_parity;
mod architecture;
mod audit_logs;
mod authorize;
mod backchannel_logout;
mod command_line;
mod connections;
mod containers;
mod control;
mod documents;
mod early_answers;
mod enumeration;
mod flooding;
mod forms;
mod fuzz;
mod grpc;
mod guessing;
mod headless;
mod inbox;
mod links;
mod logout;
mod mailboxes;
mod one_port;
mod openid_provider;
mod origins;
mod outbox;
mod private_files;
mod proof;
mod pushed_requests;
mod relying_party;
mod rest_description;
mod sessions;
mod smtp;
mod starting;
mod storage;
mod stress;
mod telemetry;
mod testing;
mod tokens;
