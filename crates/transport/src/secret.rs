//! The secret that the nodes of a cluster share, and proofs of knowing it.

use std::fmt;
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use thiserror::Error;

/// Shortest secret that is accepted.
const SECRET_BYTES_MIN: usize = 16;
/// Longest secret that is read from a file.
const SECRET_BYTES_MAX: usize = 4096;

/// The secret that the nodes of a cluster share. It prints as `<hidden>` and is never sent.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

/// Why a secret cannot be used.
#[derive(Debug, Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("the secret file {} cannot be read", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The secret is too short or too long.
    #[error(
        "the cluster secret has {0} bytes; it must have {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX}"
    )]
    Length(usize),
}

impl Secret {
    /// Takes the bytes of a secret, 16 to 4096 of them.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Secret, SecretError> {
        let bytes = bytes.into();
        if (SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&bytes.len()) {
            Ok(Secret(bytes))
        } else {
            Err(SecretError::Length(bytes.len()))
        }
    }

    /// Reads a secret from a file; white space at its ends does not count.
    pub fn from_file(path: &Path) -> Result<Secret, SecretError> {
        let bytes = std::fs::read(path)
            .map_err(|source| SecretError::Unreadable { path: path.to_owned(), source })?;
        Secret::new(bytes.trim_ascii())
    }

    /// Proves knowledge of the secret for one transcript.
    pub(crate) fn prove(&self, transcript: &[u8]) -> Vec<u8> {
        self.mac(transcript).finalize().into_bytes().to_vec()
    }

    /// Whether a proof of the transcript is right; takes the same time for every wrong one.
    pub(crate) fn verify(&self, transcript: &[u8], proof: &[u8]) -> bool {
        self.mac(transcript).verify_slice(proof).is_ok()
    }

    fn mac(&self, transcript: &[u8]) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(transcript);
        mac
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<hidden>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_holds_for_its_transcript_and_secret_only() {
        let secret = Secret::new("0123456789abcdef").unwrap();
        let other = Secret::new("0123456789abcdeF").unwrap();
        let proof = secret.prove(b"one");
        assert!(secret.verify(b"one", &proof));
        assert!(!secret.verify(b"two", &proof));
        assert!(!other.verify(b"one", &proof));
        assert!(!secret.verify(b"one", &proof[..31]));
    }

    #[test]
    fn secrets_come_from_files_and_never_print() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, "0123456789abcdef\n").unwrap();
        let secret = Secret::from_file(&path).unwrap();
        assert_eq!(secret.0, b"0123456789abcdef");
        assert_eq!(format!("{secret:?}"), "<hidden>");
        std::fs::write(&path, "short\n").unwrap();
        assert!(matches!(Secret::from_file(&path), Err(SecretError::Length(5))));
        let missing = dir.path().join("missing");
        assert!(matches!(Secret::from_file(&missing), Err(SecretError::Unreadable { .. })));
    }
}
