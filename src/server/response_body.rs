//! Bodies of responses on their way: whoever gave them, counted, and broken off where a fault asks for it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Either;
use tokio::time::Sleep;

use super::bridge;
use super::connections::{Held, InFlight};

/// How long the part that arrives gets before the rest does not.
const BREAK_AFTER: Duration = Duration::from_millis(20);

/// Bytes of an answer that leave together. One such part has to be taken in the time of [`Deadlines::answer`].
const PART_BYTES: usize = 32 * 1024;

/// The body of an answer, whoever gave it.
pub struct AnswerBody(Either<tonic::body::Body, Either<bridge::AnswerBody, Truncated<bridge::AnswerBody>>>);

impl AnswerBody {
    pub fn grpc(body: tonic::body::Body) -> Self {
        Self(Either::Left(body))
    }

    pub fn app(body: bridge::AnswerBody) -> Self {
        Self(Either::Right(Either::Left(body)))
    }

    pub fn truncated(self, at_most: u64) -> Self {
        match self.0 {
            Either::Right(Either::Left(body)) => {
                Self(Either::Right(Either::Right(Truncated::new(body, at_most))))
            }
            other => Self(other),
        }
    }
}

/// An answer on its way. It leaves in parts, keeps the connection busy until the last is out, and is on the connection's
/// account until each was written.
pub struct Answer {
    body: AnswerBody,
    /// Taken from the body, and not yet given to hyper.
    rest: Bytes,
    held: Held,
    _in_flight: InFlight,
}

impl Answer {
    pub fn new(body: AnswerBody, in_flight: InFlight) -> Self {
        let bytes = body.0.size_hint().exact().unwrap_or_default();
        let held = Held::answer(in_flight.connection(), usize::try_from(bytes).unwrap_or(usize::MAX));
        Self { body, rest: Bytes::new(), held, _in_flight: in_flight }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let me = &mut *self;
        if me.rest.is_empty() {
            let frame = match ready!(Pin::new(&mut me.body.0).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                other => return Poll::Ready(other),
            };
            match frame.into_data() {
                Ok(data) => me.rest = data,
                Err(frame) => return Poll::Ready(Some(Ok(frame))),
            }
            me.held.grow(me.rest.len().saturating_sub(me.held.bytes()));
        }
        let part = me.rest.split_to(me.rest.len().min(PART_BYTES));
        Poll::Ready(Some(Ok(Frame::data(me.held.part(part)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.0.size_hint();
        if let Some(bytes) = hint.exact() {
            hint.set_exact(bytes + self.rest.len() as u64);
        }
        hint
    }
}

/// A body that breaks off.
pub struct Truncated<B> {
    body: B,
    left: u64,
    /// Lets what was given leave before the break: hyper would keep it back together with the error.
    pause: Option<Pin<Box<Sleep>>>,
}

impl<B> Truncated<B> {
    pub fn new(body: B, at_most: u64) -> Self {
        Self { body, left: at_most, pause: None }
    }
}

impl<B> Body for Truncated<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let broken = || io::Error::new(io::ErrorKind::UnexpectedEof, "a fault broke the answer off");
        if self.left == 0 {
            let pause = self.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(BREAK_AFTER)));
            ready!(pause.as_mut().poll(cx));
            return Poll::Ready(Some(Err(broken())));
        }
        match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(mut data) => {
                    let kept = usize::try_from(self.left).unwrap_or(usize::MAX).min(data.len());
                    self.left -= kept as u64;
                    data.truncate(kept);
                    Poll::Ready(Some(Ok(Frame::data(data))))
                }
                Err(_) => Poll::Ready(Some(Err(broken()))),
            },
            // A shorter answer breaks off at its end.
            Some(Err(_)) | None => {
                self.left = 0;
                self.poll_frame(cx)
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        // What was promised: that is what is missing then.
        self.body.size_hint()
    }
}
