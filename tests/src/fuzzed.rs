//! What the fuzz targets of `tests/fuzz` do with arbitrary bytes, and what must hold of it.
//!
//! # Invariants
//!
//! - Nothing panics, whatever the bytes.
//! - What is accepted prints as something that is read again as the same.
//!
//! Run by `cargo fuzz` (see `tests/fuzz/README.md`); the corpora are replayed below.

use std::collections::BTreeMap;

use meridian_base::codec::Reader;
use meridian_expression::partiql::Statement;
use meridian_expression::{
    Condition, ExpressionKind, ExpressionSource, KeyConditionTerms, Placeholders, Projection,
    Update,
};
use meridian_model::{AttributeValue, Item, Number, decode_value, encode_value};
use meridian_wire::sigv4::{Credential, Expected, SignedRequest, canonical_request, parse, verify};
use meridian_wire::{ApiError, Operation, read_request};

/// What is done with the bytes.
pub type Target = fn(&[u8]);

/// Every target: its name, which is that of its corpus, and what it does.
pub const TARGETS: [(&str, Target); 8] = [
    ("json_body", json_body),
    ("condition", condition),
    ("update", update),
    ("projection", projection),
    ("key_condition", key_condition),
    ("partiql", partiql),
    ("number", number),
    ("signature", signature),
];

/// The first byte names an operation, the rest is the body of its request.
pub fn json_body(data: &[u8]) {
    let Some((first, body)) = data.split_first() else { return };
    let operation = Operation::ALL[usize::from(*first) % Operation::ALL.len()];
    if let Err(error) = read_request(operation, body) {
        assert!(!matches!(error, ApiError::InternalServerError), "{operation:?}");
    }
}

fn item() -> Item {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let one = Number::parse("1").expect("a number");
    let inner = Item::from([("b".to_owned(), text("x")), ("n".to_owned(), AttributeValue::N(one))]);
    Item::from([
        ("a".to_owned(), text("abc")),
        ("n".to_owned(), AttributeValue::N(one)),
        ("l".to_owned(), AttributeValue::L(vec![text("x"), AttributeValue::M(inner.clone())])),
        ("m".to_owned(), AttributeValue::M(inner)),
        ("bin".to_owned(), AttributeValue::B(vec![0, 255])),
        ("set".to_owned(), AttributeValue::Ss(["x".to_owned(), "y".to_owned()].into())),
        ("nothing".to_owned(), AttributeValue::Null),
    ])
}

/// `#a` to `#m` and `:a` to `:bin`, with the names and the values of [`item`].
fn placeholders() -> Placeholders {
    let names: BTreeMap<String, String> =
        item().into_keys().map(|name| (format!("#{name}"), name)).collect();
    let values = item().into_iter().map(|(name, value)| (format!(":{name}"), value)).collect();
    Placeholders::new(Some(names), Some(values)).expect("the maps are well formed")
}

/// A source is the same after it went to another node.
fn sent(source: &ExpressionSource) -> ExpressionSource {
    let mut bytes = Vec::new();
    source.encode(&mut bytes);
    let mut reader = Reader::new(&bytes);
    let read = ExpressionSource::decode(&mut reader).expect("what was encoded is decoded");
    assert_eq!(&read, source);
    read
}

/// A condition or filter.
pub fn condition(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let kind = ExpressionKind::Condition;
    let Ok(condition) = Condition::parse(kind, text, &mut placeholders()) else { return };
    let again = Condition::from_source(&sent(&condition.source())).expect("it was printed");
    assert_eq!(again, condition, "{text}");
    assert_eq!(again.matches(&item()), condition.matches(&item()));
}

/// An update expression.
pub fn update(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(update) = Update::parse(text, &mut placeholders()) else { return };
    let again = Update::from_source(&sent(&update.source())).expect("it was printed");
    assert_eq!(again, update, "{text}");
    for item in [item(), Item::new()] {
        let (one, other) = (update.apply(&item), again.apply(&item));
        assert_eq!(one.map(|done| done.item).ok(), other.map(|done| done.item).ok(), "{text}");
    }
}

/// A projection.
pub fn projection(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(projection) = Projection::parse(text, &mut placeholders()) else { return };
    let again = Projection::from_source(&sent(&projection.source())).expect("it was printed");
    assert_eq!(again.project(&item()), projection.project(&item()), "{text}");
}

/// A key condition.
pub fn key_condition(data: &[u8]) {
    use meridian_model::{KeyAttribute, KeyKind, KeySchema};
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(terms) = KeyConditionTerms::parse(text, &mut placeholders()) else { return };
    let attribute = |name: &str, kind| KeyAttribute { name: name.to_owned(), kind };
    let schema =
        KeySchema { partition: attribute("a", KeyKind::S), sort: Some(attribute("n", KeyKind::N)) };
    if let Ok(bound) = terms.bind(&(&schema).into()) {
        bound.bounds();
        bound.index_bounds();
    }
}

/// A statement, with two parameters.
pub fn partiql(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let parameters = [item()["a"].clone(), item()["m"].clone()];
    let Ok(statement) = Statement::parse(text, &parameters) else { return };
    let condition = match &statement {
        Statement::Select(select) => select.condition.as_ref(),
        Statement::Update(update) => Some(&update.condition),
        Statement::Delete(delete) => Some(&delete.condition),
        Statement::Exists(exists) => Some(&exists.condition),
        Statement::Insert(_) => None,
    };
    if let Some(condition) = condition {
        let again = Condition::from_source(&sent(&condition.source())).expect("it was printed");
        assert_eq!(&again, condition, "{text}");
    }
}

/// A number: printed it is the same, stored it is the same, and it is ordered as its negation is not.
pub fn number(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(number) = Number::parse(text) else { return };
    assert_eq!(Number::parse(&number.to_string()), Ok(number), "{text}");
    let mut stored = Vec::new();
    encode_value(&AttributeValue::N(number), &mut stored);
    let read = decode_value(&mut Reader::new(&stored));
    assert_eq!(read, Ok(AttributeValue::N(number)), "{text}");
    let zero = Number::ZERO;
    assert_eq!(number.cmp(&zero), zero.cmp(&number.negate()), "{text}");
    assert_eq!(number.sub(&number), Ok(zero), "{text}");
}

/// Lines: method, path, query, then headers as `name: value`; after an empty one the body.
pub fn signature(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
    let mut lines = head.lines();
    let mut next = || lines.next().unwrap_or_default();
    let (method, path, query) = (next(), next(), next());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_lowercase(), value.trim().to_owned()))
        .collect();
    let request = SignedRequest { method, path, query, headers: &headers, body: body.as_bytes() };
    let Ok(presented) = parse(&request) else { return };
    canonical_request(&request, &presented.signed_headers);
    let expected = Expected { region: "us-east-1", service: "dynamodb", now_ms: 1_440_938_160_000 };
    let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned();
    let known = |_: &str| Some(Credential { secret: secret.clone(), token: None });
    if let Ok(key) = verify(&request, &presented, &expected, &known) {
        assert_eq!(key, presented.access_key);
        let other = |_: &str| Some(Credential { secret: "another".to_owned(), token: None });
        assert!(verify(&request, &presented, &expected, &other).is_err(), "any secret will do");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// What was found once, and what covers the most, holds for ever.
    #[test]
    fn the_corpora_are_replayed() {
        for (name, target) in TARGETS {
            let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
            let files = std::fs::read_dir(&corpus).unwrap_or_else(|e| panic!("{corpus:?}: {e}"));
            let mut replayed = 0;
            for file in files {
                let path = file.unwrap().path();
                let data = std::fs::read(&path).unwrap();
                let done = std::panic::catch_unwind(|| target(&data));
                assert!(done.is_ok(), "{name} panics over {path:?}");
                replayed += 1;
            }
            assert!(replayed >= 5, "{name}: {replayed} inputs");
        }
    }
}
