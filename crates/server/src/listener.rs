//! Serves HTTP/1.1 connections: accepts, watches over slow clients, stops gracefully.
//!
//! # Invariants
//!
//! - Each connection has limits: on its number, on the time for a request head, on idling.
//! - A panic while answering is answered as [`Answer::panicked`] and logged as an ERROR.
//! - After [`HttpServer::stop`] no connection is left.
//!
//! Tested by `listener/tests.rs`.

mod activity;
#[cfg(test)]
mod tests;

use activity::{Activity, Verdict, Watch, WatchedIo};
use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use meridian_transport::{Acceptor, Switch, SwitchedIo};
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;

/// What every answer is made of.
pub type HttpResponse = Response<Full<Bytes>>;

/// Answers the requests of a listener.
pub trait Answer: Send + Sync + 'static {
    /// Answers one request.
    fn answer(
        &self,
        request: Request<Incoming>,
        remote: SocketAddr,
    ) -> impl Future<Output = HttpResponse> + Send;

    /// The answer to a request whose handling panicked.
    fn panicked(&self) -> HttpResponse;
}

/// Limits on what a client may hold.
#[derive(Debug, Clone, Copy)]
pub struct ListenLimits {
    /// Most connections at once; more wait in the kernel's queue.
    pub connections_max: usize,
    /// Longest time from the first byte of a request to the end of its head.
    pub head: Duration,
    /// Longest time between requests.
    pub idle: Duration,
}

impl Default for ListenLimits {
    fn default() -> Self {
        ListenLimits {
            connections_max: 10_000,
            head: Duration::from_secs(10),
            idle: Duration::from_secs(180),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Serving,
    /// Accept nothing; finish what is in flight.
    Finishing,
    /// Drop every connection.
    Dropping,
}

/// A running listener. Dropping it ends it without grace.
pub struct HttpServer {
    local: SocketAddr,
    stage: watch::Sender<Stage>,
    connections: mpsc::Receiver<()>,
    accepting: JoinHandle<()>,
}

impl HttpServer {
    /// Serves `listener` with `answer`. While `switch` is on, nothing is read, written or accepted.
    pub fn start<A: Answer>(
        listener: TcpListener,
        switch: Switch,
        limits: ListenLimits,
        answer: Arc<A>,
    ) -> std::io::Result<Self> {
        let local = listener.local_addr()?;
        let (stage, seen) = watch::channel(Stage::Serving);
        let (alive, connections) = mpsc::channel(1);
        let acceptor = Acceptor::new(listener, switch);
        let serving = Serving { answer, limits, stage: seen, alive };
        let accepting = tokio::spawn(accept(acceptor, serving));
        Ok(HttpServer { local, stage, connections, accepting })
    }

    /// The address that it listens on.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Stops accepting, lets requests in flight finish within `grace`, then drops the rest.
    pub async fn stop(mut self, grace: Duration) {
        self.stage.send_replace(Stage::Finishing);
        if tokio::time::timeout(grace, self.connections.recv()).await.is_err() {
            self.stage.send_replace(Stage::Dropping);
            self.connections.recv().await;
        }
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.stage.send_replace(Stage::Dropping);
        self.accepting.abort();
    }
}

struct Serving<A> {
    answer: Arc<A>,
    limits: ListenLimits,
    stage: watch::Receiver<Stage>,
    /// Dropped with the last connection.
    alive: mpsc::Sender<()>,
}

impl<A> Clone for Serving<A> {
    fn clone(&self) -> Self {
        Serving {
            answer: self.answer.clone(),
            limits: self.limits,
            stage: self.stage.clone(),
            alive: self.alive.clone(),
        }
    }
}

async fn accept<A: Answer>(acceptor: Acceptor, mut serving: Serving<A>) {
    let slots = Arc::new(Semaphore::new(serving.limits.connections_max));
    loop {
        let next = async {
            let slot = slots.clone().acquire_owned().await;
            (slot, acceptor.accept().await)
        };
        let (slot, (stream, remote)) = tokio::select! {
            next = next => next,
            // Any change ends the accepting; an error means that the server is gone.
            _ = serving.stage.changed() => return,
        };
        let connection = serve(serving.clone(), stream, remote);
        tokio::spawn(async move {
            connection.await;
            drop(slot);
        });
    }
}

async fn serve<A: Answer>(serving: Serving<A>, stream: SwitchedIo<TcpStream>, remote: SocketAddr) {
    let Serving { answer, limits, mut stage, alive } = serving;
    let activity = Arc::new(Activity::default());
    let io = TokioIo::new(WatchedIo::new(stream, activity.clone()));
    let seen = activity.clone();
    let service = service_fn(move |request| {
        let (answer, seen) = (answer.clone(), seen.clone());
        async move {
            seen.started();
            let response = guarded(&*answer, request, remote).await;
            seen.finished();
            Ok::<_, Infallible>(response)
        }
    });
    let mut connection = pin!(http1::Builder::new().serve_connection(io, service));
    let mut watch = Watch::new(activity, limits.head, limits.idle);
    let mut ticks = tokio::time::interval(watch.period());
    ticks.tick().await;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%remote, %error, "a client connection broke");
                }
                break;
            }
            _ = ticks.tick() => match watch.look() {
                Verdict::Fine => {}
                Verdict::Idle => connection.as_mut().graceful_shutdown(),
                Verdict::Stuck(reason) => {
                    tracing::debug!(%remote, reason, "a client was too slow");
                    metrics::counter!("meridian_http_slow_clients_total").increment(1);
                    break;
                }
            },
            changed = stage.changed() => {
                let now = if changed.is_ok() { *stage.borrow_and_update() } else { Stage::Dropping };
                match now {
                    Stage::Serving => {}
                    Stage::Finishing => connection.as_mut().graceful_shutdown(),
                    Stage::Dropping => break,
                }
            }
        }
    }
    drop(alive);
}

async fn guarded<A: Answer>(
    answer: &A,
    request: Request<Incoming>,
    remote: SocketAddr,
) -> HttpResponse {
    match AssertUnwindSafe(answer.answer(request, remote)).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => {
            let text = panic_text(&*panic);
            tracing::error!(%remote, panic = text, "a request panicked");
            metrics::counter!("meridian_http_panics_total").increment(1);
            answer.panicked()
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text")
}
