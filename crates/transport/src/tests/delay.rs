//! Delay between regions: as long as stated, and latency only.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use super::{PATIENCE, Pair, TWO, config, connected, pair};
use crate::{DelayedIo, Delays, Kind, PeerConfig};

const ONE_WAY: Duration = Duration::from_millis(60);

fn delayed(node: u64, region: &str) -> PeerConfig {
    PeerConfig { delays: Delays::to_others(ONE_WAY), ..config(node, region) }
}

/// The fastest of a few round trips: what the machine does besides only adds to it.
async fn round_trip(pair: &Pair) -> Duration {
    connected(&pair.peers).await;
    let mut best = PATIENCE;
    for _ in 0..5 {
        let begin = Instant::now();
        pair.peers.call(TWO, Kind::Item, Bytes::new(), PATIENCE).await.unwrap();
        best = best.min(begin.elapsed());
    }
    best
}

fn is_about(measured: Duration, expected: Duration) {
    assert!(measured >= expected, "{measured:?} < {expected:?}");
    assert!(measured < expected.mul_f64(1.5), "{measured:?} is far more than {expected:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_region_is_a_round_trip_away_and_ones_own_is_not() {
    is_about(round_trip(&pair(delayed(1, "a"), delayed(2, "b")).await).await, ONE_WAY * 2);
    let near = round_trip(&pair(delayed(1, "a"), delayed(2, "a")).await).await;
    assert!(near < ONE_WAY, "{near:?}");
    // Each side delays what it sends itself.
    is_about(round_trip(&pair(delayed(1, "a"), config(2, "b")).await).await, ONE_WAY);
    let mut named = config(1, "a");
    named.delays.to = BTreeMap::from([("b".to_owned(), ONE_WAY * 2)]);
    is_about(round_trip(&pair(named, config(2, "b")).await).await, ONE_WAY * 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delay_is_not_paid_per_message() {
    let pair = pair(delayed(1, "a"), delayed(2, "b")).await;
    connected(&pair.peers).await;
    let begin = Instant::now();
    let calls = (0..1000)
        .map(|n: u32| pair.peers.call(TWO, Kind::Item, Bytes::from(n.to_string()), PATIENCE));
    assert!(join_all(calls).await.iter().all(Result::is_ok));
    let took = begin.elapsed();
    assert!(took >= ONE_WAY * 2 && took < ONE_WAY * 10, "{took:?} for a thousand calls");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transfers_are_delayed_and_keep_their_bandwidth() {
    let pair = pair(delayed(1, "a"), delayed(2, "b")).await;
    connected(&pair.peers).await;
    let begin = Instant::now();
    let chunk = Bytes::from(vec![0; 64 * 1024]);
    let chunks = stream::iter((0..320).map(move |_| Ok(chunk.clone())));
    let total = pair.peers.transfer(TWO, Kind::Raft, Bytes::new(), chunks).await.unwrap();
    let took = begin.elapsed();
    assert_eq!(total, (320 * 64 * 1024).to_string());
    // 320 chunks of one delay each would take 19 s.
    assert!(took >= ONE_WAY * 2 && took < ONE_WAY * 60, "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_are_delayed_each_way_and_all_arrive_before_the_end() {
    let (near, far) = tokio::io::duplex(1024);
    let mut near = DelayedIo::new(near, ONE_WAY);
    let server = tokio::spawn(async move {
        let (mut read, mut write) = tokio::io::split(far);
        tokio::io::copy(&mut read, &mut write).await.unwrap();
        write.shutdown().await.unwrap();
    });
    let mut best = PATIENCE;
    for _ in 0..5 {
        let begin = Instant::now();
        near.write_all(b"x").await.unwrap();
        near.read_exact(&mut [0]).await.unwrap();
        best = best.min(begin.elapsed());
    }
    is_about(best, ONE_WAY * 2);

    let sent: Vec<u8> = (0..4_000_000u32).map(|n| n.to_le_bytes()[0]).collect();
    let begin = Instant::now();
    let (mut read, mut write) = tokio::io::split(near);
    let expected = sent.clone();
    let writing = tokio::spawn(async move {
        write.write_all(&sent).await.unwrap();
        write.shutdown().await.unwrap();
    });
    let mut received = Vec::new();
    read.read_to_end(&mut received).await.unwrap();
    assert!(received == expected, "{} bytes", received.len());
    let took = begin.elapsed();
    assert!(took >= ONE_WAY * 2 && took < ONE_WAY * 40, "{took:?}");
    writing.await.unwrap();
    server.await.unwrap();
}
