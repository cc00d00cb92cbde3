//! Attribute values, numbers, items, keys and their encodings.
//!
//! # Invariants
//!
//! - A [`Number`] is always canonical: equal numbers are equal values, bytes and texts.
//! - Encoded keys compare with `memcmp` as DynamoDB orders the items of a partition key.
//! - Reading bytes never panics, never recurses deeper than [`codec::DEPTH_MAX`] and never
//!   allocates more than the input warrants.
//!
//! Tested beside the code, mostly by properties.

pub mod codec;
pub mod global_index;
pub mod key;
pub mod key_range;
pub mod local_index;
pub mod number;
pub mod schema;
pub mod size;
pub mod value;

pub use codec::{decode_item, decode_value, encode_item, encode_value};
pub use global_index::{GlobalIndex, KeyAttributes};
pub use key::{EncodedKey, Key, partition_prefix, prefix_end, sort_bound};
pub use key_range::KeyRange;
pub use local_index::{IndexProjection, LocalIndex, SecondaryIndex};
pub use meridian_base::codec::DecodeError;
pub use number::{Number, NumberError};
pub use schema::{KeyAttribute, KeyError, KeyKind, KeyNames, KeySchema};
pub use size::{depth, item_bytes, value_bytes};
pub use value::{AttributeValue, Item};
