//! Who may sign requests: the file of access keys, and the check of a request against it.
//!
//! # Invariants
//!
//! - A request is checked before its body is parsed.
//! - A secret is never printed.
//!
//! Tested below, by `http/tests.rs` over sockets, and by `meridian-wire` with AWS's published
//! examples.

use http::request::Parts;
use meridian_wire::ApiError;
use meridian_wire::sigv4::{Credential, Expected, SignedRequest, parse, verify};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// The service that a signature's scope must name.
const SERVICE: &str = "dynamodb";
/// Fewest bytes of an access key id and of a secret.
const KEY_BYTES_MIN: usize = 1;

/// The file as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(default)]
    credential: Vec<RawCredential>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCredential {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
}

/// Secrets by access key id.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials(BTreeMap<String, Credential>);

impl Credentials {
    /// Reads a TOML file of `[[credential]]` tables with `access_key_id`, `secret_access_key` and,
    /// for temporary ones, `session_token`.
    ///
    /// Fails with what is wrong; a secret is never part of the text.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|e| format!("cannot be read: {e}"))?;
        Credentials::parse(&text)
    }

    fn parse(text: &str) -> Result<Self, String> {
        // The message alone: the whole error would quote the line.
        let raw: RawFile = toml::from_str(text).map_err(|e| e.message().trim().to_owned())?;
        if raw.credential.is_empty() {
            return Err("names no [[credential]]".to_owned());
        }
        let mut known = BTreeMap::new();
        for (position, one) in (1..).zip(raw.credential) {
            let (key, secret) = (one.access_key_id, one.secret_access_key);
            if key.len() < KEY_BYTES_MIN || secret.len() < KEY_BYTES_MIN {
                return Err(format!("credential {position}: key and secret must not be empty"));
            }
            let credential = Credential { secret, token: one.session_token };
            if known.insert(key.clone(), credential).is_some() {
                return Err(format!("credential {position}: {key} is named twice"));
            }
        }
        Ok(Credentials(known))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Tells whether a name is one of the cluster's regions.
pub type IsRegion = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// Checks the signatures of one endpoint.
pub struct Signatures {
    credentials: Credentials,
    region: String,
    is_region: IsRegion,
}

impl Signatures {
    /// Checks against `credentials`. A scope must name the endpoint's own region, or another one of
    /// the cluster: a router passes on what was signed for the region that it left.
    pub fn new(credentials: Credentials, region: &str, is_region: IsRegion) -> Self {
        Signatures { credentials, region: region.to_owned(), is_region }
    }

    /// Refuses a request that is not rightly signed.
    pub fn check(&self, head: &Parts, body: &[u8]) -> Result<(), ApiError> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.check_at(head, body, u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    fn check_at(&self, head: &Parts, body: &[u8], now_ms: u64) -> Result<(), ApiError> {
        let headers = head.headers.iter();
        let headers: Vec<(String, String)> = headers
            .map(|(name, value)| {
                (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            })
            .collect();
        let request = SignedRequest {
            method: head.method.as_str(),
            path: head.uri.path(),
            query: head.uri.query().unwrap_or_default(),
            headers: &headers,
            body,
        };
        let presented = parse(&request)?;
        let named = &presented.scope.region;
        let region = if (self.is_region)(named) { named.as_str() } else { self.region.as_str() };
        let expected = Expected { region, service: SERVICE, now_ms };
        let lookup = |key: &str| self.credentials.0.get(key).cloned();
        verify(&request, &presented, &expected, &lookup).map(drop)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use meridian_wire::sigv4::{Scope, canonical_request, format_time, sign};

    const FILE: &str = "[[credential]]\naccess_key_id = \"AKID\"\nsecret_access_key = \"hush\"\n";
    const NOW_S: u64 = 1_440_938_160;

    /// Knows one access key.
    pub(crate) fn signatures() -> Signatures {
        let is_region: IsRegion = Arc::new(|name| name == "eu-west-1");
        Signatures::new(Credentials::parse(FILE).unwrap(), "us-east-1", is_region)
    }

    /// A signed request for ListTables.
    pub(crate) fn signed(secret: &str, region: &str, body: &str, at_s: u64) -> http::Request<()> {
        let time = format_time(at_s);
        let scope = Scope {
            day: time[..8].to_owned(),
            region: region.to_owned(),
            service: SERVICE.to_owned(),
            terminator: "aws4_request".to_owned(),
        };
        let names = ["host", "x-amz-date", "x-amz-target"];
        let values = ["db.test", time.as_str(), "DynamoDB_20120810.ListTables"];
        let pairs = names.iter().zip(values).map(|(n, v)| ((*n).to_owned(), v.to_owned()));
        let headers: Vec<(String, String)> = pairs.collect();
        let body = body.as_bytes();
        let unsigned =
            SignedRequest { method: "POST", path: "/", query: "", headers: &headers, body };
        let canonical = canonical_request(&unsigned, &names.map(str::to_owned));
        let signature = sign(&canonical, secret, &time, &scope);
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AKID/{scope}, SignedHeaders={}, Signature={signature}",
            names.join(";")
        );
        let mut request = http::Request::post("/").header("authorization", authorization);
        for (name, value) in &headers {
            request = request.header(name, value);
        }
        request.body(()).unwrap()
    }

    fn check(request: http::Request<()>, body: &str) -> Result<(), ApiError> {
        let (head, ()) = request.into_parts();
        signatures().check_at(&head, body.as_bytes(), NOW_S * 1000)
    }

    #[test]
    fn only_what_is_rightly_signed_passes() {
        assert_eq!(check(signed("hush", "us-east-1", "{}", NOW_S), "{}"), Ok(()));
        assert_eq!(check(signed("hush", "eu-west-1", "{}", NOW_S), "{}"), Ok(()));
        let refused = [
            (signed("hash", "us-east-1", "{}", NOW_S), "{}", "does not match"),
            (signed("hush", "us-east-1", "{}", NOW_S), "{\"Limit\":1}", "does not match"),
            (signed("hush", "mars", "{}", NOW_S), "{}", "not 'mars'"),
            (signed("hush", "us-east-1", "{}", NOW_S - 1000), "{}", "Signature expired"),
        ];
        for (request, body, why) in refused {
            let error = check(request, body).unwrap_err();
            assert!(matches!(&error, ApiError::InvalidSignature(text) if text.contains(why)));
        }
        let bare = http::Request::post("/").body(()).unwrap();
        assert_eq!(check(bare, "{}"), Err(ApiError::MissingAuthenticationToken));
    }

    #[test]
    fn a_file_is_read_and_its_secrets_are_not_printed() {
        let credentials = Credentials::parse(FILE).unwrap();
        assert_eq!(format!("{credentials:?}"), "{\"AKID\"}");
        let twice = format!("{FILE}{FILE}");
        let empty = FILE.replace("hush", "");
        let unknown = format!("{FILE}region = \"r\"\n");
        for (text, why) in [
            ("", "names no [[credential]]"),
            (twice.as_str(), "credential 2: AKID is named twice"),
            (empty.as_str(), "credential 1: key and secret must not be empty"),
            (unknown.as_str(), "unknown field `region`"),
            ("[[credential]]\naccess_key_id = \"AKID\"\n", "missing field `secret_access_key`"),
        ] {
            let error = Credentials::parse(text).unwrap_err();
            assert!(error.contains(why) && !error.contains("hush"), "{error}");
        }
    }
}
