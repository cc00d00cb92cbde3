//! Tests of `sigv4`.

use super::*;
use crate::error::ApiError;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const TIME: &str = "20150830T123600Z";

fn headers(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn credential(key: &str) -> Option<Credential> {
    (key == "AKIDEXAMPLE").then(|| Credential { secret: SECRET.to_owned(), token: None })
}

fn at(time: &str, service: &'static str) -> Expected<'static> {
    Expected { region: "us-east-1", service, now_ms: parse_time(time).unwrap() * 1000 }
}

fn authorization(service: &str, signed: &str, signature: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/{service}/aws4_request, \
         SignedHeaders={signed}, Signature={signature}"
    )
}

/// One case of AWS's published signature test suite.
fn check(
    (method, path, query): (&str, &str, &str),
    extra: &[(&str, &str)],
    (body, signed, signature): (&str, &str, &str),
) {
    let service = if query.contains("ListUsers") { "iam" } else { "service" };
    let authorization = authorization(service, signed, signature);
    let mut all = vec![("x-amz-date", TIME), ("authorization", authorization.as_str())];
    all.extend_from_slice(extra);
    let headers = headers(&all);
    let request = SignedRequest { method, path, query, headers: &headers, body: body.as_bytes() };
    let presented = parse(&request).unwrap();
    let expected = at(TIME, if service == "iam" { "iam" } else { "service" });
    assert_eq!(
        verify(&request, &presented, &expected, &credential),
        Ok("AKIDEXAMPLE".to_owned()),
        "{method} {path} {query}"
    );
    let other = SignedRequest { method: "PUT", ..request };
    let refused = verify(&other, &presented, &expected, &credential);
    assert!(matches!(refused, Err(ApiError::InvalidSignature(_))), "{refused:?}");
}

#[test]
fn published_examples() {
    let host = [("host", "example.amazonaws.com")];
    check(
        ("GET", "/", ""),
        &host,
        ("", "host;x-amz-date", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    );
    check(
        ("POST", "/", ""),
        &host,
        ("", "host;x-amz-date", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    );
    check(
        ("GET", "/", "Param2=value2&Param1=value1"),
        &host,
        ("", "host;x-amz-date", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
    );
    check(
        ("POST", "/", ""),
        &[("host", "example.amazonaws.com"), ("content-type", "application/x-www-form-urlencoded")],
        (
            "Param1=value1",
            "content-type;host;x-amz-date",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ),
    );
    check(
        ("GET", "/", "Action=ListUsers&Version=2010-05-08"),
        &[
            ("host", "iam.amazonaws.com"),
            ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
        ],
        (
            "",
            "content-type;host;x-amz-date",
            "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
        ),
    );
}

#[test]
fn presigned_query() {
    let scope = "AKIDEXAMPLE/20150830/us-east-1/dynamodb/aws4_request".replace('/', "%2F");
    let unsigned = format!(
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={scope}&X-Amz-Date={TIME}\
         &X-Amz-Expires=60&X-Amz-SignedHeaders=host"
    );
    let headers = headers(&[("host", "dynamodb.us-east-1.amazonaws.com")]);
    let request = SignedRequest {
        method: "POST",
        path: "/",
        query: &unsigned,
        headers: &headers,
        body: b"{}",
    };
    let canonical = canonical_request(&request, &["host".to_owned()]);
    let scope = Scope {
        day: "20150830".into(),
        region: "us-east-1".into(),
        service: "dynamodb".into(),
        terminator: "aws4_request".into(),
    };
    let query = format!("{unsigned}&X-Amz-Signature={}", sign(&canonical, SECRET, TIME, &scope));
    let request = SignedRequest { query: &query, ..request };
    let presented = parse(&request).unwrap();
    assert_eq!(presented.expires_seconds, Some(60));
    let verified = |time| verify(&request, &presented, &at(time, "dynamodb"), &credential);
    assert_eq!(verified("20150830T123659Z"), Ok("AKIDEXAMPLE".to_owned()));
    assert_eq!(
        verified("20150830T123701Z"),
        Err(ApiError::InvalidSignature(
            "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z \
             (20150830T123701Z - 1 min.)"
                .into()
        ))
    );
}

fn refused(pairs: &[(&str, &str)], query: &str) -> ApiError {
    let headers = headers(pairs);
    let request = SignedRequest { method: "POST", path: "/", query, headers: &headers, body: b"" };
    match parse(&request) {
        Err(error) => error,
        Ok(presented) => {
            verify(&request, &presented, &at("20150830T130000Z", "dynamodb"), &credential)
                .unwrap_err()
        }
    }
}

fn text(error: ApiError) -> String {
    error.message().unwrap()
}

#[test]
fn refusals() {
    assert_eq!(refused(&[], ""), ApiError::MissingAuthenticationToken);
    assert_eq!(refused(&[("authorization", "Basic x")], ""), ApiError::MissingAuthenticationToken);
    let both = refused(&[("authorization", "AWS4-HMAC-SHA256 a=b")], "X-Amz-Algorithm=x");
    assert!(matches!(both, ApiError::InvalidSignature(_)));
    assert_eq!(
        text(refused(&[("authorization", "AWS4-HMAC-SHA256 Signature=b")], "")),
        "Authorization header requires 'Credential' parameter. Authorization header requires \
         'SignedHeaders' parameter. Authorization header requires existence of either a \
         'X-Amz-Date' or a 'Date' header. Authorization=AWS4-HMAC-SHA256 Signature=b"
    );
    assert_eq!(
        text(refused(&[], "X-Amz-Algorithm=x&X-Amz-Date=y&X-Amz-Credential=z")),
        "AWS query-string parameters must include 'X-Amz-Signature'. AWS query-string parameters \
         must include 'X-Amz-SignedHeaders'. Re-examine the query-string parameters."
    );
    let with = |authorization: &str, time: &str| {
        text(refused(&[("authorization", authorization), ("x-amz-date", time)], ""))
    };
    let good = authorization("dynamodb", "host", "00");
    assert_eq!(
        with(&good, "x"),
        "Date must be in ISO-8601 'basic format'. Got 'x'. See http://en.wikipedia.org/wiki/ISO_8601"
    );
    assert_eq!(
        with(&good, TIME),
        "Signature expired: 20150830T123600Z is now earlier than 20150830T124500Z \
         (20150830T130000Z - 15 min.)"
    );
    assert_eq!(
        with(&good, "20150830T140000Z"),
        "Signature not yet current: 20150830T140000Z is still later than 20150830T131500Z \
         (20150830T130000Z + 15 min.)"
    );
    let now = "20150830T130000Z";
    assert!(with(&good, now).starts_with("The request signature we calculated does not match"));
    assert_eq!(
        with(&good.replace("us-east-1/dynamodb/aws4_request", "c/s3/e"), now),
        "Credential should be scoped to a valid region, not 'c'. Credential should be scoped to \
         correct service: 'dynamodb'. Credential should be scoped with a valid terminator: \
         'aws4_request', not 'e'. "
    );
    assert_eq!(
        with(&good.replace("AKIDEXAMPLE", "OTHER"), now),
        "The security token included in the request is invalid."
    );
    assert_eq!(
        with(&good.replace("SignedHeaders=host", "SignedHeaders=date"), now),
        "'Host' must be a 'SignedHeader' in the AWS Authorization."
    );
    assert_eq!(
        with(&good.replace("/us-east-1/dynamodb/aws4_request", ""), now),
        "Credential must have exactly 5 slash-delimited elements, e.g. \
         keyid/date/region/service/term, got 'AKIDEXAMPLE/20150830'"
    );
    assert_eq!(
        with(&good.replace("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"), now),
        "Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA1' (only AWS4-HMAC-SHA256 for now). "
    );
}

#[test]
fn a_session_token_must_be_the_one() {
    let lookup = |token: Option<&str>| {
        let token = token.map(str::to_owned);
        move |_: &str| Some(Credential { secret: SECRET.to_owned(), token: token.clone() })
    };
    let time = "20150830T123600Z";
    let mut all = headers(&[("host", "h"), ("x-amz-date", time), ("x-amz-security-token", "T")]);
    let unsigned = SignedRequest { method: "POST", path: "/", query: "", headers: &all, body: b"" };
    let canonical = canonical_request(&unsigned, &["host".to_owned()]);
    let scope = Scope {
        day: "20150830".into(),
        region: "us-east-1".into(),
        service: "dynamodb".into(),
        terminator: "aws4_request".into(),
    };
    let signature = sign(&canonical, SECRET, time, &scope);
    all.push(("authorization".into(), authorization("dynamodb", "host", &signature)));
    let request = SignedRequest { method: "POST", path: "/", query: "", headers: &all, body: b"" };
    let presented = parse(&request).unwrap();
    let expected = at(time, "dynamodb");
    assert!(verify(&request, &presented, &expected, &lookup(Some("T"))).is_ok());
    for wrong in [None, Some("U")] {
        let refused = verify(&request, &presented, &expected, &lookup(wrong));
        assert!(matches!(refused, Err(ApiError::UnrecognizedClient(_))));
    }
}

#[test]
fn times_round_trip() {
    assert_eq!(parse_time("19700101T000000Z"), Some(0));
    assert_eq!(parse_time("20150830T123600Z"), Some(1_440_938_160));
    for bad in ["", "2015", "20151301T000000Z", "20150230T000000Z", "20150830T240000Z"] {
        assert_eq!(parse_time(bad), None, "{bad}");
    }
    for day in (0..60_000).step_by(7) {
        let seconds = day * 86_400 + 3_723;
        assert_eq!(parse_time(&format_time(seconds)), Some(seconds));
    }
}
