//! Names of objects: `<cluster>/<region>/tables/<table>/`, or `<cluster>/<region>/backups/<backup>/`,
//! and what follows for each kind.
//!
//! Numbers that order objects have leading zeros, so that a listing by name is one by number.
//!
//! # Invariants
//!
//! - Each object has one name, and each name is read back to its object or to nothing.
//!
//! Tested by `names/tests.rs`.

#[cfg(test)]
mod tests;

use meridian_base::{BackupId, PartitionId, Position, TableId};
use std::fmt;
use std::str::FromStr;

/// An object of a table's archive. Displays as its name under the table's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectName {
    /// A wrapped data key.
    Key {
        /// Its number.
        number: u32,
    },
    /// What the table was from a time on.
    Meta {
        /// That time, ms since the epoch.
        at_ms: u64,
    },
    /// A segment of a change log; `first` is at least 1 and at most `last`.
    Log {
        /// The partition.
        partition: PartitionId,
        /// The position of its first change.
        first: Position,
        /// The position of its last change.
        last: Position,
    },
    /// Items of a base.
    BaseChunk {
        /// The partition.
        partition: PartitionId,
        /// The base's position.
        position: Position,
        /// The chunk's number, from 0.
        chunk: u32,
    },
    /// The end of a base.
    BaseEnd {
        /// The partition.
        partition: PartitionId,
        /// The base's position.
        position: Position,
    },
    /// How far a partition is archived.
    Watermark {
        /// The partition.
        partition: PartitionId,
    },
}

impl ObjectName {
    /// What all names of a partition's objects begin with.
    pub fn partition_prefix(partition: PartitionId) -> String {
        format!("p{partition}/")
    }

    /// Reads a name under the table's prefix; `None` for what no object is called.
    pub fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('/').collect();
        let name = match *parts.as_slice() {
            ["keys", number] => ObjectName::Key { number: number.parse().ok()? },
            ["meta", at_ms] => ObjectName::Meta { at_ms: at_ms.parse().ok()? },
            [folder, "watermark"] => ObjectName::Watermark { partition: partition_of(folder)? },
            [folder, "log", range] => {
                let (first, last) = range.split_once('-')?;
                let (first, last) = (position(first)?, position(last)?);
                let ordered = Position(1) <= first && first <= last;
                ordered.then_some(ObjectName::Log {
                    partition: partition_of(folder)?,
                    first,
                    last,
                })?
            }
            [folder, "base", at, "end"] => {
                ObjectName::BaseEnd { partition: partition_of(folder)?, position: position(at)? }
            }
            [folder, "base", at, chunk] => ObjectName::BaseChunk {
                partition: partition_of(folder)?,
                position: position(at)?,
                chunk: chunk.parse().ok()?,
            },
            _ => return None,
        };
        // Signs, and zeros too many or too few, make another name.
        (name.to_string() == text).then_some(name)
    }

    /// The partition whose object it is; none for those of the whole table.
    pub fn partition(&self) -> Option<PartitionId> {
        match *self {
            ObjectName::Key { .. } | ObjectName::Meta { .. } => None,
            ObjectName::Log { partition, .. }
            | ObjectName::BaseChunk { partition, .. }
            | ObjectName::BaseEnd { partition, .. }
            | ObjectName::Watermark { partition } => Some(partition),
        }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            ObjectName::Key { number } => write!(f, "keys/{number:010}"),
            ObjectName::Meta { at_ms } => write!(f, "meta/{at_ms:020}"),
            ObjectName::Log { partition, first, last } => {
                write!(f, "p{partition}/log/{:020}-{:020}", first.0, last.0)
            }
            ObjectName::BaseChunk { partition, position, chunk } => {
                write!(f, "p{partition}/base/{:020}/{chunk:06}", position.0)
            }
            ObjectName::BaseEnd { partition, position } => {
                write!(f, "p{partition}/base/{:020}/end", position.0)
            }
            ObjectName::Watermark { partition } => write!(f, "p{partition}/watermark"),
        }
    }
}

fn partition_of(folder: &str) -> Option<PartitionId> {
    number(folder.strip_prefix('p')?).map(PartitionId)
}

fn position(text: &str) -> Option<Position> {
    number(text).map(Position)
}

fn number<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

/// What objects are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// The history of a table.
    Table(TableId),
    /// A table as it was at one moment.
    Backup(BackupId),
}

/// What the names of all objects of a subject in one region begin with. Displays without the slash
/// at its end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prefix {
    /// The cluster's name, without a slash.
    pub cluster: String,
    /// The region's name, without a slash.
    pub region: String,
    /// What it is of.
    pub subject: Subject,
}

impl Prefix {
    /// Reads a prefix; `None` for what is none.
    pub fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('/').collect();
        let (cluster, region, subject) = match *parts.as_slice() {
            [cluster, region, "tables", table] => {
                (cluster, region, Subject::Table(TableId(number(table)?)))
            }
            [cluster, region, "backups", backup] => {
                (cluster, region, Subject::Backup(BackupId(number(backup)?)))
            }
            _ => return None,
        };
        let prefix = Prefix { cluster: cluster.to_owned(), region: region.to_owned(), subject };
        let named = !cluster.is_empty() && !region.is_empty();
        (named && prefix.to_string() == text).then_some(prefix)
    }

    /// The whole name of an object of this subject.
    pub fn object(&self, name: &ObjectName) -> String {
        format!("{self}/{name}")
    }

    /// Reads a whole name; `None` for what is no object of this subject.
    pub fn parse_object(&self, whole: &str) -> Option<ObjectName> {
        ObjectName::parse(whole.strip_prefix(&self.to_string())?.strip_prefix('/')?)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/", self.cluster, self.region)?;
        match self.subject {
            Subject::Table(table) => write!(f, "tables/{table}"),
            Subject::Backup(backup) => write!(f, "backups/{backup}"),
        }
    }
}
