//! The pipeline of one partition: one task, which leads while its replica does.
//!
//! It drains its queue, evaluates each request against what was decided before, seals the drain
//! into one command, proposes it, and answers when the command was applied and accepted.
//!
//! # Invariants
//!
//! - A pipeline evaluates only between its accepted `Begin` and the first command of its
//!   incarnation that is not accepted.
//! - An answer leaves when the last decision that it depends on is applied; one that writes nothing
//!   also waits until leadership was confirmed after its request arrived.
//! - `Unknown` goes to the client as it is; only what was refused before it entered a log, or was
//!   fenced, is tried again.
//!
//! Tested by `pipeline/tests.rs` and every simulation seed.

mod settle;
mod work;

pub use work::{Order, Refused, Reply, TableSettings, Work};

use crate::barrier::Barrier;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use meridian_base::{Clock, Hlc, Incarnation, Sequence};
use meridian_partition::{ApplyOutcome, Command, Evaluated, Evaluator, Header, PartitionError};
use meridian_raft::{Group, Proposal, ProposeError, Proposed, rt};
use settle::{Answers, Settled, settle_later};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Requests that may wait for a pipeline.
pub const QUEUE_MAX: usize = 4096;
/// Requests evaluated into one command.
const DRAIN_REQUESTS_MAX: usize = 512;
/// Bytes of mutations in one command, about.
const DRAIN_BYTES_MAX: usize = 1024 * 1024;
/// Commands under way at once.
const IN_FLIGHT_MAX: usize = 8;
/// How far clocks of a region may be apart before a node gives up its leaderships; a new
/// incarnation's floor stands above what a predecessor with such a clock may have promised, and no
/// commit time is closed before it is over on such a clock. It is no setting: a leader reckons with
/// the clocks that other nodes were allowed, so that all must be allowed the same.
pub const CLOCK_APART_MS_MAX: u64 = 250;
/// How often parked changes are looked at.
const UNPARK_EVERY: Duration = Duration::from_millis(100);
/// How long a partition that is to be frozen turns new transactions away before it is asked again.
const FREEZE_PATIENCE_MS: u64 = 1_000;
/// Between two attempts to begin: a leader that cannot reach a quorum refuses at once.
const BEGIN_PAUSE: Duration = Duration::from_millis(20);

/// What a pipeline is started with.
pub struct PipelineOptions {
    /// The partition's replica of its group.
    pub group: Group,
    /// Its evaluator, not yet reset.
    pub evaluator: Evaluator,
    /// The engine that the replica applies to.
    pub engine: Arc<dyn meridian_storage::Engine>,
    /// The node's wall clock.
    pub clock: Arc<dyn Clock>,
    /// The region that stamps.
    pub region: meridian_base::RegionId,
    /// The group's read rounds.
    pub barrier: Barrier,
    /// Answers refused conditions at once: a planted bug that the simulation must find.
    #[cfg(feature = "planted-bugs")]
    pub answers_at_once: bool,
}

/// Starts a pipeline; it ends when the queue's senders are gone.
pub fn start(options: PipelineOptions) -> mpsc::Sender<Work> {
    let (queue, work) = mpsc::channel(QUEUE_MAX);
    rt::spawn(Pipeline::new(options, work).run());
    queue
}

enum State {
    /// Another replica leads, or none.
    Following,
    /// `Begin` is under way in this term; requests wait.
    Beginning { term: u64 },
    /// Evaluates in this term.
    Leading { term: u64 },
}

/// What an entry under way turned out to be.
enum Landed {
    Begin {
        term: u64,
        incarnation: Incarnation,
        floor: Hlc,
        result: Result<Proposed, ProposeError>,
    },
    Batch {
        incarnation: Incarnation,
        sequence: Sequence,
        answers: Answers,
        result: Result<Proposed, ProposeError>,
    },
}

type InFlight = FuturesOrdered<Pin<Box<dyn Future<Output = Landed> + Send>>>;

struct Pipeline {
    options: PipelineOptions,
    work: mpsc::Receiver<Work>,
    state: State,
    incarnation: Incarnation,
    in_flight: InFlight,
    answers: Answers,
    settled: watch::Sender<Settled>,
    /// Not before this does it begin again.
    begin_at: rt::Instant,
    unpark_at: rt::Instant,
}

/// What woke the pipeline.
enum Woken {
    Landed(Landed),
    Leadership(Result<(), ()>),
    Work(Option<Work>),
    Timer,
}

impl Pipeline {
    fn new(options: PipelineOptions, work: mpsc::Receiver<Work>) -> Self {
        Pipeline {
            options,
            work,
            state: State::Following,
            incarnation: Incarnation(0),
            in_flight: FuturesOrdered::new(),
            answers: Answers::default(),
            settled: watch::Sender::new(Settled::default()),
            begin_at: rt::now(),
            unpark_at: rt::now(),
        }
    }

    async fn run(mut self) {
        let mut leadership = self.options.group.watch();
        loop {
            self.follow_leadership().await;
            let timer = self.timer();
            let takes = match self.state {
                State::Following => true,
                State::Beginning { .. } => false,
                State::Leading { .. } => self.in_flight.len() < IN_FLIGHT_MAX,
            };
            let woken = tokio::select! {
                biased;
                Some(landed) = self.in_flight.next() => Woken::Landed(landed),
                changed = leadership.changed() => Woken::Leadership(changed),
                work = self.work.recv(), if takes => Woken::Work(work),
                () = rt::sleep_until(timer.unwrap_or_else(rt::now)), if timer.is_some() => Woken::Timer,
            };
            match woken {
                Woken::Landed(landed) => self.landed(landed),
                Woken::Leadership(Ok(())) => {}
                Woken::Leadership(Err(())) | Woken::Work(None) => return self.stop().await,
                Woken::Work(Some(first)) => self.drain(first).await,
                Woken::Timer => self.unpark().await,
            }
        }
    }

    /// Answers everything that waits, when the replica has stopped.
    async fn stop(mut self) {
        self.work.close();
        while let Some(work) = self.work.recv().await {
            work.refuse(Refused::NotLeader { hint: None });
        }
        while let Some(landed) = self.in_flight.next().await {
            self.landed(landed);
        }
    }

    /// Moves between following and beginning as the replica's leadership says.
    async fn follow_leadership(&mut self) {
        let leading = self.options.group.leading();
        match (&self.state, leading) {
            (State::Following, None) => {}
            (State::Beginning { term } | State::Leading { term }, Some(now)) if *term == now => {}
            (State::Following, Some(term)) if rt::now() >= self.begin_at => self.begin(term).await,
            (State::Following, Some(_)) => {}
            (State::Beginning { .. } | State::Leading { .. }, _) => self.lose(),
        }
    }

    /// When to look again without being told.
    fn timer(&self) -> Option<rt::Instant> {
        match self.state {
            State::Following => self.options.group.leading().map(|_| self.begin_at),
            State::Beginning { .. } => None,
            State::Leading { .. } => self.has_parked().then_some(self.unpark_at),
        }
    }

    fn lose(&mut self) {
        self.state = State::Following;
        self.settled.send_replace(Settled::default());
    }

    /// Proposes a new incarnation.
    async fn begin(&mut self, term: u64) {
        self.begin_at = rt::now() + BEGIN_PAUSE;
        self.settled.send_replace(Settled::default());
        let header = Header::load(self.options.engine.as_ref(), self.options.evaluator.spec());
        let header = match header {
            Ok(header) => header,
            Err(error) => {
                tracing::error!(%error, "a partition header cannot be read");
                return self.lose();
            }
        };
        self.incarnation = Incarnation(self.incarnation.0.max(header.incarnation.0) + 1);
        let promised = self.options.clock.now_ms() + CLOCK_APART_MS_MAX;
        let floor = header.last.max(Hlc::from_ms(promised));
        let (incarnation, region) = (self.incarnation, self.options.region);
        let command = Command::Begin { incarnation, floor, region }.encode();
        match self.options.group.propose_in_term(term, Bytes::from(command)).await {
            Ok(proposal) => {
                self.state = State::Beginning { term };
                self.in_flight.push_back(Box::pin(async move {
                    Landed::Begin { term, incarnation, floor, result: proposal.wait().await }
                }));
            }
            Err(_) => self.lose(),
        }
    }

    fn landed(&mut self, landed: Landed) {
        match landed {
            Landed::Begin { term, incarnation, floor, result } => {
                let begun = matches!(self.state, State::Beginning { term: t } if t == term)
                    && incarnation == self.incarnation;
                if begun {
                    self.begun(term, floor, &result);
                }
            }
            Landed::Batch { incarnation, sequence, answers, result } => {
                let refused = verdict(&result);
                match refused {
                    None if incarnation == self.incarnation => {
                        self.options.evaluator.applied(sequence);
                        self.settled.send_replace(Settled { incarnation, sequence });
                    }
                    None => {}
                    Some(_) => self.broken(incarnation),
                }
                answers.send(refused);
            }
        }
    }

    fn begun(&mut self, term: u64, floor: Hlc, result: &Result<Proposed, ProposeError>) {
        if verdict(result).is_some() {
            return self.lose();
        }
        match self.options.evaluator.reset(self.incarnation, floor) {
            Ok(()) => {
                self.state = State::Leading { term };
                let sequence = Sequence(self.options.evaluator.open_sequence().0 - 1);
                self.settled.send_replace(Settled { incarnation: self.incarnation, sequence });
            }
            Err(PartitionError::Incarnation { .. }) => self.lose(),
            Err(error) => {
                tracing::error!(%error, "a partition cannot begin");
                self.lose();
            }
        }
    }

    /// A command was not accepted: what was evaluated over it must not be answered, and the next
    /// command needs a new incarnation.
    fn broken(&mut self, incarnation: Incarnation) {
        if incarnation == self.incarnation {
            self.lose();
        }
    }

    fn has_parked(&self) -> bool {
        self.options.evaluator.parked_len() > 0
    }

    async fn unpark(&mut self) {
        self.unpark_at = rt::now() + UNPARK_EVERY;
        if !matches!(self.state, State::Leading { .. }) || !self.has_parked() {
            return;
        }
        let now_ms = self.options.clock.now_ms();
        match self.options.evaluator.unpark(now_ms) {
            Ok(_) => self.seal().await,
            Err(error) => tracing::error!(%error, "parked changes cannot be applied"),
        }
    }

    /// Evaluates what is queued, up to the limits, and proposes it.
    async fn drain(&mut self, first: Work) {
        let first = match first {
            Work::Settings(settings) => return settings.apply_to(&mut self.options.evaluator),
            first => first,
        };
        if matches!(self.state, State::Following) {
            let hint = self.options.group.leader();
            return first.refuse(Refused::NotLeader { hint });
        }
        let mut next = Some(first);
        let mut taken = 0;
        while let Some(work) = next.take() {
            if !work.is_abandoned() {
                self.evaluate(work);
            }
            taken += 1;
            let full = taken >= DRAIN_REQUESTS_MAX
                || self.options.evaluator.open_bytes() >= DRAIN_BYTES_MAX;
            if !full {
                next = self.work.try_recv().ok();
            }
        }
        self.seal().await;
    }

    async fn seal(&mut self) {
        let State::Leading { term } = self.state else { return };
        let Some(sealed) = self.options.evaluator.seal(self.options.clock.now_ms()) else { return };
        let answers = std::mem::take(&mut self.answers);
        let (incarnation, sequence) = (self.incarnation, sealed.sequence);
        let proposed = self.options.group.propose_in_term(term, Bytes::from(sealed.command)).await;
        self.in_flight.push_back(Box::pin(async move {
            let result = match proposed {
                Ok(proposal) => Proposal::wait(proposal).await,
                Err(error) => Err(error),
            };
            Landed::Batch { incarnation, sequence, answers, result }
        }));
    }

    fn evaluate(&mut self, work: Work) {
        let now_ms = self.options.clock.now_ms();
        match work {
            Work::Write(write, reply) => {
                let evaluated = self.options.evaluator.write(&write, now_ms);
                self.settle(evaluated, reply);
            }
            Work::Replicated(changes, late, reply) => {
                let evaluated = self.replicated(changes, late, now_ms);
                self.settle(evaluated, reply);
            }
            Work::Transact(step, reply) => {
                let evaluated = self.options.evaluator.transact(*step, now_ms);
                self.settle(evaluated, reply);
            }
            Work::LeftBehind(began_ms, reply) => {
                let _ = reply.send(Ok(self.options.evaluator.left_behind(began_ms)));
            }
            Work::Feed(feed, reply) => {
                let evaluated = self.options.evaluator.feed(feed);
                self.settle(evaluated, reply);
            }
            Work::Settings(settings) => settings.apply_to(&mut self.options.evaluator),
            Work::Order(order, reply) => {
                let evaluated = self.order(order, now_ms);
                self.settle(evaluated, reply);
            }
            Work::Close(reply) => {
                let closed = self.options.evaluator.close(now_ms);
                let evaluated = Ok(Evaluated::Answer { outcome: closed, after: None });
                self.settle(evaluated, reply);
            }
            Work::CloseCommits(reply) => {
                let closed = self.options.evaluator.close_commits(closable_ms(now_ms));
                let evaluated = Ok(Evaluated::Answer { outcome: closed, after: None });
                self.settle(evaluated, reply);
            }
        }
    }

    fn replicated(
        &mut self,
        changes: Vec<meridian_base::Change>,
        late: bool,
        now_ms: u64,
    ) -> Result<Evaluated<Vec<meridian_partition::Replicated>>, PartitionError> {
        let mut outcomes = Vec::with_capacity(changes.len());
        let mut after: Option<Sequence> = None;
        for change in changes {
            match self.options.evaluator.replicated(change, late, now_ms)? {
                Evaluated::Write { outcome, sequence } => {
                    outcomes.push(outcome);
                    after = after.max(Some(sequence));
                }
                Evaluated::Answer { outcome, after: since } => {
                    outcomes.push(outcome);
                    after = after.max(since);
                }
                Evaluated::Held(freeze) => return Ok(Evaluated::Held(freeze)),
                Evaluated::Elsewhere => return Ok(Evaluated::Elsewhere),
                Evaluated::Busy => return Ok(Evaluated::Busy),
            }
        }
        Ok(Evaluated::Answer { outcome: outcomes, after })
    }

    fn order(&mut self, order: Order, now_ms: u64) -> Result<Evaluated<bool>, PartitionError> {
        let evaluator = &mut self.options.evaluator;
        let sequence = match order {
            Order::StartReader(reader) => evaluator.start_reader(reader),
            Order::Cursor(reader, position) => evaluator.cursor(reader, position),
            Order::DropReader(reader) => evaluator.drop_reader(reader),
            Order::Received(received) => evaluator.received(received),
            Order::ForgetRegion(region) => evaluator.forget_region(region),
            Order::Freeze { epoch, target } => {
                evaluator.refuse_transactions(now_ms + FREEZE_PATIENCE_MS);
                evaluator.freeze_for(epoch, target)
            }
            Order::Thaw { epoch } => evaluator.thaw(epoch),
            Order::Trim(upto) => evaluator.trim(upto)?,
            Order::Expire(due) => evaluator.expire(due, now_ms)?,
            Order::Schedule(items) => evaluator.schedule(items)?,
            Order::DropTombstones(stones) => evaluator.drop_tombstones(&stones)?,
        };
        Ok(match sequence {
            Some(sequence) => Evaluated::Write { outcome: true, sequence },
            None => Evaluated::Answer { outcome: false, after: evaluator.pending() },
        })
    }

    fn settle<T: Send + 'static>(
        &mut self,
        evaluated: Result<Evaluated<T>, PartitionError>,
        reply: Reply<T>,
    ) {
        let (outcome, after) = match evaluated {
            Ok(Evaluated::Write { outcome, sequence: _ }) => {
                return self.answers.add(reply, outcome);
            }
            Ok(Evaluated::Answer { outcome, after }) => (outcome, after),
            Ok(Evaluated::Held(freeze)) => return drop(reply.send(Err(Refused::Held(freeze)))),
            Ok(Evaluated::Elsewhere) => return drop(reply.send(Err(Refused::Elsewhere))),
            Ok(Evaluated::Busy) => return drop(reply.send(Err(Refused::Retry))),
            Err(error) => {
                tracing::error!(%error, "a request cannot be evaluated");
                return drop(reply.send(Err(Refused::Broken(error.to_string()))));
            }
        };
        #[cfg(feature = "planted-bugs")]
        if self.options.answers_at_once {
            return drop(reply.send(Ok(outcome)));
        }
        // The open drain commits after this request arrived, in this term: its own commit confirms
        // the leadership.
        if after == Some(self.options.evaluator.open_sequence()) {
            return self.answers.add(reply, outcome);
        }
        let after = after.map(|sequence| Settled { incarnation: self.incarnation, sequence });
        let (barrier, settled) = (self.options.barrier.clone(), self.settled.subscribe());
        rt::spawn(settle_later(barrier, settled, after, outcome, reply));
    }
}

/// The latest time that can be closed: one that is over on every clock of the region.
fn closable_ms(now_ms: u64) -> u64 {
    now_ms.saturating_sub(CLOCK_APART_MS_MAX).saturating_sub(1)
}

/// Why a proposal was not accepted; none when it was.
fn verdict(result: &Result<Proposed, ProposeError>) -> Option<Refused> {
    match result {
        Ok(proposed) => match proposed.answer.first().copied().and_then(ApplyOutcome::from_u8) {
            Some(ApplyOutcome::Accepted) => None,
            Some(ApplyOutcome::Fenced | ApplyOutcome::Blank) => Some(Refused::Retry),
            None => Some(Refused::Unknown),
        },
        Err(ProposeError::NotLeader { hint }) => Some(Refused::NotLeader { hint: *hint }),
        Err(ProposeError::Unknown | ProposeError::Members(_)) => Some(Refused::Unknown),
    }
}
