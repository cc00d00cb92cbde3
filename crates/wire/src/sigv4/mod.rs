//! AWS Signature Version 4: what a request presents, and whether it is right.
//!
//! Two steps: `parse` reads the signature out of the `Authorization` header or a presigned query,
//! `verify` recomputes it. Credentials and the time come from the caller.
//!
//! # Invariants
//!
//! - No part of a request is trusted before `verify` returns.
//! - The comparison of signatures takes the same time wherever they differ.
//!
//! Source: AWS General Reference, "Signature Version 4 signing process"; error texts as the
//! service gives them, gathered from public test suites. Tested by `sigv4/tests.rs` with AWS's
//! published examples.

mod canonical;
mod parse;
#[cfg(test)]
mod tests;
mod time;
mod verify;

pub use canonical::canonical_request;
pub use parse::parse;
pub use time::{format_time, parse_time};
pub use verify::{sign, verify};

/// The parts of an HTTP request that a signature covers.
#[derive(Debug, Clone, Copy)]
pub struct SignedRequest<'a> {
    /// The method.
    pub method: &'a str,
    /// The path, as sent.
    pub path: &'a str,
    /// The query without `?`, as sent; empty when there is none.
    pub query: &'a str,
    /// Names in lower case with values, in the order of the request.
    pub headers: &'a [(String, String)],
    /// The body.
    pub body: &'a [u8],
}

impl SignedRequest<'_> {
    /// Returns the first header of a name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What a request presents as its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presented {
    /// The access key id.
    pub access_key: String,
    /// Day, region, service and terminator of the credential scope.
    pub scope: Scope,
    /// The headers that are signed, in lower case.
    pub signed_headers: Vec<String>,
    /// The signature in hexadecimal.
    pub signature: String,
    /// The time in the request: `20150830T123600Z`.
    pub time: String,
    /// The session token, if there is one.
    pub token: Option<String>,
    /// Seconds for which a presigned query holds; none for a header.
    pub expires_seconds: Option<u64>,
}

/// Where and when a signing key holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// `20150830`
    pub day: String,
    /// The region's name.
    pub region: String,
    /// The service's name.
    pub service: String,
    /// `aws4_request`
    pub terminator: String,
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}/{}", self.day, self.region, self.service, self.terminator)
    }
}

/// What belongs to an access key.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// The secret access key.
    pub secret: String,
    /// The session token that must come with it, if any.
    pub token: Option<String>,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credential(<hidden>)")
    }
}

/// What this server expects of a signature.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The region that the scope must name.
    pub region: &'a str,
    /// The service that the scope must name.
    pub service: &'a str,
    /// The time, in milliseconds since the epoch.
    pub now_ms: u64,
}
