//! The records of the log and their bytes.

/// One record of the log. `group` is the stored form of the group's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogRecord {
    /// A Raft entry.
    Entry {
        /// Its group.
        group: u64,
        /// Its log index.
        index: u64,
        /// Its term.
        term: u64,
        /// Its content, opaque here.
        payload: Vec<u8>,
    },
    /// The group's vote; replaces the one before.
    Vote {
        /// Its group.
        group: u64,
        /// The vote, opaque here.
        bytes: Vec<u8>,
    },
    /// The group's committed position; replaces the one before.
    Committed {
        /// Its group.
        group: u64,
        /// The position, opaque here.
        bytes: Vec<u8>,
    },
    /// Entries of the group at `from` and later are gone.
    Truncate {
        /// Its group.
        group: u64,
        /// The first log index that is gone.
        from: u64,
    },
    /// Entries of the group up to `upto`, inclusive, are no longer needed.
    Purge {
        /// Its group.
        group: u64,
        /// The last log index that is gone.
        upto: u64,
        /// The purged position, opaque here.
        bytes: Vec<u8>,
    },
    /// The group is gone: its entries, vote and positions.
    Forget {
        /// The group.
        group: u64,
    },
}

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// Number of the segment file.
    pub segment: u64,
    /// Where the record begins in it.
    pub offset: u32,
    /// Bytes of its payload.
    pub length: u32,
}
