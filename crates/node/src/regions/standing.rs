//! How the partitions of a region stand towards the other regions, as its nodes say.
//!
//! # Invariants
//!
//! - What is told is a fact when it is told: applied here, or acknowledged to this node.

use super::message::{Findings, HeardFrom, Led, RegionsAnswer, RegionsRequest, Standing};
use crate::control::message::{ControlAnswer, ControlRequest, decode, encode};
use crate::hosting::HostedPartition;
use crate::node::Node;
use crate::pipeline::{Order, Refused};
use bytes::Bytes;
use futures_util::future::join_all;
use meridian_base::codec::Reader as Decoder;
use meridian_base::{GroupId, NodeId, PartitionId, Position, Received, RegionId, TableId};
use meridian_partition::{PartitionError, Reader, findings};
use meridian_transport::Kind;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a node may take to answer.
const CALL_LIMIT: Duration = Duration::from_secs(1);
/// Records in one answer.
const FINDINGS_MAX: usize = 2_000;

/// What all nodes of a region say together.
#[derive(Debug, Clone, Default)]
pub struct RegionStanding {
    /// How many nodes answered.
    pub answered: usize,
    /// The region's partitions, with their tables.
    pub partitions: BTreeMap<PartitionId, TableId>,
    /// What their leaders say.
    pub led: BTreeMap<PartitionId, Led>,
    heard: BTreeMap<(TableId, RegionId, PartitionId), (Received, u64)>,
}

impl RegionStanding {
    fn of(answers: Vec<Standing>) -> Self {
        let mut whole = RegionStanding { answered: answers.len(), ..Self::default() };
        let newest = answers.iter().max_by_key(|standing| standing.applied);
        if let Some(newest) = newest {
            let ids = newest.partitions.iter();
            whole.partitions = ids.map(|(p, t)| (PartitionId(*p), TableId(*t))).collect();
        }
        for standing in answers {
            for led in standing.led {
                let known = whole.led.get(&led.partition());
                // Two may both believe that they lead: the later term is right.
                if known.is_none_or(|known| known.term < led.term) {
                    whole.led.insert(led.partition(), led);
                }
            }
            standing.heard.iter().for_each(|heard| whole.hear(heard));
        }
        whole
    }

    fn hear(&mut self, heard: &HeardFrom) {
        let Ok(received) = Received::decode(&mut Decoder::new(&heard.received)) else { return };
        let id = (TableId(heard.table), received.region, received.partition);
        let known = self.heard.get(&id);
        if known.is_none_or(|(known, _)| known.closed <= received.closed) {
            self.heard.insert(id, (received, heard.silent_ms));
        }
    }

    /// What the region heard of a table's partitions elsewhere.
    pub fn received_of(&self, table: TableId) -> Vec<Received> {
        let of_table = self.heard.iter().filter(|((known, ..), _)| *known == table);
        of_table.map(|(_, (received, _))| received.clone()).collect()
    }

    /// The tables and origin regions that it heard of.
    pub fn origins(&self) -> std::collections::BTreeSet<(TableId, u16)> {
        self.heard.keys().map(|(table, region, _)| (*table, region.number)).collect()
    }
}

impl Node {
    /// Asks a node about regions; this one too.
    pub(crate) async fn ask_regions(
        &self,
        to: NodeId,
        request: &RegionsRequest,
    ) -> Result<RegionsAnswer, String> {
        if to == self.id() {
            return self.answer_regions(request.clone()).await;
        }
        let message = Bytes::from(encode(&ControlRequest::Regions(request.clone())));
        let answer = self.peers.call(to, Kind::Control, message, CALL_LIMIT).await;
        match decode(&answer.map_err(|e| e.to_string())?) {
            Ok(ControlAnswer::Regions(answer)) => Ok(answer),
            Ok(_) => Err("the answer is of another kind than the question".into()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Answers a question about regions.
    pub(crate) async fn answer_regions(
        &self,
        request: RegionsRequest,
    ) -> Result<RegionsAnswer, String> {
        match request {
            RegionsRequest::GlobalIndex => {
                let group = self.hosting.group(GroupId::Global).ok_or("no such group here")?;
                if group.read_barrier().await.is_err() {
                    return Ok(RegionsAnswer::NotHere);
                }
                Ok(RegionsAnswer::Index(self.control.global_state().applied().0))
            }
            RegionsRequest::Clock => Ok(RegionsAnswer::Clock(self.options.clock.now_ms())),
            RegionsRequest::Standing => Ok(RegionsAnswer::Standing(Box::new(self.standing()))),
            RegionsRequest::Received { partition, received } => {
                let received = Received::decode(&mut Decoder::new(&received));
                let received = received.map_err(|e| e.to_string())?;
                let Some(hosted) = self.hosting.partition(PartitionId(partition)) else {
                    return Ok(RegionsAnswer::NotHere);
                };
                match hosted.order(Order::Received(received)).await {
                    Ok(_) => Ok(RegionsAnswer::Done),
                    Err(Refused::NotLeader { .. }) => Ok(RegionsAnswer::NotHere),
                    Err(refused) => Err(refused.to_string()),
                }
            }
            RegionsRequest::Findings { partition, which, from } => {
                let Some(hosted) = self.hosting.partition(PartitionId(partition)) else {
                    return Ok(RegionsAnswer::NotHere);
                };
                found(&hosted, which, from).map_err(|e| e.to_string())
            }
        }
    }

    fn standing(&self) -> Standing {
        let state = self.control.region_state();
        let exchange = &self.regions.exchange;
        let heard = exchange.heard().into_iter().map(|heard| {
            let mut received = Vec::new();
            heard.received.encode(&mut received);
            let silent_ms = u64::try_from(heard.silent.as_millis()).unwrap_or(u64::MAX);
            HeardFrom { table: heard.table.0, received, silent_ms }
        });
        let hosted = self.hosting.partitions();
        Standing {
            applied: state.applied().0,
            partitions: state.partitions().values().map(|p| (p.id.0, p.table.0)).collect(),
            led: hosted.iter().filter_map(|hosted| self.led(hosted)).collect(),
            heard: heard.collect(),
        }
    }

    fn led(&self, hosted: &HostedPartition) -> Option<Led> {
        let spec = &hosted.spec;
        let term = hosted.group.leading()?;
        // Before that it may lack what its predecessors acknowledged.
        self.regions.exchange.begun(spec.partition).filter(|begun| *begun == term)?;
        let (header, marks) = hosted.replica.state();
        let cursors = marks.cursors.iter().filter_map(|(reader, position)| match reader {
            Reader::Region(number) => Some((*number, position.0)),
            Reader::Stream
            | Reader::Index(_)
            | Reader::Archive
            | Reader::Backup
            | Reader::Copy(_) => None,
        });
        let mut acked: BTreeMap<u16, u64> = cursors.collect();
        for (region, progress) in self.regions.exchange.progress_of(spec.partition) {
            let known = acked.entry(region).or_default();
            *known = (*known).max(progress.acked.0);
        }
        // What is still being copied to a region is not there.
        for reader in marks.cursors.keys() {
            if let Reader::Copy(number) = reader {
                acked.remove(number);
            }
        }
        Some(Led {
            table: spec.table.0,
            partition: spec.partition.0,
            term,
            node: self.id().0,
            start: spec.range.start.clone(),
            end: spec.range.end.clone(),
            position: header.position.0,
            frozen_at: marks.freeze.map(|freeze| (freeze.position.0, freeze.epoch)),
            acked,
        })
    }

    /// Asks every node of a region how it stands.
    pub(crate) async fn standing_of(&self, region: &str) -> RegionStanding {
        let global = self.control.global_state();
        let asked = global.nodes_of(region).map(|(id, _)| async move {
            match self.ask_regions(id, &RegionsRequest::Standing).await {
                Ok(RegionsAnswer::Standing(standing)) => Some(*standing),
                Ok(_) | Err(_) => None,
            }
        });
        RegionStanding::of(join_all(asked).await.into_iter().flatten().collect())
    }

    /// All records of a partition of any region; `holders` are asked in turn.
    pub(crate) async fn findings(
        &self,
        partition: PartitionId,
        holders: &[NodeId],
        which: Findings,
    ) -> Result<Vec<Vec<u8>>, String> {
        let mut last = format!("partition {partition} has no replica");
        'holders: for holder in holders {
            let (mut all, mut from) = (Vec::new(), 0);
            loop {
                let request = RegionsRequest::Findings { partition: partition.0, which, from };
                match self.ask_regions(*holder, &request).await {
                    Ok(RegionsAnswer::Findings { records, next }) => {
                        all.extend(records.into_iter().map(|(_, record)| record));
                        match next {
                            Some(next) => from = next,
                            None => return Ok(all),
                        }
                    }
                    Ok(_) => continue 'holders,
                    Err(why) => {
                        last = format!("node {holder}: {why}");
                        continue 'holders;
                    }
                }
            }
        }
        Err(last)
    }
}

fn found(
    hosted: &HostedPartition,
    which: Findings,
    from: u64,
) -> Result<RegionsAnswer, PartitionError> {
    let view = hosted.engine.view()?;
    let records: Vec<(u64, Vec<u8>)> = match which {
        Findings::Conflicts => {
            let found = findings::conflicts(view.as_ref(), &hosted.spec, from, FINDINGS_MAX)?;
            found.into_iter().map(|(number, record)| (number, record.encode())).collect()
        }
        Findings::Stranded => {
            let found = findings::stranded(view.as_ref(), &hosted.spec, from, FINDINGS_MAX)?;
            found.into_iter().map(|(number, record)| (number, record.encode())).collect()
        }
    };
    let is_full = records.len() == FINDINGS_MAX;
    let next = records.last().filter(|_| is_full).map(|(number, _)| number.saturating_add(1));
    Ok(RegionsAnswer::Findings { records, next })
}

impl Led {
    /// The positions that regions have acknowledged.
    pub fn cursors(&self) -> BTreeMap<u16, Position> {
        self.acked.iter().map(|(region, position)| (*region, Position(*position))).collect()
    }
}
