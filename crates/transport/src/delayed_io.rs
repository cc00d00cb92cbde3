//! A byte stream with a delay each way, for bytes that are not frames (HTTP).
//!
//! # Invariants
//!
//! - Each chunk comes out the delay after it came in, however many are on the way.
//! - At most [`HELD_BYTES_MAX`] bytes are held each way; then the writer waits.
//! - The end of a direction is delayed like its bytes; an error ends both at once.
//!
//! Tested by `tests/delay.rs`.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use crate::DelayLine;

/// Most bytes on the way in one direction: 60 ms of 1 Gbit/s.
const HELD_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes read at once, and the buffer between the user of the stream and the line.
const CHUNK_BYTES: usize = 64 * 1024;

/// A byte stream whose bytes arrive late, each way.
pub struct DelayedIo {
    near: DuplexStream,
    /// Stopped when reading is of no use any more; the other direction ends by itself after it
    /// has delivered what was written.
    inward: AbortHandle,
}

impl DelayedIo {
    /// Delays a stream by the same time each way. Needs a tokio runtime.
    pub fn new<T>(stream: T, one_way: Duration) -> DelayedIo
    where
        T: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (near, far) = tokio::io::duplex(CHUNK_BYTES);
        let (from_peer, to_peer) = tokio::io::split(stream);
        let (from_user, to_user) = tokio::io::split(far);
        tokio::spawn(carry(from_user, to_peer, one_way));
        let inward = tokio::spawn(carry(from_peer, to_user, one_way)).abort_handle();
        DelayedIo { near, inward }
    }
}

impl Drop for DelayedIo {
    fn drop(&mut self) {
        self.inward.abort();
    }
}

/// Carries one direction until its end.
async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    one_way: Duration,
) {
    let mut carrier = Carrier {
        line: DelayLine::new(one_way),
        buffer: BytesMut::new(),
        writing: Bytes::new(),
        held_bytes: 0,
        ended: false,
        unflushed: false,
    };
    while !carrier.is_done() && carrier.step(&mut from, &mut to).await.is_ok() {}
    // The other side may be gone, which is an end as well.
    let _ = to.shutdown().await;
}

/// One direction on its way.
struct Carrier {
    line: DelayLine<Bytes>,
    buffer: BytesMut,
    /// What is due and not written yet.
    writing: Bytes,
    /// Bytes in `line` and `writing`.
    held_bytes: usize,
    /// Nothing more comes in.
    ended: bool,
    unflushed: bool,
}

impl Carrier {
    fn is_done(&self) -> bool {
        self.ended && self.held_bytes == 0 && !self.unflushed
    }

    /// Reads while there is room, and writes what is due, whichever goes on first.
    async fn step(
        &mut self,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<()> {
        if self.writing.is_empty() {
            self.writing = self.line.pop().unwrap_or_default();
        }
        self.buffer.reserve(CHUNK_BYTES);
        let room = !self.ended && self.held_bytes < HELD_BYTES_MAX;
        let idle = self.writing.is_empty();
        let due = self.line.due();
        tokio::select! {
            read = from.read_buf(&mut self.buffer), if room => {
                let count = read?;
                self.ended = count == 0;
                if count > 0 {
                    self.held_bytes += count;
                    self.line.push(self.buffer.split().freeze());
                }
            }
            moved = write_or_flush(to, &mut self.writing), if !idle || self.unflushed => {
                let count = moved?;
                if !idle && count == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                self.held_bytes -= count;
                self.unflushed = !idle;
            }
            () = sleep_until(due.unwrap_or_else(Instant::now)), if idle && due.is_some() => {}
        }
        Ok(())
    }
}

/// Writes some of the bytes, or flushes when there are none.
async fn write_or_flush(
    to: &mut (impl AsyncWrite + Unpin),
    bytes: &mut Bytes,
) -> io::Result<usize> {
    if bytes.is_empty() {
        to.flush().await?;
        return Ok(0);
    }
    to.write_buf(bytes).await
}

impl AsyncRead for DelayedIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.near).poll_read(cx, buf)
    }
}

impl AsyncWrite for DelayedIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.near).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.near).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.near.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.near).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.near).poll_shutdown(cx)
    }
}
