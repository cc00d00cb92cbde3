//! Reads the signature that a request presents.

use super::canonical::query_parameters;
use super::{Presented, Scope, SignedRequest};
use crate::error::ApiError;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Reads the signature out of the `Authorization` header or the query.
pub fn parse(request: &SignedRequest<'_>) -> Result<Presented, ApiError> {
    let query = query_parameters(request.query);
    let presigned = query.iter().any(|(name, _)| name.as_slice() == b"X-Amz-Algorithm");
    match (request.header("authorization"), presigned) {
        (Some(_), true) => Err(ApiError::InvalidSignature(
            "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP \
             header."
                .to_owned(),
        )),
        (None, false) => Err(ApiError::MissingAuthenticationToken),
        (Some(header), false) => from_header(request, header.trim()),
        (None, true) => from_query(request, &query),
    }
}

fn from_header(request: &SignedRequest<'_>, header: &str) -> Result<Presented, ApiError> {
    if !header.starts_with("AWS4-") {
        return Err(ApiError::MissingAuthenticationToken);
    }
    let (algorithm, rest) = header.split_once(' ').unwrap_or((header, ""));
    let parts = key_values(header, rest)?;
    let part = |name: &str| parts.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    let time = request.header("x-amz-date").or_else(|| request.header("date"));
    let mut missing = String::new();
    for name in ["Credential", "Signature", "SignedHeaders"] {
        if part(name).is_none_or(str::is_empty) {
            missing += &format!("Authorization header requires '{name}' parameter. ");
        }
    }
    if time.is_none() {
        missing += "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' \
                    header. ";
    }
    if !missing.is_empty() {
        return Err(incomplete(format!("{missing}Authorization={header}")));
    }
    let presented = presented(
        part("Credential").unwrap_or_default(),
        part("SignedHeaders").unwrap_or_default(),
        part("Signature").unwrap_or_default(),
        time.unwrap_or_default(),
    )?;
    algorithm_known(algorithm)?;
    Ok(Presented { token: request.header("x-amz-security-token").map(str::to_owned), ..presented })
}

fn key_values<'a>(header: &str, rest: &'a str) -> Result<Vec<(&'a str, &'a str)>, ApiError> {
    rest.split([',', ' '])
        .filter(|part| !part.is_empty())
        .map(|part| {
            part.split_once('=').ok_or_else(|| {
                incomplete(format!(
                    "'{part}' not a valid key=value pair (missing equal-sign) in Authorization \
                     header: '{header}'."
                ))
            })
        })
        .collect()
}

fn from_query(
    request: &SignedRequest<'_>,
    query: &[(Vec<u8>, Vec<u8>)],
) -> Result<Presented, ApiError> {
    let part = |name: &str| -> Option<&str> {
        let (_, value) = query.iter().find(|(known, _)| known == name.as_bytes())?;
        std::str::from_utf8(value).ok()
    };
    let mut missing = String::new();
    for name in [
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Signature",
        "X-Amz-SignedHeaders",
        "X-Amz-Date",
    ] {
        if part(name).is_none_or(str::is_empty) {
            missing += &format!("AWS query-string parameters must include '{name}'. ");
        }
    }
    if !missing.is_empty() {
        return Err(incomplete(format!("{missing}Re-examine the query-string parameters.")));
    }
    let expires = part("X-Amz-Expires").map_or(Ok(900), str::parse);
    let presented = presented(
        part("X-Amz-Credential").unwrap_or_default(),
        part("X-Amz-SignedHeaders").unwrap_or_default(),
        part("X-Amz-Signature").unwrap_or_default(),
        part("X-Amz-Date").unwrap_or_default(),
    )?;
    algorithm_known(part("X-Amz-Algorithm").unwrap_or_default())?;
    let token = part("X-Amz-Security-Token").or_else(|| request.header("x-amz-security-token"));
    Ok(Presented {
        token: token.map(str::to_owned),
        expires_seconds: Some(
            expires.map_err(|_| incomplete("X-Amz-Expires should be a number".to_owned()))?,
        ),
        ..presented
    })
}

fn presented(
    credential: &str,
    signed_headers: &str,
    signature: &str,
    time: &str,
) -> Result<Presented, ApiError> {
    let signed_headers: Vec<String> =
        signed_headers.split(';').map(str::to_ascii_lowercase).collect();
    if !signed_headers.iter().any(|name| name == "host") {
        return Err(ApiError::InvalidSignature(
            "'Host' must be a 'SignedHeader' in the AWS Authorization.".to_owned(),
        ));
    }
    let elements: Vec<&str> = credential.trim_end_matches('/').split('/').collect();
    let [access_key, day, region, service, terminator] = elements.as_slice() else {
        return Err(incomplete(format!(
            "Credential must have exactly 5 slash-delimited elements, e.g. \
             keyid/date/region/service/term, got '{credential}'"
        )));
    };
    Ok(Presented {
        access_key: (*access_key).to_owned(),
        scope: Scope {
            day: (*day).to_owned(),
            region: (*region).to_owned(),
            service: (*service).to_owned(),
            terminator: (*terminator).to_owned(),
        },
        signed_headers,
        signature: signature.to_owned(),
        time: time.to_owned(),
        token: None,
        expires_seconds: None,
    })
}

fn algorithm_known(algorithm: &str) -> Result<(), ApiError> {
    if algorithm == ALGORITHM {
        return Ok(());
    }
    Err(incomplete(format!(
        "Unsupported AWS 'algorithm': '{algorithm}' (only AWS4-HMAC-SHA256 for now). "
    )))
}

fn incomplete(text: String) -> ApiError {
    ApiError::IncompleteSignature(text)
}
