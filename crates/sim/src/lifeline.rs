//! One process of a node, from its start to its end.

use meridian_raft::rt::{self, Process};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// A simulated process that ends at once when it dies: its tasks are dropped where they stand.
pub struct Lifeline {
    process: Process,
    dead: AtomicBool,
    /// Engine operations until it dies; negative for never.
    fuse: AtomicI64,
}

impl Lifeline {
    /// A process that lives.
    pub fn new(process: Process) -> Lifeline {
        Lifeline { process, dead: AtomicBool::new(false), fuse: AtomicI64::new(-1) }
    }

    /// Its number.
    pub fn process(&self) -> Process {
        self.process
    }

    /// Ends it.
    pub fn die(&self) {
        self.dead.store(true, Ordering::Relaxed);
        rt::kill(self.process);
    }

    /// True once it ended.
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// Lets it die at its n-th engine operation from now.
    pub fn light_fuse(&self, operations: u32) {
        self.fuse.store(i64::from(operations), Ordering::Relaxed);
    }

    /// Lets it live on.
    pub fn put_out(&self) {
        self.fuse.store(-1, Ordering::Relaxed);
    }

    /// Counts an engine operation; false when the process is dead.
    pub fn operation(&self) -> bool {
        if self.is_dead() {
            return false;
        }
        let left = self.fuse.load(Ordering::Relaxed);
        match left {
            ..0 => true,
            0 => {
                self.die();
                false
            }
            1.. => {
                self.fuse.store(left - 1, Ordering::Relaxed);
                true
            }
        }
    }
}
