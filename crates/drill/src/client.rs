//! The DynamoDB API as the drills use it: one call, one outcome, no retries.
//!
//! # Invariants
//!
//! - Unknown is not failed: whatever may have been received and was not clearly answered is
//!   [`Outcome::Unknown`].
//!
//! Tested below against a scripted socket.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::http::{Endpoint, NoAnswer};

/// How long a client waits for an answer, connecting included.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(1);

/// Accepted by every local cluster; real credentials never reach a drill.
const AUTHORIZATION: &str = "AWS4-HMAC-SHA256 Credential=drill/20250101/us-east-1/dynamodb/aws4_request, \
     SignedHeaders=host;x-amz-date;x-amz-target, \
     Signature=0000000000000000000000000000000000000000000000000000000000000000";

/// How a call ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It was done; the answer.
    Ok(Value),
    /// It was certainly not done; DynamoDB's error name and the body.
    Failed {
        /// The error's short name, such as `ConditionalCheckFailedException`.
        code: String,
        /// The body, `null` if there was none.
        body: Value,
    },
    /// It may or may not have been done; why nobody knows.
    Unknown(String),
}

/// A client of one endpoint.
pub struct Client {
    endpoint: Endpoint,
    limit: Duration,
}

impl Client {
    /// A client of `http://host:port` that waits [`CALL_TIMEOUT`] for each answer.
    pub fn new(url: &str) -> anyhow::Result<Client> {
        Client::patient(url, CALL_TIMEOUT)
    }

    /// A client that waits `limit` for each answer.
    pub fn patient(url: &str, limit: Duration) -> anyhow::Result<Client> {
        Ok(Client { endpoint: Endpoint::new(url)?, limit })
    }

    /// Performs one operation, `PutItem` for example.
    pub async fn call(&self, operation: &str, body: &Value) -> Outcome {
        let request = match request(self.endpoint.authority(), operation, body.to_string()) {
            Ok(request) => request,
            Err(error) => return failed("InvalidRequest", json!(error.to_string())),
        };
        match self.endpoint.call(request, self.limit).await {
            Ok(answer) => outcome(answer.status, &answer.body),
            Err(NoAnswer::NotSent(why)) => failed("NotSent", json!(why)),
            Err(NoAnswer::Unknown(why)) => Outcome::Unknown(why),
        }
    }

    /// Performs one operation that must succeed.
    pub async fn must(&self, operation: &str, body: &Value) -> anyhow::Result<Value> {
        match self.call(operation, body).await {
            Outcome::Ok(answer) => Ok(answer),
            Outcome::Failed { code, body } => anyhow::bail!("{operation}: {code}: {body}"),
            Outcome::Unknown(why) => anyhow::bail!("{operation}: {why}"),
        }
    }
}

fn failed(code: &str, body: Value) -> Outcome {
    Outcome::Failed { code: code.to_owned(), body }
}

fn request(authority: &str, operation: &str, body: String) -> http::Result<Request<Full<Bytes>>> {
    Request::post("/")
        .header("host", authority)
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
        .header("x-amz-date", "20250101T000000Z")
        .header("authorization", AUTHORIZATION)
        .body(Full::new(Bytes::from(body)))
}

fn outcome(status: StatusCode, body: &Bytes) -> Outcome {
    let parsed = serde_json::from_slice::<Value>(body);
    if status.is_success() {
        return match parsed {
            Ok(value) => Outcome::Ok(value),
            Err(error) => {
                Outcome::Unknown(format!("{status} with a body that is no JSON: {error}"))
            }
        };
    }
    let body = parsed.unwrap_or(Value::Null);
    let code = body
        .get("__type")
        .and_then(Value::as_str)
        .map(|name| name.rsplit('#').next().unwrap_or(name).to_owned())
        .unwrap_or_else(|| status.as_u16().to_string());
    // 503 is the answer of those who did not begin; every other 5xx leaves it open.
    if status.is_client_error() || status == StatusCode::SERVICE_UNAVAILABLE {
        Outcome::Failed { code, body }
    } else {
        Outcome::Unknown(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    /// Serves each connection with the next script: answers in turn, then hangs up or hangs.
    async fn scripted(scripts: Vec<(Vec<&'static str>, bool)>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let mut held = Vec::new();
            for (answers, hangs) in scripts {
                let (mut socket, _) = listener.accept().await.unwrap();
                for answer in answers {
                    read_request(&mut socket).await;
                    socket.write_all(answer.as_bytes()).await.unwrap();
                }
                if hangs {
                    held.push(socket);
                }
            }
            std::future::pending::<()>().await;
        });
        url
    }

    async fn read_request(socket: &mut TcpStream) {
        let mut seen = Vec::new();
        let mut buffer = [0; 4096];
        while !seen.ends_with(b"}") {
            let count = socket.read(&mut buffer).await.unwrap();
            assert!(count > 0, "the client hung up");
            seen.extend_from_slice(&buffer[..count]);
        }
    }

    const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
    const REFUSED: &str = "HTTP/1.1 400 Bad Request\r\ncontent-length: 50\r\n\r\n{\"__type\":\"com.x#ConditionalCheckFailedException\"}";
    const BROKEN: &str = "HTTP/1.1 500 Oops\r\ncontent-length: 2\r\n\r\n{}";
    const BUSY: &str = "HTTP/1.1 503 Busy\r\ncontent-length: 2\r\n\r\n{}";

    #[tokio::test]
    async fn each_answer_has_its_outcome() {
        let url = scripted(vec![(vec![OK, REFUSED, BUSY, BROKEN], true)]).await;
        let client = Client::new(&url).unwrap();
        let body = json!({});
        assert_eq!(client.call("PutItem", &body).await, Outcome::Ok(json!({})));
        match client.call("PutItem", &body).await {
            Outcome::Failed { code, .. } => assert_eq!(code, "ConditionalCheckFailedException"),
            other => panic!("{other:?}"),
        }
        assert!(matches!(client.call("PutItem", &body).await, Outcome::Failed { .. }));
        assert_eq!(client.call("PutItem", &body).await, Outcome::Unknown("500".into()));
    }

    #[tokio::test]
    async fn a_kept_connection_that_was_closed_is_replaced() {
        let url = scripted(vec![(vec![OK], false), (vec![OK], true)]).await;
        let client = Client::new(&url).unwrap();
        assert_eq!(client.call("PutItem", &json!({})).await, Outcome::Ok(json!({})));
        // The pool notices the closed connection before it is used, so nothing was sent in vain.
        let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
        while client.endpoint.kept().map(|kept| client.endpoint.keep(kept)).is_some() {
            assert!(tokio::time::Instant::now() < deadline);
            tokio::task::yield_now().await;
        }
        assert_eq!(client.call("PutItem", &json!({})).await, Outcome::Ok(json!({})));
    }

    #[tokio::test]
    async fn silence_and_a_lost_connection_are_unknown() {
        let url = scripted(vec![(vec![], true), (vec![""], false)]).await;
        let client = Client::patient(&url, Duration::from_millis(100)).unwrap();
        assert_eq!(client.call("PutItem", &json!({})).await, Outcome::Unknown("timed out".into()));
        assert!(matches!(client.call("PutItem", &json!({})).await, Outcome::Unknown(_)));
    }

    #[tokio::test]
    async fn a_refused_connection_is_failed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let client = Client::new(&url).unwrap();
        match client.call("PutItem", &json!({})).await {
            Outcome::Failed { code, .. } => assert_eq!(code, "NotSent"),
            other => panic!("{other:?}"),
        }
    }
}
