//! Calls and how they end.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use meridian_base::NodeId;
use tokio::time::Instant;

use super::{PATIENCE, TWO, began, config, connected, listener, pair};
use crate::config::PAYLOAD_BYTES_MAX;
use crate::{CallError, Kind, PeerAddress, PeerConfig, Timing};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_answered_or_refused_by_the_handler() {
    let pair = pair(config(1, "a"), config(2, "a")).await;
    let call = |kind, text: &'static str| pair.peers.call(TWO, kind, Bytes::from(text), PATIENCE);
    assert_eq!(call(Kind::Item, "hello").await.unwrap(), "hello");
    assert_eq!(call(Kind::Item, "").await.unwrap(), "");
    assert_eq!(call(Kind::Control, "").await.unwrap(), "1");
    assert_eq!(call(Kind::Admin, "x").await, Err(CallError::Refused("no: x".to_owned())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_is_enough_for_a_call() {
    let pair = pair(config(0, "a"), config(2, "a")).await;
    let addr = pair.server.local_addr().to_string();
    let answer = pair.peers.call_addr(&addr, Kind::Control, Bytes::new(), PATIENCE).await;
    assert_eq!(answer.unwrap(), "0", "the caller does not know its id yet");
    let nobody = listener().await.local_addr().unwrap().to_string();
    let answer = pair.peers.call_addr(&nobody, Kind::Control, Bytes::new(), PATIENCE).await;
    assert_eq!(answer, Err(CallError::NotSent));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_calls_at_once_each_get_their_own_answer() {
    let pair = pair(config(1, "a"), config(2, "a")).await;
    let calls = (0..20_000u32).map(|n| {
        let peers = pair.peers.clone();
        async move {
            let payload = Bytes::from(n.to_string());
            let answer = peers.call(TWO, Kind::Item, payload.clone(), PATIENCE).await;
            assert_eq!(answer, Ok(payload));
        }
    });
    join_all(calls.map(tokio::spawn)).await.into_iter().for_each(|done| done.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payloads_up_to_the_limit_pass_and_larger_ones_are_refused() {
    let pair = pair(config(1, "a"), config(2, "a")).await;
    let call = |kind, payload| pair.peers.call(TWO, kind, payload, PATIENCE);
    let largest = Bytes::from(vec![1; PAYLOAD_BYTES_MAX]);
    assert!(call(Kind::Item, largest.clone()).await.unwrap() == largest);
    let larger = Bytes::from(vec![1; PAYLOAD_BYTES_MAX + 1]);
    let Err(CallError::Refused(reason)) = call(Kind::Item, larger).await else { panic!() };
    assert!(reason.contains("67108865 bytes exceeds"), "{reason}");
    let size = Bytes::from((PAYLOAD_BYTES_MAX + 1).to_string());
    let Err(CallError::Refused(reason)) = call(Kind::Replicate, size).await else { panic!() };
    assert!(reason.contains("an answer of 67108865 bytes"), "{reason}");
    assert_eq!(call(Kind::Item, Bytes::from("still")).await.unwrap(), "still");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_without_a_connection_is_not_sent_and_waits_only_shortly() {
    let pair = pair(config(1, "a"), config(2, "a")).await;
    let unknown = pair.peers.call(NodeId(9), Kind::Item, Bytes::new(), PATIENCE).await;
    assert_eq!(unknown, Err(CallError::NotSent));
    let nobody = listener().await.local_addr().unwrap().to_string();
    pair.peers.set_address(NodeId(9), PeerAddress { addr: nobody, region: "a".to_owned() });
    let begin = Instant::now();
    let unreachable = pair.peers.call(NodeId(9), Kind::Item, Bytes::new(), PATIENCE).await;
    assert_eq!(unreachable, Err(CallError::NotSent));
    assert!(begin.elapsed() < PATIENCE / 2, "{:?}", begin.elapsed());
    let problem = pair.peers.link(NodeId(9)).problem.unwrap();
    assert!(problem.contains("cannot connect"), "{problem}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_without_an_answer_is_unknown_and_the_session_goes_on() {
    let pair = pair(config(1, "a"), config(2, "a")).await;
    connected(&pair.peers).await;
    let call = pair.peers.call(TWO, Kind::Raft, Bytes::new(), Duration::from_millis(100));
    assert_eq!(call.await, Err(CallError::Unknown));
    began(&pair.echo, 1).await;
    // The late answer is of no harm.
    pair.echo.leave.add_permits(1);
    let answer = pair.peers.call(TWO, Kind::Item, Bytes::from("next"), PATIENCE).await;
    assert_eq!(answer.unwrap(), "next");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_unknown_when_the_server_goes_away() {
    let pair = pair(config(1, "a"), config(2, "a")).await;
    let peers = pair.peers.clone();
    let call =
        tokio::spawn(async move { peers.call(TWO, Kind::Raft, Bytes::new(), PATIENCE).await });
    began(&pair.echo, 1).await;
    let begin = Instant::now();
    drop(pair.server);
    assert_eq!(call.await.unwrap(), Err(CallError::Unknown));
    assert!(begin.elapsed() < PATIENCE / 2, "it waited for its deadline");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_given_up_in_the_queue_is_never_sent() {
    let timing = Timing { silence_max: PATIENCE * 10, ..Timing::default() };
    let one = PeerConfig { timing: timing.clone(), ..config(1, "a") };
    let two = PeerConfig { timing, ..config(2, "a") };
    let switch = two.switch.clone();
    let pair = pair(one, two).await;
    connected(&pair.peers).await;
    switch.set(true);
    let call = |kind, bytes: usize| {
        pair.peers.call(TWO, kind, Bytes::from(vec![0; bytes]), Duration::from_millis(50))
    };
    // Until every buffer below the queue is full.
    while call(Kind::Item, 1024 * 1024).await != Err(CallError::NotSent) {}
    assert_eq!(call(Kind::Raft, 0).await, Err(CallError::NotSent));
    switch.set(false);
    let answer = pair.peers.call(TWO, Kind::Item, Bytes::from("after"), PATIENCE).await;
    assert_eq!(answer.unwrap(), "after");
    assert_eq!(pair.echo.began.available_permits(), 0, "the handler saw it");
}
