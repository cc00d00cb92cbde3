//! Keeps `deploy/` true: every file there is read as the programs that use it would.

use crate::cluster_file::ClusterFile;
use meridian_server::config::{Address, NodeConfig, RouterConfig};
use serde_yaml_ng::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy")
}

/// A file's settings, with a secret file that is there.
fn settings(file: &str, secret: &Path) -> toml::Table {
    let text = std::fs::read_to_string(deploy().join("config").join(file)).unwrap();
    let mut table: toml::Table = toml::from_str(&text).unwrap();
    let named = table["cluster_secret_file"].as_str().unwrap();
    assert_eq!(named, "/etc/meridian/cluster.secret", "{file}");
    table["cluster_secret_file"] = toml::Value::String(secret.display().to_string());
    table
}

fn secret(folder: &Path) -> PathBuf {
    let file = folder.join("secret");
    std::fs::write(&file, "a-secret-for-these-tests\n").unwrap();
    file
}

fn nodes() -> BTreeMap<String, NodeConfig> {
    let folder = tempfile::tempdir().unwrap();
    let secret = secret(folder.path());
    let files = std::fs::read_dir(deploy().join("config")).unwrap();
    let names = files.map(|f| f.unwrap().file_name().into_string().unwrap());
    let names = names.filter(|n| n.ends_with(".toml") && n != "router.toml");
    names
        .map(|name| {
            let config = NodeConfig::from_table(settings(&name, &secret), &crate::stores::Stores);
            let config = config.unwrap_or_else(|e| panic!("{name}: {e}"));
            (name, config)
        })
        .collect()
}

fn router() -> RouterConfig {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings("router.toml", &secret(folder.path()));
    RouterConfig::from_table(settings).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn nine_nodes_in_three_regions_and_three_zones_each() {
    let nodes = nodes();
    assert_eq!(nodes.len(), 9);
    let distinct = |f: &dyn Fn(&NodeConfig) -> String| {
        nodes.values().map(f).collect::<BTreeSet<String>>().len()
    };
    assert_eq!(distinct(&|n| n.node_id.to_string()), 9);
    assert_eq!(distinct(&|n| n.advertise_peer.to_string()), 9);
    assert_eq!(distinct(&|n| n.region.clone()), 3);
    assert_eq!(distinct(&|n| format!("{} {}", n.region, n.zone)), 9);
    for (name, node) in &nodes {
        assert_eq!(*name, format!("{}-{}.toml", node.region, node.zone));
        let known = |seed: &Address| nodes.values().any(|n| n.advertise_peer == *seed);
        assert!(node.seeds.iter().all(known), "{name} names a seed that is no node");
    }
}

#[test]
fn the_router_and_the_cluster_file_know_every_node() {
    let nodes = nodes();
    let router = router();
    let cluster = ClusterFile::read(&deploy().join("config/cluster.json")).unwrap();
    let of_nodes: BTreeSet<(String, String)> =
        nodes.values().map(|n| (n.region.clone(), n.advertise_client.to_string())).collect();
    let of_router = router.regions.iter().flat_map(|r| {
        assert_eq!(r.endpoints.len(), r.admin_endpoints.len());
        r.endpoints.iter().map(|e| (r.name.clone(), e.to_string()))
    });
    assert_eq!(of_router.collect::<BTreeSet<_>>(), of_nodes);
    let of_cluster = cluster.regions.iter().flat_map(|r| {
        r.nodes.iter().map(|n| {
            let node = nodes.values().find(|c| c.node_id == n.id).expect("a node of the files");
            assert_eq!(n.admin, format!("http://{}", node.advertise_admin));
            (r.name.clone(), n.endpoint.trim_start_matches("http://").to_owned())
        })
    });
    assert_eq!(of_cluster.collect::<BTreeSet<_>>(), of_nodes);
}

#[test]
fn the_compose_file_runs_every_node_at_its_address() {
    let text = std::fs::read_to_string(deploy().join("compose.yaml")).unwrap();
    let mut compose: Value = serde_yaml_ng::from_str(&text).unwrap();
    compose.apply_merge().unwrap();
    for (name, node) in nodes() {
        let service = &compose["services"][name.trim_end_matches(".toml")];
        let ip = service["networks"]["cluster"]["ipv4_address"].as_str().unwrap();
        assert_eq!(ip, node.listen_client.ip().to_string(), "{name}");
        let mount = service["volumes"][0].as_str().unwrap();
        assert_eq!(mount, format!("./config/{name}:/etc/meridian/node.toml:ro"));
        let data = service["volumes"][1].as_str().unwrap();
        assert!(data.ends_with(&format!(":{}", node.data_dir.display())), "{data}");
        assert_eq!(service["build"]["dockerfile"].as_str(), Some("deploy/Containerfile"));
        assert_eq!(command(service)[..2], ["serve", "--config"], "{name}");
        assert_eq!(service["secrets"][0]["target"].as_str(), Some("/etc/meridian/cluster.secret"));
    }
    assert_eq!(command(&compose["services"]["router"])[..2], ["router", "--config"]);
    for service in compose["services"].as_mapping().unwrap().values() {
        let volumes = service["volumes"].as_sequence().unwrap().iter().filter_map(Value::as_str);
        for source in volumes.filter_map(|v| v.split(':').next()) {
            let there = match source.strip_prefix("./") {
                Some(file) => deploy().join(file).is_file(),
                None => compose["volumes"].get(source).is_some(),
            };
            assert!(there, "{source} is mounted and not there");
        }
    }
}

fn command(service: &Value) -> Vec<&str> {
    service["command"].as_sequence().unwrap().iter().filter_map(Value::as_str).collect()
}

#[test]
fn the_units_run_commands_that_parse() {
    use clap::Parser;
    for unit in ["meridian.service", "meridian-router.service"] {
        let text = std::fs::read_to_string(deploy().join("systemd").join(unit)).unwrap();
        let starts: Vec<&str> =
            text.lines().filter_map(|l| l.strip_prefix("ExecStart=/usr/bin/env ")).collect();
        assert_eq!(starts.len(), 1, "{unit}");
        crate::cli::Cli::try_parse_from(starts[0].split(' ')).unwrap();
        assert!(text.contains("Restart=always"), "{unit}");
    }
}

#[test]
fn the_container_runs_what_it_builds() {
    let text = std::fs::read_to_string(deploy().join("Containerfile")).unwrap();
    for line in ["target/release/meridian", "ENTRYPOINT [\"/usr/bin/meridian\"]", "--locked"] {
        assert!(text.contains(line), "{line}");
    }
}
