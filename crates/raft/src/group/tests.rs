//! Three replicas over real log files and an in-process network.

use super::*;
use crate::log::LogOptions as WriterOptions;
use crate::machine::{Applied as Position, Committed, Content, MachineError};
use crate::network::{NetworkFuture, SendError};
use meridian_storage::{RealDisk, SegmentedLog};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

/// Keeps the applied commands in order.
#[derive(Default)]
struct Journal {
    shared: Arc<Mutex<(Vec<Bytes>, Position)>>,
}

impl StateMachine for Journal {
    fn applied(&self) -> Position {
        self.shared.lock().unwrap().1.clone()
    }

    fn apply(&mut self, entries: &[Committed]) -> Result<Vec<Vec<u8>>, MachineError> {
        let mut shared = self.shared.lock().unwrap();
        for entry in entries {
            shared.1.advance(entry);
            if let Content::Command(command) = &entry.content {
                shared.0.push(command.clone());
            }
        }
        Ok(entries.iter().map(|entry| entry.index.0.to_be_bytes().to_vec()).collect())
    }

    fn persist(&self) -> Box<dyn FnOnce() -> Result<(), MachineError> + Send> {
        Box::new(|| Ok(()))
    }

    fn chunks(&self) -> Result<Chunks, MachineError> {
        Ok(Box::new(self.shared.lock().unwrap().0.clone().into_iter().map(Ok)))
    }

    fn install(&mut self, chunks: Chunks, applied: &Position) -> Result<(), MachineError> {
        let commands = chunks.collect::<Result<_, _>>().map_err(|e| MachineError(e.to_string()))?;
        *self.shared.lock().unwrap() = (commands, applied.clone());
        Ok(())
    }
}

#[derive(Default)]
struct Wires {
    groups: Mutex<BTreeMap<NodeId, Group>>,
}

impl Wires {
    fn target(&self, to: NodeId) -> Result<Group, SendError> {
        let group = self.groups.lock().unwrap().get(&to).cloned();
        group.ok_or_else(|| SendError::Unreachable(format!("node {to} is down")))
    }
}

impl Network for Wires {
    fn call(
        &self,
        to: NodeId,
        _group: GroupId,
        message: Bytes,
        _limit: Duration,
    ) -> NetworkFuture<'_, Bytes> {
        Box::pin(
            async move { self.target(to)?.handle(&message).await.map_err(SendError::NoAnswer) },
        )
    }

    fn transfer(
        &self,
        to: NodeId,
        _group: GroupId,
        head: Bytes,
        chunks: Chunks,
    ) -> NetworkFuture<'_, Bytes> {
        Box::pin(async move {
            self.target(to)?.handle_snapshot(&head, chunks).await.map_err(SendError::NoAnswer)
        })
    }
}

type Applied = Arc<Mutex<(Vec<Bytes>, Position)>>;

async fn open(node: u64, dir: &Path, wires: &Arc<Wires>) -> (Group, Applied) {
    let disk = RealDisk::open(&dir.join(node.to_string())).unwrap();
    let (log, found) = SegmentedLog::open(Arc::new(disk), Default::default()).unwrap();
    let options =
        WriterOptions { fatal: Arc::new(|reason| panic!("{reason}")), simulated_sync: None };
    let machine = Journal::default();
    let shared = Arc::clone(&machine.shared);
    let group = Group::open(GroupOptions {
        node: NodeId(node),
        group: GroupId::Region,
        log: NodeLog::start(log, found, options),
        network: Arc::clone(wires) as Arc<dyn Network>,
        machine: Box::new(machine),
        timing: Timing::REGIONAL,
    })
    .await
    .unwrap();
    wires.groups.lock().unwrap().insert(NodeId(node), group.clone());
    (group, shared)
}

async fn leader_of(groups: &[&Group]) -> usize {
    let deadline = crate::rt::now() + Duration::from_secs(20);
    loop {
        if let Some(at) = groups.iter().position(|g| g.leading().is_some()) {
            return at;
        }
        assert!(crate::rt::now() < deadline, "no leader");
        crate::rt::sleep(Duration::from_millis(20)).await;
    }
}

/// A new leader refuses until a quorum has answered it: ask until it takes the command.
async fn accepted(group: &Group, command: &'static [u8]) {
    let deadline = crate::rt::now() + Duration::from_secs(20);
    loop {
        match group.propose(Bytes::from_static(command)).await {
            Ok(_) => return,
            Err(ProposeError::NotLeader { .. }) if crate::rt::now() < deadline => {
                crate::rt::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => panic!("never accepted: {error}"),
        }
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = crate::rt::now() + Duration::from_secs(20);
    while !holds() {
        assert!(crate::rt::now() < deadline, "never: {what}");
        crate::rt::sleep(Duration::from_millis(20)).await;
    }
}

fn commands(applied: &Applied) -> Vec<Bytes> {
    applied.lock().unwrap().0.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_survives_its_leader_and_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let wires = Arc::new(Wires::default());
    let mut replicas = Vec::new();
    for node in 1..=3 {
        replicas.push(open(node, dir.path(), &wires).await);
    }
    replicas[0].0.initialize(&[NodeId(1), NodeId(2), NodeId(3)]).await.unwrap();
    let groups: Vec<&Group> = replicas.iter().map(|r| &r.0).collect();
    let leader = leader_of(&groups).await;
    accepted(&replicas[leader].0, b"first").await;
    let term = replicas[leader].0.leading().unwrap();
    let mut proposals = Vec::new();
    for n in 0..100u8 {
        let command = Bytes::from(vec![n]);
        proposals.push(replicas[leader].0.propose_in_term(term, command).await.unwrap());
    }
    for proposal in proposals {
        proposal.wait().await.unwrap();
    }
    let mut sent = vec![Bytes::from_static(b"first")];
    sent.extend((0..100u8).map(|n| Bytes::from(vec![n])));
    assert_eq!(commands(&replicas[leader].1), sent, "in the order of the calls");

    let old = NodeId(leader as u64 + 1);
    wires.groups.lock().unwrap().remove(&old);
    replicas[leader].0.shutdown().await;
    let rest: Vec<&(Group, Applied)> =
        replicas.iter().enumerate().filter(|(i, _)| *i != leader).map(|(_, r)| r).collect();
    let next = leader_of(&[&rest[0].0, &rest[1].0]).await;
    accepted(&rest[next].0, b"after").await;
    rest[next].0.read_barrier().await.unwrap();
    assert_eq!(commands(&rest[next].1).len(), 102);
    drop(rest);

    let (again, applied) = open_again(replicas.remove(leader), old, dir.path(), &wires).await;
    until("the old leader catches up", || commands(&applied).len() == 102).await;
    assert!(again.status().running);
}

/// Opens a node's replica again once its old process state is gone.
async fn open_again(
    old: (Group, Applied),
    node: NodeId,
    dir: &Path,
    wires: &Arc<Wires>,
) -> (Group, Applied) {
    drop(old);
    until("the old log is let go", || RealDisk::open(&dir.join(node.to_string())).is_ok()).await;
    open(node.0, dir, wires).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_member_gets_a_snapshot_and_an_old_one_leaves() {
    let dir = tempfile::tempdir().unwrap();
    let wires = Arc::new(Wires::default());
    let (one, applied) = open(1, dir.path(), &wires).await;
    one.initialize(&[NodeId(1)]).await.unwrap();
    leader_of(&[&one]).await;
    for n in 0..50u8 {
        one.propose(Bytes::from(vec![n])).await.unwrap();
    }
    let upto = one.status().applied.unwrap();
    one.release(upto).await.unwrap();
    until("the log is purged", || one.log_bounds().0.is_some_and(|id| id.index == upto.0)).await;

    let (two, copied) = open(2, dir.path(), &wires).await;
    let both = BTreeSet::from([NodeId(1), NodeId(2)]);
    one.change_members(&both, &BTreeSet::new()).await.unwrap();
    until("the copy is equal", || commands(&copied) == commands(&applied)).await;

    assert!(one.step_down(Duration::from_secs(5)).await);
    let leader = leader_of(&[&two]).await;
    assert_eq!(leader, 0);
    two.change_members(&BTreeSet::from([NodeId(2)]), &BTreeSet::new()).await.unwrap();
    accepted(&two, b"alone").await;
    assert_eq!(two.status().voters, [NodeId(2)]);
    assert!(two.status().learners.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proposal_for_another_term_is_refused_before_it_enters_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let wires = Arc::new(Wires::default());
    let (one, applied) = open(1, dir.path(), &wires).await;
    one.initialize(&[NodeId(1)]).await.unwrap();
    leader_of(&[&one]).await;
    let term = one.leading().unwrap();
    let proposal = one.propose_in_term(term + 1, Bytes::from_static(b"no")).await.unwrap();
    assert!(matches!(proposal.wait().await, Err(ProposeError::NotLeader { .. })));
    one.propose(Bytes::from_static(b"yes")).await.unwrap();
    assert_eq!(commands(&applied), [Bytes::from_static(b"yes")]);
}
