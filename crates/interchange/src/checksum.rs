//! Checksums as manifests state them.
//!
//! Tested below, against values that `md5sum` gives.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use std::fmt::Write as _;

/// The MD5 of bytes in base64: `md5Checksum` of a data file, the content of a `.checksum` file.
pub fn checksum(bytes: &[u8]) -> String {
    STANDARD.encode(Md5::digest(bytes))
}

/// The ETag that S3 gives an object that was uploaded as one part of a multipart upload: the MD5 of
/// the parts' MD5s, and how many they are.
pub fn etag(bytes: &[u8]) -> String {
    format!("{}-1", hex(&Md5::digest(Md5::digest(bytes))))
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
    out
}

/// The MD5 of bytes in hexadecimal digits.
pub(crate) fn digits(bytes: &[u8]) -> String {
    hex(&Md5::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_other_programs() {
        assert_eq!(digits(b"hello\n"), "b1946ac92492d2347c6235b4d2611184");
        assert_eq!(checksum(b"hello\n"), "sZRqySSS0jR8YjW00mERhA==");
        // printf '\xb1\x94...\x84' | md5sum
        assert_eq!(etag(b""), "59adb24ef3cdbe0297f05b395827453f-1");
    }
}
