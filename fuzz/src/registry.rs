//! A provider that answers gRPC with no server and no network before it: frames are tonic's to read, and everything of
//! ours that sees a call sees this one. Its database is a file, since what a call asks for is done.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use http_body_util::{BodyExt as _, Full};
use tokio::runtime::{Builder, Runtime};
use vestibule::api::Grpc;
use vestibule::config::{Config, DEFAULT_CLIENT_ID, Source};
use vestibule::crypto::entropy::SystemEntropy;
use vestibule::domain::clock::SystemClock;
use vestibule::runtime::{EnvironmentRegistry, EnvironmentSelector};
use vestibule::server::{OpenStore, open_store, parts};
use vestibule::service::token::client_credentials;

use crate::properties::{GRPC_HEADERS, GRPC_METHODS, grpc_answer, grpc_frame};

/// Headers whose values the input brings, a line each in front of the body.
const FREE_HEADERS: [&str; 2] = ["authorization", "grpc-timeout"];

const SETTINGS: &str = "public_urls = [\"http://localhost:6870\"]\nephemeral = true\n";

/// Answers calls on the thread that asks.
pub struct Answering {
    runtime: Runtime,
    grpc: Grpc,
    /// A client's own.
    bearer: String,
    _store: OpenStore,
}

impl Answering {
    pub fn start() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let (registry, bearer, store) = runtime.block_on(registry());
        Self { runtime, grpc: Grpc::new(registry), bearer, _store: store }
    }

    /// The first three bytes choose the method, whether there are a token and a frame, and up to two headers. What is
    /// left is the message, or the whole body.
    pub fn call(&self, input: &[u8]) {
        let [method, how, headers, rest @ ..] = input else { return };
        let mut body = rest;
        let (has_token, has_frame) = (how & 1 == 0, how & 2 == 0);
        let mut request = http::Request::post(GRPC_METHODS[usize::from(*method) % GRPC_METHODS.len()])
            .header("host", "localhost:6870")
            .header("content-type", "application/grpc");
        for choice in [usize::from(headers & 15), usize::from(headers >> 4)] {
            if let Some((name, value)) = GRPC_HEADERS.get(choice) {
                request = request.header(*name, *value);
            } else if let Some(name) = FREE_HEADERS.get(choice - GRPC_HEADERS.len()) {
                let line;
                (line, body) = body.split_at(body.iter().position(|b| *b == b'\n').unwrap_or(body.len()));
                body = body.strip_prefix(b"\n").unwrap_or(body);
                let Ok(value) = HeaderValue::from_bytes(line) else { return };
                request = request.header(*name, value);
            }
        }
        if has_token {
            request = request.header("authorization", &self.bearer);
        }
        let body = if has_frame { grpc_frame(body) } else { body.to_vec() };
        let request = request.body(Full::new(Bytes::from(body))).unwrap();
        let (status, headers) = self.runtime.block_on(async {
            let (parts, body) = self.grpc.answer(request, None, false).await.into_parts();
            let mut headers = parts.headers;
            headers.extend(body.collect().await.unwrap().trailers().cloned().unwrap_or_default());
            (parts.status.as_u16(), headers)
        });
        grpc_answer(status, &headers);
    }
}

async fn registry() -> (EnvironmentRegistry, String, OpenStore) {
    let mut source = Source::default();
    source.add_file(Path::new("vestibule.toml"), SETTINGS);
    let config = Config::read(source, Path::new(".")).unwrap_or_else(|problems| panic!("{problems}"));
    let open = open_store(&config).await.unwrap();
    let parts = parts(&config, open.store.clone(), Arc::new(SystemClock), Arc::new(SystemEntropy)).unwrap();
    let started = parts.start().await.unwrap();
    let registry = EnvironmentRegistry::default();
    registry.fill(Arc::new(parts.into_runtime(started).unwrap()));
    let asked = EnvironmentSelector { over_tls: false, authority: Some("localhost:6870"), name: None };
    let context = registry.context(asked).await.unwrap_or_else(|refusal| panic!("{refusal}"));
    let client = context.environment.client(DEFAULT_CLIENT_ID).unwrap();
    let token = client_credentials(&context, client, None).await.unwrap().access_token;
    (registry, format!("Bearer {token}"), open)
}
