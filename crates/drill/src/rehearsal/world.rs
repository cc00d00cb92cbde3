//! A cluster of two regions in memory that keeps the drills' contract, or breaks it as planted.
//!
//! Each region has one node, one partition and one register a key. Writes reach the other region
//! after a delay; the later version wins. The router leaves a silent region after a while.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

/// Time from a write to its arrival in the other region.
const REPLICATION: Duration = Duration::from_millis(100);
/// Time from a region's silence to the router's move.
const PATIENCE: Duration = Duration::from_millis(300);

/// What is wrong with the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plant {
    Nothing,
    /// A region that returns has forgotten what only it held.
    ForgetsStranded,
    /// Stranded writes are merged without a word.
    ListsNothing,
    /// Replication changes an item now and then.
    Corrupts,
    /// A read shows the content before the last write now and then.
    StaleReads,
}

#[derive(Clone)]
struct Stored {
    version: u64,
    item: Value,
    before: Option<Value>,
}

struct Change {
    due: Instant,
    key: String,
    stored: Stored,
}

struct Region {
    name: &'static str,
    state: &'static str,
    items: BTreeMap<String, Stored>,
    outgoing: Vec<Change>,
    hole_since: Option<Instant>,
    evacuated: bool,
}

pub(super) struct World {
    regions: Vec<Region>,
    routed: usize,
    version: u64,
    reads: u64,
    plant: Plant,
    /// The last table that anybody named; a drill has one.
    table: String,
}

type Shared = Arc<Mutex<World>>;

/// A process that stands for a node; killed when dropped.
pub(super) struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[derive(Clone, Copy)]
enum Role {
    Client(usize),
    Admin(usize),
    Router,
    RouterAdmin,
}

impl World {
    /// Serves a world until the test ends; the cluster file's content and the nodes' process.
    pub(super) async fn serve(plant: Plant) -> (Value, Process) {
        let region = |name| Region {
            name,
            state: "Active",
            items: BTreeMap::new(),
            outgoing: Vec::new(),
            hole_since: None,
            evacuated: false,
        };
        let regions = vec![region("home"), region("away")];
        let world = World { regions, routed: 0, version: 0, reads: 0, plant, table: String::new() };
        let world = Arc::new(Mutex::new(world));
        let process = Process(Command::new("sleep").arg("600").spawn().unwrap());
        let mut listed = Vec::new();
        for (at, name) in ["home", "away"].into_iter().enumerate() {
            let endpoint = listen(&world, Role::Client(at)).await;
            let admin = listen(&world, Role::Admin(at)).await;
            let pid = process.0.id();
            listed.push(json!({ "name": name, "endpoints": [endpoint], "nodes": [
                { "id": at, "pid": pid, "endpoint": endpoint, "admin": admin, "data_dir": "" }] }));
        }
        let router = listen(&world, Role::Router).await;
        let router_admin = listen(&world, Role::RouterAdmin).await;
        tokio::spawn(tick(world));
        (json!({ "router": router, "router_admin": router_admin, "regions": listed }), process)
    }

    fn operate(&mut self, at: usize, operation: &str, body: &Value) -> (u16, Value) {
        match operation {
            "CreateTable" | "UpdateTable" => (200, json!({})),
            "DescribeTable" => (200, description()),
            "PutItem" => self.put(at, body),
            "GetItem" => (200, self.get(at, &text(&body["Key"]["pk"]["S"]))),
            "BatchGetItem" => (200, self.batch_get(at, body)),
            "Scan" => {
                let items = self.regions[at].items.values().map(|stored| stored.item.clone());
                (200, json!({ "Items": items.collect::<Vec<_>>() }))
            }
            other => panic!("{other}"),
        }
    }

    fn put(&mut self, at: usize, body: &Value) -> (u16, Value) {
        self.version += 1;
        let (item, key) = (body["Item"].clone(), text(&body["Item"]["pk"]["S"]));
        let region = &mut self.regions[at];
        let before = region.items.get(&key).map(|stored| stored.item.clone());
        if let Some(values) = body.get("ExpressionAttributeValues") {
            let holds = before.as_ref().is_some_and(|old| old["v"] == values[":expected"]);
            if !holds {
                let code = "x#ConditionalCheckFailedException";
                return (400, json!({ "__type": code, "Item": before }));
            }
        }
        let stored = Stored { version: self.version, item, before: before.clone() };
        region.items.insert(key.clone(), stored.clone());
        region.outgoing.push(Change { due: Instant::now() + REPLICATION, key, stored });
        match (body["ReturnValues"].as_str(), before) {
            (Some("ALL_OLD"), Some(before)) => (200, json!({ "Attributes": before })),
            _ => (200, json!({})),
        }
    }

    fn get(&mut self, at: usize, key: &str) -> Value {
        self.reads += 1;
        let stale = self.plant == Plant::StaleReads && self.reads.is_multiple_of(10);
        match self.regions[at].items.get(key) {
            Some(Stored { before: Some(before), .. }) if stale => json!({ "Item": before }),
            Some(stored) => json!({ "Item": stored.item }),
            None => json!({}),
        }
    }

    fn batch_get(&self, at: usize, body: &Value) -> Value {
        let (table, request) = body["RequestItems"].as_object().unwrap().iter().next().unwrap();
        let keys = request["Keys"].as_array().unwrap().iter().map(|key| text(&key["pk"]["S"]));
        let items = keys.filter_map(|key| self.regions[at].items.get(&key));
        let items: Vec<&Value> = items.map(|stored| &stored.item).collect();
        json!({ "Responses": { table: items }, "UnprocessedKeys": {} })
    }

    fn admin(&mut self, at: usize, path: &str, body: &Value) -> Value {
        let (path, _) = path.split_once('?').unwrap_or((path, ""));
        let words: Vec<&str> = path.trim_matches('/').split('/').collect();
        match words.as_slice() {
            ["health", _] => json!({}),
            ["admin", "status"] => self.status(),
            ["admin", "blackhole"] => {
                self.regions[at].hole_since = body["on"].as_bool().unwrap().then(Instant::now);
                json!({})
            }
            ["admin", "region", name, "restore"] => self.restore(name),
            ["admin", "region", name, "evacuate"] => self.evacuate(name),
            ["admin", "conflicts", _] => json!({ "conflicts": [] }),
            ["admin", "digest", _] => {
                json!({ "partition": 0, "node": at, "applied": 1, "hash": "x", "items": 1 })
            }
            ["admin", "dump", _] => self.dump(at),
            other => panic!("{other:?}"),
        }
    }

    fn status(&self) -> Value {
        let regions =
            self.regions.iter().map(|one| json!({ "name": one.name, "state": one.state }));
        let partitions = self.regions.iter().enumerate().map(|(at, one)| {
            json!({ "table": self.table, "partition": 0, "region": one.name, "leader": at,
                    "replicas": [at], "applied": 1 })
        });
        json!({ "regions": regions.collect::<Vec<_>>(),
                "partitions": partitions.collect::<Vec<_>>() })
    }

    fn dump(&self, at: usize) -> Value {
        let entries = self.regions[at].items.iter().map(|(key, stored)| {
            json!({ "key": { "pk": { "S": key } }, "item": stored.item, "version": stored.version })
        });
        json!({ "items": entries.collect::<Vec<_>>(), "next": null })
    }

    fn restore(&mut self, name: &str) -> Value {
        let at = self.regions.iter().position(|region| region.name == name).unwrap();
        let mut listed = Vec::new();
        let table = self.table.clone();
        for change in std::mem::take(&mut self.regions[at].outgoing) {
            if self.plant == Plant::ForgetsStranded {
                self.regions[at].items.remove(&change.key);
                continue;
            }
            let key = json!({ "pk": { "S": change.key.clone() } });
            let version = change.stored.version;
            let outcome = if self.deliver(1 - at, change) { "merged" } else { "overwritten" };
            listed.push(
                json!({ "table": table, "key": key, "version": version, "outcome": outcome }),
            );
        }
        for change in std::mem::take(&mut self.regions[1 - at].outgoing) {
            self.deliver(at, change);
        }
        self.regions[at].state = "Active";
        self.regions[at].evacuated = false;
        self.routed = 0;
        if self.plant == Plant::ListsNothing {
            listed.clear();
        }
        json!({ "region": name, "state": "Active", "stranded": listed })
    }

    fn evacuate(&mut self, name: &str) -> Value {
        let at = self.regions.iter().position(|region| region.name == name).unwrap();
        for change in std::mem::take(&mut self.regions[at].outgoing) {
            self.deliver(1 - at, change);
        }
        self.regions[at].state = "Evacuated";
        self.regions[at].evacuated = true;
        self.routed = 1 - at;
        json!({ "region": name, "state": "Evacuated" })
    }

    /// Applies a change if it is newer; true if it was.
    fn deliver(&mut self, to: usize, mut change: Change) -> bool {
        let newer = |stored: &Stored| stored.version < change.stored.version;
        let applies = self.regions[to].items.get(&change.key).is_none_or(newer);
        if applies {
            if self.plant == Plant::Corrupts && change.stored.version.is_multiple_of(20) {
                change.stored.item["pad"] = json!({ "S": "other" });
            }
            self.regions[to].items.insert(change.key, change.stored);
        }
        applies
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn description() -> Value {
    let replica = |name| json!({ "RegionName": name, "ReplicaStatus": "ACTIVE" });
    json!({ "Table": { "TableStatus": "ACTIVE", "Replicas": [replica("home"), replica("away")] } })
}

fn lock(world: &Shared) -> MutexGuard<'_, World> {
    world.lock().unwrap()
}

/// Replicates, and moves the router, for ever.
async fn tick(world: Shared) {
    loop {
        sleep(Duration::from_millis(5)).await;
        let mut world = lock(&world);
        let now = Instant::now();
        let active = |region: &Region| region.hole_since.is_none() && region.state == "Active";
        let connected = world.regions.iter().all(active);
        for at in 0..2 {
            let outgoing = std::mem::take(&mut world.regions[at].outgoing);
            let (due, later): (Vec<Change>, Vec<Change>) =
                outgoing.into_iter().partition(|change| connected && change.due <= now);
            world.regions[at].outgoing = later;
            for change in due {
                world.deliver(1 - at, change);
            }
        }
        let gone = world.regions[0].hole_since.is_some_and(|since| now >= since + PATIENCE);
        if gone && world.routed == 0 {
            world.routed = 1;
            world.regions[0].state = "Lost";
        }
    }
}

async fn listen(world: &Shared, role: Role) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let world = world.clone();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let world = world.clone();
            let service = service_fn(move |request| answer(world.clone(), role, request));
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service);
            tokio::spawn(connection);
        }
    });
    url
}

async fn answer(
    world: Shared,
    role: Role,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().to_string();
    let target =
        request.headers().get("x-amz-target").map(|name| name.to_str().unwrap().to_owned());
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    if let Some(table) = body["TableName"].as_str() {
        table.clone_into(&mut lock(&world).table);
    }
    let operation = target.as_deref().and_then(|name| name.rsplit('.').next()).unwrap_or_default();
    let (status, answer) = match role {
        Role::Client(at) => serve_client(&world, at, operation, &body).await,
        Role::Admin(at) => (200, lock(&world).admin(at, &path, &body)),
        Role::RouterAdmin => {
            let world = lock(&world);
            (200, json!({ "region": world.regions[world.routed].name }))
        }
        Role::Router => {
            let routed = lock(&world).routed;
            tokio::select! {
                answer = serve_client(&world, routed, operation, &body) => answer,
                () = moved(&world, routed) => (500, json!({ "__type": "x#InternalServerError" })),
            }
        }
    };
    Ok(Response::builder().status(status).body(Full::new(answer.to_string().into())).unwrap())
}

async fn serve_client(world: &Shared, at: usize, operation: &str, body: &Value) -> (u16, Value) {
    while lock(world).regions[at].hole_since.is_some() {
        sleep(Duration::from_millis(5)).await;
    }
    // An evacuated region hands on what still comes.
    let at = if lock(world).regions[at].evacuated && operation == "PutItem" { 1 - at } else { at };
    lock(world).operate(at, operation, body)
}

async fn moved(world: &Shared, from: usize) {
    loop {
        let moved = {
            let world = lock(world);
            world.routed != from && world.regions[from].hole_since.is_some()
        };
        if moved {
            return;
        }
        sleep(Duration::from_millis(5)).await;
    }
}
