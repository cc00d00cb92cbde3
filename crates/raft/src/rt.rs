//! The runtime seam: tokio in a process; tokio on paused time, with a seeded scheduler and a seeded
//! random source, in a simulation.
//!
//! Nothing below `server` names `tokio::spawn`, `tokio::time` or a global random source: it calls
//! the functions here. A simulation thread calls [`simulate`] first; from then on the seed decides
//! which of the ready tasks runs, and every random number comes from it. Virtual time is tokio's
//! paused clock.
//!
//! Tested by the simulation's replay test: one seed, one history.

mod simulation;

pub use simulation::{
    Panicked, Process, conduct, kill, pause, resume, simulate, simulating, stop_simulation,
};

use openraft::OptionalSend;
use openraft::async_runtime::AsyncRuntime;
use openraft::impls::TokioRuntime;
use rand::Rng;
use simulation::Gated;
use std::future::Future;
use std::time::Duration;

pub use tokio::task::JoinHandle;
pub use tokio::time::Instant;

/// A random number: from the seed in a simulation, from the system otherwise.
pub fn random() -> u64 {
    simulation::random().unwrap_or_else(|| rand::rng().next_u64())
}

/// A random number in `0..bound`; 0 where `bound` is 0.
pub fn random_below(bound: u64) -> u64 {
    if bound == 0 { 0 } else { random() % bound }
}

/// One call of [`preempt`] in so many sleeps, and three yield.
const PREEMPT_ONE_IN: u64 = 32;
/// Longest sleep of [`preempt`], ms.
const PREEMPT_MS_MAX: u64 = 20;

/// Starts a task.
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    match Gated::new(None, future) {
        Ok(gated) => tokio::spawn(gated),
        Err(future) => tokio::spawn(future),
    }
}

/// Starts a task of a simulated process; outside of a simulation there is only one.
pub fn spawn_in<F>(process: Process, future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    match Gated::new(Some(process), future) {
        Ok(gated) => tokio::spawn(gated),
        Err(future) => tokio::spawn(future),
    }
}

/// Waits for `duration`.
pub fn sleep(duration: Duration) -> tokio::time::Sleep {
    tokio::time::sleep(duration)
}

/// Waits until `deadline`.
pub fn sleep_until(deadline: Instant) -> tokio::time::Sleep {
    tokio::time::sleep_until(deadline)
}

/// The future did not complete in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("timed out")]
pub struct TimedOut;

/// Runs `future` for at most `duration`.
pub async fn timeout<F: Future>(duration: Duration, future: F) -> Result<F::Output, TimedOut> {
    tokio::time::timeout(duration, future).await.map_err(|_| TimedOut)
}

/// Runs work that blocks: on a thread of its own, or in place in a simulation, which has one.
pub async fn blocking<T, F>(work: F) -> T
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    if simulating() {
        return work();
    }
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Reads the monotonic clock.
pub fn now() -> Instant {
    Instant::now()
}

/// Lets other tasks run.
pub async fn yield_now() {
    tokio::task::yield_now().await;
}

/// Lets a simulation put other tasks, or a little time, between two steps of the caller, as threads
/// of their own would; does nothing outside of one.
pub async fn preempt() {
    if !simulating() {
        return;
    }
    match random_below(PREEMPT_ONE_IN) {
        0 => sleep(Duration::from_millis(random_below(PREEMPT_MS_MAX))).await,
        1..4 => yield_now().await,
        _ => {}
    }
}

/// The random source that openraft asks.
#[derive(Debug, Clone, Copy)]
pub struct ThreadRng;

impl rand::TryRng for ThreadRng {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok((random() >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(random())
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Self::Error> {
        for chunk in dest.chunks_mut(8) {
            let bytes = random().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
        Ok(())
    }
}

/// The runtime that openraft runs on: tokio, with tasks and random numbers through this module.
#[derive(Debug)]
pub struct Runtime(TokioRuntime);

impl AsyncRuntime for Runtime {
    type JoinError = <TokioRuntime as AsyncRuntime>::JoinError;
    type JoinHandle<T: OptionalSend + 'static> = JoinHandle<T>;
    type Sleep = tokio::time::Sleep;
    type Instant = <TokioRuntime as AsyncRuntime>::Instant;
    type TimeoutError = tokio::time::error::Elapsed;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = tokio::time::Timeout<T>;
    type ThreadLocalRng = ThreadRng;
    type Mpsc = <TokioRuntime as AsyncRuntime>::Mpsc;
    type Watch = <TokioRuntime as AsyncRuntime>::Watch;
    type Oneshot = <TokioRuntime as AsyncRuntime>::Oneshot;
    type Mutex<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::Mutex<T>;

    fn spawn<T>(future: T) -> JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        spawn(future)
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        TokioRuntime::sleep(duration)
    }

    fn sleep_until(deadline: Self::Instant) -> Self::Sleep {
        TokioRuntime::sleep_until(deadline)
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(
        duration: Duration,
        future: F,
    ) -> Self::Timeout<R, F> {
        TokioRuntime::timeout(duration, future)
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(
        deadline: Self::Instant,
        future: F,
    ) -> Self::Timeout<R, F> {
        TokioRuntime::timeout_at(deadline, future)
    }

    fn is_panic(join_error: &Self::JoinError) -> bool {
        join_error.is_panic()
    }

    fn thread_rng() -> ThreadRng {
        ThreadRng
    }

    fn new(threads: usize) -> Self {
        Runtime(TokioRuntime::new(threads))
    }

    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        self.0.block_on(future)
    }
}
