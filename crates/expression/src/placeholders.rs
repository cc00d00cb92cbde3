//! ExpressionAttributeNames and ExpressionAttributeValues of one request.
//!
//! # Invariants
//!
//! - Every key has DynamoDB's form; a placeholder is used when an expression names it, whether or
//!   not evaluation ever gets there.
//!
//! Tested here.

use std::collections::{BTreeMap, BTreeSet};

use meridian_model::AttributeValue;

use crate::error::PlaceholderError;

/// Longest placeholder with its `#` or `:`, bytes (AWS: Constraints, "Expression parameters").
pub const PLACEHOLDER_BYTES_MAX: usize = 255;

const NAMES: &str = "ExpressionAttributeNames";
const VALUES: &str = "ExpressionAttributeValues";

/// The placeholders of one request, and which of them its expressions have used.
#[derive(Debug, Clone, Default)]
pub struct Placeholders {
    names: BTreeMap<String, String>,
    values: BTreeMap<String, AttributeValue>,
    used_names: BTreeSet<String>,
    used_values: BTreeSet<String>,
}

impl Placeholders {
    /// Takes the maps of a request; a map that is present must be well formed and not empty.
    pub fn new(
        names: Option<BTreeMap<String, String>>,
        values: Option<BTreeMap<String, AttributeValue>>,
    ) -> Result<Self, PlaceholderError> {
        if let Some(names) = &names {
            check_keys(NAMES, '#', names.keys())?;
            if let Some((key, _)) = names.iter().find(|(_, name)| name.is_empty()) {
                return Err(PlaceholderError::EmptyName(key.clone()));
            }
        }
        if let Some(values) = &values {
            check_keys(VALUES, ':', values.keys())?;
        }
        Ok(Placeholders {
            names: names.unwrap_or_default(),
            values: values.unwrap_or_default(),
            ..Placeholders::default()
        })
    }

    /// Takes maps that a peer printed; their form is not checked.
    pub(crate) fn trusted(
        names: BTreeMap<String, String>,
        values: BTreeMap<String, AttributeValue>,
    ) -> Self {
        Placeholders { names, values, ..Placeholders::default() }
    }

    /// Tells whether the request gave names.
    pub fn has_names(&self) -> bool {
        !self.names.is_empty()
    }

    /// Tells whether the request gave values.
    pub fn has_values(&self) -> bool {
        !self.values.is_empty()
    }

    /// The name behind a `#` placeholder, from now on used.
    pub(crate) fn name(&mut self, placeholder: &str) -> Option<&str> {
        let name = self.names.get(placeholder)?;
        self.used_names.insert(placeholder.to_owned());
        Some(name)
    }

    /// The value behind a `:` placeholder, from now on used.
    pub(crate) fn value(&mut self, placeholder: &str) -> Option<&AttributeValue> {
        let value = self.values.get(placeholder)?;
        self.used_values.insert(placeholder.to_owned());
        Some(value)
    }

    /// Refuses placeholders that no expression used. To be asked after all expressions of the
    /// request are parsed.
    pub fn unused(&self) -> Result<(), PlaceholderError> {
        let left = |map, keys: Vec<&str>, total| {
            if keys.is_empty() {
                return Ok(());
            }
            Err(PlaceholderError::Unused { map, keys: in_hash_order(keys, total) })
        };
        let names = self.names.keys().filter(|key| !self.used_names.contains(*key));
        left(NAMES, names.map(String::as_str).collect(), self.names.len())?;
        let values = self.values.keys().filter(|key| !self.used_values.contains(*key));
        left(VALUES, values.map(String::as_str).collect(), self.values.len())
    }
}

fn check_keys<'a>(
    map: &'static str,
    sign: char,
    keys: impl ExactSizeIterator<Item = &'a String>,
) -> Result<(), PlaceholderError> {
    if keys.len() == 0 {
        return Err(PlaceholderError::Empty(map));
    }
    for key in keys {
        if key.len() > PLACEHOLDER_BYTES_MAX {
            return Err(PlaceholderError::KeyTooLong { map, size: key.len() });
        }
        let word = key.strip_prefix(sign).unwrap_or_default();
        if word.is_empty() || !word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(PlaceholderError::BadKey { map, key: key.clone() });
        }
    }
    Ok(())
}

/// Orders keys as the service lists them: by the slot of a Java hash set made of all `total` keys.
fn in_hash_order(keys: Vec<&str>, total: usize) -> Vec<String> {
    let slots = (total * 4 / 3 + 1).max(16).next_power_of_two();
    let mask = u32::try_from(slots - 1).unwrap_or(u32::MAX);
    let slot = |key: &str| {
        let hash =
            key.encode_utf16().fold(0u32, |h, c| h.wrapping_mul(31).wrapping_add(u32::from(c)));
        (hash ^ (hash >> 16)) & mask
    };
    let mut keys: Vec<String> = keys.into_iter().map(str::to_owned).collect();
    keys.sort_by_key(|key| slot(key));
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(keys: &[&str]) -> Option<BTreeMap<String, String>> {
        Some(keys.iter().map(|key| ((*key).to_owned(), "x".to_owned())).collect())
    }

    fn refusal(result: Result<Placeholders, PlaceholderError>) -> String {
        result.expect_err("these are refused").to_string()
    }

    #[test]
    fn maps_are_checked() {
        assert_eq!(
            refusal(Placeholders::new(names(&[]), None)),
            "ExpressionAttributeNames must not be empty"
        );
        for key in ["a", "#", "##a", "#a-b", ":a", "#é"] {
            assert_eq!(
                refusal(Placeholders::new(names(&[key]), None)),
                format!(
                    "ExpressionAttributeNames contains invalid key: Syntax error; key: \"{key}\""
                )
            );
        }
        let values = Some([("a".to_owned(), AttributeValue::Null)].into());
        assert_eq!(
            refusal(Placeholders::new(None, values)),
            "ExpressionAttributeValues contains invalid key: Syntax error; key: \"a\""
        );
        let long = format!("#{}", "a".repeat(255));
        assert!(refusal(Placeholders::new(names(&[&long]), None)).ends_with("size of key: 256"));
        assert!(Placeholders::new(names(&["#_", "#0", "#Ab_1"]), None).is_ok());
    }

    #[test]
    fn unused_placeholders_are_named() {
        let values = Some([(":v".to_owned(), AttributeValue::Null)].into());
        let mut placeholders =
            Placeholders::new(names(&["#a", "#b", "#c"]), values).expect("well formed");
        assert_eq!(placeholders.name("#b"), Some("x"));
        assert_eq!(
            placeholders.unused().expect_err("two are unused").to_string(),
            "Value provided in ExpressionAttributeNames unused in expressions: keys: {#c, #a}"
        );
        placeholders.name("#a");
        placeholders.name("#c");
        assert_eq!(
            placeholders.unused().expect_err("one is unused").to_string(),
            "Value provided in ExpressionAttributeValues unused in expressions: keys: {:v}"
        );
        placeholders.value(":v");
        assert_eq!(placeholders.unused(), Ok(()));
    }
}
