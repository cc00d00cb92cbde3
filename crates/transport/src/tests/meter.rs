//! The metrics that operators see.

use bytes::Bytes;
use futures_util::stream;
use metrics_exporter_prometheus::PrometheusBuilder;

use super::{Echo, PATIENCE, TWO, address_of, config, connected, listener, pair, until};
use crate::{Kind, serve};

// One thread: the recorder is set for the thread.
#[tokio::test]
async fn calls_and_connections_are_counted() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _set = metrics::set_default_local_recorder(&recorder);
    let has = |line: &str| handle.render().lines().any(|found| found == line);

    let pair = pair(config(1, "a"), config(2, "a")).await;
    connected(&pair.peers).await;
    for _ in 0..3 {
        pair.peers.call(TWO, Kind::Item, Bytes::from("12345"), PATIENCE).await.unwrap();
    }
    let chunks = stream::iter([Ok(Bytes::from("123"))]);
    pair.peers.transfer(TWO, Kind::Raft, Bytes::new(), chunks).await.unwrap();
    for direction in ["sent", "received"] {
        for (name, kind, value) in [
            ("messages", "item", 3),
            ("messages", "answer", 3),
            ("bytes", "item", 15),
            ("bytes", "answer", 15),
            ("bytes", "raft", 3),
        ] {
            let line = format!(
                "meridian_transport_{name}_total{{direction=\"{direction}\",kind=\"{kind}\"}} {value}"
            );
            assert!(has(&line), "no {line} in\n{}", handle.render());
        }
    }
    assert!(has("meridian_transport_round_trip_seconds_count{kind=\"item\"} 3"));
    assert!(has("meridian_transport_connected{peer=\"2\"} 1"));
    assert!(has("meridian_transport_reconnects_total{peer=\"2\"} 0"));

    drop(pair.server);
    until("disconnected", || has("meridian_transport_connected{peer=\"2\"} 0")).await;
    let again = serve(listener().await, Echo::new(), config(2, "a")).unwrap();
    pair.peers.set_address(TWO, address_of(&again, "a"));
    until("connected again", || has("meridian_transport_reconnects_total{peer=\"2\"} 1")).await;
}
