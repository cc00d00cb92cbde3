//! The shapes of every request, from the checked-in data file.
//!
//! `data/model.txt` is derived from the public service model by `data/derive.py`; it is embedded,
//! and parsed once, at the first request.
//!
//! # Invariants
//!
//! - Every name in the file resolves: a file that does not is a bug and panics in the first test.
//! - All 66 operations have an input shape.
//!
//! Tested below.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use crate::operation::Operation;

/// Number of a shape in the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShapeId(usize);

/// Least and greatest length or value, both inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bounds {
    /// Least, if there is one.
    pub min: Option<i64>,
    /// Greatest, if there is one.
    pub max: Option<i64>,
}

/// What a value of a shape looks like and must satisfy.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// A string.
    String {
        /// Length.
        bounds: Bounds,
        /// Character class that it must consist of.
        pattern: Option<String>,
    },
    /// A table name or table ARN.
    Table,
    /// A string out of a set, in the order in which the service prints it.
    Enum(Vec<String>),
    /// A 32-bit number.
    Integer(Bounds),
    /// A 64-bit number.
    Long(Bounds),
    /// A floating-point number.
    Double,
    /// Seconds since the epoch, with a fraction.
    Timestamp,
    /// True or false.
    Boolean,
    /// Base64.
    Blob,
    /// A list.
    List {
        /// Of what.
        element: ShapeId,
        /// Length.
        bounds: Bounds,
    },
    /// A map from strings.
    Map {
        /// Its keys.
        key: ShapeId,
        /// Its values.
        value: ShapeId,
        /// Number of entries.
        bounds: Bounds,
    },
    /// A structure.
    Structure(Vec<Member>),
    /// An attribute value.
    Value,
    /// A map of attribute values.
    Item,
}

/// One member of a structure.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Its name in JSON.
    pub name: String,
    /// Its shape.
    pub shape: ShapeId,
    /// Whether it must be there.
    pub required: bool,
    /// Whether its absence is told in other words, before all constraints.
    pub stated: bool,
    /// Whether its constraints are told in the wording that the service took up in mid-2026.
    pub newer: bool,
    /// Whether it is told alone, before all constraints, when it is empty and nothing is absent.
    pub empty_first: bool,
}

/// All shapes.
#[derive(Debug)]
pub struct Model {
    shapes: Vec<(String, Shape)>,
    inputs: BTreeMap<Operation, ShapeId>,
}

const DATA: &str = include_str!("../../data/model.txt");

impl Model {
    /// Returns the model, parsed at the first call.
    pub fn get() -> &'static Model {
        static MODEL: OnceLock<Model> = OnceLock::new();
        MODEL.get_or_init(|| Model::parse(DATA).expect("data/model.txt is checked by a test"))
    }

    /// Returns the input shape of an operation.
    pub fn input(&self, operation: Operation) -> ShapeId {
        *self.inputs.get(&operation).expect("data/model.txt has every operation: checked by a test")
    }

    /// Returns a shape.
    pub fn shape(&self, id: ShapeId) -> &Shape {
        &self.shapes[id.0].1
    }

    /// Returns a shape's name in the service model.
    pub fn name(&self, id: ShapeId) -> &str {
        &self.shapes[id.0].0
    }

    fn parse(data: &str) -> Option<Model> {
        let ids = shape_ids(data)?;
        let find = |name: &str| ids.get(name).copied();
        let mut model = Model { shapes: Vec::new(), inputs: BTreeMap::new() };
        for line in data.lines().filter(|line| !line.starts_with('#')) {
            let words: Vec<&str> = line.split_whitespace().collect();
            if line.starts_with("  ") {
                let Some((_, Shape::Structure(members))) = model.shapes.last_mut() else {
                    return None;
                };
                members.push(member(&words, &find)?);
            } else if let ["operation", name, input] = words.as_slice() {
                model.inputs.insert(Operation::from_name(name)?, find(input)?);
            } else {
                let name = (*words.get(1)?).to_owned();
                model.shapes.push((name, shape(&words, &find)?));
            }
        }
        Some(model)
    }
}

fn shape_ids(data: &str) -> Option<BTreeMap<&str, ShapeId>> {
    data.lines()
        .filter(|line| !line.starts_with(['#', ' ']) && !line.starts_with("operation "))
        .enumerate()
        .map(|(at, line)| Some((line.split_whitespace().nth(1)?, ShapeId(at))))
        .collect()
}

fn member(words: &[&str], find: &impl Fn(&str) -> Option<ShapeId>) -> Option<Member> {
    let [name, shape, flags @ ..] = words else { return None };
    Some(Member {
        name: (*name).to_owned(),
        shape: find(shape)?,
        required: flags.contains(&"required"),
        stated: flags.contains(&"stated"),
        newer: flags.contains(&"newer"),
        empty_first: flags.contains(&"empty-first"),
    })
}

fn shape(words: &[&str], find: &impl Fn(&str) -> Option<ShapeId>) -> Option<Shape> {
    Some(match words {
        ["string", _, min, max, pattern] => Shape::String {
            bounds: bounds(min, max)?,
            pattern: (*pattern != "-").then(|| (*pattern).to_owned()),
        },
        ["table", _] => Shape::Table,
        ["enum", _, values @ ..] => Shape::Enum(values.iter().map(|v| (*v).to_owned()).collect()),
        ["integer", _, min, max] => Shape::Integer(bounds(min, max)?),
        ["long", _, min, max] => Shape::Long(bounds(min, max)?),
        ["double", _] => Shape::Double,
        ["timestamp", _] => Shape::Timestamp,
        ["boolean", _] => Shape::Boolean,
        ["blob", _] => Shape::Blob,
        ["list", _, element, min, max] => {
            Shape::List { element: find(element)?, bounds: bounds(min, max)? }
        }
        ["map", _, key, value, min, max] => {
            Shape::Map { key: find(key)?, value: find(value)?, bounds: bounds(min, max)? }
        }
        ["structure", _] => Shape::Structure(Vec::new()),
        ["value", _] => Shape::Value,
        ["item", _] => Shape::Item,
        _ => return None,
    })
}

fn bounds(min: &str, max: &str) -> Option<Bounds> {
    Some(Bounds { min: bound(min)?, max: bound(max)? })
}

fn bound(text: &str) -> Option<Option<i64>> {
    if text == "-" { Some(None) } else { text.parse().ok().map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_a_structure() {
        let model = Model::get();
        for operation in Operation::ALL {
            let input = model.shape(model.input(operation));
            assert!(matches!(input, Shape::Structure(_)), "{operation:?}");
        }
    }

    #[test]
    fn patterns_are_ones_that_the_matcher_knows() {
        for (name, shape) in &Model::get().shapes {
            if let Shape::String { pattern: Some(pattern), .. } = shape {
                assert!(super::super::pattern::Class::parse(pattern).is_some(), "{name}");
            }
        }
    }
}
