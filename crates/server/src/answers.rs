//! Parts of HTTP answers that every listener uses.

use crate::listener::HttpResponse;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderName, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// `x-amzn-requestid`, which every answer carries.
pub(crate) static REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// An answer of one content type.
pub(crate) fn answer(
    status: StatusCode,
    kind: &'static str,
    body: impl Into<Bytes>,
) -> HttpResponse {
    let mut response = HttpResponse::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// A JSON answer.
pub(crate) fn json(status: StatusCode, value: &serde_json::Value) -> HttpResponse {
    answer(status, "application/json", value.to_string())
}

/// A plain text answer.
pub(crate) fn text(status: StatusCode, body: impl Into<Bytes>) -> HttpResponse {
    answer(status, "text/plain; charset=utf-8", body)
}

/// Why a request body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// Larger than the limit.
    TooLarge,
    /// Not there in time.
    Slow,
    /// The client went away in the middle of it.
    Broken,
}

/// Reads a whole body of at most `bytes_max`, within `time`.
pub(crate) async fn read_body(
    body: Incoming,
    bytes_max: usize,
    time: Duration,
) -> Result<Bytes, BodyError> {
    use hyper::body::Body;
    let announced = body.size_hint().lower();
    if announced > bytes_max as u64 {
        return Err(BodyError::TooLarge);
    }
    match tokio::time::timeout(time, Limited::new(body, bytes_max).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(BodyError::TooLarge),
        Ok(Err(_)) => Err(BodyError::Broken),
        Err(_) => Err(BodyError::Slow),
    }
}

/// Letters of request ids, as AWS uses them.
const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHIJKLMNOPQRSTUV";
/// Length of a request id, as AWS makes them.
const REQUEST_ID_LETTERS: usize = 52;

/// Makes request ids: 52 letters, different for every request of every process.
#[derive(Debug)]
pub(crate) struct RequestIds {
    seed: u64,
    next: AtomicU64,
}

impl RequestIds {
    /// Starts from a random seed.
    pub(crate) fn new() -> Self {
        RequestIds { seed: rand::random(), next: AtomicU64::new(rand::random()) }
    }

    /// The next id.
    pub(crate) fn next(&self) -> HeaderValue {
        let mut state = self.seed ^ self.next.fetch_add(1, Ordering::Relaxed).rotate_left(32);
        let mut id = [0u8; REQUEST_ID_LETTERS];
        for block in id.chunks_mut(12) {
            let mut bits = split_mix(&mut state);
            for letter in block {
                *letter = LETTERS[(bits & 31) as usize];
                bits >>= 5;
            }
        }
        HeaderValue::from_bytes(&id).expect("every letter is printable ASCII")
    }
}

/// SplitMix64 (Steele et al., 2014): spreads a counter over 64 bits.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn request_ids_look_like_those_of_aws_and_differ() {
        let ids = RequestIds::new();
        let made: Vec<HeaderValue> = (0..1000).map(|_| ids.next()).collect();
        let distinct: BTreeSet<&[u8]> = made.iter().map(HeaderValue::as_bytes).collect();
        assert_eq!(distinct.len(), 1000);
        assert!(distinct.iter().all(|id| id.len() == 52 && id.iter().all(|l| LETTERS.contains(l))));
    }
}
