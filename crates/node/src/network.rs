//! Raft messages over the node-pair streams.
//!
//! A message is the group's id (fixed big-endian `u64`) and the Raft message's bytes.

use bytes::{BufMut, Bytes, BytesMut};
use meridian_base::codec::Reader;
use meridian_base::{GroupId, NodeId};
use meridian_raft::network::{Network, NetworkFuture, SendError};
use meridian_raft::snapshot::Chunks;
use meridian_transport::{CallError, Kind, Peers};
use std::time::Duration;

/// Chunks of a snapshot read ahead of the network.
const CHUNKS_AHEAD: usize = 4;

/// The node's peers as groups see them.
pub struct PeerNetwork(pub Peers);

fn envelope(group: GroupId, message: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(8 + message.len());
    bytes.put_u64(group.to_u64());
    bytes.put_slice(message);
    bytes.freeze()
}

/// Splits an envelope into the group and its message.
pub fn open_envelope(bytes: &Bytes) -> Result<(GroupId, Bytes), String> {
    let group = Reader::new(bytes).u64().map_err(|e| e.to_string())?;
    Ok((GroupId::from_u64(group), bytes.slice(8..)))
}

fn send_error(error: CallError) -> SendError {
    match error {
        CallError::NotSent => SendError::Unreachable(error.to_string()),
        CallError::Refused(_) => SendError::Unreachable(error.to_string()),
        CallError::Unknown => SendError::NoAnswer(error.to_string()),
    }
}

impl Network for PeerNetwork {
    fn call(
        &self,
        to: NodeId,
        group: GroupId,
        message: Bytes,
        limit: Duration,
    ) -> NetworkFuture<'_, Bytes> {
        Box::pin(async move {
            let message = envelope(group, &message);
            self.0.call(to, Kind::Raft, message, limit).await.map_err(send_error)
        })
    }

    fn transfer(
        &self,
        to: NodeId,
        group: GroupId,
        head: Bytes,
        chunks: Chunks,
    ) -> NetworkFuture<'_, Bytes> {
        Box::pin(async move {
            let (sender, mut receiver) = tokio::sync::mpsc::channel(CHUNKS_AHEAD);
            // Reading the view blocks: it has a thread of its own, paced by the channel.
            let reading = tokio::task::spawn_blocking(move || {
                for chunk in chunks {
                    let broken = chunk.is_err();
                    if sender.blocking_send(chunk).is_err() || broken {
                        return !broken;
                    }
                }
                true
            });
            let next = move |cx: &mut std::task::Context<'_>| {
                let text = |chunk: std::io::Result<Bytes>| chunk.map_err(|e| e.to_string());
                receiver.poll_recv(cx).map(|chunk| chunk.map(text))
            };
            let stream = futures_util::stream::poll_fn(next);
            let answer = self.0.transfer(to, Kind::Raft, envelope(group, &head), stream).await;
            if !reading.await.unwrap_or(false) {
                return Err(SendError::NoAnswer("the snapshot's view broke off".into()));
            }
            answer.map_err(send_error)
        })
    }
}
