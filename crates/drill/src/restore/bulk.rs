//! Many puts and deletes by BatchWriteItem, each of them a call of the history.
//!
//! # Invariants
//!
//! - A write of which nobody knows is never sent again; the item gets another one.
//! - What is unprocessed was surely not applied.
//!
//! Tested below against a scripted endpoint.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::client::{Client, Outcome};
use crate::items;
use crate::load::Writers;
use crate::record::{Asked, Clock, Fate, Key, Record, Seen};

/// Items of one BatchWriteItem; DynamoDB's limit.
const BATCH_ITEMS_MAX: usize = 25;
/// Attempts at one batch before writing is given up, and the pause between two.
const ATTEMPTS: u32 = 200;
const PAUSE: Duration = Duration::from_millis(100);
/// Longest wait for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// What is done to an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// It gets a new content.
    Put,
    /// It is deleted.
    Delete,
}

/// A client that writes in batches.
#[derive(Clone)]
pub struct Bulk {
    endpoints: Vec<Arc<Client>>,
    table: String,
    item_bytes: usize,
    writers: Arc<Writers>,
    client: u16,
    clock: Clock,
    batches_parallel: usize,
}

impl Bulk {
    /// A client of that number, which has one batch under way at a time, at each endpoint in turn.
    pub fn new(
        endpoints: &[String],
        table: String,
        item_bytes: usize,
        writers: Arc<Writers>,
        (client, clock): (u16, Clock),
    ) -> anyhow::Result<Bulk> {
        let patient = |url: &String| Client::patient(url, ANSWER_TIMEOUT).map(Arc::new);
        let endpoints = endpoints.iter().map(patient).collect::<anyhow::Result<_>>()?;
        Ok(Bulk { endpoints, table, item_bytes, writers, client, clock, batches_parallel: 1 })
    }

    /// With so many batches under way at once.
    pub fn parallel(self, batches_parallel: usize) -> Bulk {
        Bulk { batches_parallel, ..self }
    }

    /// Does all of it, each item until one of its calls is acknowledged; gives the calls.
    ///
    /// # Errors
    ///
    /// If some item's calls are not acknowledged, again and again.
    pub async fn perform(&self, deeds: Vec<(Key, Deed)>) -> anyhow::Result<Vec<Record>> {
        let mut records = Vec::with_capacity(deeds.len());
        let mut batches: JoinSet<anyhow::Result<Vec<Record>>> = JoinSet::new();
        let turns = self.endpoints.iter().cycle();
        for (batch, endpoint) in deeds.chunks(BATCH_ITEMS_MAX).zip(turns) {
            if batches.len() >= self.batches_parallel
                && let Some(done) = batches.join_next().await
            {
                records.extend(done??);
            }
            let (me, batch, endpoint) = (self.clone(), batch.to_vec(), Arc::clone(endpoint));
            batches.spawn(async move { me.perform_batch(&endpoint, batch).await });
        }
        while let Some(done) = batches.join_next().await {
            records.extend(done??);
        }
        Ok(records)
    }

    async fn perform_batch(
        &self,
        endpoint: &Client,
        mut deeds: Vec<(Key, Deed)>,
    ) -> anyhow::Result<Vec<Record>> {
        let mut records = Vec::new();
        for _ in 0..ATTEMPTS {
            let calls = self.send(endpoint, &deeds).await;
            let done: BTreeSet<Key> =
                calls.iter().filter(|call| call.fate == Fate::Ok).map(|call| call.key).collect();
            records.extend(calls);
            deeds.retain(|(key, _)| !done.contains(key));
            if deeds.is_empty() {
                return Ok(records);
            }
            tokio::time::sleep(PAUSE).await;
        }
        anyhow::bail!("{} items of table {} cannot be written", deeds.len(), self.table)
    }

    /// Sends one batch; each item's write is a call of its own.
    async fn send(&self, endpoint: &Client, deeds: &[(Key, Deed)]) -> Vec<Record> {
        let asked: Vec<(Key, Asked)> = deeds
            .iter()
            .map(|(key, deed)| match deed {
                Deed::Put => (*key, Asked::Put(self.writers.next(self.client))),
                Deed::Delete => (*key, Asked::Delete),
            })
            .collect();
        let requests: Vec<Value> = asked.iter().map(|one| self.request(*one)).collect();
        let body = json!({ "RequestItems": { self.table.as_str(): requests } });
        let started = self.clock.now();
        let outcome = endpoint.call("BatchWriteItem", &body).await;
        let ended = self.clock.now();
        let fate = |key: Key| match &outcome {
            Outcome::Ok(answer) if unprocessed(answer).contains(&key) => Fate::Failed,
            Outcome::Ok(_) => Fate::Ok,
            Outcome::Failed { .. } => Fate::Failed,
            Outcome::Unknown(_) => Fate::Unknown,
        };
        let call = |(key, asked): (Key, Asked)| Record {
            client: self.client,
            key,
            asked,
            fate: fate(key),
            seen: Seen::Untold,
            intended: started,
            started,
            ended,
        };
        asked.into_iter().map(call).collect()
    }

    fn request(&self, (key, asked): (Key, Asked)) -> Value {
        match asked {
            Asked::Put(new) | Asked::PutIf { new, .. } => {
                json!({ "PutRequest": { "Item": items::item(key, new, self.item_bytes) } })
            }
            Asked::Delete | Asked::Get => {
                json!({ "DeleteRequest": { "Key": { "pk": { "S": key.to_string() } } } })
            }
        }
    }
}

/// The keys of an answer's unprocessed writes.
fn unprocessed(answer: &Value) -> BTreeSet<Key> {
    let tables = answer.get("UnprocessedItems").and_then(Value::as_object);
    let requests = tables.into_iter().flat_map(|tables| tables.values());
    let requests = requests.filter_map(Value::as_array).flatten();
    let of = |one: &Value| {
        let put = one.get("PutRequest").and_then(|put| put.get("Item"));
        put.or_else(|| one.get("DeleteRequest")?.get("Key")).and_then(items::key_of)
    };
    requests.filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::{Script, serve};

    fn bulk(url: String) -> Bulk {
        let writers = Arc::new(Writers::new(2, 0));
        Bulk::new(&[url], "t".to_owned(), 10, writers, (1, Clock::start())).unwrap()
    }

    #[tokio::test]
    async fn every_item_is_written_once_though_some_are_unprocessed() {
        let bulk = bulk(serve(Script::Remembers).await).parallel(4);
        let deeds: Vec<(Key, Deed)> = (0..60).map(|one| (Key::Pool(one), Deed::Put)).collect();
        let records = bulk.perform(deeds).await.unwrap();
        let done = |fate| records.iter().filter(move |one| one.fate == fate);
        let keys: BTreeSet<Key> = done(Fate::Ok).map(|one| one.key).collect();
        assert_eq!((done(Fate::Ok).count(), keys.len()), (60, 60));
        // The endpoint leaves the last item of each full batch for the next time.
        assert_eq!(done(Fate::Failed).count(), 2);
        assert!(records.iter().all(|one| one.started < one.ended && one.write().is_some()));
        let read: BTreeSet<Key> = keys;
        let found = items::read(&bulk.endpoints[0], "t", &read).await.unwrap();
        for record in done(Fate::Ok) {
            assert_eq!(found[&record.key], record.write());
        }
    }

    #[tokio::test]
    async fn deletes_are_told_apart() {
        let bulk = bulk(serve(Script::Remembers).await);
        let keys = || (0..4).map(Key::Pool);
        bulk.perform(keys().map(|key| (key, Deed::Put)).collect()).await.unwrap();
        let gone: Vec<(Key, Deed)> = keys().take(2).map(|key| (key, Deed::Delete)).collect();
        let records = bulk.perform(gone).await.unwrap();
        assert!(records.iter().all(|one| one.asked == Asked::Delete && one.fate == Fate::Ok));
        let found = items::read(&bulk.endpoints[0], "t", &keys().collect()).await.unwrap();
        assert_eq!(found.values().filter(|one| one.is_some()).count(), 2);
    }
}
