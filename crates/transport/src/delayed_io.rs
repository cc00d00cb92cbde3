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

use bytes::{Buf, Bytes, BytesMut};
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

/// What happened next in one direction.
enum Step {
    Read(io::Result<usize>),
    Wrote(io::Result<()>),
    Due,
}

/// Carries one direction until its end.
async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    one_way: Duration,
) {
    let mut line: DelayLine<Bytes> = DelayLine::new(one_way);
    let mut held_bytes = 0;
    let mut buffer = BytesMut::new();
    let mut writing = Bytes::new();
    let mut ended = false;
    loop {
        if writing.is_empty() {
            writing = line.pop().unwrap_or_default();
            if writing.is_empty() && ended && line.is_empty() {
                break;
            }
        }
        let before = writing.len();
        match step(&mut from, &mut to, &mut buffer, &mut writing, &line, !ended, held_bytes).await {
            Step::Read(Ok(0)) => ended = true,
            Step::Read(Ok(count)) => {
                held_bytes += count;
                line.push(buffer.split().freeze());
            }
            Step::Read(Err(_)) | Step::Wrote(Err(_)) => break,
            Step::Wrote(Ok(())) | Step::Due => {}
        }
        held_bytes -= before - writing.len();
    }
    // The other side may be gone, which is an end as well.
    let _ = to.shutdown().await;
}

/// Reads while there is room, writes what is due, or waits until something is.
async fn step(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    buffer: &mut BytesMut,
    writing: &mut Bytes,
    line: &DelayLine<Bytes>,
    open: bool,
    held_bytes: usize,
) -> Step {
    buffer.reserve(CHUNK_BYTES);
    let due = line.due().unwrap_or_else(Instant::now);
    tokio::select! {
        read = from.read_buf(buffer), if open && held_bytes < HELD_BYTES_MAX => Step::Read(read),
        wrote = write(to, writing), if !writing.is_empty() => Step::Wrote(wrote),
        () = sleep_until(due), if writing.is_empty() && !line.is_empty() => Step::Due,
    }
}

/// Writes all of it; when dropped before, the rest is still there.
async fn write(to: &mut (impl AsyncWrite + Unpin), bytes: &mut Bytes) -> io::Result<()> {
    while bytes.has_remaining() {
        to.write_buf(bytes).await?;
    }
    to.flush().await
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
