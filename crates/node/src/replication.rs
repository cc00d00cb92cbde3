//! Changes between regions.
//!
//! The leader of a partition runs a [`source`]: one [`feed`] for each other region that has a
//! replica of the table. A feed first copies what the partition holds ([`copy`]), if the region is
//! new to it, then follows the change log. Any node of the target region [`receive`]s and brings
//! each change to its own partition there. [`progress`] is what this node knows of both ends.
//!
//! # Invariants
//!
//! - Only a replica that leads sends, and only changes that its own region made.
//! - An acknowledgement leaves only when a quorum of every target partition has the changes.
//! - A closed version is announced to a region only once the copy for it is done: a region that
//!   heard one of every partition of a source is filled from that source.
//!
//! Tested by `cluster_tests`, which runs whole regions in one process.

pub mod copy;
pub mod feed;
pub mod housekeeping;
pub mod progress;
pub mod receive;
pub mod replicas;
pub mod source;

use crate::hosting::HostedPartition;
use crate::node::Node;
use bytes::Bytes;
use meridian_base::codec::{DecodeError, Reader, put_var};
use meridian_base::{NodeId, Position};
use meridian_geo::{Ack, ReplicationBatch};
use std::sync::Arc;

pub use receive::receive;

const FORMAT: u8 = 1;

/// Starts what a hosted partition sends while it leads.
pub fn start(node: &Arc<Node>, hosted: &Arc<HostedPartition>) {
    source::start(Arc::clone(node), Arc::clone(hosted));
}

/// A batch as it travels: with its place in a chain. A chain starts where everything before is
/// acknowledged; when one of its batches fails, the sender begins another.
#[derive(Debug, PartialEq, Eq)]
pub struct Parcel {
    /// The chain; unlike every other one.
    pub chain: u64,
    /// The number in the chain, from 0.
    pub number: u64,
    /// What is sent.
    pub batch: ReplicationBatch,
}

impl Parcel {
    /// The sent form.
    pub fn encode(&self) -> Bytes {
        let mut out = vec![FORMAT];
        put_var(&mut out, self.chain);
        put_var(&mut out, self.number);
        out.extend(self.batch.encode());
        Bytes::from(out)
    }

    /// Reads the sent form.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != FORMAT {
            return Err(DecodeError::Unknown("parcel format"));
        }
        let (chain, number) = (reader.var()?, reader.var()?);
        Ok(Parcel { chain, number, batch: ReplicationBatch::decode(reader.rest())? })
    }

    /// True for items that are copied: they follow nothing and announce nothing.
    pub fn is_copy(&self) -> bool {
        self.batch.upto == Position(0) && self.batch.closed.is_none()
    }
}

/// An acknowledgement as it travels: with the node to which the next batch is better sent.
#[derive(Debug, PartialEq, Eq)]
pub struct Receipt {
    /// What is committed.
    pub ack: Ack,
    /// The node that leads where the changes went; none where it is not known.
    pub better: Option<NodeId>,
}

impl Receipt {
    /// The sent form.
    pub fn encode(&self) -> Bytes {
        let mut out = vec![FORMAT];
        put_var(&mut out, self.better.map_or(0, |node| node.0));
        out.extend(self.ack.encode());
        Bytes::from(out)
    }

    /// Reads the sent form.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != FORMAT {
            return Err(DecodeError::Unknown("receipt format"));
        }
        let better = reader.var()?;
        let better = (better != 0).then_some(NodeId(better));
        Ok(Receipt { ack: Ack::decode(reader.rest())?, better })
    }
}
