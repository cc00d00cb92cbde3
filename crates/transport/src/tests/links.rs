//! Links that break, move and come back.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};

use super::{Echo, PATIENCE, TWO, address_of, began, config, connected, pair, server, until};
use crate::dial::{Purpose, dial};
use crate::ear::Heard;
use crate::meter::Meter;
use crate::{CallError, Kind, PeerConfig, Timing, serve, session};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_comes_back_is_found_again() {
    let pair = pair(config(1, "a"), config(2, "a")).await;
    connected(&pair.peers).await;
    let address = pair.server.local_addr();
    let mut changes = pair.peers.changes();
    drop(pair.server);
    timeout(PATIENCE, changes.changed()).await.unwrap().unwrap();
    until("the link broke", || !pair.peers.link(TWO).connected).await;
    let call = pair.peers.call(TWO, Kind::Item, Bytes::new(), PATIENCE).await;
    assert_eq!(call, Err(CallError::NotSent));
    assert!(pair.peers.link(TWO).problem.is_some());

    let again = TcpListener::bind(address).await.unwrap();
    let _server = serve(again, Echo::new(), config(2, "a")).unwrap();
    connected(&pair.peers).await;
    let answer = pair.peers.call(TWO, Kind::Item, Bytes::from("again"), PATIENCE).await;
    assert_eq!(answer.unwrap(), "again");
    assert_eq!(pair.peers.link(TWO).problem, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_moves_is_followed_and_its_calls_are_answered() {
    let pair = pair(config(1, "a"), config(2, "a")).await;
    let peers = pair.peers.clone();
    let before =
        tokio::spawn(
            async move { peers.call(TWO, Kind::Raft, Bytes::from("old"), PATIENCE).await },
        );
    began(&pair.echo, 1).await;
    let (moved, echo) = server(&config(2, "a")).await;
    let seen = *pair.peers.changes().borrow();
    pair.peers.set_address(TWO, address_of(&moved, "a"));
    until("left and came back", || *pair.peers.changes().borrow() == seen + 2).await;
    let peers = pair.peers.clone();
    let after =
        tokio::spawn(
            async move { peers.call(TWO, Kind::Raft, Bytes::from("new"), PATIENCE).await },
        );
    began(&echo, 1).await;
    echo.leave.add_permits(1);
    pair.echo.leave.add_permits(1);
    assert_eq!(before.await.unwrap().unwrap(), "old");
    assert_eq!(after.await.unwrap().unwrap(), "new");
    assert_eq!(pair.peers.address(TWO), Some(address_of(&moved, "a")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_graceful_stop_answers_what_was_received() {
    let pair = pair(config(1, "a"), config(2, "a")).await;
    let peers = pair.peers.clone();
    let call = tokio::spawn(async move {
        peers.call(TWO, Kind::Raft, Bytes::from("received"), PATIENCE).await
    });
    began(&pair.echo, 1).await;
    let stop = tokio::spawn(pair.server.stop(PATIENCE));
    until("the peer was told", || !pair.peers.link(TWO).connected).await;
    let refused = pair.peers.call(TWO, Kind::Item, Bytes::new(), PATIENCE).await;
    assert_eq!(refused, Err(CallError::NotSent));
    pair.echo.leave.add_permits(1);
    assert_eq!(call.await.unwrap().unwrap(), "received");
    timeout(PATIENCE / 2, stop).await.expect("it waits for nothing more").unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_cuts_off_what_takes_too_long() {
    let pair = pair(config(1, "a"), config(2, "a")).await;
    let peers = pair.peers.clone();
    let call =
        tokio::spawn(async move { peers.call(TWO, Kind::Raft, Bytes::new(), PATIENCE).await });
    began(&pair.echo, 1).await;
    timeout(PATIENCE / 2, pair.server.stop(Duration::from_millis(100))).await.unwrap();
    assert_eq!(timeout(PATIENCE / 2, call).await.unwrap().unwrap(), Err(CallError::Unknown));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_peer_is_heard_all_the_time() {
    let pair = pair(config(1, "a"), config(2, "a")).await;
    connected(&pair.peers).await;
    let silence_max = crate::Timing::default().silence_max;
    let mut heard_again = 0;
    let mut last = Duration::ZERO;
    until("signs of life", || {
        let silent = pair.peers.link(TWO).silent.unwrap();
        assert!(silent < silence_max);
        heard_again += u32::from(silent < last);
        last = silent;
        heard_again >= 3
    })
    .await;
    assert!(pair.peers.link(TWO).connected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgotten_peer_and_this_node_are_not_called() {
    let pair = pair(config(1, "a"), config(2, "a")).await;
    connected(&pair.peers).await;
    pair.peers.set_address(meridian_base::NodeId(1), address_of(&pair.server, "a"));
    assert_eq!(pair.peers.links().into_keys().collect::<Vec<_>>(), [TWO]);
    pair.peers.remove_address(TWO);
    assert!(pair.peers.links().is_empty());
    let call = pair.peers.call(TWO, Kind::Item, Bytes::new(), PATIENCE).await;
    assert_eq!(call, Err(CallError::NotSent));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_address_is_tried_at_once() {
    let never = PATIENCE * 10;
    let timing = Timing { backoff_min: never, backoff_max: never, ..Timing::default() };
    let pair = pair(PeerConfig { timing, ..config(1, "a") }, config(3, "a")).await;
    until("the first attempt failed", || pair.peers.link(TWO).problem.is_some()).await;
    let (two, _) = server(&config(2, "a")).await;
    pair.peers.set_address(TWO, address_of(&two, "a"));
    connected(&pair.peers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_given_up_leaves_no_socket_behind() {
    let two = config(2, "a");
    let (server, _) = server(&two).await;
    let one = config(1, "a");
    let heard = Heard::new();
    let address = address_of(&server, "a");
    let dialled = dial(&one, &address, TWO, Purpose::Session, heard.clone()).await.unwrap();
    let (calls, reader) = session::start(dialled, &one.timing, &Meter::new());
    // The peer reads nothing, so that nothing can be flushed to it either.
    two.switch.set(true);
    let payload = Bytes::from(vec![0; 1024 * 1024]);
    let call = || {
        let deadline = Instant::now() + Duration::from_millis(50);
        calls.call(Kind::Item, payload.clone(), deadline)
    };
    while call().await != Err(CallError::NotSent) {}
    drop((calls, reader));
    until("the socket is gone", || Arc::strong_count(&heard) == 1).await;
}
