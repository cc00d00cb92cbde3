//! One setting of a configuration file: absent, given, or given wrongly.
//!
//! A wrong value does not end the reading of the file, so that every mistake in it is reported at
//! once.

use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use std::fmt;
use std::str::FromStr;
use toml::Value;

/// A setting as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Field<T> {
    /// Not in the file.
    #[default]
    Absent,
    /// A value of the right type.
    Given(T),
    /// A value of another type; holds what was found.
    Wrong(String),
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let found = format!("{} {value}", value.type_str());
        Ok(T::deserialize(value).map_or(Field::Wrong(found), Field::Given))
    }
}

/// What a setting of a file is called, may hold, and means when it is absent: the source of error
/// texts and of `docs/reference/config.md`.
#[derive(Debug, Clone, Copy)]
pub struct FieldDoc {
    /// Name in the file.
    pub name: &'static str,
    /// What it may hold.
    pub allowed: &'static str,
    /// What an absent one means; empty when it must be given.
    pub default: &'static str,
    /// What it does.
    pub doc: &'static str,
}

/// One mistake in a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The setting.
    pub field: String,
    /// What is wrong with it and what is allowed.
    pub text: String,
}

/// Every mistake of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default, thiserror::Error)]
pub struct ConfigErrors(pub Vec<Problem>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        write!(f, "the configuration has {count} mistake{}", if count == 1 { "" } else { "s" })?;
        self.0.iter().try_for_each(|p| write!(f, "\n  {}: {}", p.field, p.text))
    }
}

/// Turns fields into values and gathers what is wrong with them.
#[derive(Debug)]
pub struct Reading {
    docs: &'static [FieldDoc],
    problems: Vec<Problem>,
}

impl Reading {
    /// Starts with the descriptions of the fields.
    pub fn new(docs: &'static [FieldDoc]) -> Self {
        Reading { docs, problems: Vec::new() }
    }

    /// Notes a mistake.
    pub fn problem(&mut self, field: &str, text: impl Into<String>) {
        self.problems.push(Problem { field: field.to_owned(), text: text.into() });
    }

    fn allowed(&self, field: &str) -> &'static str {
        self.docs.iter().find(|d| d.name == field).map_or("", |d| d.allowed)
    }

    /// Notes that what was found is not what is allowed.
    pub fn refused(&mut self, field: &str, found: &str) {
        let allowed = self.allowed(field);
        self.problem(field, format!("must be {allowed}; found {found}"));
    }

    /// True when nothing was noted about a setting so far.
    pub fn is_clean(&self, field: &str) -> bool {
        self.problems.iter().all(|p| p.field != field)
    }

    /// Notes every name that no setting has.
    pub fn unknown<'a>(&mut self, names: impl Iterator<Item = &'a String>) {
        for name in names {
            let near = self.docs.iter().map(|d| d.name).find(|known| nearly(known, name));
            let hint = near.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
            self.problem(name, format!("no such setting{hint}"));
        }
    }

    /// A setting that may be absent.
    pub fn maybe<T>(&mut self, name: &str, field: Field<T>) -> Option<T> {
        match field {
            Field::Absent => None,
            Field::Given(value) => Some(value),
            Field::Wrong(found) => {
                self.refused(name, &found);
                None
            }
        }
    }

    /// A setting with a default.
    pub fn or<T>(&mut self, name: &str, field: Field<T>, default: T) -> T {
        self.maybe(name, field).unwrap_or(default)
    }

    /// A setting that must be there. A stand-in is returned after noting a mistake.
    pub fn must<T: Default>(&mut self, name: &str, field: Field<T>) -> T {
        if matches!(field, Field::Absent) {
            let allowed = self.allowed(name);
            self.problem(name, format!("is required: {allowed}"));
        }
        self.maybe(name, field).unwrap_or_default()
    }

    /// Reads a text setting as a `T`.
    pub fn parsed<T: FromStr>(&mut self, name: &str, field: Field<String>) -> Option<T> {
        let text = self.maybe(name, field)?;
        self.parse(name, &text)
    }

    /// Reads text as a `T`.
    pub fn parse<T: FromStr>(&mut self, name: &str, text: &str) -> Option<T> {
        let value = text.parse().ok();
        if value.is_none() {
            self.refused(name, &format!("\"{text}\""));
        }
        value
    }

    /// Notes a mistake unless `value` is within `range`.
    pub fn within<T: PartialOrd + fmt::Display>(
        &mut self,
        name: &str,
        value: T,
        range: std::ops::RangeInclusive<T>,
    ) -> T {
        if !range.contains(&value) {
            self.refused(name, &value.to_string());
        }
        value
    }

    /// The value, if nothing was wrong.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, ConfigErrors> {
        match value {
            Some(value) if self.problems.is_empty() => Ok(value),
            _ => Err(ConfigErrors(self.problems)),
        }
    }
}

/// True for names that differ by little: case, separators, one letter, or a prefix.
fn nearly(known: &str, written: &str) -> bool {
    let plain = |s: &str| s.to_ascii_lowercase().replace(['-', '_'], "");
    let (a, b) = (plain(known), plain(written));
    let short = b.len() >= 4 && (a.starts_with(&b) || a.ends_with(&b));
    a == b || short || distance_at_most_two(&a, &b)
}

fn distance_at_most_two(a: &str, b: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()] <= 2
}

/// Writes a table of settings in Markdown.
pub fn markdown(docs: &[FieldDoc]) -> String {
    let mut out = String::from("| setting | allowed | default | meaning |\n|---|---|---|---|\n");
    for d in docs {
        let default = if d.default.is_empty() { "required" } else { d.default };
        out.push_str(&format!("| `{}` | {} | {default} | {} |\n", d.name, d.allowed, d.doc));
    }
    out
}
