//! The black-hole switch: a node that is reachable and says nothing, without being root.
//!
//! # Invariants
//!
//! - While on, a wrapped stream neither reads, writes, flushes nor shuts down, and dropping it
//!   does not close it: the socket is kept until the switch is off.
//! - Turning off wakes everything that waits; bytes in the kernel's buffers are still there.
//!
//! Tested by `tests/switch.rs`.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::poison::lock;

/// Turns a node into a black hole and back; clones are the same switch.
#[derive(Clone, Default)]
pub struct Switch(Arc<Inner>);

#[derive(Default)]
struct Inner {
    on: AtomicBool,
    held: Mutex<Held>,
}

/// What waits for the switch to go off. One waker per waiting task; one entry per stream.
#[derive(Default)]
struct Held {
    wakers: Vec<Waker>,
    sockets: Vec<Box<dyn Send>>,
}

impl Switch {
    /// A switch that is off.
    pub fn new() -> Switch {
        Switch::default()
    }

    /// Whether the node is a black hole.
    pub fn is_on(&self) -> bool {
        self.0.on.load(Ordering::SeqCst)
    }

    /// Turns the black hole on or off.
    pub fn set(&self, on: bool) {
        let released = {
            let mut held = lock(&self.0.held);
            self.0.on.store(on, Ordering::SeqCst);
            if on { Held::default() } else { std::mem::take(&mut *held) }
        };
        // Outside the lock: dropping a socket or waking a task may come back here.
        drop(released.sockets);
        released.wakers.into_iter().for_each(Waker::wake);
    }

    /// Ready while the switch is off.
    pub fn poll_off(&self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_on() {
            return Poll::Ready(());
        }
        let mut held = lock(&self.0.held);
        // Again under the lock, or a waker stored just after `set(false)` would sleep for ever.
        if !self.is_on() {
            return Poll::Ready(());
        }
        if !held.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            held.wakers.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Waits until the switch is off.
    pub async fn off(&self) {
        poll_fn(|cx| self.poll_off(cx)).await;
    }

    /// Keeps a socket open until the switch is off; gives it back when it is off already.
    fn keep<T: Send + 'static>(&self, socket: T) -> Option<T> {
        let mut held = lock(&self.0.held);
        if !self.is_on() {
            return Some(socket);
        }
        held.sockets.push(Box::new(socket));
        None
    }
}

impl fmt::Debug for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Switch({})", if self.is_on() { "on" } else { "off" })
    }
}

/// A stream that stands still while its switch is on.
pub struct SwitchedIo<T: Send + 'static> {
    /// Taken only by `drop`.
    inner: Option<T>,
    switch: Switch,
}

impl<T: Send + 'static> SwitchedIo<T> {
    /// Puts a stream behind a switch.
    pub fn new(inner: T, switch: Switch) -> SwitchedIo<T> {
        SwitchedIo { inner: Some(inner), switch }
    }

    /// The stream behind the switch.
    pub fn inner(&self) -> &T {
        self.inner.as_ref().expect("the stream is taken only by drop")
    }

    fn inner_mut(&mut self) -> &mut T {
        self.inner.as_mut().expect("the stream is taken only by drop")
    }
}

impl<T: Send + 'static> Drop for SwitchedIo<T> {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take() {
            drop(self.switch.keep(inner));
        }
    }
}

impl<T: AsyncRead + Unpin + Send + 'static> AsyncRead for SwitchedIo<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.switch.poll_off(cx));
        Pin::new(self.inner_mut()).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin + Send + 'static> AsyncWrite for SwitchedIo<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.switch.poll_off(cx));
        Pin::new(self.inner_mut()).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.switch.poll_off(cx));
        Pin::new(self.inner_mut()).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner().is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.switch.poll_off(cx));
        Pin::new(self.inner_mut()).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.switch.poll_off(cx));
        Pin::new(self.inner_mut()).poll_shutdown(cx)
    }
}
