//! Expressions on their way between nodes: text, names and values.
//!
//! A compiled expression prints itself with a placeholder for every name and value, so it does not
//! matter whether it came from a text or from legacy parameters. The receiver compiles it again.
//! The printed text may exceed the limits that hold for clients.
//!
//! # Invariants
//!
//! - `from_source(source(x)) == x`.
//!
//! Tested by `source/tests.rs` with generated expressions.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use meridian_base::codec::{DecodeError, Reader, put_bytes, put_var};
use meridian_model::{AttributeValue, decode_item, encode_item};

use crate::ast::{Operand, Predicate, SetOperand, SetValue, UpdateAction};
use crate::path::{Path, Step};
use crate::placeholders::Placeholders;

/// An expression as text, with only the names and values that it uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpressionSource {
    /// The text; every attribute name is a `#` placeholder.
    pub text: String,
    /// Attribute names by placeholder.
    pub names: BTreeMap<String, String>,
    /// Values by placeholder.
    pub values: BTreeMap<String, AttributeValue>,
}

impl ExpressionSource {
    /// Appends the source; whoever sends it writes a format version before it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.text.as_bytes());
        put_var(out, u64::try_from(self.names.len()).expect("a count fits 64 bits"));
        for (placeholder, name) in &self.names {
            put_bytes(out, placeholder.as_bytes());
            put_bytes(out, name.as_bytes());
        }
        encode_item(&self.values, out);
    }

    /// Reads what [`ExpressionSource::encode`] wrote.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let text = reader.str()?.to_owned();
        let mut names = BTreeMap::new();
        for _ in 0..reader.len()? {
            let placeholder = reader.str()?.to_owned();
            names.insert(placeholder, reader.str()?.to_owned());
        }
        Ok(ExpressionSource { text, names, values: decode_item(reader)? })
    }

    pub(crate) fn placeholders(&self) -> Placeholders {
        Placeholders::trusted(self.names.clone(), self.values.clone())
    }
}

/// How tightly a predicate binds; a looser one within a tighter one needs parentheses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Binding {
    Or,
    And,
    Not,
    Leaf,
}

/// Prints expressions and collects their names and values.
#[derive(Debug, Default)]
pub(crate) struct Printer {
    text: String,
    /// Placeholders by name.
    names: BTreeMap<String, String>,
    values: BTreeMap<String, AttributeValue>,
}

impl Printer {
    pub(crate) fn finish(self) -> ExpressionSource {
        let names = self.names.into_iter().map(|(name, placeholder)| (placeholder, name)).collect();
        ExpressionSource { text: self.text, names, values: self.values }
    }

    fn put(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn name(&mut self, name: &str) {
        let next = self.names.len();
        let placeholder = self.names.entry(name.to_owned()).or_insert_with(|| format!("#n{next}"));
        self.text.push_str(placeholder);
    }

    fn value(&mut self, value: &AttributeValue) {
        let placeholder = format!(":v{}", self.values.len());
        self.put(&placeholder);
        self.values.insert(placeholder, value.clone());
    }

    fn separated<T>(&mut self, separator: &str, parts: &[T], mut print: impl FnMut(&mut Self, &T)) {
        for (position, part) in parts.iter().enumerate() {
            if position > 0 {
                self.put(separator);
            }
            print(self, part);
        }
    }

    pub(crate) fn path(&mut self, path: &Path) {
        self.name(&path.attribute);
        for step in &path.steps {
            match step {
                Step::Key(key) => {
                    self.put(".");
                    self.name(key);
                }
                Step::Index(index) => self.put(&format!("[{index}]")),
            }
        }
    }

    pub(crate) fn paths(&mut self, paths: &[Path]) {
        self.separated(", ", paths, Self::path);
    }

    pub(crate) fn predicate(&mut self, predicate: &Predicate) {
        match predicate {
            Predicate::Compare { comparator, left, right } => {
                self.operand(left);
                self.put(&format!(" {} ", comparator.sign()));
                self.operand(right);
            }
            Predicate::Between { operand, low, high } => {
                self.operand(operand);
                self.put(" BETWEEN ");
                self.operand(low);
                self.put(" AND ");
                self.operand(high);
            }
            Predicate::In { operand, list } => {
                self.operand(operand);
                self.put(" IN (");
                self.separated(", ", list, Self::operand);
                self.put(")");
            }
            Predicate::Exists(path) => self.path_function("attribute_exists", path),
            Predicate::NotExists(path) => self.path_function("attribute_not_exists", path),
            Predicate::HasType(operand, type_name) => {
                let type_name = Operand::Value(AttributeValue::S((*type_name).to_owned()));
                self.function("attribute_type", operand, &type_name);
            }
            Predicate::BeginsWith(operand, prefix) => self.function("begins_with", operand, prefix),
            Predicate::Contains(operand, part) => self.function("contains", operand, part),
            Predicate::And(parts) => {
                self.separated(" AND ", parts, |p, part| p.nested(part, Binding::Not));
            }
            Predicate::Or(parts) => {
                self.separated(" OR ", parts, |p, part| p.nested(part, Binding::And));
            }
            Predicate::Not(inner) => {
                self.put("NOT ");
                self.nested(inner, Binding::Not);
            }
        }
    }

    /// Prints a part, in parentheses if it binds looser than `least`.
    fn nested(&mut self, part: &Predicate, least: Binding) {
        if binding(part) >= least {
            return self.predicate(part);
        }
        self.put("(");
        self.predicate(part);
        self.put(")");
    }

    fn path_function(&mut self, function: &str, path: &Path) {
        self.put(&format!("{function}("));
        self.path(path);
        self.put(")");
    }

    fn function(&mut self, function: &str, first: &Operand, second: &Operand) {
        self.put(&format!("{function}("));
        self.operand(first);
        self.put(", ");
        self.operand(second);
        self.put(")");
    }

    fn operand(&mut self, operand: &Operand) {
        match operand {
            Operand::Path(path) => self.path(path),
            Operand::Value(value) => self.value(value),
            Operand::Size(inner) => {
                self.put("size(");
                self.operand(inner);
                self.put(")");
            }
        }
    }

    /// Prints the sections in the order in which their first actions stand.
    pub(crate) fn update(&mut self, actions: &[UpdateAction]) {
        let mut keywords: Vec<&str> = Vec::new();
        for action in actions {
            let keyword = keyword(action);
            if !keywords.contains(&keyword) {
                keywords.push(keyword);
            }
        }
        for (position, section) in keywords.into_iter().enumerate() {
            if position > 0 {
                self.put(" ");
            }
            self.put(section);
            self.put(" ");
            let actions: Vec<_> = actions.iter().filter(|a| keyword(a) == section).collect();
            self.separated(", ", &actions, |p, action| p.action(action));
        }
    }

    fn action(&mut self, action: &UpdateAction) {
        self.path(action.path());
        match action {
            UpdateAction::Set(_, value) => {
                self.put(" = ");
                self.set_value(value);
            }
            UpdateAction::Remove(_) => {}
            UpdateAction::Add(_, value) | UpdateAction::Delete(_, value) => {
                self.put(" ");
                self.value(value);
            }
        }
    }

    fn set_value(&mut self, value: &SetValue) {
        let (left, sign, right) = match value {
            SetValue::Operand(operand) => return self.set_operand(operand),
            SetValue::Plus(left, right) => (left, " + ", right),
            SetValue::Minus(left, right) => (left, " - ", right),
        };
        self.set_operand(left);
        self.put(sign);
        self.set_operand(right);
    }

    fn set_operand(&mut self, operand: &SetOperand) {
        match operand {
            SetOperand::Path(path) => self.path(path),
            SetOperand::Value(value) => self.value(value),
            SetOperand::IfNotExists(path, otherwise) => {
                self.put("if_not_exists(");
                self.path(path);
                self.put(", ");
                self.set_operand(otherwise);
                self.put(")");
            }
            SetOperand::ListAppend(first, second) => {
                self.put("list_append(");
                self.set_operand(first);
                self.put(", ");
                self.set_operand(second);
                self.put(")");
            }
        }
    }
}

fn keyword(action: &UpdateAction) -> &'static str {
    match action {
        UpdateAction::Set(..) => "SET",
        UpdateAction::Remove(_) => "REMOVE",
        UpdateAction::Add(..) => "ADD",
        UpdateAction::Delete(..) => "DELETE",
    }
}

fn binding(predicate: &Predicate) -> Binding {
    match predicate {
        Predicate::Or(_) => Binding::Or,
        Predicate::And(_) => Binding::And,
        Predicate::Not(_) => Binding::Not,
        Predicate::Compare { .. }
        | Predicate::Between { .. }
        | Predicate::In { .. }
        | Predicate::Exists(_)
        | Predicate::NotExists(_)
        | Predicate::HasType(..)
        | Predicate::BeginsWith(..)
        | Predicate::Contains(..) => Binding::Leaf,
    }
}
