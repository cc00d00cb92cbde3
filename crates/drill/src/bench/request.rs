//! Requests that are built once and patched in place, and answers of which only the status matters.
//!
//! # Invariants
//!
//! - Patching changes no length, so that the head stays right.
//!
//! Tested below.

use serde_json::{Value, json};

/// Digits of a key's number.
const DIGITS: usize = 8;
/// Longest head of an answer.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// The partition key of that number.
pub(crate) fn key(number: u32) -> String {
    format!("k{number:0DIGITS$}")
}

/// A request whose key can be changed.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    digits_at: usize,
}

impl Template {
    /// PutItem of one item with a value of so many bytes.
    pub(crate) fn put(authority: &str, table: &str, item_bytes: usize) -> Template {
        let item = json!({ "pk": { "S": key(0) }, "v": { "S": "x".repeat(item_bytes) } });
        Template::new(authority, "PutItem", &json!({ "TableName": table, "Item": item }))
    }

    /// GetItem.
    pub(crate) fn get(authority: &str, table: &str, consistent: bool) -> Template {
        let body = json!({
            "TableName": table,
            "Key": { "pk": { "S": key(0) } },
            "ConsistentRead": consistent,
        });
        Template::new(authority, "GetItem", &body)
    }

    /// Query of one partition key.
    pub(crate) fn query(authority: &str, table: &str, consistent: bool) -> Template {
        let body = json!({
            "TableName": table,
            "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": { ":pk": { "S": key(0) } },
            "ConsistentRead": consistent,
        });
        Template::new(authority, "Query", &body)
    }

    fn new(authority: &str, operation: &str, body: &Value) -> Template {
        let body = body.to_string();
        let text = format!(
            "POST / HTTP/1.1\r\nhost: {authority}\r\ncontent-type: application/x-amz-json-1.0\r\n\
             x-amz-target: DynamoDB_20120810.{operation}\r\nx-amz-date: 20250101T000000Z\r\n\
             authorization: AWS4-HMAC-SHA256 Credential=bench/20250101/us-east-1/dynamodb/\
             aws4_request, SignedHeaders=host, Signature=00\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let digits_at = text.rfind(&key(0)).map_or(0, |at| at + 1);
        Template { bytes: text.into_bytes(), digits_at }
    }

    /// The request for the key of that number.
    pub(crate) fn with_key(&mut self, number: u32) -> &[u8] {
        let mut rest = number;
        for digit in self.bytes[self.digits_at..self.digits_at + DIGITS].iter_mut().rev() {
            *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
        }
        &self.bytes
    }
}

/// What is known of an answer whose beginning has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// The head is not complete.
    More,
    /// The status, and the length of head and body together.
    Head {
        /// The status code.
        status: u16,
        /// Bytes of the whole answer.
        bytes: usize,
    },
    /// No answer that this client understands.
    Bad,
}

/// Looks at the first bytes of an answer.
pub(crate) fn parse(bytes: &[u8]) -> Parsed {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return if bytes.len() > HEAD_BYTES_MAX { Parsed::Bad } else { Parsed::More };
    };
    let head = &bytes[..end];
    let status = head.get(9..12).and_then(number);
    let length = head.split(|byte| *byte == b'\n').find_map(|line| {
        let (name, value) = line.split_at_checked(b"content-length:".len())?;
        name.eq_ignore_ascii_case(b"content-length:").then(|| number(value.trim_ascii()))?
    });
    match (status.and_then(|status| u16::try_from(status).ok()), length) {
        (Some(status), Some(length)) => Parsed::Head { status, bytes: end + 4 + length },
        (_, _) => Parsed::Bad,
    }
}

fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patching_changes_the_key_and_nothing_else() {
        for mut template in [
            Template::put("h:1", "t", 100),
            Template::get("h:1", "t", true),
            Template::query("h:1", "t", false),
        ] {
            let before = String::from_utf8(template.with_key(0).to_vec()).unwrap();
            let after = String::from_utf8(template.with_key(12_345_678).to_vec()).unwrap();
            assert_eq!(before.replace(&key(0), &key(12_345_678)), after);
            let (head, body) = after.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(&format!("content-length: {}", body.len())));
            assert!(serde_json::from_str::<Value>(body).is_ok());
        }
    }

    #[test]
    fn heads_are_parsed_when_complete() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nx: y\r\n\r\n{}";
        assert_eq!(parse(answer), Parsed::Head { status: 200, bytes: answer.len() });
        assert_eq!(parse(&answer[..30]), Parsed::More);
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\n\r\n"), Parsed::Bad);
        assert_eq!(parse(&vec![b'x'; HEAD_BYTES_MAX + 1]), Parsed::Bad);
    }
}
