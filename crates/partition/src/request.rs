//! What a client asks of one partition, and what it is answered.
//!
//! # Invariants
//!
//! - An encoded request or answer decodes to an equal one; any other bytes give an error.
//!
//! Tested by `request/tests.rs`.

mod codec;
#[cfg(test)]
mod tests;

use meridian_base::TableId;
use meridian_expression::{Condition, Update};
use meridian_model::{Item, Key};
use std::ops::Bound;

/// A conditional write of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The item's key.
    pub key: Key,
    /// What to do.
    pub action: Action,
    /// What the item must satisfy; a missing item is an empty one.
    pub condition: Option<Condition>,
    /// What to answer with.
    pub returns: Returns,
}

/// What a write does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Replaces the item. Its key attributes are those of the write's key.
    Put(Item),
    /// Changes the item, or makes it from its key.
    Update(Update),
    /// Changes the item; does nothing where there is none.
    UpdateExisting(Update),
    /// Removes the item.
    Delete,
    /// Changes nothing: only the condition counts. In transactions alone.
    Check,
}

/// Which items a write answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Returns {
    /// The item before.
    pub old: bool,
    /// The item after.
    pub new: bool,
    /// The item, when the condition fails.
    pub old_on_failure: bool,
}

/// The answer to a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteOutcome {
    /// It was done.
    Done(Done),
    /// The item does not satisfy the condition.
    ConditionFailed {
        /// The item, where it was asked for and exists.
        old: Option<Item>,
        /// Its size, bytes; 0 when there is none.
        old_bytes: usize,
    },
    /// The request is the caller's mistake.
    Refused(Refusal),
    /// A transaction holds the item.
    Conflict,
}

/// A write that was done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Done {
    /// The item before, where it was asked for and existed.
    pub old: Option<Item>,
    /// The item after, where it was asked for and exists.
    pub new: Option<Item>,
    /// Size of the item before, bytes; 0 when there was none.
    pub old_bytes: usize,
    /// Size of the item after, bytes; 0 when there is none.
    pub new_bytes: usize,
    /// What the write cost in each local index, write capacity units.
    pub local_units: Vec<u32>,
    /// What it cost in each global index, by the table that keeps the index's entries.
    pub global_units: Vec<(TableId, u32)>,
}

/// A mistake of the caller that only evaluation finds. Prints DynamoDB's message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The item to put is over the limit.
    #[error("Item size has exceeded the maximum allowed size")]
    ItemTooLarge,
    /// The item that the update makes is over the limit.
    #[error("Item size to update has exceeded the maximum allowed size")]
    UpdatedItemTooLarge,
    /// The update writes a key attribute.
    #[error(
        "One or more parameter values were invalid: Cannot update attribute {0}. This attribute is part of the key"
    )]
    KeyUpdated(String),
    /// The update gives the key attribute of an index another type.
    #[error(
        "The update expression attempted to update the secondary index key to unsupported type"
    )]
    IndexKeyType,
    /// The update empties the key attribute of an index.
    #[error(
        "One or more parameter values are not valid. The update expression attempted to update a secondary index key to a value that is not supported. The AttributeValue for a key attribute cannot contain an empty {0} value."
    )]
    IndexKeyEmpty(&'static str),
    /// The update makes the key attribute of an index too long.
    #[error(
        "The update expression attempted to update the secondary index key beyond allowed size limits"
    )]
    IndexKeyTooLong,
    /// The update does not fit the item; the text is the expression's.
    #[error("{0}")]
    Expression(String),
}

/// Reads one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Get {
    /// Its key.
    pub key: Key,
}

/// The answer to a get.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GetOutcome {
    /// The item, if there is one.
    pub item: Option<Item>,
    /// Its size, bytes; 0 when there is none.
    pub bytes: usize,
}

/// Which local index a page reads, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexRead {
    /// Its number.
    pub number: u8,
    /// The attributes that it shows; none when it shows all.
    pub shown: Option<Vec<String>>,
    /// Answer with whole items all the same, at the cost of reading each.
    pub whole: bool,
}

/// Reads a page of the items of a key range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// The lowest encoded keys.
    pub start: Bound<Vec<u8>>,
    /// The highest encoded keys.
    pub end: Bound<Vec<u8>>,
    /// From the highest key to the lowest.
    pub reverse: bool,
    /// Most items to read, before the filter.
    pub limit: Option<u32>,
    /// Bytes of items, before the filter, after which no more are read.
    pub bytes_max: usize,
    /// What the items to answer with must satisfy.
    pub filter: Option<Condition>,
    /// Answer with the count only.
    pub count_only: bool,
    /// The local index whose entries the range is of; none for the table.
    pub index: Option<IndexRead>,
}

/// A page of items.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// The items that satisfy the filter, in order of the request.
    pub items: Vec<Item>,
    /// How many items were read.
    pub scanned: u32,
    /// How many satisfy the filter.
    pub count: u32,
    /// Size of the items that were read, as far as the index shows them, bytes.
    pub bytes: usize,
    /// Blocks of 4 KB of the whole items that were read beside the index.
    pub fetched: u32,
    /// The encoded key of the last item, or the key of the last entry, read, when a limit ended the page before the range's end.
    pub resume: Option<Vec<u8>>,
}
