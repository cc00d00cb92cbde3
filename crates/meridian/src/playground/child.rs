//! A node as a child process.
//!
//! # Invariants
//!
//! - A child ends with this process, however this process ends: it asks the kernel for that at its
//!   start, and the thread that started it lives as long as it does.
//! - A signal goes only to a child that was not reaped yet, so never to a stranger.
//!
//! Tested by `child/tests.rs`.

#[cfg(test)]
mod tests;

use anyhow::Context;
use meridian_server::config::NODE_FIELDS;
use meridian_server::process::PARENT_VARIABLE;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{oneshot, watch};

/// Stack of the thread that waits for a child, bytes.
const KEEPER_STACK_BYTES: usize = 128 * 1024;

/// A running or ended child.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pid: Pid,
    /// True until it is reaped.
    alive: Arc<Mutex<bool>>,
    ended: watch::Receiver<Option<String>>,
}

impl Kept {
    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// How it ended, if it has.
    pub(super) fn ended(&self) -> Option<String> {
        self.ended.borrow().clone()
    }

    /// Waits until it has ended, and says how.
    pub(super) async fn wait(&self) -> String {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(how) => how.clone().unwrap_or_default(),
            Err(_) => "its keeper is gone".to_owned(),
        }
    }

    /// Sends a signal, unless it has ended.
    pub(super) fn signal(&self, signal: Signal) {
        let alive = lock(&self.alive);
        if *alive {
            // Fails only for a child that has ended and waits to be reaped.
            let _ = kill_process(self.pid, signal);
        }
    }

    /// Starts `command` in a thread that waits for its end.
    pub(super) async fn start(mut command: Command) -> anyhow::Result<Self> {
        NODE_FIELDS.iter().for_each(|field| {
            command.env_remove(format!("MERIDIAN_{}", field.name.to_ascii_uppercase()));
        });
        command.env(PARENT_VARIABLE, std::process::id().to_string());
        let (started, starting) = oneshot::channel();
        let (end, ended) = watch::channel(None);
        let alive = Arc::new(Mutex::new(true));
        let seen = alive.clone();
        std::thread::Builder::new()
            .name("keeper".to_owned())
            .stack_size(KEEPER_STACK_BYTES)
            .spawn(move || keep(command, started, &seen, &end))
            .context("cannot start a thread")?;
        let program = "cannot start a node's process";
        let pid = starting.await.context(program)?.context(program)?;
        Ok(Kept { pid, alive, ended })
    }
}

fn lock(alive: &Mutex<bool>) -> MutexGuard<'_, bool> {
    alive.lock().unwrap_or_else(PoisonError::into_inner)
}

fn keep(
    mut command: Command,
    started: oneshot::Sender<std::io::Result<Pid>>,
    alive: &Mutex<bool>,
    end: &watch::Sender<Option<String>>,
) {
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            // Nobody waits any more when the playground is ending.
            let _ = started.send(Err(error));
            return;
        }
    };
    let pid = Pid::from_child(&child);
    let _ = started.send(Ok(pid));
    // Learns of the end without reaping, so that the id cannot be given to another process while
    // a signal is being sent.
    let waiting = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while waitid(WaitId::Pid(pid), waiting).is_err_and(|e| e == rustix::io::Errno::INTR) {}
    let how = {
        let mut alive = lock(alive);
        *alive = false;
        reap(&mut child)
    };
    end.send_replace(Some(how));
}

fn reap(child: &mut Child) -> String {
    match child.wait() {
        Ok(status) => described(status),
        Err(error) => format!("cannot be waited for: {error}"),
    }
}

fn described(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "unknown".to_owned(),
    }
}
