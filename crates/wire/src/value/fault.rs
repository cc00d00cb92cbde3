//! What can be wrong with an attribute value, and the two wordings the service tells it in.
//!
//! Since mid-2026 the service checks values in one of two layers, by operation: the current one
//! (PutItem, UpdateItem, DeleteItem, GetItem, BatchGetItem, Query) and the older one
//! (BatchWriteItem, transactions, Scan). They differ in a few texts.
//!
//! Tested by `value/tests.rs`.

use meridian_model::NumberError;

/// Selects the layer whose wording an operation answers in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wording {
    /// The newer checks.
    Current,
    /// The checks as before mid-2026.
    Older,
}

/// Says why an attribute value is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueFault {
    /// No datatype is set.
    Empty,
    /// More than one datatype is set.
    SeveralTypes,
    /// `NULL` is not `true`.
    NullNotTrue,
    /// A set of strings has no member.
    EmptyStringSet,
    /// A set of numbers has no member.
    EmptyNumberSet,
    /// A set of byte strings has no member.
    EmptyBinarySet,
    /// A member of a set is JSON's null.
    NullMember,
    /// An attribute or a map key has no name.
    EmptyName,
    /// Lists and maps are nested more than 32 levels deep.
    Nesting,
    /// A number is not one, or not one that fits; the text is as it came.
    Number(NumberError, String),
    /// A set of strings repeats a member; members as sent.
    DuplicateStrings(Vec<String>),
    /// A set of numbers repeats a member.
    DuplicateNumbers,
    /// A set of byte strings repeats a member; members in base64 as sent.
    DuplicateBinaries(Vec<(Vec<u8>, String)>),
}

const INVALID: &str = "One or more parameter values were invalid: ";

impl ValueFault {
    /// Tells the fault as the service does.
    pub fn text(&self, wording: Wording) -> String {
        match self {
            ValueFault::Empty => "Supplied AttributeValue is empty, must contain exactly one of \
                                  the supported datatypes"
                .to_owned(),
            ValueFault::SeveralTypes => "Supplied AttributeValue has more than one datatypes set, \
                                         must contain exactly one of the supported datatypes"
                .to_owned(),
            ValueFault::NullNotTrue => {
                format!("{INVALID}Null attribute value types must have the value of true")
            }
            ValueFault::EmptyStringSet => format!("{INVALID}An string set  may not be empty"),
            ValueFault::EmptyNumberSet => format!("{INVALID}An number set  may not be empty"),
            ValueFault::EmptyBinarySet => format!("{INVALID}Binary sets should not be empty"),
            ValueFault::NullMember => {
                format!("{INVALID}An string set may not have a null string as a member")
            }
            ValueFault::EmptyName => "Empty attribute name".to_owned(),
            ValueFault::Nesting => "Nesting Levels have exceeded supported limits: Attributes in \
                                    the item have nested levels beyond supported limit"
                .to_owned(),
            ValueFault::Number(error, text) => number(error, text, wording),
            ValueFault::DuplicateStrings(members) => format!(
                "{INVALID}Input collection {} contains duplicates.",
                strings(members, wording)
            ),
            ValueFault::DuplicateNumbers => match wording {
                Wording::Current => format!("{INVALID}Input collection contains duplicates."),
                Wording::Older => "Input collection contains duplicates".to_owned(),
            },
            ValueFault::DuplicateBinaries(members) => format!(
                "{INVALID}Input collection {}of type BS contains duplicates.",
                binaries(members, wording)
            ),
        }
    }
}

/// An empty text keeps the colon in the current layer. The older layer reads as Java's
/// BigDecimal, so an exponent at the end of the int range wraps into an underflow.
fn number(error: &NumberError, text: &str, wording: Wording) -> String {
    match (error, wording) {
        (NumberError::Empty, Wording::Current) => format!("{error}: "),
        (NumberError::Overflow, Wording::Older) if text.ends_with("e2147483647") => {
            NumberError::Underflow.to_string()
        }
        _ => error.to_string(),
    }
}

fn strings(members: &[String], wording: Wording) -> String {
    match wording {
        Wording::Older => format!("[{}]", members.join(", ")),
        Wording::Current => {
            let listed = up_to_repeat(members);
            let quoted: Vec<String> = listed.iter().map(|m| format!("\"{m}\"")).collect();
            format!("[{}]", quoted.join(", "))
        }
    }
}

fn binaries(members: &[(Vec<u8>, String)], wording: Wording) -> String {
    match wording {
        Wording::Older => {
            let listed: Vec<&str> = members.iter().map(|(_, text)| text.as_str()).collect();
            format!("[{}]", listed.join(", "))
        }
        Wording::Current => {
            let listed = up_to_repeat(members);
            let quoted: Vec<String> = listed.iter().map(|(_, t)| format!("\"{t}\"")).collect();
            format!("[{}]", quoted.join(","))
        }
    }
}

/// Members in byte order up to the first repeat, then the repeat and the rest as sent.
fn up_to_repeat<T: Ord>(members: &[T]) -> Vec<&T> {
    let repeat = (0..members.len()).find(|at| members[..*at].contains(&members[*at]));
    let (head, tail) = members.split_at(repeat.unwrap_or(members.len()));
    let mut listed: Vec<&T> = head.iter().collect();
    listed.sort();
    listed.extend(tail);
    listed
}
