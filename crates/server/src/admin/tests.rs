//! Tests of `admin`.

use super::*;
use crate::client::{AdminClient, CallError};
use crate::listener::{HttpServer, ListenLimits};
use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::Full;
use meridian_api::admin::{AdminCall, ArchivedSource, RestoreKind};
use tokio::net::TcpListener;

/// Answers with the call as it understood it.
struct Scripted;

#[async_trait]
impl AdminBackend for Scripted {
    async fn ready(&self) -> Result<(), String> {
        Ok(())
    }

    async fn call(&self, call: AdminCall) -> Result<Value, AdminError> {
        match call {
            AdminCall::Conflicts { table } if table == "none" => {
                Err(AdminError::NotFound("no table none".to_owned()))
            }
            AdminCall::NodeRemove { node: 9 } => Err(AdminError::Refused("not drained".to_owned())),
            AdminCall::Lag => Err(AdminError::Unavailable("no leader".to_owned())),
            call => Ok(json!(format!("{call:?}"))),
        }
    }
}

struct Running {
    server: HttpServer,
    switch: Switch,
}

async fn start(secret: Option<Secret>) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let switch = Switch::new();
    let metrics = MetricsPage::install();
    let edge = AdminEdge::new(Arc::new(Scripted), Guard::new(secret), metrics, switch.clone());
    let limits = ListenLimits::default();
    let server = HttpServer::start(listener, Switch::new(), limits, Arc::new(edge)).unwrap();
    Running { server, switch }
}

impl Running {
    fn client(&self, secret: Option<&str>) -> AdminClient {
        let secret = secret.map(|s| Secret::new(s.to_owned()));
        AdminClient::new(&format!("http://{}/", self.server.local()), secret, TIME)
    }

    async fn page(&self, path: &str) -> (u16, String) {
        let request = Request::get(path).body(Full::new(Bytes::new())).unwrap();
        let local = self.server.local().to_string();
        let (status, body) = crate::client::send(&local, request, TIME).await.unwrap();
        (status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
    }
}

const TIME: Duration = Duration::from_secs(20);

fn refusal(result: Result<Value, CallError>) -> (u16, String) {
    match result {
        Err(CallError::Refused { status, text }) => (status, text),
        other => panic!("not refused: {other:?}"),
    }
}

fn source(name: &str, is_backup: bool, region: Option<&str>) -> ArchivedSource {
    let region = region.map(str::to_owned);
    ArchivedSource { source: name.to_owned(), is_backup, cluster: None, region }
}

#[tokio::test]
async fn calls_reach_the_backend() {
    let running = start(None).await;
    let client = running.client(None);
    for (path, call) in [
        ("/admin/status", AdminCall::Status),
        ("/admin/tables", AdminCall::Tables),
        ("/admin/regions", AdminCall::Regions),
        ("/admin/archive", AdminCall::Archived),
        ("/admin/restoring/t", AdminCall::Restoring { table: "t".to_owned() }),
        ("/admin/conflicts/a%2Eb", AdminCall::Conflicts { table: "a.b".to_owned() }),
        (
            "/admin/digest/t?partition=17",
            AdminCall::Digest { table: "t".to_owned(), partition: Some(17) },
        ),
        ("/admin/digest/t", AdminCall::Digest { table: "t".to_owned(), partition: None }),
        (
            "/admin/dump/t?partition=17&after=ab%3D",
            AdminCall::Dump { table: "t".into(), partition: 17, after: Some("ab=".into()) },
        ),
        ("/admin/digest/t/i", AdminCall::Digest { table: "t/i".to_owned(), partition: None }),
        (
            "/admin/entries/t/i?partition=18",
            AdminCall::Entries { table: "t".into(), index: "i".into(), partition: 18, after: None },
        ),
    ] {
        assert_eq!(client.get(path).await.unwrap(), json!(format!("{call:?}")), "{path}");
    }
    let region = "eu-west-1".to_owned();
    for (path, body, call) in [
        ("cluster/init", json!({"nodes": 9}), AdminCall::ClusterInit { nodes: Some(9) }),
        ("cluster/init", Value::Null, AdminCall::ClusterInit { nodes: None }),
        (
            "region/eu-west-1/fail",
            json!({"override_epoch": 4}),
            AdminCall::RegionFail { region: region.clone(), override_epoch: Some(4) },
        ),
        (
            "region/eu-west-1/restore",
            json!({}),
            AdminCall::RegionRestore { region: region.clone() },
        ),
        (
            "region/eu-west-1/evacuate",
            json!({"target": "a"}),
            AdminCall::RegionEvacuate { region, target: Some("a".to_owned()), abort: false },
        ),
        ("node/drain", json!({"node": 3}), AdminCall::NodeDrain { node: 3 }),
        (
            "restore",
            json!({"source": "t", "to": "u", "at_ms": 5, "all_settings": true, "region": "r"}),
            AdminCall::Restore {
                from: source("t", false, Some("r")),
                to: "u".to_owned(),
                at_ms: Some(5),
                kind: RestoreKind::AllSettings,
            },
        ),
        (
            "rewrap",
            json!({"cluster": "c", "region": "r"}),
            AdminCall::Rewrap { cluster: Some("c".to_owned()), region: Some("r".to_owned()) },
        ),
        (
            "compare",
            json!({"source": "7", "backup": true, "restored": "u", "partition": 17, "at_ms": 5}),
            AdminCall::Compare {
                from: source("7", true, None),
                restored: "u".to_owned(),
                partition: 17,
                at_ms: 5,
            },
        ),
        (
            "table/swap",
            json!({"first": "t", "second": "u"}),
            AdminCall::TableSwap { first: "t".to_owned(), second: "u".to_owned() },
        ),
        ("table/drop", json!({"table": "u"}), AdminCall::TableDrop { table: "u".to_owned() }),
    ] {
        let answer = client.post(&format!("/admin/{path}"), &body).await.unwrap();
        assert_eq!(answer, json!(format!("{call:?}")), "{path}");
    }
}

#[tokio::test]
async fn refusals_carry_a_status_and_a_text() {
    let running = start(None).await;
    let client = running.client(None);
    let missing = (404, "no table none".to_owned());
    assert_eq!(refusal(client.get("/admin/conflicts/none").await), missing);
    assert_eq!(refusal(client.get("/admin/lag").await), (503, "no leader".to_owned()));
    assert_eq!(refusal(client.get("/admin/nothing").await).0, 404);
    assert_eq!(refusal(client.get("/admin/dump/t").await), (400, "`partition` is needed".into()));
    let removed = client.post("/admin/node/remove", &json!({"node": 9})).await;
    assert_eq!(refusal(removed), (409, "not drained".to_owned()));
    let wrong = client.post("/admin/node/add", &json!({"node": "x"})).await;
    assert_eq!(refusal(wrong), (400, "`node` must be a whole number".to_owned()));
    for (body, why) in [
        (json!({"to": "u"}), "`source` is needed"),
        (json!({"source": "t"}), "`to` is needed"),
        (json!({"source": 1, "to": "u"}), "`source` must be a text"),
        (
            json!({"source": "t", "to": "u", "all_settings": 1}),
            "`all_settings` must be true or false",
        ),
        (json!({"source": "t", "to": "u", "at_ms": "x"}), "`at_ms` must be a whole number"),
    ] {
        let wrong = client.post("/admin/restore", &body).await;
        assert_eq!(refusal(wrong), (400, why.to_owned()));
    }
}

#[tokio::test]
async fn the_secret_is_needed_except_for_health_and_metrics() {
    let running = start(Some(Secret::new("the-right-secret-it-is".to_owned()))).await;
    for wrong in [None, Some("the-right-secret-it-i"), Some("the-right-secret-it-is-not")] {
        let (status, text) = refusal(running.client(wrong).get("/admin/status").await);
        assert_eq!((status, text.as_str()), (403, "the cluster secret is missing or wrong"));
    }
    let right = running.client(Some("the-right-secret-it-is"));
    assert!(right.get("/admin/status").await.is_ok());
    assert_eq!(running.page("/health/live").await.0, 200);
    assert_eq!(running.page("/health/ready").await, (200, "ready".to_owned()));
    metrics::counter!("meridian_admin_test_total").increment(1);
    assert!(running.page("/metrics").await.1.contains("meridian_admin_test_total 1"));
}

#[tokio::test]
async fn a_black_hole_is_answered_first_and_shows_as_not_ready() {
    let running = start(None).await;
    let client = running.client(None);
    for on in [true, false] {
        let answer = client.post("/admin/blackhole", &json!({ "on": on })).await.unwrap();
        assert_eq!(answer, json!({ "blackhole": on }));
        let deadline = tokio::time::Instant::now() + TIME;
        while running.switch.is_on() != on {
            assert!(tokio::time::Instant::now() < deadline, "the switch was not set");
            tokio::task::yield_now().await;
        }
        assert_eq!(running.page("/health/ready").await.0, if on { 503 } else { 200 });
    }
    let wrong = client.post("/admin/blackhole", &json!({})).await;
    assert_eq!(refusal(wrong).0, 400);
}
