//! The simulated scheduler: one thread, one seed, processes that can be killed and paused.
//!
//! Every task of a simulation runs inside a gate. A woken task only reports that it is ready; the
//! conductor waits until no task has anything to report, picks one of the ready ones as the seed
//! says, lets it run to its next await, and begins again. So the order in which tasks run depends
//! on the seed alone, not on the order in which a channel or a timer woke them, and every order is
//! possible. Virtual time, tokio's paused clock, moves only when nothing is ready.
//!
//! Tasks belong to a process, by default to that of the task that spawned them. The tasks of a
//! killed process are dropped where they stand; those of a paused one stay ready and do not run.
//!
//! # Invariants
//!
//! - At most one task runs between two decisions of the conductor.
//! - The set of ready tasks at a decision does not depend on the order in which they were woken.
//!
//! Tested below and by the simulation's replay test: one seed, one history.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

thread_local! {
    static SIMULATION: RefCell<Option<Simulation>> = const { RefCell::new(None) };
}

/// A simulated process; 0 is the simulation itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Process(pub u64);

/// A panic of a simulated task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Panicked {
    /// Whose task it was.
    pub process: Process,
    /// What it said.
    pub message: String,
}

struct Simulation {
    rng: SmallRng,
    next_task: u64,
    /// The process of the task that runs.
    current: Process,
    /// Tasks that may run, by number.
    ready: BTreeMap<u64, Ready>,
    /// The task that runs next.
    granted: Option<u64>,
    /// A task reported since the conductor looked.
    news: bool,
    conductor: Option<Waker>,
    /// The wakers of all tasks, so that those of a killed process can be dropped.
    tasks: BTreeMap<Process, BTreeMap<u64, Waker>>,
    killed: BTreeSet<Process>,
    paused: BTreeSet<Process>,
    panics: Vec<Panicked>,
}

struct Ready {
    process: Process,
    waker: Waker,
}

/// Whether a task may run now.
enum Turn {
    Run,
    Wait,
    Dead,
}

fn with<T>(f: impl FnOnce(&mut Simulation) -> T) -> Option<T> {
    SIMULATION.try_with(|s| s.borrow_mut().as_mut().map(f)).ok().flatten()
}

/// Makes this thread a simulation: random numbers and the order of tasks come from `seed`.
///
/// The runtime must be single-threaded, with paused time, and run [`conduct`] as its first task.
pub fn simulate(seed: u64) {
    let simulation = Simulation {
        rng: SmallRng::seed_from_u64(seed),
        next_task: 0,
        current: Process::default(),
        ready: BTreeMap::new(),
        granted: None,
        news: false,
        conductor: None,
        tasks: BTreeMap::new(),
        killed: BTreeSet::new(),
        paused: BTreeSet::new(),
        panics: Vec::new(),
    };
    SIMULATION.with(|s| *s.borrow_mut() = Some(simulation));
}

/// Ends the simulation of this thread and returns the panics of its tasks.
pub fn stop_simulation() -> Vec<Panicked> {
    let ended = SIMULATION.with(|s| s.borrow_mut().take());
    ended.map(|simulation| simulation.panics).unwrap_or_default()
}

/// True on a thread that simulates.
pub fn simulating() -> bool {
    with(|_| ()).is_some()
}

/// The next random number of this thread's seed; none outside of a simulation.
pub(super) fn random() -> Option<u64> {
    with(|s| s.rng.next_u64())
}

/// Drops every task of a process where it stands. It cannot come back: a restarted node is another
/// process.
pub fn kill(process: Process) {
    let tasks = with(|s| {
        s.killed.insert(process);
        s.paused.remove(&process);
        s.ready.retain(|_, ready| ready.process != process);
        s.tasks.remove(&process).unwrap_or_default()
    });
    tasks.unwrap_or_default().into_values().for_each(Waker::wake);
}

/// Lets no task of a process run until [`resume`]; its timers go on.
pub fn pause(process: Process) {
    with(|s| s.paused.insert(process));
}

/// Lets the tasks of a paused process run again.
pub fn resume(process: Process) {
    let conductor = with(|s| {
        s.paused.remove(&process);
        s.news = true;
        s.conductor.take()
    });
    conductor.flatten().into_iter().for_each(Waker::wake);
}

/// Decides which task runs, until the runtime ends. The first task of a simulated runtime, spawned
/// past the gate.
pub async fn conduct() {
    std::future::poll_fn(|cx| {
        if let Some(waker) = with(|s| s.decide(cx.waker())).flatten() {
            waker.wake();
        }
        Poll::<()>::Pending
    })
    .await;
}

impl Simulation {
    /// Picks the next task once nothing is reported any more; returns its waker.
    fn decide(&mut self, own: &Waker) -> Option<Waker> {
        if self.granted.is_some() || std::mem::take(&mut self.news) {
            own.wake_by_ref();
            return None;
        }
        let eligible = |ready: &&Ready| !self.paused.contains(&ready.process);
        let count = self.ready.values().filter(eligible).count();
        if count == 0 {
            self.conductor = Some(own.clone());
            return None;
        }
        let at = usize::try_from(self.rng.next_u64() % count as u64).unwrap_or(0);
        let picked = self.ready.iter().filter(|(_, ready)| eligible(ready)).nth(at);
        let id = picked.map(|(id, _)| *id)?;
        self.granted = Some(id);
        own.wake_by_ref();
        self.ready.remove(&id).map(|ready| ready.waker)
    }

    fn turn(&mut self, id: u64, process: Process, waker: &Waker) -> (Turn, Option<Waker>) {
        if self.killed.contains(&process) {
            self.forget(id, process);
            return (Turn::Dead, None);
        }
        self.tasks.entry(process).or_default().insert(id, waker.clone());
        if self.granted == Some(id) {
            self.granted = None;
            self.current = process;
            return (Turn::Run, None);
        }
        self.ready.insert(id, Ready { process, waker: waker.clone() });
        self.news = true;
        (Turn::Wait, self.conductor.take())
    }

    fn forget(&mut self, id: u64, process: Process) {
        self.ready.remove(&id);
        if self.granted == Some(id) {
            self.granted = None;
        }
        if let Some(tasks) = self.tasks.get_mut(&process) {
            tasks.remove(&id);
        }
    }
}

/// Holds a task back until the conductor picks it.
pub(super) struct Gated<F> {
    id: u64,
    process: Process,
    inner: Option<Pin<Box<F>>>,
}

impl<F: Future> Gated<F> {
    /// Gates a task of a process, by default of the one that spawns it; gives the future back
    /// outside of a simulation.
    pub(super) fn new(process: Option<Process>, future: F) -> Result<Self, F> {
        let numbers = with(|s| {
            s.next_task += 1;
            (s.next_task, process.unwrap_or(s.current))
        });
        match numbers {
            Some((id, process)) => Ok(Gated { id, process, inner: Some(Box::pin(future)) }),
            None => Err(future),
        }
    }
}

impl<F: Future> Future for Gated<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let (id, process) = (self.id, self.process);
        let Some((turn, conductor)) = with(|s| s.turn(id, process, cx.waker())) else {
            return Poll::Pending;
        };
        conductor.into_iter().for_each(Waker::wake);
        match turn {
            Turn::Wait => Poll::Pending,
            Turn::Dead => {
                self.inner = None;
                Poll::Pending
            }
            Turn::Run => {
                let Some(inner) = self.inner.as_mut() else { return Poll::Pending };
                let polled = catch_unwind(AssertUnwindSafe(|| inner.as_mut().poll(cx)));
                with(|s| s.current = Process::default());
                polled.unwrap_or_else(|panic| {
                    with(|s| s.panics.push(Panicked { process, message: message(&*panic) }));
                    resume_unwind(panic)
                })
            }
        }
    }
}

impl<F> Drop for Gated<F> {
    fn drop(&mut self) {
        with(|s| s.forget(self.id, self.process));
    }
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt;
    use std::sync::{Arc, Mutex};

    /// Runs a simulation in which ten tasks of one process write down when they run, twice each.
    fn order(seed: u64, around: impl Fn(Process) + Send + 'static) -> Vec<u64> {
        simulate(seed);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&order);
        runtime.block_on(async {
            tokio::spawn(conduct());
            let world = rt::spawn(async move {
                let process = Process(7);
                let (done, mut all_done) = tokio::sync::mpsc::channel::<()>(1);
                for n in 0..10 {
                    let (seen, done) = (Arc::clone(&seen), done.clone());
                    rt::spawn_in(process, async move {
                        let _done = done;
                        for _ in 0..2 {
                            seen.lock().unwrap().push(n);
                            rt::yield_now().await;
                        }
                    });
                }
                drop(done);
                around(process);
                let _ = all_done.recv().await;
            });
            world.await.unwrap();
        });
        drop(runtime);
        assert_eq!(stop_simulation(), []);
        order.lock().unwrap().clone()
    }

    #[test]
    fn the_seed_decides_the_order() {
        let orders: BTreeSet<Vec<u64>> = (0..10).map(|seed| order(seed, |_| ())).collect();
        assert_eq!(orders.len(), 10, "ten seeds, ten orders");
        assert_eq!(order(3, |_| ()), order(3, |_| ()));
    }

    #[test]
    fn a_killed_process_runs_no_more() {
        assert_eq!(order(1, kill), Vec::<u64>::new());
    }

    #[test]
    fn a_paused_process_runs_when_it_is_resumed() {
        let paused = order(1, |process| {
            pause(process);
            rt::spawn(async move {
                for _ in 0..100 {
                    rt::yield_now().await;
                }
                resume(process);
            });
        });
        assert_eq!(paused.len(), 20);
    }

    #[test]
    fn a_panic_is_told() {
        simulate(1);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            tokio::spawn(conduct());
            let failed = rt::spawn_in(Process(3), async { panic!("of task {}", 5) }).await;
            assert!(failed.is_err());
        });
        let told = Panicked { process: Process(3), message: "of task 5".into() };
        assert_eq!(stop_simulation(), [told]);
    }
}
