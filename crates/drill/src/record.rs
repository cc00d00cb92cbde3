//! What the load did: one compact record a call, on one monotonic clock.
//!
//! # Invariants
//!
//! - A value is written at most once, ever: client and sequence name the write.
//! - A cold key is written once; a hot key by one client only; a pool key by everybody.
//!
//! Tested below: keys and values round-trip through their texts.

use std::fmt;
use std::str::FromStr;
use std::time::Instant;

use meridian_checker::{Call, Operation, Reply, Value};

/// Nanoseconds since the drill began.
pub type Nanos = u64;

/// The one clock of a drill.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Instant);

impl Clock {
    /// Starts at zero now.
    pub fn start() -> Clock {
        Clock(Instant::now())
    }

    /// The time now.
    pub fn now(&self) -> Nanos {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// The instant of a time on this clock.
    pub fn instant(&self, at: Nanos) -> Instant {
        self.0 + std::time::Duration::from_nanos(at)
    }
}

/// One write: who wrote, and which of its writes it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Write {
    /// The client.
    pub client: u16,
    /// The number of the write among the client's, from 1.
    pub sequence: u32,
}

impl Write {
    /// The value as the checker sees it.
    pub fn value(self) -> Value {
        Value((u64::from(self.client) << 32) | u64::from(self.sequence))
    }
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.client, self.sequence)
    }
}

impl FromStr for Write {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Write> {
        let parts = text.split_once(':').ok_or_else(|| anyhow::anyhow!("{text} is no write"))?;
        Ok(Write { client: parts.0.parse()?, sequence: parts.1.parse()? })
    }
}

/// A key of the drill's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// Written once, by this write.
    Cold(Write),
    /// Written again and again by one client.
    Hot {
        /// The client.
        client: u16,
        /// Which of its hot keys.
        slot: u16,
    },
    /// Written by every client.
    Pool(u32),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Cold(write) => write!(f, "c{write}"),
            Key::Hot { client, slot } => write!(f, "h{client}:{slot}"),
            Key::Pool(number) => write!(f, "p{number}"),
        }
    }
}

impl FromStr for Key {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Key> {
        if let Some(rest) = text.strip_prefix('c') {
            return Ok(Key::Cold(rest.parse()?));
        }
        if let Some((client, slot)) = text.strip_prefix('h').and_then(|rest| rest.split_once(':')) {
            return Ok(Key::Hot { client: client.parse()?, slot: slot.parse()? });
        }
        match text.strip_prefix('p') {
            Some(number) => Ok(Key::Pool(number.parse()?)),
            None => anyhow::bail!("{text} is no key of a drill"),
        }
    }
}

/// What a call asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// A strongly consistent read.
    Get,
    /// An unconditional write.
    Put(Write),
    /// An unconditional delete.
    Delete,
    /// A write on the condition that the key holds what was last known of it.
    PutIf {
        /// What it must hold.
        expected: Option<Write>,
        /// What it then holds.
        new: Write,
    },
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Done.
    Ok,
    /// The condition did not hold: an answer like any other.
    Refused,
    /// Certainly not done.
    Failed,
    /// Nobody knows.
    Unknown,
}

/// What an answer told of the key's content: of a read, or of the content before a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Nothing.
    Untold,
    /// This.
    Content(Option<Write>),
}

/// One call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Who called.
    pub client: u16,
    /// On which key.
    pub key: Key,
    /// What was asked.
    pub asked: Asked,
    /// How it ended.
    pub fate: Fate,
    /// What the answer told.
    pub seen: Seen,
    /// When it should have begun.
    pub intended: Nanos,
    /// When it began.
    pub started: Nanos,
    /// When it ended.
    pub ended: Nanos,
}

impl Record {
    /// True if the client got the answer that it waited for.
    pub fn served(&self) -> bool {
        match self.fate {
            Fate::Ok | Fate::Refused => true,
            Fate::Failed | Fate::Unknown => false,
        }
    }

    /// From the intended start to the end.
    pub fn latency(&self) -> Nanos {
        self.ended.saturating_sub(self.intended)
    }

    /// The write that was asked for.
    pub fn write(&self) -> Option<Write> {
        match self.asked {
            Asked::Get | Asked::Delete => None,
            Asked::Put(new) | Asked::PutIf { new, .. } => Some(new),
        }
    }

    /// The write, if it was acknowledged.
    pub fn acknowledged(&self) -> Option<Write> {
        match self.fate {
            Fate::Ok => self.write(),
            Fate::Refused | Fate::Failed | Fate::Unknown => None,
        }
    }

    /// The call as the checker sees it.
    pub fn operation(&self) -> Operation {
        let call = match self.asked {
            Asked::Get => Call::Get,
            Asked::Put(new) => Call::Put(Some(new.value())),
            Asked::Delete => Call::Put(None),
            Asked::PutIf { expected, new } => {
                Call::PutIf { expected: expected.map(Write::value), new: Some(new.value()) }
            }
        };
        let content = match self.seen {
            Seen::Untold => None,
            Seen::Content(content) => Some(content.map(Write::value)),
        };
        let reply = match (self.fate, self.asked, content) {
            (Fate::Ok, Asked::Get, Some(content)) => Reply::Got(content),
            (Fate::Ok, Asked::Get, None) | (Fate::Unknown, ..) => Reply::Unknown,
            (Fate::Ok, Asked::Put(_) | Asked::Delete | Asked::PutIf { .. }, _) => Reply::Done,
            (Fate::Refused, _, content) => Reply::Refused(content),
            (Fate::Failed, ..) => Reply::Failed,
        };
        Operation {
            client: u32::from(self.client),
            call,
            reply,
            invoked: self.started,
            completed: self.ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_writes_round_trip() {
        let write = Write { client: 7, sequence: 123_456 };
        assert_eq!(write.to_string().parse::<Write>().unwrap(), write);
        for key in [Key::Cold(write), Key::Hot { client: 3, slot: 1 }, Key::Pool(99)] {
            assert_eq!(key.to_string().parse::<Key>().unwrap(), key);
        }
        for bad in ["", "x1", "c1", "h1", "p", "c1:x", "lag"] {
            assert!(bad.parse::<Key>().is_err(), "{bad}");
        }
    }

    #[test]
    fn values_are_unique_to_client_and_sequence() {
        let one = Write { client: 1, sequence: 2 }.value();
        let other = Write { client: 2, sequence: 1 }.value();
        assert_ne!(one, other);
    }
}
