//! A request's body. Whoever answers may leave it unread (401, 413, a method that is not there): what is left is read
//! away here, so that the connection is good for the next request. Else the stream or connection would be reset right
//! behind the answer, which clients report instead of the answer, or as the failure of their next call.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_http::error::PayloadError;
use bytes::Bytes;
use futures_util::Stream;
use http::header::EXPECT;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::Sleep;

use super::connections::Held;

/// What is read away of a body that was left.
const DRAIN_MAX_BYTES: u64 = 32 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// A request's body. It ends with an error of the kind `TimedOut` when it takes too long.
pub struct Upload {
    /// `None`: at its end, or given up.
    body: Option<Incoming>,
    time: Duration,
    time_is_up: Option<Pin<Box<Sleep>>>,
    progress: Arc<Progress>,
    /// What was read and may still be kept by whoever reads.
    held: Held,
}

/// How far a body has come, for whoever answers meanwhile.
pub struct Progress {
    declared_bytes: Option<u64>,
    expects_continue: bool,
    read_bytes: AtomicU64,
    state: AtomicU8,
}

const UNDER_WAY: u8 = 0;
const AT_ITS_END: u8 = 1;
const GIVEN_UP: u8 = 2;

impl Progress {
    /// Does an answer given now have to announce the end of an HTTP/1.1 connection (RFC 9112 §9.6)? Where the client may
    /// go without sending the body (RFC 9110 §10.1.1), nobody could tell the body from the next request.
    pub fn ends_connection(&self) -> bool {
        let read = self.read_bytes.load(Ordering::Relaxed);
        match self.state.load(Ordering::Relaxed) {
            AT_ITS_END => false,
            GIVEN_UP => true,
            _ => {
                let is_too_long =
                    self.declared_bytes.is_some_and(|all| all - read.min(all) > DRAIN_MAX_BYTES);
                is_too_long || (self.expects_continue && read == 0)
            }
        }
    }

    fn note(&self, frame: Option<&Result<Frame<Bytes>, hyper::Error>>) {
        match frame {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
                self.read_bytes.fetch_add(bytes, Ordering::Relaxed);
            }
            Some(Err(_)) => self.state.store(GIVEN_UP, Ordering::Relaxed),
            None => self.state.store(AT_ITS_END, Ordering::Relaxed),
        }
    }
}

impl Upload {
    /// The body of a request, which may take so long. What is read of it counts as held.
    pub fn of(
        request: http::Request<Incoming>,
        time: Duration,
        held: Held,
    ) -> (http::Request<Self>, Arc<Progress>) {
        let is_empty = request.body().is_end_stream();
        let progress = Arc::new(Progress {
            declared_bytes: request.body().size_hint().exact(),
            expects_continue: request.headers().contains_key(EXPECT),
            read_bytes: AtomicU64::new(0),
            state: AtomicU8::new(if is_empty { AT_ITS_END } else { UNDER_WAY }),
        });
        let request = request.map(|body| Self {
            body: (!is_empty).then_some(body),
            time,
            time_is_up: None,
            progress: progress.clone(),
            held,
        });
        (request, progress)
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let me = &mut *self;
        let Some(body) = &mut me.body else { return Poll::Ready(None) };
        let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) else {
            let time = me.time;
            let time_is_up = me.time_is_up.get_or_insert_with(|| Box::pin(tokio::time::sleep(time)));
            ready!(time_is_up.as_mut().poll(cx));
            me.body = None;
            me.progress.state.store(GIVEN_UP, Ordering::Relaxed);
            return Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())));
        };
        me.progress.note(frame.as_ref());
        if let Some(Ok(frame)) = &frame {
            me.held.grow(frame.data_ref().map_or(0, Bytes::len));
        }
        if !matches!(frame, Some(Ok(_))) {
            me.body = None;
        }
        Poll::Ready(frame.map(|frame| frame.map_err(io::Error::other)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

/// As actix reads it.
impl Stream for Upload {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match ready!(self.as_mut().poll_frame(cx)) {
                // Trailers say nothing here.
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Poll::Ready(Some(Ok(bytes)));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(PayloadError::Incomplete(Some(error))))),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let Some(body) = self.body.take() else { return };
        if body.is_end_stream() {
            return self.progress.state.store(AT_ITS_END, Ordering::Relaxed);
        }
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(drain(body, self.progress.clone()))),
            Err(_) => self.progress.state.store(GIVEN_UP, Ordering::Relaxed),
        }
    }
}

async fn drain(mut body: Incoming, progress: Arc<Progress>) {
    let begun_at = progress.read_bytes.load(Ordering::Relaxed);
    let drained = tokio::time::timeout(DRAIN_TIME, async {
        while progress.state.load(Ordering::Relaxed) == UNDER_WAY {
            progress.note(body.frame().await.as_ref());
            if progress.read_bytes.load(Ordering::Relaxed) - begun_at > DRAIN_MAX_BYTES {
                return progress.state.store(GIVEN_UP, Ordering::Relaxed);
            }
        }
    });
    if drained.await.is_err() {
        progress.state.store(GIVEN_UP, Ordering::Relaxed);
    }
}
