//! Prints values as literals, for the tests.

use meridian_model::AttributeValue;

/// Prints a value as a literal that reads as the same value; none where it holds bytes, which
/// statements can only have as parameters.
pub(super) fn literal(value: &AttributeValue) -> Option<String> {
    let joined = |parts: Option<Vec<String>>| parts.map(|parts| parts.join(", "));
    match value {
        AttributeValue::S(text) => Some(quoted(text)),
        AttributeValue::N(number) => Some(number.to_string()),
        AttributeValue::Bool(flag) => Some(flag.to_string().to_ascii_uppercase()),
        AttributeValue::Null => Some("NULL".to_owned()),
        AttributeValue::L(list) => {
            joined(list.iter().map(literal).collect()).map(|list| format!("[{list}]"))
        }
        AttributeValue::M(map) => {
            let entry = |(name, value): (&String, &AttributeValue)| {
                literal(value).map(|value| quoted(name) + ": " + &value)
            };
            joined(map.iter().map(entry).collect()).map(|map| format!("{{{map}}}"))
        }
        AttributeValue::Ss(set) => {
            joined(Some(set.iter().map(|member| quoted(member)).collect())).map(in_set)
        }
        AttributeValue::Ns(set) => {
            joined(Some(set.iter().map(ToString::to_string).collect())).map(in_set)
        }
        AttributeValue::B(_) | AttributeValue::Bs(_) => None,
    }
}

fn in_set(members: String) -> String {
    format!("<<{members}>>")
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
