//! Against a scripted endpoint.

use super::*;
use crate::scripted::{Script, serve};

fn args(endpoint: String, op: Operation, closed: bool) -> BenchArgs {
    BenchArgs {
        endpoint,
        op,
        rate: (!closed).then_some(400.0),
        closed,
        clients: 4,
        item_bytes: 10,
        duration: Duration::from_millis(500),
        keys: 50,
        eventual: false,
        table: "bench".to_owned(),
    }
}

async fn driven(args: BenchArgs) -> Measured {
    tokio::task::spawn_blocking(move || drive::run(&args)).await.unwrap().unwrap()
}

#[tokio::test]
async fn the_closed_loop_keeps_every_client_busy() {
    let url = serve(Script::Remembers).await;
    let measured = driven(args(url, Operation::Mixed, true)).await;
    assert_eq!(measured.first_error, None);
    assert!(measured.latencies.len() > 100);
}

#[tokio::test]
async fn the_open_loop_sends_what_was_intended() {
    let url = serve(Script::Remembers).await;
    let measured = driven(args(url, Operation::Put, false)).await;
    assert_eq!(measured.first_error, None);
    assert_eq!(measured.latencies.len(), 200);
    let json = json_of(&args(String::new(), Operation::Put, false), &measured);
    assert_eq!(json["ok"], 200);
    assert_eq!(json["rate"], 400.0);
    assert!(json["latency_ms"]["p99.9"].as_f64().unwrap() > 0.0);
}

#[tokio::test]
async fn a_refused_connection_is_an_error_and_not_a_hang() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let measured = driven(args(url, Operation::Get, true)).await;
    assert_eq!(measured.latencies.len(), 0);
    assert!(measured.errors > 0 && measured.first_error.is_some());
}
