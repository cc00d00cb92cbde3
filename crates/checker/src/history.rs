//! What clients saw of one key.

/// A value as the clients wrote it. Drills write each value at most once, which keeps checking
/// fast; repeated values are allowed and only cost time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value(pub u64);

/// The content of one key: a value, or absent.
pub type State = Option<Value>;

/// What a client asked of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// A strongly consistent read.
    Get,
    /// An unconditional write; `None` deletes.
    Put(State),
    /// A write on the condition that the key holds `expected`.
    PutIf {
        /// What the key must hold.
        expected: State,
        /// What it holds afterwards.
        new: State,
    },
}

/// How a call ended, as its client saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// A read answered with this.
    Got(State),
    /// A write was acknowledged.
    Done,
    /// The condition was refused; the content that refused it, where the answer told.
    Refused(Option<State>),
    /// The call certainly had no effect and told nothing.
    Failed,
    /// No answer, or one that leaves it open: it may still take effect.
    Unknown,
}

/// One call with its interval on the client's monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// Who called; for messages only.
    pub client: u32,
    /// What was asked.
    pub call: Call,
    /// How it ended.
    pub reply: Reply,
    /// When the call was sent, in nanoseconds.
    pub invoked: u64,
    /// When the answer arrived, in nanoseconds; meaningless when the reply is unknown.
    pub completed: u64,
}

impl Operation {
    /// The state that the call leaves behind when it takes effect, if it may have taken effect.
    pub fn written(&self) -> Option<State> {
        let new = match self.call {
            Call::Get => return None,
            Call::Put(new) | Call::PutIf { new, .. } => new,
        };
        match self.reply {
            Reply::Done | Reply::Unknown => Some(new),
            Reply::Got(_) | Reply::Refused(_) | Reply::Failed => None,
        }
    }

    /// True for a write whose client was told that it happened.
    pub fn acknowledged_write(&self) -> bool {
        self.reply == Reply::Done && self.written().is_some()
    }
}
