//! A node and its listeners, over sockets: what it serves, what it keeps, what it refuses.

use super::*;
use crate::cli::{Cli, Command};
use crate::dev;
use clap::Parser;
use meridian_server::client::AdminClient;
use meridian_storage::{RealDisk, StorageError};
use serde_json::{Value, json};
use std::path::Path;

const TIME: Duration = Duration::from_secs(60);

fn config(words: &str) -> NodeConfig {
    let words = std::iter::once("meridian").chain(words.split(' '));
    match Cli::try_parse_from(words).unwrap().command {
        Command::Dev(args) => dev::config(&args).unwrap(),
        other => panic!("not dev: {other:?}"),
    }
}

/// Waits until the last task of a stopped node has dropped its files, as the end of a process does
/// at once.
async fn let_go(data: &Path) {
    let deadline = tokio::time::Instant::now() + TIME;
    while let Err(StorageError::Locked { .. }) = RealDisk::open(&data.join("log")) {
        assert!(tokio::time::Instant::now() < deadline, "the log is not let go");
        tokio::time::sleep(READY_LOOK).await;
    }
}

async fn start(words: &str) -> Running {
    let running = Running::start(config(words), Kind::Dev).await.unwrap();
    tokio::time::timeout(TIME, running.ready()).await.expect("not ready in time");
    running
}

impl Running {
    async fn ask(&self, operation: &str, body: Value) -> (u16, Value) {
        let request = http::Request::post("/")
            .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
            .header("host", "test")
            .body(http_body_util::Full::new(body.to_string().into()))
            .unwrap();
        let address = self.clients.local().to_string();
        let (status, body) = meridian_server::client::send(&address, request, TIME).await.unwrap();
        (status.as_u16(), serde_json::from_slice(&body).unwrap())
    }

    async fn make_table(&self) {
        let table = json!({
            "TableName": "notes",
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        });
        assert_eq!(self.ask("CreateTable", table).await.0, 200);
        let deadline = tokio::time::Instant::now() + TIME;
        loop {
            let (_, described) = self.ask("DescribeTable", json!({"TableName": "notes"})).await;
            if described["Table"]["TableStatus"] == "ACTIVE" {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "{described}");
        }
    }

    async fn put(&self, id: &str) {
        let item = json!({"TableName": "notes", "Item": {"id": {"S": id}, "n": {"N": "1"}}});
        assert_eq!(self.ask("PutItem", item).await, (200, json!({})));
    }

    async fn get(&self, id: &str) -> Value {
        let key = json!({"TableName": "notes", "Key": {"id": {"S": id}}, "ConsistentRead": true});
        let (status, answer) = self.ask("GetItem", key).await;
        assert_eq!(status, 200, "{answer}");
        answer["Item"].clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dev_serves_the_api_and_its_operators() {
    let running = start("dev --listen 127.0.0.1:0 --in-memory").await;
    running.make_table().await;
    running.put("one").await;
    assert_eq!(running.get("one").await, json!({"id": {"S": "one"}, "n": {"N": "1"}}));
    let (status, error) = running.ask("Nothing", json!({})).await;
    let expected = json!({"__type": "com.amazon.coral.service#UnknownOperationException"});
    assert_eq!((status, error), (400, expected));
    let admin = AdminClient::new(&running.admin.local().to_string(), None, TIME);
    let status = admin.get("/admin/status").await.unwrap();
    let partitions = status["partitions"].as_array().unwrap();
    assert_eq!(partitions.len(), 4);
    assert!(partitions.iter().all(|p| p["table"] == "notes"), "{status}");
    let refused = admin.post("/admin/node/start", &json!({"node": 1})).await;
    assert!(refused.is_err(), "a node starts no other");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_on_disk_is_there_after_a_restart() {
    for engine in ["fjall", "sled"] {
        let folder = tempfile::tempdir().unwrap();
        let data = |folder: &Path| {
            let folder = folder.display();
            format!("dev --listen 127.0.0.1:0 --engine {engine} --partitions 1 --data-dir {folder}")
        };
        let running = start(&data(folder.path())).await;
        running.make_table().await;
        running.put("kept").await;
        running.stop().await;
        let_go(folder.path()).await;
        let running = start(&data(folder.path())).await;
        assert_eq!(running.get("kept").await["id"], json!({"S": "kept"}), "{engine}");
        running.stop().await;
    }
}

#[tokio::test]
async fn a_port_in_use_is_named_before_the_data_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let data = folder.path().join("data");
    let config = config(&format!("dev --listen {address} --data-dir {}", data.display()));
    let error = Running::start(config, Kind::Dev).await.err().unwrap().to_string();
    assert!(error.contains(&format!("cannot listen on {address}")), "{error}");
    assert!(!data.exists());
}
