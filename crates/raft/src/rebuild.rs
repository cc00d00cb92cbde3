//! Rebuilding a closed replica's state machine from a peer, where the log no longer reaches back.
//!
//! # Invariants
//!
//! - The vote and every entry that fits the peer's snapshot stay in the log: what this replica had
//!   acknowledged, it still has.
//! - A snapshot that ends before the log begins is refused: it would leave a hole.
//!
//! Tested by `group/tests.rs`, by every simulation seed that loses an engine behind a purged log,
//! and with damaged files by `meridian-node`.

use crate::codec::decode_snapshot_head;
use crate::log::NodeLog;
use crate::machine::{Applied, MachineError, StateMachine};
use crate::rt;
use crate::snapshot::Chunks;
use meridian_base::{GroupId, LogIndex};

/// Why a replica was not rebuilt.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The head is not one.
    #[error("the snapshot's head cannot be read")]
    Head,
    /// The peer is behind this replica's log: another peer, or this one later.
    #[error("the snapshot ends at {has:?}, and the log begins after {needs}")]
    TooOld {
        /// The last log index that it covers.
        has: Option<u64>,
        /// The last log index that it must cover.
        needs: u64,
    },
    /// It could not be installed.
    #[error(transparent)]
    Install(#[from] MachineError),
}

/// The last log index that a snapshot must cover before the group can be opened; none when the log
/// reaches back to what the state machine has.
pub fn missing_upto(log: &NodeLog, group: GroupId, machine: &dyn StateMachine) -> Option<LogIndex> {
    let purged = log.recovered_purge(group.to_u64()).map(LogIndex);
    let applied = machine.applied().at.map(|(_, index)| index);
    purged.filter(|purged| applied < Some(*purged))
}

/// Replaces what a closed replica's state machine holds by a peer's snapshot, which must cover
/// `upto`, and makes it durable. Gives the machine back with the log index that it is at.
pub async fn install(
    mut machine: Box<dyn StateMachine>,
    upto: LogIndex,
    head: &[u8],
    chunks: Chunks,
) -> (Box<dyn StateMachine>, Result<LogIndex, RebuildError>) {
    let meta = match decode_snapshot_head(head) {
        Ok((_, meta)) => meta,
        Err(_) => return (machine, Err(RebuildError::Head)),
    };
    let Some(at) = meta.last_log_id.filter(|id| id.index >= upto.0) else {
        let has = meta.last_log_id.map(|id| id.index);
        return (machine, Err(RebuildError::TooOld { has, needs: upto.0 }));
    };
    rt::blocking(move || {
        let done = machine.install(chunks, &Applied::of(&meta)).and_then(|()| machine.persist()());
        (machine, done.map(|()| LogIndex(at.index)).map_err(RebuildError::from))
    })
    .await
}
