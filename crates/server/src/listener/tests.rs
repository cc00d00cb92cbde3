//! Tests of `listener`.

use super::*;
use crate::answers::text;
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

/// Answers with the path; panics, or waits, when asked to.
#[derive(Default)]
struct Paths {
    arrived: Notify,
    go_on: Notify,
}

impl Answer for Paths {
    async fn answer(&self, request: Request<Incoming>, _: SocketAddr) -> HttpResponse {
        match request.uri().path() {
            "/panic" => panic!("as the test asks"),
            "/wait" => {
                self.arrived.notify_one();
                self.go_on.notified().await;
                text(StatusCode::OK, "waited")
            }
            path => text(StatusCode::OK, path.to_owned()),
        }
    }

    fn panicked(&self) -> HttpResponse {
        text(StatusCode::INTERNAL_SERVER_ERROR, "panicked")
    }
}

async fn server(limits: ListenLimits, switch: Switch) -> (HttpServer, Arc<Paths>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let paths = Arc::new(Paths::default());
    (HttpServer::start(listener, switch, limits, paths.clone()).unwrap(), paths)
}

async fn plain() -> (HttpServer, Arc<Paths>) {
    server(ListenLimits::default(), Switch::new()).await
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n")
}

/// Reads until `end` was seen or the connection is closed.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut seen = Vec::new();
    let mut buffer = [0u8; 1024];
    let reading = async {
        while !String::from_utf8_lossy(&seen).ends_with(end) {
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(n) => seen.extend_from_slice(&buffer[..n]),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), reading).await.expect("no answer in time");
    String::from_utf8(seen).unwrap()
}

#[tokio::test]
async fn a_connection_is_kept_and_survives_a_panic() {
    let (server, _) = plain().await;
    let mut stream = TcpStream::connect(server.local()).await.unwrap();
    stream.write_all(get("/one").as_bytes()).await.unwrap();
    assert!(read_until(&mut stream, "/one").await.starts_with("HTTP/1.1 200"));
    stream.write_all(get("/panic").as_bytes()).await.unwrap();
    assert!(read_until(&mut stream, "panicked").await.starts_with("HTTP/1.1 500"));
    stream.write_all(get("/two").as_bytes()).await.unwrap();
    assert!(read_until(&mut stream, "/two").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn stopping_finishes_what_is_in_flight() {
    let (server, paths) = plain().await;
    let address = server.local();
    let mut busy = TcpStream::connect(address).await.unwrap();
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(get("/idle").as_bytes()).await.unwrap();
    read_until(&mut idle, "/idle").await;
    busy.write_all(get("/wait").as_bytes()).await.unwrap();
    paths.arrived.notified().await;
    let stopping = tokio::spawn(server.stop(Duration::from_secs(60)));
    assert_eq!(read_until(&mut idle, "never").await, "", "the idle one is closed");
    paths.go_on.notify_one();
    assert!(read_until(&mut busy, "waited").await.ends_with("waited"));
    stopping.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn stopping_drops_what_does_not_finish() {
    let (server, paths) = plain().await;
    let mut busy = TcpStream::connect(server.local()).await.unwrap();
    busy.write_all(get("/wait").as_bytes()).await.unwrap();
    paths.arrived.notified().await;
    server.stop(Duration::from_millis(10)).await;
    assert_eq!(read_until(&mut busy, "waited").await, "");
}

#[tokio::test]
async fn a_half_sent_head_is_dropped_and_a_slow_handler_is_not() {
    let limits = ListenLimits { head: Duration::from_millis(100), ..ListenLimits::default() };
    let (server, paths) = server(limits, Switch::new()).await;
    let mut busy = TcpStream::connect(server.local()).await.unwrap();
    busy.write_all(get("/wait").as_bytes()).await.unwrap();
    paths.arrived.notified().await;
    let mut half = TcpStream::connect(server.local()).await.unwrap();
    half.write_all(b"GET /half HTTP/1.1\r\nhost:").await.unwrap();
    assert_eq!(read_until(&mut half, "never").await, "");
    paths.go_on.notify_one();
    assert!(read_until(&mut busy, "waited").await.ends_with("waited"));
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let limits = ListenLimits { idle: Duration::from_millis(50), ..ListenLimits::default() };
    let (server, _) = server(limits, Switch::new()).await;
    let mut idle = TcpStream::connect(server.local()).await.unwrap();
    idle.write_all(get("/idle").as_bytes()).await.unwrap();
    assert!(read_until(&mut idle, "never").await.ends_with("/idle"));
}

#[tokio::test]
async fn a_black_hole_neither_answers_nor_closes() {
    let switch = Switch::new();
    let (server, _) = server(ListenLimits::default(), switch.clone()).await;
    let mut old = TcpStream::connect(server.local()).await.unwrap();
    old.write_all(get("/one").as_bytes()).await.unwrap();
    read_until(&mut old, "/one").await;
    switch.set(true);
    let mut new = TcpStream::connect(server.local()).await.unwrap();
    let mut byte = [0u8; 1];
    for stream in [&mut old, &mut new] {
        stream.write_all(get("/two").as_bytes()).await.unwrap();
        let silence = tokio::time::timeout(Duration::from_millis(100), stream.read(&mut byte));
        assert!(silence.await.is_err(), "a black hole said something");
    }
    switch.set(false);
    assert!(read_until(&mut old, "/two").await.starts_with("HTTP/1.1 200"));
    assert!(read_until(&mut new, "/two").await.starts_with("HTTP/1.1 200"));
}
