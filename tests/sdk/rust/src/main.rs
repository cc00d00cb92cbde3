//! The unmodified AWS SDK for Rust against a node: a table's life, items, expressions, pages.
//!
//! Usage: `first-table ENDPOINT [REPLICA_REGION=ENDPOINT ...]`. With replicas named, the table is
//! made global, written in every region and read in all. A failed assertion ends it.

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Config, Region};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, CreateReplicationGroupMemberAction,
    KeySchemaElement, KeyType, PutRequest, ReplicaStatus, ReplicationGroupUpdate, ReturnValue,
    ScalarAttributeType, Select, TableStatus, WriteRequest,
};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long regions may take to show each other's writes.
const CONVERGENCE: Duration = Duration::from_secs(20);

type Item = HashMap<String, AttributeValue>;

fn connect(endpoint: &str, region: &str) -> Client {
    let key = |name| std::env::var(name).unwrap_or_else(|_| "any".to_owned());
    let (id, secret) = (key("AWS_ACCESS_KEY_ID"), key("AWS_SECRET_ACCESS_KEY"));
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .credentials_provider(Credentials::new(id, secret, None, None, "environment"))
        .endpoint_url(endpoint)
        .retry_config(RetryConfig::disabled())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    Client::from_conf(config)
}

fn s(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

fn n(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn key(artist: &str, song: usize) -> Item {
    HashMap::from([("artist".to_owned(), s(artist)), ("song".to_owned(), n(song))])
}

fn song(at: usize) -> Item {
    let mut item = key(&format!("a{}", at % 3), at);
    item.insert("length".to_owned(), n(at * 10));
    item.insert("tags".to_owned(), AttributeValue::Ss(vec!["live".to_owned()]));
    item
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + CONVERGENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn create(client: &Client, table: &str) {
    let attribute = |name: &str, kind| {
        AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build().unwrap()
    };
    let element = |name: &str, kind| {
        KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap()
    };
    client
        .create_table()
        .table_name(table)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute("artist", ScalarAttributeType::S))
        .attribute_definitions(attribute("song", ScalarAttributeType::N))
        .key_schema(element("artist", KeyType::Hash))
        .key_schema(element("song", KeyType::Range))
        .send()
        .await
        .unwrap();
    until("the table is active", async || {
        let described = client.describe_table().table_name(table).send().await.unwrap();
        described.table.unwrap().table_status == Some(TableStatus::Active)
    })
    .await;
}

async fn items(client: &Client, table: &str) {
    for start in [0, 20, 40] {
        let put = |at| PutRequest::builder().set_item(Some(song(at))).build().unwrap();
        let requests =
            (start..start + 20).map(|at| WriteRequest::builder().put_request(put(at)).build());
        let batch = client.batch_write_item().request_items(table, requests.collect());
        let left = batch.send().await.unwrap().unprocessed_items.unwrap_or_default();
        assert!(left.is_empty(), "{left:?}");
    }
    let get = client.get_item().table_name(table).set_key(Some(key("a1", 1)));
    let found = get.consistent_read(true).send().await.unwrap().item;
    assert_eq!(found, Some(song(1)));
    let updated = client
        .update_item()
        .table_name(table)
        .set_key(Some(key("a1", 1)))
        .update_expression("SET #l = #l + :ten REMOVE tags")
        .condition_expression("#l = :ten")
        .expression_attribute_names("#l", "length")
        .expression_attribute_values(":ten", n(10))
        .return_values(ReturnValue::AllNew)
        .send()
        .await
        .unwrap()
        .attributes
        .unwrap();
    assert_eq!((updated.get("length"), updated.get("tags")), (Some(&n(20)), None));
    let refused = client
        .put_item()
        .table_name(table)
        .set_item(Some(song(1)))
        .condition_expression("attribute_not_exists(artist)")
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    assert!(refused.is_conditional_check_failed_exception(), "{refused:?}");
    let page = client
        .query()
        .table_name(table)
        .key_condition_expression("artist = :a AND song BETWEEN :low AND :high")
        .expression_attribute_values(":a", s("a0"))
        .expression_attribute_values(":low", n(10))
        .expression_attribute_values(":high", n(40))
        .scan_index_forward(false)
        .consistent_read(true)
        .send()
        .await
        .unwrap();
    let songs: Vec<&AttributeValue> = page.items().iter().map(|item| &item["song"]).collect();
    assert_eq!(songs.len(), 10);
    assert_eq!((songs[0], songs[9]), (&n(39), &n(12)));
}

async fn pages(client: &Client, table: &str) {
    let scan = client.scan().table_name(table).consistent_read(true).limit(7);
    let mut stream = scan.into_paginator().items().send();
    let mut seen = 0;
    while let Some(item) = stream.next().await {
        item.unwrap();
        seen += 1;
    }
    assert_eq!(seen, 60);
    let deleted = client.delete_item().table_name(table).set_key(Some(key("a2", 2)));
    let old = deleted.return_values(ReturnValue::AllOld).send().await.unwrap().attributes;
    assert_eq!(old, Some(song(2)));
}

async fn everywhere(home: &Client, table: &str, replicas: &[(String, String)]) {
    for (region, _) in replicas {
        let create =
            CreateReplicationGroupMemberAction::builder().region_name(region).build().unwrap();
        let update = ReplicationGroupUpdate::builder().create(create).build();
        home.update_table().table_name(table).replica_updates(update).send().await.unwrap();
        until("the replica is active", async || {
            let described = home.describe_table().table_name(table).send().await.unwrap();
            let replicas = described.table.unwrap().replicas.unwrap_or_default();
            let found = replicas.iter().find(|r| r.region_name.as_ref() == Some(region));
            found.is_some_and(|r| r.replica_status == Some(ReplicaStatus::Active))
        })
        .await;
    }
    let others = replicas.iter().map(|(region, endpoint)| connect(endpoint, region));
    let clients: Vec<Client> = std::iter::once(home.clone()).chain(others).collect();
    for (at, client) in clients.iter().enumerate() {
        let item = Some(key("everywhere", at));
        client.put_item().table_name(table).set_item(item).send().await.unwrap();
    }
    for client in &clients {
        until("a region shows what every region wrote", async || {
            let query = client
                .query()
                .table_name(table)
                .select(Select::Count)
                .key_condition_expression("artist = :e")
                .expression_attribute_values(":e", s("everywhere"));
            let count = query.send().await.unwrap().count;
            usize::try_from(count).unwrap() == clients.len()
        })
        .await;
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut words = std::env::args().skip(1);
    let endpoint = words.next().expect("the endpoint is named");
    let replicas: Vec<(String, String)> = words
        .map(|word| word.split_once('=').map(|(r, e)| (r.to_owned(), e.to_owned())).unwrap())
        .collect();
    let client = connect(&endpoint, "us-east-1");
    let table = format!("rust-{}", std::process::id());
    create(&client, &table).await;
    items(&client, &table).await;
    pages(&client, &table).await;
    everywhere(&client, &table, &replicas).await;
    client.delete_table().table_name(&table).send().await.unwrap();
    println!("1 passed, 0 failed");
}
