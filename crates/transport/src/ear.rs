//! Listening to a peer: its frames, and how long it has been silent.
//!
//! # Invariants
//!
//! - A peer is silent when no byte came from it, not when no frame did: a large frame on a slow
//!   line takes its time.
//! - Nobody is called silent while nobody listened.
//!
//! Tested by `tests/`.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};
use tonic::Streaming;

use crate::proto::Frame;

/// When a peer was last heard.
pub(crate) struct Heard {
    base: Instant,
    /// Milliseconds since `base`, plus one; 0 is never.
    at: AtomicU64,
}

impl Heard {
    /// Nothing was heard yet.
    pub(crate) fn new() -> Arc<Heard> {
        Arc::new(Heard { base: Instant::now(), at: AtomicU64::new(0) })
    }

    /// Something was heard now.
    fn note(&self) {
        let since = self.base.elapsed().as_millis();
        self.at.store(u64::try_from(since).unwrap_or(u64::MAX - 1) + 1, Ordering::Relaxed);
    }

    /// When something was heard; `None` if never.
    fn last(&self) -> Option<Instant> {
        let at = self.at.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.base + Duration::from_millis(at))
    }

    /// How long ago something was heard; `None` if never.
    pub(crate) fn ago(&self) -> Option<Duration> {
        Some(self.last()?.elapsed())
    }
}

/// A stream that notes when bytes come in.
pub(crate) struct HeardIo<T> {
    io: T,
    heard: Arc<Heard>,
}

impl<T> HeardIo<T> {
    /// Notes what comes in on a stream.
    pub(crate) fn new(io: T, heard: Arc<Heard>) -> HeardIo<T> {
        HeardIo { io, heard }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for HeardIo<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.heard.note();
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for HeardIo<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// What a peer says on one stream.
pub(crate) struct Ear {
    inbound: Streaming<Frame>,
    heard: Arc<Heard>,
    silence_max: Duration,
}

impl Ear {
    /// Listens to a stream of a connection whose bytes are noted in `heard`.
    pub(crate) fn new(inbound: Streaming<Frame>, heard: Arc<Heard>, silence_max: Duration) -> Ear {
        Ear { inbound, heard, silence_max }
    }

    /// The next frame, or why there will be none. May be dropped and called again.
    pub(crate) async fn next(&mut self) -> Result<Frame, String> {
        let begin = Instant::now();
        loop {
            let last = self.heard.last().map_or(begin, |last| last.max(begin));
            tokio::select! {
                // A process that stood still reads what came meanwhile before it calls it silence.
                biased;
                frame = self.inbound.message() => return match frame {
                    Ok(Some(frame)) => Ok(frame),
                    Ok(None) => Err("the peer closed it".to_owned()),
                    Err(status) => Err(status.message().to_owned()),
                },
                () = sleep_until(last + self.silence_max) => {
                    if self.heard.last().is_none_or(|heard| heard <= last) {
                        return Err(format!("nothing heard for {:?}", self.silence_max));
                    }
                }
            }
        }
    }
}
