//! What an attribute holds.

use std::collections::{BTreeMap, BTreeSet};

use crate::number::Number;

/// The attributes of an item by name.
pub type Item = BTreeMap<String, AttributeValue>;

/// One attribute value of DynamoDB's ten types. Sets are ordered, so equal sets are equal values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttributeValue {
    /// Text.
    S(String),
    /// An exact decimal.
    N(Number),
    /// Bytes.
    B(Vec<u8>),
    /// A set of texts.
    Ss(BTreeSet<String>),
    /// A set of numbers.
    Ns(BTreeSet<Number>),
    /// A set of byte strings.
    Bs(BTreeSet<Vec<u8>>),
    /// A list.
    L(Vec<AttributeValue>),
    /// A map.
    M(BTreeMap<String, AttributeValue>),
    /// True or false.
    Bool(bool),
    /// The null value.
    Null,
}

impl AttributeValue {
    /// Names the type as DynamoDB's JSON does: `S`, `N`, `B`, `SS`, `NS`, `BS`, `L`, `M`, `BOOL`,
    /// `NULL`.
    pub fn type_name(&self) -> &'static str {
        match self {
            AttributeValue::S(_) => "S",
            AttributeValue::N(_) => "N",
            AttributeValue::B(_) => "B",
            AttributeValue::Ss(_) => "SS",
            AttributeValue::Ns(_) => "NS",
            AttributeValue::Bs(_) => "BS",
            AttributeValue::L(_) => "L",
            AttributeValue::M(_) => "M",
            AttributeValue::Bool(_) => "BOOL",
            AttributeValue::Null => "NULL",
        }
    }

    /// Tells whether this is one of the three set types.
    pub fn is_set(&self) -> bool {
        matches!(self, AttributeValue::Ss(_) | AttributeValue::Ns(_) | AttributeValue::Bs(_))
    }
}
