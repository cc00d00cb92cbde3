//! Dialling a peer: socket, HTTP/2, greeting.
//!
//! # Invariants
//!
//! - A connection carries one call (a session or a transfer), so that a snapshot never stands in
//!   the way of a heartbeat.
//! - Dropping a [`Dialled`] ends its tasks and closes its socket at once, whatever the peer does.
//!
//! Tested by `tests/`.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use meridian_base::NodeId;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tonic::codegen::{Service, http::Uri};
use tonic::transport::{Channel, Endpoint};

use crate::config::{
    CONNECTION_WINDOW_BYTES, FRAME_BYTES_MAX, H2_FRAME_BYTES, STREAM_WINDOW_BYTES,
};
use crate::ear::{Ear, Heard, HeardIo};
use crate::greeting::{self, GreetingError, Peer};
use crate::outbound::{Body, Outbound};
use crate::poison::lock;
use crate::proto::peer_client::PeerClient;
use crate::{PeerAddress, PeerConfig, SwitchedIo};

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Session,
    Transfer,
}

/// A connection whose greeting is over.
pub(crate) struct Dialled {
    /// Who answered.
    pub(crate) peer: Peer,
    /// The delay to the peer's region.
    pub(crate) delay: Duration,
    /// What the peer sends.
    pub(crate) ear: Ear,
    /// Takes what this side sends.
    pub(crate) body: oneshot::Sender<Body>,
    /// Keeps the connection.
    pub(crate) line: Line,
}

/// A connection's tasks; they end with it.
pub(crate) struct Line {
    client: PeerClient<Channel>,
    tasks: Tasks,
}

impl Drop for Line {
    fn drop(&mut self) {
        lock(&self.tasks.0).drain(..).for_each(|task| task.abort());
    }
}

/// Why nobody could be reached.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum DialError {
    /// Nobody answers at the address.
    #[error("cannot connect to {address}: {reason}")]
    Unreachable { address: String, reason: String },
    /// Somebody answers, and one side refused the other.
    #[error("cannot speak with {address}: {reason}")]
    Refused { address: String, reason: String },
}

/// Dials an address. `to` is 0 when it is not known who answers there; what comes in is noted in
/// `heard`.
pub(crate) async fn dial(
    config: &PeerConfig,
    address: &PeerAddress,
    to: NodeId,
    purpose: Purpose,
    heard: Arc<Heard>,
) -> Result<Dialled, DialError> {
    let unreachable =
        |reason: String| DialError::Unreachable { address: address.addr.clone(), reason };
    // A black hole dials nobody.
    config.switch.off().await;
    let known = !address.region.is_empty();
    let delay = if known { config.delay_to(&address.region) } else { Duration::ZERO };
    let socket = timeout(config.timing.connect_max, connect(config, &address.addr))
        .await
        .map_err(|_| unreachable("it does not answer".to_owned()))??;
    // The handshakes below the greeting are not frames: they get their round trip here.
    sleep(delay * 2).await;
    // The greeting is two round trips, and the delay may be known to the peer only.
    let greeting_max = config.timing.greeting_max + longest_delay(config) * 4;
    match timeout(greeting_max, greet(config, socket, to, purpose, heard)).await {
        Ok(Ok(dialled)) => Ok(dialled),
        Ok(Err(GreetingError::Refused(reason))) => {
            Err(DialError::Refused { address: address.addr.clone(), reason })
        }
        Ok(Err(broken @ GreetingError::Broken(_))) => Err(unreachable(broken.to_string())),
        Err(_) => Err(unreachable("it does not greet".to_owned())),
    }
}

fn longest_delay(config: &PeerConfig) -> Duration {
    config.delays.to.values().copied().fold(config.delays.others, Duration::max)
}

/// Connects to the first address that answers.
async fn connect(config: &PeerConfig, address: &str) -> Result<TcpStream, DialError> {
    let unreachable =
        |reason: String| DialError::Unreachable { address: address.to_owned(), reason };
    let found = tokio::net::lookup_host(address).await;
    let found: Vec<SocketAddr> = found.map_err(|error| unreachable(error.to_string()))?.collect();
    let mut problem = unreachable("its name has no address".to_owned());
    for candidate in found {
        if config.secret.is_none() && !greeting::is_loopback(candidate.ip()) {
            let reason = "without a cluster secret only loopback peers are spoken to".to_owned();
            problem = DialError::Refused { address: address.to_owned(), reason };
            continue;
        }
        match TcpStream::connect(candidate).await {
            Ok(socket) => {
                // A socket that is gone already says so at the first write.
                let _ = socket.set_nodelay(true);
                return Ok(socket);
            }
            Err(error) => problem = unreachable(error.to_string()),
        }
    }
    Err(problem)
}

/// Opens the stream and greets.
async fn greet(
    config: &PeerConfig,
    socket: TcpStream,
    to: NodeId,
    purpose: Purpose,
    heard: Arc<Heard>,
) -> Result<Dialled, GreetingError> {
    let broken = |error: &dyn std::error::Error| GreetingError::Broken(error.to_string());
    let tasks = Tasks::default();
    let socket = SwitchedIo::new(socket, config.switch.clone());
    let connector = Once(Some(HeardIo::new(socket, heard.clone())));
    let channel = Endpoint::from_static("http://meridian.peer")
        .executor(tasks.clone())
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(H2_FRAME_BYTES)
        .connect_with_connector(connector)
        .await
        .map_err(|error| broken(&error))?;
    let client = PeerClient::new(channel)
        .max_decoding_message_size(FRAME_BYTES_MAX)
        .max_encoding_message_size(FRAME_BYTES_MAX);
    let mut line = Line { client, tasks };
    let (say, outbound) = Outbound::new();
    let opened = match purpose {
        Purpose::Session => line.client.session(outbound).await,
        Purpose::Transfer => line.client.transfer(outbound).await,
    };
    let mut inbound = opened.map_err(|status| broken(&status))?.into_inner();
    let peer = greeting::introduce(config, to, &say.greeting, &mut inbound).await?;
    let delay = config.delay_to(&peer.region);
    let ear = Ear::new(inbound, heard, config.timing.silence_max + delay * 2);
    Ok(Dialled { peer, delay, ear, body: say.body, line })
}

/// Spawns a connection's tasks and can end them.
#[derive(Clone, Default)]
struct Tasks(Arc<Mutex<Vec<AbortHandle>>>);

impl hyper::rt::Executor<Pin<Box<dyn Future<Output = ()> + Send>>> for Tasks {
    fn execute(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        lock(&self.0).push(tokio::spawn(task).abort_handle());
    }
}

/// Hands over a socket that is connected already, once.
struct Once(Option<HeardIo<SwitchedIo<TcpStream>>>);

impl Service<Uri> for Once {
    type Response = TokioIo<HeardIo<SwitchedIo<TcpStream>>>;
    type Error = std::io::Error;
    type Future = std::future::Ready<Result<Self::Response, std::io::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), std::io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let socket = self.0.take().map(TokioIo::new);
        std::future::ready(socket.ok_or_else(|| std::io::ErrorKind::NotConnected.into()))
    }
}
