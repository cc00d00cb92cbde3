//! What a client connection is doing, so that one that stands still can be told from a busy one.
//!
//! One timer a connection, instead of one a request.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// Counted by the stream and the service, read by the watch; all in one task.
#[derive(Debug, Default)]
pub(super) struct Activity {
    bytes_read: AtomicU64,
    bytes_at_finish: AtomicU64,
    bytes_written: AtomicU64,
    answering: AtomicBool,
}

impl Activity {
    /// A request is being answered; its body has limits of its own.
    pub(super) fn started(&self) {
        self.answering.store(true, Relaxed);
    }

    /// The answer stands; whatever is read from now on is the next request.
    pub(super) fn finished(&self) {
        self.bytes_at_finish.store(self.bytes_read.load(Relaxed), Relaxed);
        self.answering.store(false, Relaxed);
    }
}

/// What to do with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Fine,
    /// No request for long: close when nothing is in flight.
    Idle,
    /// It cannot go on: drop.
    Stuck(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Answering,
    HalfHead,
    Between { written: u64, read: u64 },
}

/// Looks at a connection from time to time.
pub(super) struct Watch {
    activity: Arc<Activity>,
    head: Duration,
    idle: Duration,
    state: State,
    since: Instant,
    told: bool,
}

impl Watch {
    pub(super) fn new(activity: Arc<Activity>, head: Duration, idle: Duration) -> Self {
        let state = State::Between { written: 0, read: 0 };
        Watch { activity, head, idle, state, since: Instant::now(), told: false }
    }

    /// How often to look.
    pub(super) fn period(&self) -> Duration {
        (self.head.min(self.idle) / 2).max(Duration::from_millis(1))
    }

    pub(super) fn look(&mut self) -> Verdict {
        let state = self.state_now();
        if state != self.state {
            (self.state, self.since, self.told) = (state, Instant::now(), false);
        }
        let lasted = self.since.elapsed();
        match state {
            State::Answering => Verdict::Fine,
            State::HalfHead if lasted >= self.head => {
                Verdict::Stuck("the request head is half sent")
            }
            State::Between { .. } if lasted >= self.idle && self.told => {
                Verdict::Stuck("the answer is not read")
            }
            State::Between { .. } if lasted >= self.idle => {
                self.told = true;
                Verdict::Idle
            }
            State::HalfHead | State::Between { .. } => Verdict::Fine,
        }
    }

    fn state_now(&self) -> State {
        let read = self.activity.bytes_read.load(Relaxed);
        if self.activity.answering.load(Relaxed) {
            State::Answering
        } else if read > self.activity.bytes_at_finish.load(Relaxed) {
            State::HalfHead
        } else {
            State::Between { written: self.activity.bytes_written.load(Relaxed), read }
        }
    }
}

/// A stream that counts.
pub(super) struct WatchedIo<T> {
    inner: T,
    activity: Arc<Activity>,
}

impl<T> WatchedIo<T> {
    pub(super) fn new(inner: T, activity: Arc<Activity>) -> Self {
        WatchedIo { inner, activity }
    }

    fn wrote(&self, result: &io::Result<usize>) {
        if let Ok(bytes) = result {
            self.activity.bytes_written.fetch_add(*bytes as u64, Relaxed);
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for WatchedIo<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        let bytes = buf.filled().len() - before;
        self.activity.bytes_read.fetch_add(bytes as u64, Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for WatchedIo<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = ready!(Pin::new(&mut self.inner).poll_write(cx, buf));
        self.wrote(&result);
        Poll::Ready(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = ready!(Pin::new(&mut self.inner).poll_write_vectored(cx, bufs));
        self.wrote(&result);
        Poll::Ready(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
