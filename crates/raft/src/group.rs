//! One replica of one group: what the node asks of it.
//!
//! # Invariants
//!
//! - Proposals of one caller through [`Group::propose_in_term`] enter the log in the order of the
//!   calls, and only in that term.
//! - `Unknown` is never turned into `NotLeader`: an entry that may be in some log may be applied.
//!
//! Tested by `group/tests.rs` and every simulation seed.

use crate::codec::{
    Request, Response, decode_request, decode_snapshot_head, encode_response, encode_snapshot_head,
    encode_snapshot_response,
};
use crate::group_log::GroupLog;
use crate::log::NodeLog;
use crate::machine::{Machine, StateMachine};
use crate::network::{Links, Network};
use crate::rt;
use crate::snapshot::{Chunks, GroupSnapshot, SnapshotData};
use crate::types::{CommittedLeader, Config, LogId, Payload, StoredMembership};
use bytes::Bytes;
use meridian_base::codec::DecodeError;
use meridian_base::{GroupId, LogIndex, NodeId};
use openraft::errors::{
    ClientWriteError, Fatal, InitializeError, LinearizableReadError, RaftError,
};
use openraft::impls::{EmptyNode, ProgressResponder};
use openraft::raft::ClientWriteResult;
use openraft::{ChangeMembers, ReadPolicy, SnapshotPolicy};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

type Raft = openraft::Raft<Config, Machine>;
type Done = openraft::alias::OneshotReceiverOf<Config, ClientWriteResult<Config>>;

/// Entries between two points at which the engine is made durable and the log may be purged.
const SNAPSHOT_ENTRIES: u64 = 4096;
/// Entries kept behind a purge point, so that a member that was away shortly needs no snapshot.
const KEPT_ENTRIES: u64 = 8192;
/// Entries by which a member must lag to get a snapshot instead.
const LAG_ENTRIES_MAX: u64 = 32768;

/// How long [`Group::change_members`] insists.
const MEMBERS_LIMIT: Duration = Duration::from_secs(10);
/// Between two of its attempts.
const MEMBERS_PAUSE: Duration = Duration::from_millis(50);
/// How long [`Group::release`] waits for the engine.
const RELEASE_LIMIT: Duration = Duration::from_secs(30);

/// How fast a group notices a dead leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Between two heartbeats, ms.
    pub heartbeat_ms: u64,
    /// Shortest election timeout, ms.
    pub election_ms_min: u64,
    /// Longest election timeout, ms.
    pub election_ms_max: u64,
}

impl Timing {
    /// For groups within a region.
    pub const REGIONAL: Timing =
        Timing { heartbeat_ms: 150, election_ms_min: 300, election_ms_max: 500 };
    /// For the global group, whose members are a wide-area round trip apart.
    pub const GLOBAL: Timing =
        Timing { heartbeat_ms: 400, election_ms_min: 1000, election_ms_max: 1500 };

    fn config(self, group: GroupId) -> openraft::Config {
        openraft::Config {
            cluster_name: group.to_string(),
            heartbeat_interval: self.heartbeat_ms,
            election_timeout_min: self.election_ms_min,
            election_timeout_max: self.election_ms_max,
            enable_pre_vote: Some(true),
            enable_leader_restore: Some(false),
            snapshot_policy: SnapshotPolicy::LogsSinceLast(SNAPSHOT_ENTRIES),
            max_in_snapshot_log_to_keep: KEPT_ENTRIES,
            replication_lag_threshold: LAG_ENTRIES_MAX,
            api_channel_size: Some(4096),
            notification_channel_size: Some(4096),
            state_machine_channel_size: Some(256),
            ..openraft::Config::default()
        }
    }
}

/// What a replica is opened with.
pub struct GroupOptions {
    /// This node.
    pub node: NodeId,
    /// The group.
    pub group: GroupId,
    /// The node's log.
    pub log: NodeLog,
    /// Carries messages to the other members.
    pub network: Arc<dyn Network>,
    /// What the group replicates.
    pub machine: Box<dyn StateMachine>,
    /// How fast it notices a dead leader.
    pub timing: Timing,
}

/// Why a replica did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its stored log or position cannot be read.
    #[error("the stored state of the group cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    /// The engine is older than the log reaches back: a peer's snapshot is needed.
    #[error("the engine holds up to {applied:?}, but the log begins after {purged:?}")]
    Behind {
        /// What the engine has applied.
        applied: Option<u64>,
        /// What the log no longer holds.
        purged: Option<u64>,
    },
    /// openraft refused to start.
    #[error("the group does not start: {0}")]
    Raft(String),
}

/// Why a proposal has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// It was refused before it entered any log: safe to send to the leader named.
    #[error("not the leader")]
    NotLeader {
        /// The leader, where it is known.
        hint: Option<NodeId>,
    },
    /// It may be applied, now or later, or never.
    #[error("the outcome is unknown")]
    Unknown,
    /// The change of members cannot be made now.
    #[error("the members cannot be changed: {0}")]
    Members(String),
}

/// A proposal that a quorum has and this replica applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposed {
    /// Its log index.
    pub index: LogIndex,
    /// What the state machine answered.
    pub answer: Vec<u8>,
}

/// A proposal under way.
pub struct Proposal(Done);

impl Proposal {
    /// Waits until it is applied here, or known to be refused, or unknown.
    pub async fn wait(self) -> Result<Proposed, ProposeError> {
        match self.0.await {
            Ok(Ok(done)) => {
                Ok(Proposed { index: LogIndex(done.log_id.index), answer: done.data.0 })
            }
            Ok(Err(error)) => Err(propose_error(error)),
            Err(_) => Err(ProposeError::Unknown),
        }
    }
}

fn propose_error(error: ClientWriteError<Config>) -> ProposeError {
    match error {
        ClientWriteError::ForwardToLeader(f) => {
            ProposeError::NotLeader { hint: f.leader_id.map(NodeId) }
        }
        ClientWriteError::LogEntryDiscarded(_) => ProposeError::Unknown,
        ClientWriteError::ChangeMembershipError(e) => ProposeError::Members(e.to_string()),
        ClientWriteError::PreconditionFailed(e) => ProposeError::Members(e.to_string()),
    }
}

fn raft_error(error: RaftError<Config, ClientWriteError<Config>>) -> ProposeError {
    match error {
        RaftError::APIError(error) => propose_error(error),
        RaftError::Fatal(_) => ProposeError::Unknown,
    }
}

/// What a replica knows of its group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupStatus {
    /// The current term.
    pub term: u64,
    /// The leader, where one is known.
    pub leader: Option<NodeId>,
    /// The term in which this replica leads and may propose.
    pub leading: Option<u64>,
    /// The last applied log index.
    pub applied: Option<LogIndex>,
    /// The last log index in this replica's log.
    pub last: Option<LogIndex>,
    /// Members that vote.
    pub voters: Vec<NodeId>,
    /// The voters; twice, old then new, while a change of voters is under way.
    pub configs: Vec<BTreeSet<NodeId>>,
    /// Members that do not.
    pub learners: Vec<NodeId>,
    /// True when these members are committed and applied here: a change of them is not under way.
    pub members_settled: bool,
    /// For the leader: what each member has, by log index.
    pub matched: BTreeMap<NodeId, LogIndex>,
    /// False when the replica has stopped for good.
    pub running: bool,
}

/// A replica that is being opened.
pub type Opening = Pin<Box<dyn Future<Output = Result<Group, OpenError>> + Send>>;

/// One replica of one group. Clones share it.
#[derive(Clone)]
pub struct Group {
    id: GroupId,
    node: NodeId,
    raft: Raft,
    log: GroupLog,
}

impl Group {
    /// Opens a replica and starts it.
    ///
    /// # Errors
    ///
    /// [`OpenError::Behind`] when the engine must first be rebuilt from a peer ([`crate::rebuild`]).
    pub fn open(options: GroupOptions) -> Opening {
        // Boxed here, so that openraft is compiled with this crate and not again with every caller.
        Box::pin(Group::open_now(options))
    }

    async fn open_now(options: GroupOptions) -> Result<Group, OpenError> {
        let GroupOptions { node, group, log, network, machine, timing } = options;
        let found = log.recovered(group.to_u64());
        let node_log = log.clone();
        let log = GroupLog::open(group, log, found)?;
        let machine = Machine::new(machine);
        let (position, _) = machine.position()?;
        let (applied, purged) = (position.map(|id| id.index), log.purged().map(|id| id.index));
        if applied < purged {
            return Err(OpenError::Behind { applied, purged });
        }
        log.fit(position).await;
        let config = timing.config(group).validate().map_err(|e| OpenError::Raft(e.to_string()))?;
        let links = Links { group, network };
        let raft = Raft::new(node.0, Arc::new(config), links, log.clone(), machine)
            .await
            .map_err(|e| OpenError::Raft(e.to_string()))?;
        node_log.opened(group.to_u64());
        Ok(Group { id: group, node, raft, log })
    }

    /// The group.
    pub fn id(&self) -> GroupId {
        self.id
    }

    /// Gives a group that never had members its first voters; other members are caught up by the
    /// leader. A group that has members keeps them.
    pub async fn initialize(&self, voters: &[NodeId]) -> Result<(), String> {
        let members: BTreeMap<u64, EmptyNode> =
            voters.iter().map(|id| (id.0, EmptyNode {})).collect();
        match self.raft.initialize(members).await {
            Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// True when the group never had members here.
    pub fn is_pristine(&self) -> bool {
        self.log.is_pristine()
    }

    /// What this replica knows now.
    pub fn status(&self) -> GroupStatus {
        let metrics =
            openraft::async_runtime::WatchReceiver::borrow_watched(&self.raft.metrics()).clone();
        let membership: &StoredMembership = &metrics.membership_config;
        let matched = metrics.replication.unwrap_or_default();
        GroupStatus {
            term: metrics.current_term,
            leader: metrics.current_leader.map(NodeId),
            leading: self.leading(),
            applied: metrics.last_applied.map(|id| LogIndex(id.index)),
            last: metrics.last_log_index.map(LogIndex),
            voters: membership.voter_ids().map(NodeId).collect(),
            configs: membership
                .get_joint_config()
                .iter()
                .map(|config| config.iter().copied().map(NodeId).collect())
                .collect(),
            learners: membership.membership().learner_ids().map(NodeId).collect(),
            members_settled: *membership.log_id() <= metrics.last_applied,
            matched: matched
                .into_iter()
                .filter_map(|(node, id)| Some((NodeId(node), LogIndex(id?.index))))
                .collect(),
            running: metrics.running_state.is_ok(),
        }
    }

    /// The term in which this replica leads; none when it does not.
    ///
    /// Read from the channel that [`Group::watch`] follows: openraft tells its other channel later,
    /// and whoever was woken would still see what was before, and would not be woken again.
    pub fn leading(&self) -> Option<u64> {
        let metrics = self.raft.server_metrics();
        let vote = openraft::async_runtime::WatchReceiver::borrow_watched(&metrics).vote;
        let leads = vote.committed && vote.leader_id.voted_for == self.node.0;
        leads.then_some(vote.leader_id.term)
    }

    /// The leader, where one is known.
    pub fn leader(&self) -> Option<NodeId> {
        let metrics = self.raft.server_metrics();
        let leader =
            openraft::async_runtime::WatchReceiver::borrow_watched(&metrics).current_leader;
        leader.map(NodeId)
    }

    /// Resolves when leadership, term or membership may have changed; an error means that the
    /// replica has stopped.
    pub async fn changed(&self) -> Result<(), ()> {
        let mut metrics = self.raft.server_metrics();
        openraft::async_runtime::WatchReceiver::changed(&mut metrics).await.map_err(|_| ())
    }

    /// A watcher of leadership; unlike [`Group::changed`] it misses nothing between two calls.
    pub fn watch(&self) -> GroupWatch {
        GroupWatch { metrics: self.raft.server_metrics() }
    }

    /// Proposes bytes and waits for the state machine's answer.
    pub async fn propose(&self, command: Bytes) -> Result<Proposed, ProposeError> {
        let done = self.raft.client_write(Payload(command)).await.map_err(raft_error)?;
        Ok(Proposed { index: LogIndex(done.log_id.index), answer: done.data.0 })
    }

    /// Proposes bytes only while this replica leads in `term`; returns when they are queued.
    pub async fn propose_in_term(
        &self,
        term: u64,
        command: Bytes,
    ) -> Result<Proposal, ProposeError> {
        rt::preempt().await;
        let (responder, done) = ProgressResponder::complete_only();
        let request = self.raft.write(Payload(command));
        let request = request.with_leader(CommittedLeader::new(term)).responder(responder);
        request.await.map_err(|_: Fatal<Config>| ProposeError::Unknown)?;
        Ok(Proposal(done))
    }

    /// Returns when this replica has applied everything that any leader had acknowledged before
    /// the call (one ReadIndex round).
    pub async fn read_barrier(&self) -> Result<(), ProposeError> {
        match self.raft.ensure_linearizable(ReadPolicy::ReadIndex).await {
            Ok(_) => Ok(()),
            Err(RaftError::APIError(error)) => {
                let hint = match error {
                    LinearizableReadError::ForwardToLeader(f) => f.leader_id.map(NodeId),
                    LinearizableReadError::QuorumNotEnough(_) => None,
                };
                Err(ProposeError::NotLeader { hint })
            }
            Err(RaftError::Fatal(_)) => Err(ProposeError::NotLeader { hint: None }),
        }
    }

    /// Answers a message of another member.
    ///
    /// # Errors
    ///
    /// Bytes that are no message, or a replica that has stopped.
    pub async fn handle(&self, message: &[u8]) -> Result<Bytes, String> {
        let request = decode_request(message).map_err(|e: DecodeError| e.to_string())?;
        let stopped = |e: RaftError<Config>| e.to_string();
        let response = match request {
            Request::Append(rpc) => {
                Response::Append(self.raft.append_entries(rpc).await.map_err(stopped)?)
            }
            Request::Vote(rpc) => Response::Vote(self.raft.vote(rpc).await.map_err(stopped)?),
            Request::PreVote(rpc) => {
                Response::Vote(self.raft.pre_vote(rpc).await.map_err(stopped)?)
            }
            Request::Transfer(rpc) => {
                let taken = self.raft.handle_transfer_leader(rpc).await;
                Response::Transfer(matches!(taken, Ok(Ok(()))))
            }
        };
        Ok(Bytes::from(encode_response(&response)))
    }

    /// Opens a snapshot of what is applied here, for a member that must be rebuilt: head and chunks.
    ///
    /// # Errors
    ///
    /// Nothing is applied yet, or the replica has stopped.
    pub async fn snapshot(&self) -> Result<(Bytes, Chunks), String> {
        let snapshot = self.raft.get_snapshot().await.map_err(|e| e.to_string())?;
        let snapshot = snapshot.ok_or("nothing is applied yet")?;
        let vote =
            openraft::async_runtime::WatchReceiver::borrow_watched(&self.raft.metrics()).vote;
        let head = Bytes::from(encode_snapshot_head(&vote, &snapshot.meta));
        Ok((head, snapshot.snapshot.take()))
    }

    /// Installs a snapshot that the leader sent.
    pub async fn handle_snapshot(&self, head: &[u8], chunks: Chunks) -> Result<Bytes, String> {
        let (vote, meta) = decode_snapshot_head(head).map_err(|e| e.to_string())?;
        let snapshot = GroupSnapshot { meta, snapshot: SnapshotData::new(chunks) };
        let done = self.raft.install_full_snapshot(vote, snapshot).await;
        Ok(Bytes::from(encode_snapshot_response(&done.map_err(|e| e.to_string())?)))
    }

    /// Makes `voters` and `learners` the members, in as many steps as that takes; members that are
    /// to vote are caught up first.
    ///
    /// A leader refuses for a moment while a new voter has not answered yet; that is tried again
    /// for [`MEMBERS_LIMIT`], from what the members then are.
    pub async fn change_members(
        &self,
        voters: &BTreeSet<NodeId>,
        learners: &BTreeSet<NodeId>,
    ) -> Result<(), ProposeError> {
        let deadline = rt::now() + MEMBERS_LIMIT;
        loop {
            match self.change_members_once(voters, learners).await {
                Err(ProposeError::NotLeader { hint })
                    if hint.is_none_or(|h| h == self.node)
                        && self.leading().is_some()
                        && rt::now() < deadline =>
                {
                    rt::sleep(MEMBERS_PAUSE).await;
                }
                done => return done,
            }
        }
    }

    async fn change_members_once(
        &self,
        voters: &BTreeSet<NodeId>,
        learners: &BTreeSet<NodeId>,
    ) -> Result<(), ProposeError> {
        let status = self.status();
        let known: BTreeSet<NodeId> =
            status.voters.iter().chain(&status.learners).copied().collect();
        for node in voters.iter().filter(|n| !known.contains(n)) {
            self.raft.add_learner(node.0, EmptyNode {}, true).await.map_err(raft_error)?;
        }
        for node in learners.iter().filter(|n| !known.contains(n)) {
            self.raft.add_learner(node.0, EmptyNode {}, false).await.map_err(raft_error)?;
        }
        let now: BTreeSet<NodeId> = status.voters.iter().copied().collect();
        if &now != voters {
            let ids: BTreeSet<u64> = voters.iter().map(|n| n.0).collect();
            let change = ChangeMembers::ReplaceAllVoters(ids);
            self.raft.change_membership(change, true).await.map_err(raft_error)?;
        }
        let gone: BTreeSet<u64> = known
            .iter()
            .filter(|n| !voters.contains(n) && !learners.contains(n))
            .map(|n| n.0)
            .collect();
        if !gone.is_empty() {
            let change = ChangeMembers::RemoveNodes(gone);
            self.raft.change_membership(change, false).await.map_err(raft_error)?;
        }
        Ok(())
    }

    /// Adds a member that does not vote; does not wait for it to catch up.
    pub async fn add_learner(&self, node: NodeId) -> Result<(), ProposeError> {
        self.raft.add_learner(node.0, EmptyNode {}, false).await.map(|_| ()).map_err(raft_error)
    }

    /// Makes these the voters, by a joint change.
    pub async fn change_voters(
        &self,
        voters: &BTreeSet<NodeId>,
        retain: bool,
    ) -> Result<(), ProposeError> {
        let change = ChangeMembers::ReplaceAllVoters(voters.iter().map(|n| n.0).collect());
        self.raft.change_membership(change, retain).await.map(|_| ()).map_err(raft_error)
    }

    /// Takes away a member that does not vote.
    pub async fn remove_learner(&self, node: NodeId) -> Result<(), ProposeError> {
        let change = ChangeMembers::RemoveNodes(BTreeSet::from([node.0]));
        self.raft.change_membership(change, false).await.map(|_| ()).map_err(raft_error)
    }

    /// Asks another voter to take over.
    pub async fn hand_over(&self, to: NodeId) -> Result<(), String> {
        self.raft.trigger().transfer_leader(to.0).await.map_err(|e| e.to_string())
    }

    /// Hands over to the voter that is furthest, and waits until it leads or `limit` has passed.
    /// True when this replica does not lead any more.
    pub async fn step_down(&self, limit: Duration) -> bool {
        let status = self.status();
        if status.leading.is_none() {
            return true;
        }
        let best = status
            .voters
            .iter()
            .filter(|n| **n != self.node)
            .max_by_key(|n| status.matched.get(n).copied());
        let Some(best) = best else { return false };
        self.hand_over_and_wait(*best, limit).await.is_ok()
    }

    /// Asks another voter to take over, and waits until this replica does not lead any more, or
    /// `limit` has passed.
    pub async fn hand_over_and_wait(&self, to: NodeId, limit: Duration) -> Result<(), String> {
        self.hand_over(to).await?;
        let mut watch = self.watch();
        let gone = async {
            while self.leading().is_some() {
                if watch.changed().await.is_err() {
                    return;
                }
            }
        };
        rt::timeout(limit, gone).await.map_err(|late| late.to_string())
    }

    /// Makes the engine durable and lets the log be purged up to `upto`, which is applied.
    ///
    /// # Errors
    ///
    /// The replica has stopped, or the engine was not durable within [`RELEASE_LIMIT`].
    pub async fn release(&self, upto: LogIndex) -> Result<(), String> {
        let trigger = self.raft.trigger();
        trigger.snapshot().await.map_err(|e| e.to_string())?;
        let covered =
            |m: &openraft::RaftMetrics<Config>| m.snapshot.is_some_and(|id| id.index >= upto.0);
        let wait = self.raft.wait(Some(RELEASE_LIMIT));
        wait.metrics(covered, "the log is covered").await.map_err(|e| e.to_string())?;
        trigger.purge_log(upto.0).await.map_err(|e| e.to_string())
    }

    /// The only voter of a group waits for nobody: it leads at once instead of after an election
    /// timeout.
    pub async fn elect_if_alone(&self) {
        let status = self.status();
        if status.voters == [self.node] && status.leading.is_none() {
            let _ = self.elect().await;
        }
    }

    /// Asks for an election at once.
    pub async fn elect(&self) -> Result<(), String> {
        self.raft.trigger().elect(true).await.map_err(|e| e.to_string())
    }

    /// Stops the replica. Its log stays.
    pub async fn shutdown(&self) {
        let _ = self.raft.shutdown().await;
    }

    /// Stops the replica and drops its log.
    pub async fn remove(&self) -> Result<(), String> {
        self.shutdown().await;
        self.log.forget().await
    }

    /// The purge point and the last entry of the log.
    pub fn log_bounds(&self) -> (Option<LogId>, Option<LogId>) {
        (self.log.purged(), self.log.last())
    }
}

/// Watches leadership of one replica.
pub struct GroupWatch {
    metrics: openraft::alias::WatchReceiverOf<Config, openraft::metrics::RaftServerMetrics<Config>>,
}

impl GroupWatch {
    /// Resolves at the next change; an error means that the replica has stopped.
    pub async fn changed(&mut self) -> Result<(), ()> {
        openraft::async_runtime::WatchReceiver::changed(&mut self.metrics).await.map_err(|_| ())
    }
}

#[cfg(test)]
mod tests;
