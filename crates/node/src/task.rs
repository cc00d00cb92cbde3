//! A task that ends when it is not wanted any more.

use meridian_raft::rt;

/// Ends with its owner.
pub struct Task(rt::JoinHandle<()>);

impl Task {
    /// Starts a task.
    pub fn start(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Task(rt::spawn(work))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
