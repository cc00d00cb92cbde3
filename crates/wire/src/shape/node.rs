//! A request after reading: typed by its shape, not yet checked against its constraints.
//!
//! # Invariants
//!
//! - A structure holds only members that its shape names; unknown JSON members were dropped.
//! - Taking a member under a name that the shape lacks panics: it is a misspelling in our code.
//!
//! Tested by `shape/tests.rs`.

use std::fmt::Write as _;

use meridian_model::{AttributeValue, Item};

use super::model::{Member, Model, Shape, ShapeId};
use crate::error::ApiError;
use crate::operation::Operation;
use crate::value::{ValueFault, Wording, write_item, write_value};

/// An attribute value or item with the first fault that was found in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked<T> {
    pub(super) value: T,
    fault: Option<ValueFault>,
    attribute: Option<String>,
}

impl<T> Checked<T> {
    /// Joins a value with its fault and the top-level attribute that the fault is in.
    pub fn new(value: T, fault: Option<ValueFault>, attribute: Option<String>) -> Self {
        Checked { value, fault, attribute }
    }

    /// Returns the top-level attribute that the fault is in.
    pub fn faulty_attribute(&self) -> Option<&str> {
        self.attribute.as_deref()
    }

    /// Returns the value, or its fault.
    pub fn into_value(self) -> Result<T, ValueFault> {
        match self.fault {
            None => Ok(self.value),
            Some(fault) => Err(fault),
        }
    }

    /// Returns the value, or the service's refusal in the given wording.
    pub fn checked(self, wording: Wording) -> Result<T, ApiError> {
        self.into_value().map_err(|fault| ApiError::Validation(fault.text(wording)))
    }
}

/// One value of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// A string.
    Text(String),
    /// A whole number.
    Number(i64),
    /// A floating-point number or a time.
    Decimal(f64),
    /// True or false.
    Flag(bool),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the request.
    Map(Vec<(String, Node)>),
    /// A structure.
    Fields(Fields),
    /// An attribute value.
    Value(Checked<AttributeValue>),
    /// A map of attribute values.
    Item(Checked<Item>),
}

/// The members of a structure.
#[derive(Debug, Clone, PartialEq)]
pub struct Fields {
    shape: ShapeId,
    values: Vec<Option<Node>>,
}

macro_rules! take {
    ($(#[$doc:meta])* $name:ident, $variant:ident, $kind:ty) => {
        $(#[$doc])*
        pub fn $name(&mut self, name: &str) -> Option<$kind> {
            match self.take(name) {
                Some(Node::$variant(value)) => Some(value),
                None => None,
                Some(other) => panic!("{name} is not read so: {other:?}"),
            }
        }
    };
}

impl Fields {
    /// Makes a structure without any member set.
    pub fn empty(shape: ShapeId) -> Self {
        Fields { shape, values: vec![None; members(shape).len()] }
    }

    /// Returns the shape.
    pub fn shape(&self) -> ShapeId {
        self.shape
    }

    /// Tells whether a member is there.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Names the members that are there, in the order in which they are checked.
    pub fn present(&self) -> impl Iterator<Item = &'static str> {
        let names = members(self.shape).iter().map(|member| member.name.as_str());
        names.zip(&self.values).filter(|(_, value)| value.is_some()).map(|(name, _)| name)
    }

    /// The members that are there, with their names.
    pub fn nodes(&self) -> impl Iterator<Item = (&'static str, &Node)> {
        self.pairs().filter_map(|(member, value)| Some((member.name.as_str(), value?)))
    }

    /// Tells whether the shape has a member of that name.
    pub fn names(&self, name: &str) -> bool {
        members(self.shape).iter().any(|member| member.name == name)
    }

    /// Returns a member.
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.values[self.position(name)].as_ref()
    }

    /// Takes a member out.
    pub fn take(&mut self, name: &str) -> Option<Node> {
        let at = self.position(name);
        self.values[at].take()
    }

    take!(
        /// Takes a string.
        take_text, Text, String
    );
    take!(
        /// Takes a whole number.
        take_number, Number, i64
    );
    take!(
        /// Takes a member that is a number with a fraction.
        take_decimal, Decimal, f64
    );
    take!(
        /// Takes a boolean.
        take_flag, Flag, bool
    );
    take!(
        /// Takes a list.
        take_list, List, Vec<Node>
    );
    take!(
        /// Takes a map.
        take_map, Map, Vec<(String, Node)>
    );
    take!(
        /// Takes a structure.
        take_fields, Fields, Fields
    );
    take!(
        /// Takes a map of attribute values.
        take_item, Item, Checked<Item>
    );
    take!(
        /// Takes an attribute value.
        take_value, Value, Checked<AttributeValue>
    );

    /// Moves the members into the input of an operation, which has all of them.
    pub fn moved_to(mut self, operation: Operation) -> Self {
        let mut moved = Fields::empty(Model::get().input(operation));
        for member in members(self.shape) {
            if let Some(value) = self.take(&member.name) {
                let at = moved.position(&member.name);
                moved.set(at, value);
            }
        }
        moved
    }

    pub(super) fn set(&mut self, at: usize, value: Node) {
        self.values[at] = Some(value);
    }

    pub(super) fn pairs(&self) -> impl Iterator<Item = (&'static Member, Option<&Node>)> {
        members(self.shape).iter().zip(self.values.iter().map(Option::as_ref))
    }

    fn position(&self, name: &str) -> usize {
        let members = members(self.shape);
        members
            .iter()
            .position(|member| member.name == name)
            .unwrap_or_else(|| panic!("{} has no member {name}", Model::get().name(self.shape)))
    }
}

pub(super) fn members(shape: ShapeId) -> &'static [Member] {
    match Model::get().shape(shape) {
        Shape::Structure(members) => members,
        other => panic!("not a structure: {other:?}"),
    }
}

impl Node {
    /// Returns the structure that this is; the shape says that it is one.
    pub fn into_fields(self) -> Fields {
        match self {
            Node::Fields(fields) => fields,
            other => panic!("not a structure: {other:?}"),
        }
    }

    /// Returns the string that this is; the shape says that it is one.
    pub fn into_text(self) -> String {
        match self {
            Node::Text(text) => text,
            other => panic!("not a string: {other:?}"),
        }
    }

    /// Returns the map of attribute values that this is; the shape says that it is one.
    pub fn into_item(self) -> Checked<Item> {
        match self {
            Node::Item(item) => item,
            other => panic!("not a map of values: {other:?}"),
        }
    }

    /// Returns the attribute value that this is; the shape says that it is one.
    pub fn into_value(self) -> Checked<AttributeValue> {
        match self {
            Node::Value(value) => value,
            other => panic!("not a value: {other:?}"),
        }
    }

    /// Returns the list that this is; the shape says that it is one.
    pub fn into_list(self) -> Vec<Node> {
        match self {
            Node::List(list) => list,
            other => panic!("not a list: {other:?}"),
        }
    }

    /// Prints the value as constraint messages echo it: Java's `toString`.
    pub fn echo(&self) -> String {
        match self {
            Node::Text(text) => text.clone(),
            Node::Number(number) => number.to_string(),
            Node::Decimal(number) => number.to_string(),
            Node::Flag(flag) => flag.to_string(),
            Node::Bytes(bytes) => {
                format!("java.nio.HeapByteBuffer[pos=0 lim={0} cap={0}]", bytes.len())
            }
            Node::List(list) => {
                format!("[{}]", list.iter().map(Node::echo).collect::<Vec<_>>().join(", "))
            }
            Node::Map(map) => {
                let entries: Vec<String> =
                    map.iter().map(|(key, value)| format!("{key}={}", value.echo())).collect();
                format!("{{{}}}", entries.join(", "))
            }
            Node::Fields(fields) => fields.echo(),
            Node::Value(value) => json(|out| write_value(out, &value.value)),
            Node::Item(item) => json(|out| write_item(out, &item.value)),
        }
    }
}

impl Fields {
    fn echo(&self) -> String {
        let mut out = format!("{}(", Model::get().name(self.shape));
        let there = self.pairs().filter_map(|(member, value)| Some((member, value?)));
        for (at, (member, value)) in there.enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            let name = lower_first(&member.name);
            // Writing to a String cannot fail.
            let _ = write!(out, "{comma}{name}={}", value.echo());
        }
        out.push(')');
        out
    }
}

fn json(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// Prints a member's name as constraint messages do.
pub(super) fn lower_first(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}
