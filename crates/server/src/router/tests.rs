//! Tests of `router`.

use super::*;
use crate::answers::{json, text};
use crate::client::{AdminClient, send};
use crate::config::RouterRegion;
use crate::listener::{Answer, HttpResponse};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;

const TIME: Duration = Duration::from_secs(30);

/// A node that answers with its name, or as it is told.
#[derive(Default)]
struct Script {
    name: String,
    writes: AtomicU64,
    reads: AtomicU64,
    mute: std::sync::atomic::AtomicBool,
    records: Mutex<Value>,
}

impl Answer for Script {
    async fn answer(&self, request: Request<Incoming>, _: SocketAddr) -> HttpResponse {
        let target = request.headers().get("x-amz-target").map(|v| v.to_str().unwrap().to_owned());
        match request.uri().path() {
            "/admin/regions" => return json(StatusCode::OK, &self.records.lock().unwrap()),
            "/health/ready" => return text(StatusCode::OK, "ready"),
            _ => {}
        }
        let read = target.as_deref() == Some("D.GetItem");
        if read { &self.reads } else { &self.writes }.fetch_add(1, Ordering::SeqCst);
        if self.mute.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let mut response = text(StatusCode::OK, self.name.clone());
        response.headers_mut().insert("x-amz-crc32", 7.into());
        response
    }

    fn panicked(&self) -> HttpResponse {
        text(StatusCode::INTERNAL_SERVER_ERROR, "panicked")
    }
}

struct FakeNode {
    script: Arc<Script>,
    server: HttpServer,
    switch: Switch,
}

impl FakeNode {
    async fn start(name: &str, address: &str) -> Self {
        let deadline = Instant::now() + TIME;
        let listener = loop {
            match TcpListener::bind(address).await {
                Ok(listener) => break listener,
                Err(error) => assert!(Instant::now() < deadline, "{address}: {error}"),
            }
            tokio::task::yield_now().await;
        };
        let script = Arc::new(Script { name: name.to_owned(), ..Script::default() });
        let switch = Switch::new();
        let limits = ListenLimits::default();
        let server = HttpServer::start(listener, switch.clone(), limits, script.clone()).unwrap();
        FakeNode { script, server, switch }
    }

    fn writes(&self) -> u64 {
        self.script.writes.load(Ordering::SeqCst)
    }
}

/// Regions `a` and `b` with two nodes each and a router before them.
struct World {
    nodes: Vec<FakeNode>,
    router: Router,
    config: RouterConfig,
}

fn config(nodes: &[FakeNode]) -> RouterConfig {
    let region = |name: &str, nodes: &[FakeNode]| {
        let address = |n: &FakeNode| n.server.local().into();
        RouterRegion {
            name: name.to_owned(),
            endpoints: nodes.iter().map(address).collect(),
            admin_endpoints: nodes.iter().map(address).collect(),
        }
    };
    let table = "listen = \"127.0.0.1:0\"\nlisten_admin = \"127.0.0.1:0\"\n\
                 probe_interval_ms = 20\nleave_after_ms = 300\nrequest_timeout_ms = 20000\n\
                 [[regions]]\nname = \"x\"\nendpoints = [\"127.0.0.1:1\"]\nadmin_endpoints = []\n";
    let mut config = RouterConfig::from_table(toml::from_str(table).unwrap()).unwrap();
    config.regions = vec![region("a", &nodes[..2]), region("b", &nodes[2..])];
    config
}

impl World {
    async fn start(change: impl FnOnce(&mut RouterConfig)) -> Self {
        let mut nodes = Vec::new();
        for name in ["a0", "a1", "b0", "b1"] {
            nodes.push(FakeNode::start(name, "127.0.0.1:0").await);
        }
        let mut config = config(&nodes);
        change(&mut config);
        let router = Router::start(config.clone()).await.unwrap();
        tokio::time::timeout(TIME, router.ready()).await.unwrap();
        let world = World { nodes, router, config };
        // Every region has proven itself, so that it may be moved to.
        world.until(|s| s["nodes"].as_array().unwrap().iter().all(|n| n["healthy"] == true)).await;
        let settled = world.router.shared.since_begin() + world.config.leave_after * 2;
        while world.router.shared.since_begin() < settled {
            tokio::task::yield_now().await;
        }
        world
    }

    async fn ask(&self, operation: &str) -> (u16, String) {
        ask(self.router.local(), operation).await
    }

    fn admin(&self) -> AdminClient {
        AdminClient::new(&self.router.local_admin().to_string(), None, TIME)
    }

    /// Waits until the router's status is as wanted.
    async fn until(&self, wanted: impl Fn(&Value) -> bool) {
        let deadline = Instant::now() + TIME;
        loop {
            let status = self.admin().get("/admin/router/status").await.unwrap();
            if wanted(&status) {
                return;
            }
            assert!(Instant::now() < deadline, "still {status}");
        }
    }

    fn blackhole(&self, on: bool) {
        self.nodes[..2].iter().for_each(|n| n.switch.set(on));
    }
}

async fn ask(router: SocketAddr, operation: &str) -> (u16, String) {
    let request = Request::post("/").header("x-amz-target", format!("D.{operation}"));
    let request = request.body(Full::new(Bytes::from_static(b"{}"))).unwrap();
    let (status, body) = send(&router.to_string(), request, TIME).await.unwrap();
    (status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn requests_are_spread_over_the_nodes_of_the_preferred_region() {
    let world = World::start(|_| ()).await;
    for _ in 0..8 {
        assert!(world.ask("PutItem").await.1.starts_with('a'));
    }
    assert_eq!((world.nodes[0].writes(), world.nodes[1].writes()), (4, 4));
}

#[tokio::test]
async fn a_dead_node_costs_no_request() {
    let mut world = World::start(|_| ()).await;
    drop(world.nodes.remove(0));
    for _ in 0..50 {
        assert_eq!(world.ask("PutItem").await, (200, "a1".to_owned()));
    }
}

#[tokio::test]
async fn a_black_holed_region_is_left_and_entered_again_only_when_returned() {
    let world = World::start(|_| ()).await;
    world.blackhole(true);
    let begin = Instant::now();
    let (write, read) = tokio::join!(world.ask("PutItem"), world.ask("GetItem"));
    assert_eq!(write.0, 500, "a write that may have been received is unknown");
    assert!(write.1.contains("InternalServerError"));
    assert!(read.1.starts_with('b'), "a read may be repeated: {read:?}");
    assert!(begin.elapsed() < Duration::from_secs(10), "long before the request timeout");
    assert_eq!(world.ask("PutItem").await.1.chars().next(), Some('b'));

    world.blackhole(false);
    let healthy = |s: &Value| s["nodes"].as_array().unwrap().iter().all(|n| n["healthy"] == true);
    world.until(healthy).await;
    world.until(|s| s["region"] == "b" && s["regions"][0]["abandoned"] == true).await;
    let refused = world.admin().post("/admin/router/return", &json!({"region": "c"})).await;
    assert!(refused.is_err());
    world.admin().post("/admin/router/return", &json!({"region": "a"})).await.unwrap();
    world.until(|s| s["region"] == "a").await;
    assert!(world.ask("PutItem").await.1.starts_with('a'));
}

#[tokio::test]
async fn a_killed_region_is_left_and_waiting_requests_succeed() {
    let mut world = World::start(|_| ()).await;
    let killed: Vec<FakeNode> = world.nodes.drain(..2).collect();
    drop(killed);
    let (status, body) = world.ask("PutItem").await;
    assert_eq!((status, body.chars().next()), (200, Some('b')));
}

#[tokio::test]
async fn a_write_that_was_received_is_not_sent_again() {
    let world = World::start(|c| c.request_timeout = Duration::from_millis(200)).await;
    world.nodes.iter().for_each(|n| n.script.mute.store(true, Ordering::SeqCst));
    assert_eq!(world.ask("PutItem").await.0, 500);
    let received: u64 = world.nodes.iter().map(FakeNode::writes).sum();
    assert_eq!(received, 1);
}

#[tokio::test]
async fn a_read_is_repeated_when_its_node_falls() {
    let mut world = World::start(|_| ()).await;
    world.nodes[..2].iter().for_each(|n| n.script.mute.store(true, Ordering::SeqCst));
    let router = world.router.local();
    let asking = tokio::spawn(async move { ask(router, "GetItem").await });
    let reads = |n: &FakeNode| n.script.reads.load(Ordering::SeqCst);
    let deadline = Instant::now() + TIME;
    while world.nodes[..2].iter().map(reads).sum::<u64>() == 0 {
        assert!(Instant::now() < deadline, "the read did not arrive");
        tokio::task::yield_now().await;
    }
    let at = usize::from(reads(&world.nodes[0]) == 0);
    world.nodes[1 - at].script.mute.store(false, Ordering::SeqCst);
    let other = format!("a{}", 1 - at);
    drop(world.nodes.remove(at));
    assert_eq!(asking.await.unwrap(), (200, other));
}

#[tokio::test]
async fn the_clusters_records_move_the_traffic() {
    let world = World::start(|_| ()).await;
    let record = |state: &str, epoch: u64| {
        let regions = json!({"regions": [
            {"name": "a", "state": state, "epoch": epoch},
            {"name": "b", "state": "Active", "epoch": 1},
        ]});
        world.nodes.iter().for_each(|n| *n.script.records.lock().unwrap() = regions.clone());
    };
    record("Active", 1);
    world.until(|s| s["regions"][0]["state"] == "Active").await;
    record("Draining", 2);
    world.until(|s| s["regions"][0]["state"] == "Draining" && s["region"] == "a").await;
    record("Evacuated", 3);
    world.until(|s| s["region"] == "b").await;
    record("Recovering", 4);
    world.until(|s| s["regions"][0]["state"] == "Recovering" && s["region"] == "b").await;
    record("Active", 5);
    world.until(|s| s["region"] == "a").await;
}

#[tokio::test]
async fn other_regions_are_a_round_trip_away() {
    let latency = Duration::from_millis(80);
    let mut world = World::start(|c| c.latency = latency).await;
    let near = Instant::now();
    world.ask("PutItem").await;
    assert!(near.elapsed() < latency * 10);
    drop(world.nodes.drain(..2).collect::<Vec<_>>());
    world.until(|s| s["region"] == "b").await;
    let far = Instant::now();
    assert!(world.ask("PutItem").await.1.starts_with('b'));
    assert!(far.elapsed() >= latency, "{:?}", far.elapsed());
}

#[tokio::test]
async fn a_restarted_router_remembers_what_it_abandoned() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("router.json");
    let world = World::start(|c| c.state_file = Some(file.clone())).await;
    world.blackhole(true);
    world.until(|s| s["region"] == "b").await;
    world.blackhole(false);
    let World { nodes: _nodes, router, config } = world;
    router.stop(Duration::ZERO).await;
    let router = Router::start(config).await.unwrap();
    tokio::time::timeout(TIME, router.ready()).await.unwrap();
    assert!(ask(router.local(), "PutItem").await.1.starts_with('b'));
}
