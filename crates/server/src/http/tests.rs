//! Tests of `http`.

use super::*;
use crate::client::send;
use crate::listener::{HttpServer, ListenLimits};
use http_body_util::Full;
use meridian_transport::Switch;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Answers with the target and the size of the body.
struct Echo;

#[async_trait]
impl RequestHandler for Echo {
    async fn handle(&self, target: &str, body: Bytes) -> HttpAnswer {
        assert_ne!(target, "DynamoDB_20120810.Panic");
        let status = if target.is_empty() { 400 } else { 200 };
        HttpAnswer { status, body: Bytes::from(format!("{target} {}", body.len())) }
    }

    async fn ready(&self) -> Result<(), String> {
        Err("waiting for a leader".to_owned())
    }
}

async fn start(limits: EdgeLimits) -> HttpServer {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let edge = Arc::new(DynamoEdge::new("us-east-1", Arc::new(Echo), limits));
    HttpServer::start(listener, Switch::new(), ListenLimits::default(), edge).unwrap()
}

#[tokio::test]
async fn where_keys_are_known_only_signed_requests_pass() {
    use crate::credentials::tests::{signatures, signed};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let edge = DynamoEdge::new("us-east-1", Arc::new(Echo), EdgeLimits::default());
    let edge = Arc::new(edge.with_signatures(Some(signatures())));
    let server = HttpServer::start(listener, Switch::new(), ListenLimits::default(), edge).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let ask = async |secret: &str| {
        let (head, ()) = signed(secret, "us-east-1", "{}", now).into_parts();
        let request = Request::from_parts(head, Full::new(Bytes::from_static(b"{}")));
        let address = server.local().to_string();
        let (status, body) = send(&address, request, Duration::from_secs(20)).await.unwrap();
        (status.as_u16(), String::from_utf8_lossy(&body).into_owned())
    };
    assert_eq!(ask("hush").await, (200, "DynamoDB_20120810.ListTables 2".to_owned()));
    let (status, body) = ask("wrong").await;
    assert!(status == 400 && body.contains("InvalidSignatureException"), "{body}");
    // Not even a body that is no JSON is looked at.
    let (head, body) = raw(&server, &post("x-amz-target: DynamoDB_20120810.X\r\n", "}{")).await;
    assert!(head.starts_with("http/1.1 400"), "{head}");
    assert!(body.contains("MissingAuthenticationToken"), "{body}");
    let (head, _) = raw(&server, b"GET / HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n").await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
}

/// The status line and the headers, lower case, then the body.
async fn raw(server: &HttpServer, request: &[u8]) -> (String, String) {
    let mut stream = TcpStream::connect(server.local()).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    let reading = stream.read_to_string(&mut answer);
    tokio::time::timeout(Duration::from_secs(20), reading).await.unwrap().unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_ascii_lowercase(), body.to_owned())
}

fn post(headers: &str, body: &str) -> Vec<u8> {
    format!(
        "POST / HTTP/1.1\r\nhost: t\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[tokio::test]
async fn an_operation_is_answered_as_dynamodb_does() {
    let server = start(EdgeLimits::default()).await;
    let headers = "x-amz-target: DynamoDB_20120810.GetItem\r\n\
                   content-type: application/x-amz-json-1.0\r\n";
    let (head, body) = raw(&server, &post(headers, "{}")).await;
    assert_eq!(body, "DynamoDB_20120810.GetItem 2");
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(head.contains("content-type: application/x-amz-json-1.0"), "{head}");
    let crc = format!("x-amz-crc32: {}", crc32fast::hash(body.as_bytes()));
    assert!(head.contains(&crc), "{head}");
    let id = head.lines().find_map(|l| l.strip_prefix("x-amzn-requestid: ")).unwrap();
    assert_eq!(id.len(), 52);
    assert!(head.contains("\r\nserver: server\r\n"), "{head}");
}

#[tokio::test]
async fn a_panic_is_an_internal_server_error_with_an_id() {
    let server = start(EdgeLimits::default()).await;
    let (head, body) = raw(&server, &post("x-amz-target: DynamoDB_20120810.Panic\r\n", "{}")).await;
    assert!(head.starts_with("http/1.1 500"), "{head}");
    assert!(head.contains("x-amzn-requestid: "), "{head}");
    assert!(body.contains("#InternalServerError"), "{body}");
}

#[tokio::test]
async fn too_large_bodies_are_refused_announced_or_not() {
    let server = start(EdgeLimits::default()).await;
    let announced = "POST / HTTP/1.1\r\nhost: t\r\ncontent-length: 99999999999\r\n\r\n";
    let (head, body) = raw(&server, announced.as_bytes()).await;
    assert!(head.starts_with("http/1.1 413"), "{head}");
    assert_eq!(body, "");

    let mut stream = TcpStream::connect(server.local()).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    let chunk = vec![b'x'; 1 << 20];
    let sending = async {
        let head = b"POST / HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n";
        writer.write_all(head).await?;
        for _ in 0..(limits::BODY_BYTES_MAX >> 20) + 2 {
            writer.write_all(format!("{:x}\r\n", chunk.len()).as_bytes()).await?;
            writer.write_all(&chunk).await?;
            writer.write_all(b"\r\n").await?;
        }
        std::io::Result::Ok(())
    };
    let mut line = [0u8; 12];
    let (_, read) = tokio::join!(sending, reader.read_exact(&mut line));
    read.unwrap();
    assert_eq!(&line, b"HTTP/1.1 413");
}

#[tokio::test]
async fn a_half_sent_body_times_out() {
    let server = start(EdgeLimits { body: Duration::from_millis(50) }).await;
    let half = "POST / HTTP/1.1\r\nhost: t\r\ncontent-length: 10\r\n\r\n{\"a\"";
    let (head, body) = raw(&server, half.as_bytes()).await;
    assert!(head.starts_with("http/1.1 408"), "{head}");
    assert!(body.contains("did not arrive in time"), "{body}");
}

#[tokio::test]
async fn other_methods_and_paths() {
    let server = start(EdgeLimits::default()).await;
    let local = server.local().to_string();
    let ask = |method: Method, path: &str| {
        let request = Request::builder().method(method).uri(path).header("origin", "http://a");
        let request = request.body(Full::new(Bytes::new())).unwrap();
        let local = local.clone();
        async move {
            let (status, body) = send(&local, request, Duration::from_secs(20)).await.unwrap();
            (status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
        }
    };
    let healthy = "healthy: dynamodb.us-east-1.amazonaws.com ".to_owned();
    assert_eq!(ask(Method::GET, "/").await, (200, healthy));
    assert_eq!(ask(Method::GET, "/health/live").await.0, 200);
    assert_eq!(ask(Method::GET, "/health/ready").await, (503, "waiting for a leader".to_owned()));
    assert_eq!(ask(Method::OPTIONS, "/").await.0, 200);
    let unknown = (404, "<UnknownOperationException/>\n".to_owned());
    assert_eq!(ask(Method::PUT, "/").await, unknown);
    assert_eq!(ask(Method::POST, "/").await, (400, " 0".to_owned()));
}

#[tokio::test]
async fn what_is_no_operation_has_a_checksum_too() {
    let server = start(EdgeLimits::default()).await;
    let get = b"GET / HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n";
    let (head, _) = raw(&server, get).await;
    assert!(head.contains("x-amz-crc32: 3128867991"), "{head}");
    let of_another = "x-amz-target: DynamoDB_20120810.GetItem\r\n\
                      content-type: application/x-amz-json-1.1\r\n";
    let (head, body) = raw(&server, &post(of_another, "{}")).await;
    assert!(head.starts_with("http/1.1 404"), "{head}");
    assert!(head.contains("x-amz-crc32: 3552371480"), "{head}");
    assert_eq!(body, "<UnknownOperationException/>\n");
}

#[tokio::test]
async fn bytes_that_are_no_http_are_refused() {
    let server = start(EdgeLimits::default()).await;
    let (head, _) = raw(&server, b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n").await;
    assert!(head.starts_with("http/1.1 400"), "{head}");
}
