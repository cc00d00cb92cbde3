//! Accepting connections, unless the node is a black hole.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use crate::{Switch, SwitchedIo};

/// Pause after a failed accept: out of file descriptors, most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A listener behind a switch; for peers and for HTTP alike.
pub struct Acceptor {
    listener: TcpListener,
    switch: Switch,
}

impl Acceptor {
    /// Puts a listener behind a switch.
    pub fn new(listener: TcpListener, switch: Switch) -> Acceptor {
        Acceptor { listener, switch }
    }

    /// Waits for the next connection; none comes while the switch is on. Dropping the future
    /// loses no connection.
    pub async fn accept(&self) -> (SwitchedIo<TcpStream>, SocketAddr) {
        loop {
            self.switch.off().await;
            match self.listener.accept().await {
                Ok((stream, remote)) => {
                    // Without it small answers wait for the peer's delayed acknowledgement. A
                    // socket that is gone already says so at the first read.
                    let _ = stream.set_nodelay(true);
                    return (SwitchedIo::new(stream, self.switch.clone()), remote);
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}
