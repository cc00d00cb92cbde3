//! An endpoint for tests: answers as told, over real sockets.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// How the endpoint behaves.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Script {
    /// A one-register-a-key store for PutItem, GetItem, DeleteItem and their batches; it leaves the
    /// last write of a batch of more than twenty unprocessed.
    Remembers,
    /// Accepts and never answers.
    Silent,
}

type Store = Arc<Mutex<BTreeMap<String, Value>>>;

/// Serves until the test ends; returns the URL.
pub(crate) async fn serve(script: Script) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let store = Store::default();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let store = store.clone();
            let service = service_fn(move |request| answer(script, store.clone(), request));
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service);
            tokio::spawn(connection);
        }
    });
    url
}

async fn answer(
    script: Script,
    store: Store,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    if matches!(script, Script::Silent) {
        std::future::pending::<()>().await;
    }
    let target = request.headers()["x-amz-target"].to_str().unwrap().to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let (status, answer) = operate(&mut store.lock().unwrap(), &target, &body);
    Ok(Response::builder().status(status).body(Full::new(answer.to_string().into())).unwrap())
}

fn operate(store: &mut BTreeMap<String, Value>, target: &str, body: &Value) -> (u16, Value) {
    let key = |item: &Value| item["pk"]["S"].as_str().unwrap().to_owned();
    if target.ends_with("BatchWriteItem") {
        return write_batch(store, body);
    }
    if target.ends_with("BatchGetItem") {
        return read_batch(store, body);
    }
    if target.ends_with("DeleteItem") {
        store.remove(&key(&body["Key"]));
        return (200, json!({}));
    }
    if target.ends_with("GetItem") {
        return match store.get(&key(&body["Key"])) {
            Some(item) => (200, json!({ "Item": item })),
            None => (200, json!({})),
        };
    }
    let item = &body["Item"];
    let old = store.get(&key(item)).cloned();
    let wanted = body.get("ExpressionAttributeValues").map(|values| &values[":expected"]);
    let conditional = body.get("ConditionExpression").is_some();
    let holds = match (&old, wanted) {
        (Some(old), Some(wanted)) => &old["v"] == wanted,
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    if conditional && !holds {
        let mut refused = json!({ "__type": "x#ConditionalCheckFailedException" });
        if let Some(old) = old {
            refused["Item"] = old;
        }
        return (400, refused);
    }
    store.insert(key(item), item.clone());
    let mut answer = json!({});
    if let (Some(old), Some("ALL_OLD")) = (old, body["ReturnValues"].as_str()) {
        answer["Attributes"] = old;
    }
    (200, answer)
}

fn write_batch(store: &mut BTreeMap<String, Value>, body: &Value) -> (u16, Value) {
    let (table, writes) = body["RequestItems"].as_object().unwrap().iter().next().unwrap();
    let writes = writes.as_array().unwrap();
    let (now, later) =
        writes.split_at(if writes.len() > 20 { writes.len() - 1 } else { writes.len() });
    for write in now {
        match write.get("PutRequest") {
            Some(put) => operate(store, "PutItem", put),
            None => operate(store, "DeleteItem", &write["DeleteRequest"]),
        };
    }
    match later {
        [] => (200, json!({ "UnprocessedItems": {} })),
        later => (200, json!({ "UnprocessedItems": { table: later } })),
    }
}

fn read_batch(store: &BTreeMap<String, Value>, body: &Value) -> (u16, Value) {
    let (table, wanted) = body["RequestItems"].as_object().unwrap().iter().next().unwrap();
    let keys = wanted["Keys"].as_array().unwrap().iter();
    let found: Vec<&Value> = keys.filter_map(|key| store.get(key["pk"]["S"].as_str()?)).collect();
    (200, json!({ "Responses": { table: found } }))
}
