//! Values, items and placeholders in short, for the tests of this crate.

use meridian_model::{AttributeValue, Item, Number};

use crate::placeholders::Placeholders;

pub(crate) fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

pub(crate) fn n(text: &str) -> AttributeValue {
    AttributeValue::N(Number::parse(text).expect("a test's number is well formed"))
}

pub(crate) fn b(bytes: &[u8]) -> AttributeValue {
    AttributeValue::B(bytes.to_vec())
}

pub(crate) fn ss(members: &[&str]) -> AttributeValue {
    AttributeValue::Ss(members.iter().map(|m| (*m).to_owned()).collect())
}

pub(crate) fn ns(members: &[i64]) -> AttributeValue {
    AttributeValue::Ns(members.iter().map(|m| Number::from(*m)).collect())
}

pub(crate) fn l(elements: &[AttributeValue]) -> AttributeValue {
    AttributeValue::L(elements.to_vec())
}

pub(crate) fn m(entries: &[(&str, AttributeValue)]) -> AttributeValue {
    AttributeValue::M(item(entries))
}

pub(crate) fn item(attributes: &[(&str, AttributeValue)]) -> Item {
    attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

/// Placeholders of which none may be missing from the maps.
pub(crate) fn placeholders(
    names: &[(&str, &str)],
    values: &[(&str, AttributeValue)],
) -> Placeholders {
    let owned = |(key, name): &(&str, &str)| ((*key).to_owned(), (*name).to_owned());
    let names = (!names.is_empty()).then(|| names.iter().map(owned).collect());
    let values = (!values.is_empty()).then(|| item(values));
    Placeholders::new(names, values).expect("a test's placeholders are well formed")
}
