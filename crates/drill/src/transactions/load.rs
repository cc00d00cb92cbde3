//! The clients of a drill of transactions, and what they saw.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use meridian_checker::append::{Element, ListId};
use meridian_checker::{Deed, Ending, Transaction};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::client::{Client, Outcome};
use crate::record::Clock;
use crate::stage::Stage;

/// Accounts, and what each holds in the beginning.
pub const ACCOUNTS: u64 = 16;
pub const EACH: u64 = 1_000;
/// Lists to which is appended.
const LISTS: ListId = 8;
/// Clients at most: each waits for its answer before it goes on.
const CLIENTS_MAX: u16 = 16;

/// What all clients of all trials saw.
#[derive(Debug, Default)]
pub struct History {
    transactions: Vec<Transaction>,
    totals: Vec<u64>,
    next: Element,
}

impl History {
    /// Adds a transaction over lists.
    pub fn push(&mut self, one: Transaction) {
        self.transactions.push(one);
    }

    /// The transactions over lists.
    pub fn transactions(&self) -> &[Transaction] {
        &self.transactions
    }

    /// An element that was not appended yet, nor any above it.
    pub fn next_element(&self) -> Element {
        self.next
    }

    /// Totals of the accounts that were read and are wrong.
    pub fn wrong_totals(&self) -> impl Iterator<Item = u64> + '_ {
        self.totals.iter().copied().filter(|total| *total != ACCOUNTS * EACH)
    }
}

/// How the transactions of a trial ended.
#[derive(Debug, Default)]
pub struct Tally {
    /// Done.
    pub done: u64,
    /// Cancelled: met another one, or its condition did not hold.
    pub cancelled: u64,
    /// Certainly not done for another reason.
    pub failed: u64,
    /// Nobody knows.
    pub unknown: u64,
    /// When transactions were acknowledged.
    served: Vec<u64>,
}

impl Tally {
    /// The longest time without an acknowledged transaction that touches the span.
    pub fn longest_gap(&self, from: u64, to: u64) -> u64 {
        let mut times: Vec<u64> = self.served.clone();
        times.sort_unstable();
        let gaps = times.windows(2).filter(|pair| pair[1] > from && pair[0] < to);
        gaps.map(|pair| pair[1] - pair[0]).max().unwrap_or(to.saturating_sub(from))
    }
}

/// Gives every account its first content.
pub async fn seed(stage: &Stage) -> anyhow::Result<()> {
    let client = Client::patient(&stage.cluster()?.router, Duration::from_secs(5))?;
    for account in 0..ACCOUNTS {
        let put = json!({
            "TableName": stage.table,
            "Item": { "pk": account_key(account), "balance": { "N": EACH.to_string() } },
        });
        client.must("PutItem", &put).await?;
    }
    Ok(())
}

/// All lists.
pub fn all_lists() -> Vec<ListId> {
    (0..LISTS).collect()
}

fn account_key(account: u64) -> Value {
    json!({ "S": format!("account-{account}") })
}

fn list_key(list: ListId) -> Value {
    json!({ "S": format!("list-{list}") })
}

/// Clients that are at work.
pub struct Load {
    ends: Arc<AtomicBool>,
    clients: JoinSet<(Vec<Transaction>, Vec<u64>, Tally)>,
    next: Arc<AtomicU64>,
}

impl Load {
    /// Starts them, each at an endpoint of its own as far as there are so many.
    pub fn start(
        stage: &Stage,
        endpoints: &[String],
        seed: u64,
        first: Element,
    ) -> anyhow::Result<Load> {
        anyhow::ensure!(!endpoints.is_empty(), "a region without endpoint");
        let (ends, next) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(first)));
        let count = stage.common.clients.min(CLIENTS_MAX);
        let pace = Duration::from_secs_f64(f64::from(count) / stage.common.rate);
        let mut clients = JoinSet::new();
        for number in 0..count {
            let all: Result<Vec<Client>, _> =
                endpoints.iter().map(|url| Client::new(url)).collect();
            let worker = Worker {
                table: stage.table.clone(),
                clock: stage.clock,
                endpoints: all?,
                at: usize::from(number) % endpoints.len(),
                random: StdRng::seed_from_u64(seed.wrapping_add(u64::from(number))),
                next: Arc::clone(&next),
                transactions: Vec::new(),
                totals: Vec::new(),
                tally: Tally::default(),
            };
            clients.spawn(worker.run(Arc::clone(&ends), pace));
        }
        Ok(Load { ends, clients, next })
    }

    /// Lets every client end what it does.
    pub async fn finish(mut self, history: &mut History) -> Tally {
        self.ends.store(true, Ordering::Relaxed);
        let mut all = Tally::default();
        while let Some(one) = self.clients.join_next().await {
            let Ok((transactions, totals, tally)) = one else { continue };
            history.transactions.extend(transactions);
            history.totals.extend(totals);
            all.done += tally.done;
            all.cancelled += tally.cancelled;
            all.failed += tally.failed;
            all.unknown += tally.unknown;
            all.served.extend(tally.served);
        }
        history.next = self.next.load(Ordering::Relaxed);
        all
    }
}

struct Worker {
    table: String,
    clock: Clock,
    endpoints: Vec<Client>,
    at: usize,
    random: StdRng,
    next: Arc<AtomicU64>,
    transactions: Vec<Transaction>,
    totals: Vec<u64>,
    tally: Tally,
}

impl Worker {
    async fn run(
        mut self,
        ends: Arc<AtomicBool>,
        pace: Duration,
    ) -> (Vec<Transaction>, Vec<u64>, Tally) {
        while !ends.load(Ordering::Relaxed) {
            let due = tokio::time::Instant::now() + pace;
            match self.random.random_range(0..10u32) {
                0..4 => self.transfer().await,
                4..8 => self.append().await,
                8 => self.read_total().await,
                _ => self.read_lists().await,
            }
            tokio::time::sleep_until(due).await;
        }
        (self.transactions, self.totals, self.tally)
    }

    async fn write(&mut self, updates: Vec<Value>) -> Ending {
        let items: Vec<Value> = updates.into_iter().map(|one| json!({ "Update": one })).collect();
        let body = json!({ "TransactItems": items });
        match self.endpoints[self.at].call("TransactWriteItems", &body).await {
            Outcome::Ok(_) => {
                self.tally.done += 1;
                self.tally.served.push(self.clock.now());
                Ending::Done
            }
            Outcome::Failed { code, .. } if code == "TransactionCanceledException" => {
                self.tally.cancelled += 1;
                Ending::Failed
            }
            Outcome::Failed { .. } => {
                self.tally.failed += 1;
                self.turn();
                Ending::Failed
            }
            Outcome::Unknown(_) => {
                self.tally.unknown += 1;
                self.turn();
                Ending::Unknown
            }
        }
    }

    /// Turns to another endpoint.
    fn turn(&mut self) {
        self.at = (self.at + 1) % self.endpoints.len();
    }

    async fn transfer(&mut self) {
        let from = self.random.random_range(0..ACCOUNTS);
        let to = (from + self.random.random_range(1..ACCOUNTS)) % ACCOUNTS;
        let amount = json!({ ":x": { "N": self.random.random_range(1..20u32).to_string() } });
        let take = json!({
            "TableName": self.table,
            "Key": { "pk": account_key(from) },
            "UpdateExpression": "SET balance = balance - :x",
            "ConditionExpression": "balance >= :x",
            "ExpressionAttributeValues": amount,
        });
        let give = json!({
            "TableName": self.table,
            "Key": { "pk": account_key(to) },
            "UpdateExpression": "SET balance = balance + :x",
            "ExpressionAttributeValues": amount,
        });
        self.write(vec![take, give]).await;
    }

    fn some_lists(&mut self) -> Vec<ListId> {
        let first = self.random.random_range(0..LISTS);
        let count = self.random.random_range(2..5);
        let step = [1, 3, 5][self.random.random_range(0..3usize)];
        (0..count).map(|n| (first + n * step) % LISTS).collect()
    }

    async fn append(&mut self) {
        let lists = self.some_lists();
        let elements: Vec<(ListId, Element)> = lists
            .into_iter()
            .map(|list| (list, self.next.fetch_add(1, Ordering::Relaxed)))
            .collect();
        let update = |(list, element): &(ListId, Element)| {
            json!({
                "TableName": self.table,
                "Key": { "pk": list_key(*list) },
                "UpdateExpression": "SET l = list_append(if_not_exists(l, :none), :one)",
                "ExpressionAttributeValues": {
                    ":none": { "L": [] },
                    ":one": { "L": [{ "N": element.to_string() }] },
                },
            })
        };
        let updates = elements.iter().map(update).collect();
        let invoked = self.clock.now();
        let ending = self.write(updates).await;
        let deed = Deed::Append(elements, ending);
        self.transactions.push(Transaction { deed, invoked, completed: self.clock.now() });
    }

    async fn read_total(&mut self) {
        match read_total(&self.endpoints[self.at], &self.table).await {
            Some(total) => self.totals.push(total),
            None => self.turn(),
        }
    }

    async fn read_lists(&mut self) {
        let lists = self.some_lists();
        match read_lists(self.clock, &self.endpoints[self.at], &self.table, &lists).await {
            Some(read) => self.transactions.push(read),
            None => self.turn(),
        }
    }
}

/// Reads items in one transaction; none when it is cancelled or not answered.
async fn read(client: &Client, table: &str, keys: Vec<Value>) -> Option<Vec<Value>> {
    let get = |key: Value| json!({ "Get": { "TableName": table, "Key": { "pk": key } } });
    let items: Vec<Value> = keys.into_iter().map(get).collect();
    match client.call("TransactGetItems", &json!({ "TransactItems": items })).await {
        Outcome::Ok(answer) => answer["Responses"].as_array().cloned(),
        Outcome::Failed { .. } | Outcome::Unknown(_) => None,
    }
}

/// The total of all accounts.
pub async fn read_total(client: &Client, table: &str) -> Option<u64> {
    let found = read(client, table, (0..ACCOUNTS).map(account_key).collect()).await?;
    let balance = |one: &Value| one["Item"]["balance"]["N"].as_str()?.parse::<u64>().ok();
    found.iter().map(balance).sum()
}

/// Lists of one moment.
pub async fn read_lists(
    clock: Clock,
    client: &Client,
    table: &str,
    lists: &[ListId],
) -> Option<Transaction> {
    let invoked = clock.now();
    let found = read(client, table, lists.iter().copied().map(list_key).collect()).await?;
    let elements = |one: &Value| {
        let elements = one["Item"]["l"]["L"].as_array().into_iter().flatten();
        elements.map(|one| one["N"].as_str()?.parse().ok()).collect::<Option<Vec<Element>>>()
    };
    let read: Option<Vec<(ListId, Vec<Element>)>> =
        lists.iter().zip(&found).map(|(list, one)| Some((*list, elements(one)?))).collect();
    let deed = Deed::Read(read.context("a list of other things").ok()?);
    Some(Transaction { deed, invoked, completed: clock.now() })
}
