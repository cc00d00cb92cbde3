//! Writes JSON straight into bytes.
//!
//! # Invariants
//!
//! - `Object` and `Array` put the commas; a value is written exactly once after each key.
//! - Output has no white space: it is what golden transcripts compare and the checksum covers.
//!
//! Tested below and by every golden transcript.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Writes the members of one JSON object.
#[derive(Debug)]
pub struct Object<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl<'a> Object<'a> {
    /// Opens an object in `out`.
    pub fn open(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Object { out, first: true }
    }

    /// Writes a key and returns the buffer for its value.
    pub fn key(&mut self, key: &str) -> &mut Vec<u8> {
        if !std::mem::take(&mut self.first) {
            self.out.push(b',');
        }
        string(self.out, key);
        self.out.push(b':');
        self.out
    }

    /// Writes a member that is a string.
    pub fn text(&mut self, key: &str, value: &str) -> &mut Self {
        string(self.key(key), value);
        self
    }

    /// Writes a member that is a whole number.
    pub fn number(&mut self, key: &str, value: u64) -> &mut Self {
        number(self.key(key), value);
        self
    }

    /// Writes a member that is a boolean.
    pub fn flag(&mut self, key: &str, value: bool) -> &mut Self {
        self.key(key).extend_from_slice(if value { b"true" } else { b"false" });
        self
    }

    /// Writes a member that is a decimal, as DynamoDB prints capacity (`0.5`, `1.0`).
    pub fn decimal(&mut self, key: &str, value: f64) -> &mut Self {
        decimal(self.key(key), value);
        self
    }

    /// Writes a member that is a time, in seconds with milliseconds as the fraction.
    pub fn seconds(&mut self, key: &str, milliseconds: u64) -> &mut Self {
        let out = self.key(key);
        number(out, milliseconds / 1000);
        let rest = milliseconds % 1000;
        if rest > 0 {
            out.extend_from_slice(format!(".{rest:03}").trim_end_matches('0').as_bytes());
        }
        self
    }

    /// Closes the object.
    pub fn close(self) {
        self.out.push(b'}');
    }
}

/// Writes the elements of one JSON array.
#[derive(Debug)]
pub struct Array<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl<'a> Array<'a> {
    /// Opens an array in `out`.
    pub fn open(out: &'a mut Vec<u8>) -> Self {
        out.push(b'[');
        Array { out, first: true }
    }

    /// Returns the buffer for the next element.
    pub fn element(&mut self) -> &mut Vec<u8> {
        if !std::mem::take(&mut self.first) {
            self.out.push(b',');
        }
        self.out
    }

    /// Closes the array.
    pub fn close(self) {
        self.out.push(b']');
    }
}

/// Writes a string with its quotes, escaping what JSON requires and nothing else.
pub fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape: Option<&[u8]> = match byte {
            b'"' => Some(b"\\\""),
            b'\\' => Some(b"\\\\"),
            b'\n' => Some(b"\\n"),
            b'\r' => Some(b"\\r"),
            b'\t' => Some(b"\\t"),
            0x08 => Some(b"\\b"),
            0x0c => Some(b"\\f"),
            0x00..=0x1f => None,
            _ => continue,
        };
        out.extend_from_slice(text.as_bytes().get(plain..at).unwrap_or_default());
        match escape {
            Some(bytes) => out.extend_from_slice(bytes),
            None => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
        }
        plain = at + 1;
    }
    out.extend_from_slice(text.as_bytes().get(plain..).unwrap_or_default());
    out.push(b'"');
}

/// Writes bytes as a base64 string with its quotes.
pub fn base64(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
    out.push(b'"');
}

/// Writes a whole number.
pub fn number(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(value.to_string().as_bytes());
}

/// Writes a decimal with at least one digit after the point.
pub fn decimal(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(format!("{value:?}").as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn commas_and_numbers() {
        let mut out = Vec::new();
        let mut object = Object::open(&mut out);
        object.text("a", "x\u{1}\"").number("b", 7).flag("c", true).decimal("d", 0.5);
        object.seconds("e", 1_700_000_000_120).seconds("f", 1_700_000_000_000).decimal("g", 12.0);
        let mut array = Array::open(object.key("h"));
        number(array.element(), 1);
        base64(array.element(), b"\xff");
        array.close();
        object.close();
        let want = r#"{"a":"x\u0001\"","b":7,"c":true,"d":0.5,"e":1700000000.12,"#.to_owned()
            + r#""f":1700000000,"g":12.0,"h":[1,"/w=="]}"#;
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }

    proptest! {
        #[test]
        fn strings_are_read_back(text in any::<String>()) {
            let mut out = Vec::new();
            string(&mut out, &text);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }
    }
}
