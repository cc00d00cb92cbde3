//! Clients: they look for the leader by trying, write unique values, and write down what they saw.
//!
//! # Invariants
//!
//! - A call is tried again only when the node certainly did nothing, or said that it did nothing;
//!   everything else that is not an answer is unknown.

use crate::calls::{Told, call};
use crate::cluster::{Cluster, NODES};
use crate::dice::Dice;
use crate::plan::Plan;
use crate::requests::{self, Form};
use meridian_base::NodeId;
use meridian_checker::{Call, Operation, Reply, State, Value};
use meridian_node::hosting::HostedPartition;
use meridian_node::pipeline::Refused;
use meridian_partition::{Write, WriteOutcome};
use meridian_raft::rt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What all clients share.
pub struct Audience {
    /// The cluster.
    pub cluster: Arc<Cluster>,
    /// The plan.
    pub plan: Plan,
    /// When the run began.
    pub started: rt::Instant,
    /// What somebody last saw of each key, for conditions that have a chance.
    pub seen: Mutex<Vec<State>>,
    /// Set when the clients are to stop.
    pub stop: AtomicBool,
}

impl Audience {
    fn seen(&self, key: u32) -> State {
        let seen = self.seen.lock().expect("no holder panics");
        usize::try_from(key).ok().and_then(|key| seen.get(key).copied()).flatten()
    }

    fn saw(&self, key: u32, state: State) {
        let mut seen = self.seen.lock().expect("no holder panics");
        if let Some(slot) = usize::try_from(key).ok().and_then(|key| seen.get_mut(key)) {
            *slot = state;
        }
    }
}

/// How a call ended for its client.
enum Ended<T> {
    Answer(T),
    Failed,
    Unknown,
}

/// One client.
pub struct Client {
    audience: Arc<Audience>,
    number: u32,
    dice: Dice,
    at: NodeId,
    written: u64,
    patience: Duration,
}

impl Client {
    /// A client that waits so long for an answer.
    pub fn new(audience: Arc<Audience>, seed: u64, number: u32, patience: Duration) -> Client {
        let dice = Dice::new(seed, 1000 + u64::from(number));
        Client { audience, number, dice, at: NODES[0], written: 0, patience }
    }

    /// Calls until it is told to stop.
    pub async fn run(mut self) {
        while !self.audience.stop.load(Ordering::Relaxed) {
            self.one().await;
            let pause = self.dice.below(self.audience.plan.pause_ms_max + 1);
            rt::sleep(Duration::from_millis(pause)).await;
        }
    }

    /// Makes one call of any kind.
    async fn one(&mut self) {
        let keys = u64::from(self.audience.plan.keys);
        let key = u32::try_from(self.dice.below(keys)).unwrap_or(0);
        match self.dice.below(100) {
            0..25 => self.get(key).await,
            25..30 => self.page().await,
            30..50 => self.write(key, false).await,
            50..55 => self.delete(key).await,
            _ => self.write(key, true).await,
        }
    }

    fn value(&mut self) -> Value {
        self.written += 1;
        Value(u64::from(self.number) * 1_000_000 + self.written)
    }

    fn form(&mut self) -> Form {
        if self.dice.chance(500) { Form::Put } else { Form::Update }
    }

    /// What a condition asks for: mostly what was seen last, sometimes what was never there.
    fn expected(&mut self, key: u32) -> State {
        match self.dice.below(10) {
            0 => None,
            1 => Some(Value(1)),
            _ => self.audience.seen(key),
        }
    }

    /// Writes a new value, on a condition or not.
    pub async fn write(&mut self, key: u32, conditional: bool) {
        let (new, form) = (Some(self.value()), self.form());
        if conditional {
            let expected = self.expected(key);
            // A delete only sometimes: it makes the key's history harder to tell apart.
            let new = if self.dice.chance(50) { None } else { new };
            let write = requests::write_if(key, expected, new, form);
            self.record(key, Call::PutIf { expected, new }, write).await;
        } else {
            self.record(key, Call::Put(new), requests::write(key, new, form)).await;
        }
    }

    async fn delete(&mut self, key: u32) {
        self.record(key, Call::Put(None), requests::write(key, None, Form::Put)).await;
    }

    async fn record(&mut self, key: u32, call: Call, write: Write) {
        let invoked = self.tick();
        let ended = self.ask(|hosted| {
            let write = write.clone();
            Box::pin(async move { hosted.write(write).await })
        });
        let reply = match ended.await {
            Ended::Answer(WriteOutcome::Done(_)) => Reply::Done,
            Ended::Answer(WriteOutcome::ConditionFailed { old, .. }) => {
                let held = old.as_ref().and_then(requests::value_of);
                self.audience.saw(key, held);
                Reply::Refused(Some(held))
            }
            Ended::Answer(WriteOutcome::Refused(refusal)) => {
                self.strange(format!("a valid write was refused: {refusal}"));
                Reply::Failed
            }
            // No transaction runs here.
            Ended::Answer(WriteOutcome::Conflict) => {
                self.strange("a write met a transaction".to_owned());
                Reply::Failed
            }
            Ended::Failed => Reply::Failed,
            Ended::Unknown => Reply::Unknown,
        };
        let operation =
            Operation { client: self.number, call, reply, invoked, completed: self.tick() };
        if let (Reply::Done, Some(state)) = (reply, operation.written()) {
            self.audience.saw(key, state);
        }
        self.audience.cluster.recorder.lock().histories.add(key, operation);
    }

    /// Reads a key with strong consistency; returns whether it was answered.
    pub async fn get(&mut self, key: u32) {
        let invoked = self.tick();
        let get = requests::get(key);
        let ended = self.ask(|hosted| {
            let get = get.clone();
            Box::pin(async move { hosted.get(&get, true).await })
        });
        let reply = match ended.await {
            Ended::Answer(found) => Reply::Got(found.item.as_ref().and_then(requests::value_of)),
            Ended::Failed | Ended::Unknown => Reply::Failed,
        };
        self.read(key, reply, invoked);
    }

    async fn page(&mut self) {
        let invoked = self.tick();
        let request = Arc::new(requests::page(self.dice.below(2) == 0));
        let ended = self.ask(|hosted| {
            let request = Arc::clone(&request);
            Box::pin(async move { hosted.page(&request, true).await })
        });
        let Ended::Answer(page) = ended.await else { return };
        for key in 0..self.audience.plan.keys {
            let item = page.items.iter().find(|item| requests::number_of(item) == Some(key));
            self.read(key, Reply::Got(item.and_then(requests::value_of)), invoked);
        }
    }

    fn read(&mut self, key: u32, reply: Reply, invoked: u64) {
        if let Reply::Got(state) = reply {
            self.audience.saw(key, state);
        }
        let completed = self.tick();
        let operation =
            Operation { client: self.number, call: Call::Get, reply, invoked, completed };
        self.audience.cluster.recorder.lock().histories.add(key, operation);
    }

    fn tick(&self) -> u64 {
        self.audience.cluster.recorder.lock().histories.tick(self.audience.started)
    }

    fn strange(&self, detail: String) {
        self.audience.cluster.recorder.violation("answers", detail);
    }

    fn elsewhere(&mut self, hint: Option<NodeId>) {
        let other = self.dice.pick(&NODES).unwrap_or(self.at);
        self.at = hint.filter(|hint| *hint != self.at).unwrap_or(other);
    }

    /// Asks node after node until one answers or patience ends.
    async fn ask<T: Send + 'static>(
        &mut self,
        ask: impl Fn(Arc<HostedPartition>) -> Pin<Box<dyn Future<Output = Result<T, Refused>> + Send>>,
    ) -> Ended<T> {
        let audience = Arc::clone(&self.audience);
        let deadline = rt::now() + self.patience;
        loop {
            let left = deadline.saturating_duration_since(rt::now());
            if left.is_zero() {
                return Ended::Failed;
            }
            match rt::timeout(left, call(&audience.cluster.net, self.at, &ask)).await {
                Err(_) => {
                    self.elsewhere(None);
                    return Ended::Unknown;
                }
                Ok(Told::Down) => self.elsewhere(None),
                Ok(Told::Answered(Ok(answer))) => return Ended::Answer(answer),
                Ok(Told::Answered(Err(refused))) => match refused {
                    Refused::NotLeader { hint } => self.elsewhere(hint),
                    Refused::Retry => {}
                    Refused::Unknown => return Ended::Unknown,
                    Refused::Held(_)
                    | Refused::Elsewhere
                    | Refused::NoRoom
                    | Refused::Broken(_) => {
                        self.strange(format!("node {} answered: {refused}", self.at));
                        return Ended::Unknown;
                    }
                },
            }
            let pause = self.dice.between(5, 60);
            rt::sleep(Duration::from_millis(pause)).await;
        }
    }
}
