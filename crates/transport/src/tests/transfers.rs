//! Transfers and how they end.

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::time::timeout;

use super::{PATIENCE, TWO, config, pair};
use crate::{CallError, Kind};

const MIB: usize = 1024 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_megabytes_arrive_while_calls_go_on() {
    let pair = pair(config(1, "a"), config(2, "a")).await;
    super::connected(&pair.peers).await;
    let chunk = Bytes::from(vec![3; MIB]);
    let chunks = stream::iter((0..50).map(move |_| Ok(chunk.clone())));
    let transfer = pair.peers.transfer(TWO, Kind::Raft, Bytes::from("header"), chunks);
    let call = pair.peers.call(TWO, Kind::Item, Bytes::from("meanwhile"), PATIENCE);
    let (total, answer) = tokio::join!(transfer, call);
    assert_eq!(total.unwrap(), (50 * MIB + 6).to_string());
    assert_eq!(answer.unwrap(), "meanwhile");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_does_not_read_holds_the_sender_back() {
    let pair = pair(config(1, "a"), config(2, "a")).await;
    super::connected(&pair.peers).await;
    pair.server_reads_slowly().await;
}

impl super::Pair {
    /// A receiver that waits for leave before it reads.
    async fn server_reads_slowly(&self) {
        let pulled = Arc::new(AtomicUsize::new(0));
        let count = pulled.clone();
        let chunk = Bytes::from(vec![3; MIB]);
        let chunks = stream::iter(0..200).map(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            Ok(chunk.clone())
        });
        let peers = self.peers.clone();
        let transfer =
            tokio::spawn(
                async move { peers.transfer(TWO, Kind::Item, Bytes::new(), chunks).await },
            );
        super::began(&self.echo, 1).await;
        let mut last = 0;
        // The count stands still at some point long before the end.
        let still = async {
            loop {
                tokio::time::sleep(std::time::Duration::from_millis(300)).await;
                let now = pulled.load(Ordering::SeqCst);
                if now > 0 && now == last {
                    return now;
                }
                last = now;
            }
        };
        let ahead = timeout(PATIENCE, still).await.unwrap();
        assert!(ahead < 100, "{ahead} MiB are on the way to a receiver that does not read");
        self.echo.leave.add_permits(1);
        assert_eq!(transfer.await.unwrap().unwrap(), (200 * MIB).to_string());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_receiver_learns_that_the_sender_gave_up() {
    let pair = pair(config(1, "a"), config(2, "a")).await;
    super::connected(&pair.peers).await;
    let chunks = stream::iter([Ok(Bytes::from("some")), Err("no more view".to_owned())]);
    let result = pair.peers.transfer(TWO, Kind::Raft, Bytes::new(), chunks).await;
    let reason = "the sender gave up: no more view".to_owned();
    assert_eq!(result, Err(CallError::Refused(reason)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_may_refuse_at_once() {
    let pair = pair(config(1, "a"), config(2, "a")).await;
    super::connected(&pair.peers).await;
    let endless = stream::repeat(Ok(Bytes::from(vec![0; MIB])));
    let result = pair.peers.transfer(TWO, Kind::Admin, Bytes::new(), endless).await;
    assert_eq!(result, Err(CallError::Refused("no transfers of that".to_owned())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_to_nobody_is_not_sent_and_one_to_a_dying_server_unknown() {
    let pair = pair(config(1, "a"), config(2, "a")).await;
    let chunks = || stream::repeat(Ok(Bytes::from(vec![0; MIB])));
    let nobody = meridian_base::NodeId(9);
    let result = pair.peers.transfer(nobody, Kind::Raft, Bytes::new(), chunks()).await;
    assert_eq!(result, Err(CallError::NotSent));
    super::connected(&pair.peers).await;
    let peers = pair.peers.clone();
    let transfer =
        tokio::spawn(async move { peers.transfer(TWO, Kind::Item, Bytes::new(), chunks()).await });
    super::began(&pair.echo, 1).await;
    drop(pair.server);
    assert_eq!(timeout(PATIENCE, transfer).await.unwrap().unwrap(), Err(CallError::Unknown));
}
