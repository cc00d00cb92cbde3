//! Holds a request to the constraints of its shape, as the service words them.
//!
//! The older wording is `Value 'v' at 'path' failed to satisfy constraint: ...` with a path of
//! lower-case first letters; the newer one, on the members that the data file marks, leaves the
//! value out and keeps the names as they are. All failures are counted in one message.
//!
//! # Invariants
//!
//! - Failures come in the order of the data file; at most `FAILURES_MAX` are told.
//!
//! Tested by `shape/tests.rs`.

use super::model::{Bounds, Model, Shape, ShapeId};
use super::node::{Fields, Node, lower_first};
use super::pattern::Class;
use crate::error::ApiError;

/// Most failures in one message, as the service does.
const FAILURES_MAX: usize = 10;
const NAME_PATTERN: &str = "[a-zA-Z0-9_.-]+";
const NAME_CHARACTERS_MIN: usize = 3;
const NAME_CHARACTERS_MAX: usize = 255;
const ATTRIBUTE_CHARACTERS_MAX: usize = 65_535;

/// Checks a request; the error counts every failure.
pub fn check(fields: &Fields) -> Result<(), ApiError> {
    let absent = fields.pairs().find(|(member, value)| member.stated && value.is_none());
    if let Some((member, _)) = absent {
        return Err(ApiError::Validation(format!(
            "The parameter '{}' is required but was not present in the request",
            member.name
        )));
    }
    let mut failures = Failures { texts: Vec::new() };
    if let Some(name) = empty_first(fields) {
        failures.shorter(1, "", &Path::ROOT.field(name, true));
    } else {
        failures.fields(fields, &Path::ROOT);
    }
    failures.finish()
}

/// Returns the member that is empty and therefore told alone, if nothing required is absent.
fn empty_first(fields: &Fields) -> Option<&'static str> {
    let is_empty = |node: &Node| matches!(node, Node::Text(text) if text.is_empty());
    let empty = fields.pairs().find(|(m, value)| m.empty_first && value.is_some_and(is_empty));
    let (member, _) = empty?;
    let absent = fields.pairs().any(|(member, value)| member.required && value.is_none());
    (!absent).then_some(member.name.as_str())
}

/// Checks one table name (or ARN) that is not held to the model's constraints.
pub fn check_table_name(name: &str) -> Result<(), ApiError> {
    let mut failures = Failures { texts: Vec::new() };
    failures.table(name, &Path::ROOT.field("TableName", false));
    failures.finish()
}

/// Where a value stands; printed only when a constraint fails.
#[derive(Clone, Copy)]
struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    segment: Segment<'a>,
    newer: bool,
}

#[derive(Clone, Copy)]
enum Segment<'a> {
    Root,
    /// A member of a structure.
    Field(&'a str),
    /// A value of a map.
    Entry(&'a str),
    /// An element of a list, from 0.
    Element(usize),
}

impl Path<'_> {
    const ROOT: Path<'static> = Path { parent: None, segment: Segment::Root, newer: false };

    fn field<'a>(&'a self, name: &'a str, newer: bool) -> Path<'a> {
        let newer = self.newer || newer;
        Path { parent: Some(self), segment: Segment::Field(name), newer }
    }

    fn within<'a>(&'a self, segment: Segment<'a>) -> Path<'a> {
        Path { parent: Some(self), segment, newer: self.newer }
    }

    fn older(&self) -> Self {
        Path { newer: false, ..*self }
    }

    /// Prints the path; the older wording begins names in lower case.
    fn print(&self) -> String {
        let mut out = self.parent.map_or_else(String::new, Path::print_as(self.newer));
        if !out.is_empty() {
            out.push('.');
        }
        match self.segment {
            Segment::Root => {}
            Segment::Field(name) if self.newer => out.push_str(name),
            Segment::Field(name) => out.push_str(&lower_first(name)),
            Segment::Entry(key) => out.push_str(&format!("{key}.member")),
            Segment::Element(at) => out.push_str(&format!("{}.member", at + 1)),
        }
        out
    }

    /// The wording of the last segment holds for the whole path.
    fn print_as(newer: bool) -> impl Fn(&Path<'_>) -> String {
        move |path| Path { newer, ..*path }.print()
    }
}

struct Failures {
    texts: Vec<String>,
}

impl Failures {
    fn finish(self) -> Result<(), ApiError> {
        let count = self.texts.len();
        if count == 0 {
            return Ok(());
        }
        let s = if count == 1 { "" } else { "s" };
        let texts = self.texts.join("; ");
        Err(ApiError::Validation(format!("{count} validation error{s} detected: {texts}")))
    }

    fn add(&mut self, value: Option<&str>, path: &Path<'_>, constraint: &str) {
        if self.texts.len() >= FAILURES_MAX {
            return;
        }
        let head = match (path.newer, value) {
            (true, _) => format!("Value at '{}'", path.print()),
            (false, Some(value)) => format!("Value '{value}' at '{}'", path.print()),
            (false, None) => format!("Value null at '{}'", path.print()),
        };
        self.texts.push(format!("{head} failed to satisfy constraint: {constraint}"));
    }

    fn fields(&mut self, fields: &Fields, path: &Path<'_>) {
        for (member, value) in fields.pairs() {
            match value {
                None if member.required => {
                    let path = path.field(&member.name, false);
                    self.add(None, &path.older(), "Member must not be null");
                }
                None => {}
                Some(node) => {
                    self.at(node, member.shape, &path.field(&member.name, member.newer));
                }
            }
        }
    }

    fn at(&mut self, node: &Node, shape: ShapeId, path: &Path<'_>) {
        match (Model::get().shape(shape), node) {
            (Shape::String { bounds, pattern }, Node::Text(text)) => {
                if pattern.as_deref().is_some_and(|p| !matches(p, text)) {
                    self.pattern(text, path, pattern.as_deref().unwrap_or_default());
                }
                self.length(text.chars().count(), *bounds, || text.clone(), path);
            }
            (Shape::Table, Node::Text(text)) => self.table(text, path),
            (Shape::Enum(values), Node::Text(text)) => self.one_of(text, values, path),
            (Shape::Integer(bounds) | Shape::Long(bounds), Node::Number(number)) => {
                self.range(*number, *bounds, path);
            }
            (Shape::List { element, bounds }, Node::List(nodes)) => {
                self.length(nodes.len(), *bounds, || node.echo(), path);
                for (at, node) in nodes.iter().enumerate() {
                    self.at(node, *element, &path.within(Segment::Element(at)));
                }
            }
            (Shape::Map { key, value, bounds }, Node::Map(entries)) => {
                self.length(entries.len(), *bounds, || node.echo(), path);
                self.map(node, entries, (*key, *value), path);
            }
            (Shape::Structure(_), Node::Fields(fields)) => self.fields(fields, path),
            (Shape::Item, Node::Item(item)) => {
                let is_long = |name: &String| name.chars().count() > ATTRIBUTE_CHARACTERS_MAX;
                if item.value.keys().any(is_long) {
                    let text = format!(
                        "Map keys must satisfy constraint: [Member must have length less than or \
                         equal to {ATTRIBUTE_CHARACTERS_MAX}]"
                    );
                    self.add(Some(&node.echo()), path, &text);
                }
            }
            _ => {}
        }
    }

    fn map(
        &mut self,
        whole: &Node,
        entries: &[(String, Node)],
        (key, value): (ShapeId, ShapeId),
        path: &Path<'_>,
    ) {
        if matches!(Model::get().shape(key), Shape::Table)
            && entries.iter().any(|(name, _)| table_faults(name).next().is_some())
        {
            let text = format!(
                "Map keys must satisfy constraint: [Member must have length less than or equal to \
                 {NAME_CHARACTERS_MAX}, Member must have length greater than or equal to \
                 {NAME_CHARACTERS_MIN}, Member must satisfy regular expression pattern: \
                 {NAME_PATTERN}]"
            );
            self.add(Some(&json_echo(whole)), &path.older(), &text);
        }
        let list_bounds = match Model::get().shape(value) {
            Shape::List { bounds, .. } if !path.newer => *bounds,
            _ => Bounds::default(),
        };
        for (name, node) in entries {
            if let Node::List(list) = node
                && outside(list.len(), list_bounds)
            {
                let (min, max) = (list_bounds.min.unwrap_or(0), list_bounds.max.unwrap_or(0));
                let text = format!(
                    "Map value must satisfy constraint: [Member must have length less than or \
                     equal to {max}, Member must have length greater than or equal to {min}]"
                );
                self.add(Some(&whole.echo()), path, &text);
                continue;
            }
            self.at(node, value, &path.within(Segment::Entry(name)));
        }
    }

    fn table(&mut self, text: &str, path: &Path<'_>) {
        if let Some(fault) = crate::arn::table_arn_fault(text) {
            if self.texts.len() < FAILURES_MAX {
                self.texts.push(fault);
            }
            return;
        }
        let name = crate::table_name(text);
        for fault in table_faults(name) {
            match fault {
                TableFault::Pattern => self.pattern(name, path, NAME_PATTERN),
                TableFault::Empty => self.shorter(1, name, path),
                TableFault::Short => self.shorter(NAME_CHARACTERS_MIN, name, path),
                TableFault::Long => {
                    let text = format!(
                        "Member must have length less than or equal to {NAME_CHARACTERS_MAX}"
                    );
                    self.add(Some(name), path, &text);
                }
            }
        }
    }

    fn shorter(&mut self, min: usize, text: &str, path: &Path<'_>) {
        let constraint = format!("Member must have length greater than or equal to {min}");
        self.add(Some(text), path, &constraint);
    }

    fn pattern(&mut self, text: &str, path: &Path<'_>, pattern: &str) {
        let constraint = format!("Member must satisfy regular expression pattern: {pattern}");
        self.add(Some(text), path, &constraint);
    }

    fn one_of(&mut self, text: &str, values: &[String], path: &Path<'_>) {
        if !values.iter().any(|value| value == text) {
            let values = values.join(", ");
            let constraint = format!("Member must satisfy enum value set: [{values}]");
            self.add(Some(text), path, &constraint);
        }
    }

    fn range(&mut self, number: i64, bounds: Bounds, path: &Path<'_>) {
        let text = number.to_string();
        if let Some(min) = bounds.min.filter(|min| number < *min) {
            let constraint = format!("Member must have value greater than or equal to {min}");
            self.add(Some(&text), path, &constraint);
        }
        if let Some(max) = bounds.max.filter(|max| number > *max) {
            let constraint = format!("Member must have value less than or equal to {max}");
            self.add(Some(&text), path, &constraint);
        }
    }

    fn length(
        &mut self,
        length: usize,
        bounds: Bounds,
        echo: impl Fn() -> String,
        path: &Path<'_>,
    ) {
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        if let Some(min) = bounds.min.filter(|min| length < *min) {
            let constraint = format!("Member must have length greater than or equal to {min}");
            self.add(Some(&echo()), path, &constraint);
        }
        if let Some(max) = bounds.max.filter(|max| length > *max) {
            let constraint = format!("Member must have length less than or equal to {max}");
            self.add(Some(&echo()), path, &constraint);
        }
    }
}

enum TableFault {
    Pattern,
    Empty,
    Short,
    Long,
}

fn table_faults(text: &str) -> impl Iterator<Item = TableFault> {
    let name = crate::table_name(text);
    let count = name.chars().count();
    // NAME_PATTERN, written out: it is checked for every request.
    let in_class = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    let pattern = (!name.bytes().all(in_class)).then_some(TableFault::Pattern);
    let length = match count {
        0 => Some(TableFault::Empty),
        1..NAME_CHARACTERS_MIN => Some(TableFault::Short),
        NAME_CHARACTERS_MIN..=NAME_CHARACTERS_MAX => None,
        _ => Some(TableFault::Long),
    };
    pattern.into_iter().chain(length)
}

fn matches(pattern: &str, text: &str) -> bool {
    Class::parse(pattern).is_none_or(|class| class.matches(text))
}

fn outside(length: usize, bounds: Bounds) -> bool {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    bounds.min.is_some_and(|min| length < min) || bounds.max.is_some_and(|max| length > max)
}

/// Prints a map whose values are structures as JSON, as BatchGetItem's message does.
fn json_echo(node: &Node) -> String {
    match node {
        Node::Map(entries) if entries.iter().all(|(_, v)| matches!(v, Node::Fields(_))) => {
            let entries: Vec<String> = entries
                .iter()
                .map(|(key, value)| format!("\"{key}\":{}", json_fields(value)))
                .collect();
            format!("{{{}}}", entries.join(","))
        }
        other => other.echo(),
    }
}

fn json_fields(node: &Node) -> String {
    match node {
        Node::Fields(fields) => {
            let members: Vec<String> = fields
                .pairs()
                .filter_map(|(member, value)| {
                    Some(format!("\"{}\":{}", member.name, json_fields(value?)))
                })
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Node::List(list) => {
            format!("[{}]", list.iter().map(json_fields).collect::<Vec<_>>().join(","))
        }
        Node::Text(text) => format!("\"{text}\""),
        other => other.echo(),
    }
}
