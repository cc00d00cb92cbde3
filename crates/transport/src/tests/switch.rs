//! The black hole: nothing goes in or out, nothing is closed, and all goes on afterwards.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{PATIENCE, TWO, config, connected, listener, pair, until};
use crate::{Acceptor, CallError, Kind, PeerConfig, Switch, SwitchedIo, Timing};

/// Sessions that outlive the black hole of these tests.
fn patient(node: u64) -> PeerConfig {
    let timing = Timing { silence_max: PATIENCE * 10, ..Timing::default() };
    PeerConfig { timing, ..config(node, "a") }
}

const SHORT: Duration = Duration::from_millis(150);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_into_a_black_hole_are_unknown_and_the_same_session_goes_on_after_it() {
    let two = patient(2);
    let switch = two.switch.clone();
    let pair = pair(patient(1), two).await;
    connected(&pair.peers).await;
    let changes = *pair.peers.changes().borrow();
    switch.set(true);
    let lost = pair.peers.call(TWO, Kind::Item, Bytes::from("lost"), SHORT).await;
    assert_eq!(lost, Err(CallError::Unknown));
    let peers = pair.peers.clone();
    let waiting =
        tokio::spawn(
            async move { peers.call(TWO, Kind::Item, Bytes::from("waited"), PATIENCE).await },
        );
    switch.set(false);
    assert_eq!(waiting.await.unwrap().unwrap(), "waited");
    assert_eq!(*pair.peers.changes().borrow(), changes, "no link broke");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_black_hole_is_silent_to_both_sides_and_both_find_back() {
    let timing = Timing { silence_max: Duration::from_secs(1), ..Timing::default() };
    let one = PeerConfig { timing: timing.clone(), ..config(1, "a") };
    let two = PeerConfig { timing, ..config(2, "a") };
    let (inside, outside) = (one.switch.clone(), two.switch.clone());
    let pair = pair(one, two).await;
    for switch in [inside, outside] {
        connected(&pair.peers).await;
        switch.set(true);
        until("silence is noticed", || !pair.peers.link(TWO).connected).await;
        let silent = pair.peers.link(TWO).silent.unwrap();
        assert!(silent >= Duration::from_millis(900), "{silent:?}");
        let call = pair.peers.call(TWO, Kind::Item, Bytes::new(), SHORT).await;
        assert_eq!(call, Err(CallError::NotSent));
        switch.set(false);
        connected(&pair.peers).await;
        let answer = pair.peers.call(TWO, Kind::Item, Bytes::from("back"), PATIENCE).await;
        assert_eq!(answer.unwrap(), "back");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_accepted_closed_or_lost_meanwhile() {
    let switch = Switch::new();
    let listener = listener().await;
    let address = listener.local_addr().unwrap();
    let acceptor = Acceptor::new(listener, switch.clone());
    let mut client = TcpStream::connect(address).await.unwrap();
    let (mut io, _) = acceptor.accept().await;

    switch.set(true);
    client.write_all(b"early").await.unwrap();
    let mut received = [0; 5];
    assert!(timeout(SHORT, io.read_exact(&mut received)).await.is_err(), "it read");
    assert!(timeout(SHORT, io.write_all(b"x")).await.is_err(), "it wrote");
    let second = TcpStream::connect(address).await.unwrap();
    assert!(timeout(SHORT, acceptor.accept()).await.is_err(), "it accepted");
    switch.set(false);
    io.read_exact(&mut received).await.unwrap();
    assert_eq!(&received, b"early");
    acceptor.accept().await;
    drop(second);

    switch.set(true);
    drop(io);
    let mut byte = [0];
    assert!(timeout(SHORT, client.read(&mut byte)).await.is_err(), "the peer saw it close");
    switch.set(false);
    assert_eq!(client.read(&mut byte).await.unwrap(), 0);
}

#[tokio::test]
async fn turning_off_wakes_every_waiting_task_once() {
    let switch = Switch::new();
    switch.set(true);
    let waiting: Vec<_> = (0..10)
        .map(|_| {
            let (near, _far) = tokio::io::duplex(8);
            let mut io = SwitchedIo::new(near, switch.clone());
            tokio::spawn(async move { io.read(&mut [0]).await.unwrap() })
        })
        .collect();
    assert!(timeout(SHORT, switch.off()).await.is_err());
    switch.set(false);
    for task in waiting {
        assert_eq!(timeout(PATIENCE, task).await.unwrap().unwrap(), 0);
    }
}
