//! What one side of a connection sends: greeting, then body, with signs of life and delay.
//!
//! # Invariants
//!
//! - Nothing of the body goes out before the greeting is over.
//! - A side with nothing to say sends an empty frame every keepalive interval.
//!
//! Tested by `tests/`.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::Stream;
use prost::Message as _;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Sleep, sleep};

use crate::delay::Delayed;
use crate::proto::Frame;

/// Frames of a greeting that one side sends: at most two.
const GREETING_FRAMES_MAX: usize = 4;

/// The body of one side: a session's or a transfer's frames.
pub(crate) type Body = Pin<Box<dyn Stream<Item = Frame> + Send>>;

/// Puts signs of life and delay around frames.
pub(crate) fn body<S>(frames: S, keepalive: Duration, delay: Duration) -> Body
where
    S: Stream<Item = Frame> + Send + Unpin + 'static,
{
    let alive = Alive::new(frames, keepalive);
    if delay.is_zero() {
        Box::pin(alive)
    } else {
        Box::pin(Delayed::new(alive, delay, frame_bytes))
    }
}

fn frame_bytes(frame: &Frame) -> usize {
    frame.encoded_len()
}

/// The handles of a side's outgoing frames.
pub(crate) struct Say {
    /// Takes the frames of the greeting.
    pub(crate) greeting: mpsc::Sender<Frame>,
    /// Takes the body once the greeting is over; dropping it ends the connection.
    pub(crate) body: oneshot::Sender<Body>,
}

/// The frames of one side in order.
pub(crate) enum Outbound {
    Greeting(mpsc::Receiver<Frame>, oneshot::Receiver<Body>),
    Between(oneshot::Receiver<Body>),
    Body(Body),
    Ended,
}

impl Outbound {
    /// The frames of one side, and the handles that feed them.
    pub(crate) fn new() -> (Say, Outbound) {
        let (greeting, greeting_frames) = mpsc::channel(GREETING_FRAMES_MAX);
        let (body, body_frames) = oneshot::channel();
        (Say { greeting, body }, Outbound::Greeting(greeting_frames, body_frames))
    }
}

impl Stream for Outbound {
    type Item = Frame;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Frame>> {
        loop {
            let next = match &mut *self {
                Outbound::Greeting(greeting, _) => match ready!(greeting.poll_recv(cx)) {
                    Some(frame) => return Poll::Ready(Some(frame)),
                    None => match std::mem::replace(&mut *self, Outbound::Ended) {
                        Outbound::Greeting(_, body) => Outbound::Between(body),
                        other => other,
                    },
                },
                Outbound::Between(body) => match ready!(Pin::new(body).poll(cx)) {
                    Ok(body) => Outbound::Body(body),
                    Err(_) => Outbound::Ended,
                },
                Outbound::Body(body) => return body.as_mut().poll_next(cx),
                Outbound::Ended => return Poll::Ready(None),
            };
            *self = next;
        }
    }
}

/// A stream of frames that says when it has nothing to say.
struct Alive<S> {
    frames: S,
    keepalive: Duration,
    spoke: Instant,
    alarm: Pin<Box<Sleep>>,
}

impl<S> Alive<S> {
    fn new(frames: S, keepalive: Duration) -> Alive<S> {
        Alive { frames, keepalive, spoke: Instant::now(), alarm: Box::pin(sleep(keepalive)) }
    }
}

impl<S: Stream<Item = Frame> + Unpin> Stream for Alive<S> {
    type Item = Frame;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Frame>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.frames).poll_next(cx) {
            this.spoke = Instant::now();
            return Poll::Ready(frame);
        }
        // The alarm is moved only when it rings: most of the time frames keep it away for free.
        loop {
            ready!(this.alarm.as_mut().poll(cx));
            let due = this.spoke + this.keepalive;
            let now = Instant::now();
            if due <= now {
                this.spoke = now;
                this.alarm.as_mut().reset(now + this.keepalive);
                return Poll::Ready(Some(Frame::default()));
            }
            this.alarm.as_mut().reset(due);
        }
    }
}
