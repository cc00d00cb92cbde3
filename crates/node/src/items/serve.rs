//! Item requests of other nodes, and requests that belong to another region.
//!
//! # Invariants
//!
//! - A request that a frozen partition holds goes to the target region only when that region has
//!   everything that was written here: no condition is evaluated on stale state.

use super::message::{
    Destination, ItemAnswer, ItemRequest, decode_answer, decode_request, encode_answer,
    encode_request,
};
use super::{CALL_LIMIT, ItemError, Items, PAUSE_MAX, REQUEST_LIMIT, on_replica};
use crate::hosting::HostedPartition;
use crate::pipeline::Refused;
use async_trait::async_trait;
use bytes::Bytes;
use meridian_base::{NodeId, PartitionId, Position};
use meridian_partition::PageRequest;
use meridian_partition::header::Freeze;
use meridian_raft::rt;
use meridian_transport::{CallError, Kind};

/// What item requests ask of the region's evacuation.
#[async_trait]
pub trait RegionGate: Send + Sync {
    /// Returns when the target region has everything that the frozen partition wrote.
    async fn drained(&self, partition: PartitionId, freeze: &Freeze);

    /// Nodes of the target region, the preferred one first.
    fn nodes_of(&self, freeze: &Freeze) -> Vec<NodeId>;
}

impl Items {
    /// Answers an item message of another node.
    pub async fn serve(&self, message: &[u8]) -> Result<Bytes, String> {
        let (to, request) = decode_request(message).map_err(|e| e.to_string())?;
        let mut position = Position(0);
        let answer = match to {
            Destination::Partition(id) => match self.hosting.partition(id) {
                Some(hosted) => {
                    let answer = self.serve_here(&hosted, request).await;
                    position = *hosted.position().borrow();
                    answer
                }
                None => Err(Refused::NotLeader { hint: None }),
            },
            Destination::Table(table) => self.serve_table(table, request).await,
        };
        Ok(Bytes::from(encode_answer(&answer, position)))
    }

    /// Runs a request that another region forwarded, wherever this region holds the key.
    async fn serve_table(
        &self,
        table: meridian_base::TableId,
        request: ItemRequest,
    ) -> Result<ItemAnswer, Refused> {
        let done = match &request {
            ItemRequest::Write(write) => {
                let key = write.key.encode().into_bytes();
                self.at_key(table, &key, &request).await
            }
            ItemRequest::Get(get, _) => {
                let key = get.key.encode().into_bytes();
                self.at_key(table, &key, &request).await
            }
            ItemRequest::Page(page, strong) => {
                self.page(table, PageRequest::clone(page), *strong).await.map(ItemAnswer::Page)
            }
            ItemRequest::Replicate(..)
            | ItemRequest::Feed(_)
            | ItemRequest::Transact(_)
            | ItemRequest::Stamped(_)
            | ItemRequest::Token(_)
            | ItemRequest::Lease(_)
            | ItemRequest::Changes(..) => return Err(Refused::Elsewhere),
        };
        done.map_err(|error| match error {
            ItemError::Unavailable | ItemError::NoTable => Refused::Retry,
            ItemError::NoRoom => Refused::NoRoom,
            ItemError::Unknown => Refused::Unknown,
            ItemError::Broken(why) => Refused::Broken(why),
        })
    }

    /// Runs a request on a replica of this node; what a freeze holds goes to the target region.
    pub(super) async fn serve_here(
        &self,
        hosted: &HostedPartition,
        request: ItemRequest,
    ) -> Result<ItemAnswer, Refused> {
        if !request.reads() && self.room.refuses() && hosted.group.leading().is_some() {
            return Err(Refused::NoRoom);
        }
        let kept = request.clone();
        // Of what is kept in memory only the leader's counts.
        let leads = || match hosted.group.leading() {
            Some(_) => Ok(()),
            None => Err(Refused::NotLeader { hint: hosted.group.leader() }),
        };
        if let ItemRequest::Token(used) = &request {
            leads()?;
            return Ok(ItemAnswer::Token(self.tokens.note(hosted.spec.partition, used)));
        }
        if let ItemRequest::Lease(lease) = &request {
            leads()?;
            return Ok(ItemAnswer::Leased(self.buckets.give(hosted.spec.partition, *lease)));
        }
        match on_replica(hosted, request).await {
            Err(Refused::Held(freeze)) => self.forward(hosted, freeze, kept).await,
            answer => answer,
        }
    }

    async fn forward(
        &self,
        hosted: &HostedPartition,
        freeze: Freeze,
        request: ItemRequest,
    ) -> Result<ItemAnswer, Refused> {
        match request {
            ItemRequest::Write(_) | ItemRequest::Get(..) | ItemRequest::Page(..) => {}
            // A transaction is not moved to another region: its client asks again there.
            ItemRequest::Replicate(..)
            | ItemRequest::Feed(_)
            | ItemRequest::Transact(_)
            | ItemRequest::Stamped(_)
            | ItemRequest::Token(_)
            | ItemRequest::Lease(_)
            | ItemRequest::Changes(..) => return Err(Refused::Retry),
        }
        let drained = self.gate.drained(hosted.spec.partition, &freeze);
        if rt::timeout(REQUEST_LIMIT, drained).await.is_err() {
            return Err(Refused::Retry);
        }
        let message = encode_request(Destination::Table(hosted.spec.table), &request);
        let message = Bytes::from(message);
        for node in self.gate.nodes_of(&freeze) {
            match self.peers.call(node, Kind::Item, message.clone(), CALL_LIMIT).await {
                Ok(bytes) => {
                    return decode_answer(&bytes).map_or(Err(Refused::Unknown), |a| a.answer);
                }
                Err(CallError::NotSent | CallError::Refused(_)) => {}
                Err(CallError::Unknown) if request.reads() => {}
                Err(CallError::Unknown) => return Err(Refused::Unknown),
            }
        }
        rt::sleep(PAUSE_MAX).await;
        Err(Refused::Retry)
    }
}
