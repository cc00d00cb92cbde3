//! Accepted connections as tonic takes them.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::{Stream, stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::transport::server::Connected;

use crate::ear::{Heard, HeardIo};
use crate::{Acceptor, SwitchedIo};

/// Connections that are open at the same time: two for each of 500 peers.
const CONNECTIONS_MAX: usize = 1000;

/// Accepted connections; no more than [`CONNECTIONS_MAX`] at a time.
pub(crate) fn incoming(acceptor: Acceptor) -> impl Stream<Item = io::Result<PeerSocket>> {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    stream::unfold((acceptor, room), |(acceptor, room)| async move {
        // The semaphore is never closed; if it were, nothing would be accepted.
        let permit = room.clone().acquire_owned().await.ok()?;
        let (io, remote) = acceptor.accept().await;
        let heard = Heard::new();
        let remote = Remote { address: remote.ip(), heard: heard.clone() };
        let io = HeardIo::new(io, heard);
        Some((Ok(PeerSocket { io, remote, _permit: permit }), (acceptor, room)))
    })
}

/// An accepted connection.
pub(crate) struct PeerSocket {
    io: HeardIo<SwitchedIo<TcpStream>>,
    remote: Remote,
    _permit: OwnedSemaphorePermit,
}

/// Where a connection comes from, and when its bytes came.
#[derive(Clone)]
pub(crate) struct Remote {
    pub(crate) address: IpAddr,
    pub(crate) heard: Arc<Heard>,
}

impl Connected for PeerSocket {
    type ConnectInfo = Remote;

    fn connect_info(&self) -> Remote {
        self.remote.clone()
    }
}

impl AsyncRead for PeerSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for PeerSocket {
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
