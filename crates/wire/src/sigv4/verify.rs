//! Recomputes a signature and compares.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::canonical::{canonical_request, hex, unhex};
use super::time::{format_time, parse_time};
use super::{Credential, Expected, Presented, Scope, SignedRequest};
use crate::error::ApiError;

type HmacSha256 = Hmac<Sha256>;

/// How far a request's time may be from ours (AWS: 15 minutes), in seconds.
const CLOCK_WINDOW_SECONDS: u64 = 15 * 60;
const TERMINATOR: &str = "aws4_request";

/// Verifies a request; returns the access key that signed it.
pub fn verify(
    request: &SignedRequest<'_>,
    presented: &Presented,
    expected: &Expected<'_>,
    lookup: &dyn Fn(&str) -> Option<Credential>,
) -> Result<String, ApiError> {
    check_time(presented, expected.now_ms / 1000)?;
    check_scope(presented, expected)?;
    let credential = lookup(&presented.access_key).ok_or_else(unknown_token)?;
    let canonical = canonical_request(request, &presented.signed_headers);
    let text = string_to_sign(&canonical, &presented.time, &presented.scope);
    let claimed = unhex(&presented.signature).unwrap_or_default();
    // The comparison in `verify_slice` takes the same time wherever the two differ.
    if mac(&signing_key(&credential.secret, &presented.scope), &text)
        .verify_slice(&claimed)
        .is_err()
    {
        return Err(ApiError::InvalidSignature(format!(
            "The request signature we calculated does not match the signature you provided. Check \
             your AWS Secret Access Key and signing method. Consult the service documentation for \
             details.\n\nThe Canonical String for this request should have been\n'{canonical}'\n\n\
             The String-to-Sign should have been\n'{text}'\n"
        )));
    }
    if credential.token != presented.token {
        return Err(unknown_token());
    }
    Ok(presented.access_key.clone())
}

/// Signs a canonical request; returns the signature in hexadecimal.
pub fn sign(canonical: &str, secret: &str, time: &str, scope: &Scope) -> String {
    let text = string_to_sign(canonical, time, scope);
    hex(&mac(&signing_key(secret, scope), &text).finalize().into_bytes())
}

fn unknown_token() -> ApiError {
    ApiError::UnrecognizedClient(
        "The security token included in the request is invalid.".to_owned(),
    )
}

fn check_time(presented: &Presented, now: u64) -> Result<(), ApiError> {
    let time = &presented.time;
    let Some(signed) = parse_time(time) else {
        return Err(ApiError::IncompleteSignature(format!(
            "Date must be in ISO-8601 'basic format'. Got '{time}'. See \
             http://en.wikipedia.org/wiki/ISO_8601"
        )));
    };
    let window = presented.expires_seconds.unwrap_or(CLOCK_WINDOW_SECONDS);
    let earliest = now.saturating_sub(window);
    if signed < earliest {
        return Err(ApiError::InvalidSignature(format!(
            "Signature expired: {time} is now earlier than {} ({} - {} min.)",
            format_time(earliest),
            format_time(now),
            window / 60
        )));
    }
    let latest = now + CLOCK_WINDOW_SECONDS;
    if signed > latest {
        return Err(ApiError::InvalidSignature(format!(
            "Signature not yet current: {time} is still later than {} ({} + {} min.)",
            format_time(latest),
            format_time(now),
            CLOCK_WINDOW_SECONDS / 60
        )));
    }
    Ok(())
}

fn check_scope(presented: &Presented, expected: &Expected<'_>) -> Result<(), ApiError> {
    let (scope, time) = (&presented.scope, &presented.time);
    let day = time.get(..8).unwrap_or_default();
    let mut wrong = Vec::new();
    if scope.region != expected.region {
        wrong.push(format!(
            "Credential should be scoped to a valid region, not '{}'. ",
            scope.region
        ));
    }
    if scope.service != expected.service {
        wrong.push(format!(
            "Credential should be scoped to correct service: '{}'. ",
            expected.service
        ));
    }
    if scope.terminator != TERMINATOR {
        wrong.push(format!(
            "Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{}'. ",
            scope.terminator
        ));
    }
    if scope.day != day {
        wrong.push(format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from \
             HTTP: '{}' != '{day}', from '{time}'.",
            scope.day
        ));
    }
    if wrong.is_empty() { Ok(()) } else { Err(ApiError::InvalidSignature(wrong.concat())) }
}

fn string_to_sign(canonical: &str, time: &str, scope: &Scope) -> String {
    let hash = hex(&Sha256::digest(canonical.as_bytes()));
    format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{hash}")
}

fn signing_key(secret: &str, scope: &Scope) -> Vec<u8> {
    let parts = [&scope.day, &scope.region, &scope.service, &scope.terminator];
    parts.into_iter().fold(format!("AWS4{secret}").into_bytes(), |key, part| {
        mac(&key, part).finalize().into_bytes().to_vec()
    })
}

fn mac(key: &[u8], text: &str) -> HmacSha256 {
    let mut mac = HmacSha256::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(text.as_bytes());
    mac
}
