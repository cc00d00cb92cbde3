//! Tests of `config`.

use super::*;
use std::time::Duration;

/// Stores with the schemes `few` and `other`, whose options begin so.
pub(super) struct FewKinds;

impl StoreKinds for FewKinds {
    fn takes(&self, url: &str, option: &str) -> bool {
        let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
        ["few_region", "other_token"].contains(&option) && option.starts_with(scheme)
    }

    fn check(&self, store: &UrlStore) -> Result<(), String> {
        let known = ["few://", "other://"].iter().any(|scheme| store.url.starts_with(scheme));
        if known { Ok(()) } else { Err(format!("{} is no store", store.url)) }
    }
}

pub(super) fn table(text: &str) -> toml::Table {
    toml::from_str(text).unwrap()
}

pub(super) fn node(text: &str) -> Result<NodeConfig, String> {
    NodeConfig::from_table(table(text), &FewKinds).map_err(|e| e.to_string())
}

pub(super) const PLAIN: &str = r#"
node_id = 1
region = "us-east-1"
listen_client = "127.0.0.1:8000"
listen_admin = "127.0.0.1:8100"
listen_peer = "127.0.0.1:8200"
data_dir = "/tmp/one"
"#;

#[test]
fn a_plain_file_has_defaults() {
    let config = node(PLAIN).unwrap();
    assert_eq!(config.partitions, 4);
    assert_eq!(config.engine, EngineChoice::Fjall);
    assert_eq!(config.region_failure_policy, FailurePolicy::Manual);
    assert_eq!(config.advertise_peer.as_str(), "127.0.0.1:8200");
    assert_eq!(config.latency, Duration::ZERO);
}

#[test]
fn every_mistake_is_reported_at_once() {
    let text = PLAIN.replace("node_id = 1", "node_id = \"one\"").replace("8100\"", "\"")
        + "engine = \"rocksdb\"\nlisten_pear = \"127.0.0.1:1\"\npartitions = 0\nseeds = [\"a\"]\n";
    let NodeErrors(fields, text) = errors(&text);
    assert_eq!(
        fields,
        ["engine", "listen_admin", "listen_pear", "node_id", "partitions", "seeds"],
        "{text}"
    );
    assert!(text.contains("6 mistakes"), "{text}");
    assert!(text.contains("did you mean `listen_peer`?"), "{text}");
    assert!(text.contains("must be an integer from 1 to 256; found 0"), "{text}");
    assert!(text.contains("must be `\"fjall\"` or `\"sled\"`; found \"rocksdb\""), "{text}");
}

struct NodeErrors(Vec<String>, String);

fn errors(text: &str) -> NodeErrors {
    let errors = NodeConfig::from_table(table(text), &FewKinds).unwrap_err();
    let mut fields: Vec<String> = errors.0.iter().map(|p| p.field.clone()).collect();
    fields.sort();
    NodeErrors(fields, errors.to_string())
}

#[test]
fn what_must_be_there_is_named() {
    let NodeErrors(fields, _) = errors("");
    let required = NODE_FIELDS.iter().filter(|d| d.default.is_empty()).map(|d| d.name);
    let mut required: Vec<&str> = required.collect();
    required.sort_unstable();
    assert_eq!(fields, required);
}

#[test]
fn addresses_beyond_this_machine_need_a_secret() {
    let exposed = PLAIN.replace("127.0.0.1:8200", "10.0.0.1:8200");
    let NodeErrors(fields, text) = errors(&exposed);
    assert_eq!(fields, ["cluster_secret_file"]);
    assert!(text.contains("10.0.0.1:8200"), "{text}");
    let NodeErrors(fields, _) = errors(&(PLAIN.to_owned() + "seeds = [\"db-1.example:8200\"]"));
    assert_eq!(fields, ["cluster_secret_file"]);

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret");
    std::fs::write(&file, "short\n").unwrap();
    let with_secret = format!("{exposed}\ncluster_secret_file = {file:?}\n");
    let NodeErrors(_, text) = errors(&with_secret);
    assert!(text.contains("fewer than 16 bytes"), "{text}");
    std::fs::write(&file, "a-secret-of-the-cluster\n").unwrap();
    let config = node(&with_secret).unwrap();
    assert_eq!(config.cluster_secret.as_ref().unwrap().reveal(), "a-secret-of-the-cluster");
    assert!(config.printed().contains("# cluster_secret = <hidden>"));
    assert!(!format!("{config:?}{}", config.printed()).contains("a-secret-of"));
}

#[test]
fn a_wildcard_must_be_advertised() {
    let NodeErrors(fields, _) = errors(&PLAIN.replace("127.0.0.1:8100", "0.0.0.0:8100"));
    assert_eq!(fields, ["advertise_admin", "cluster_secret_file"]);
}

#[test]
fn what_is_printed_reads_back() {
    let config = node(&(PLAIN.to_owned() + "latency_ms = 60\nseeds = [\"[::1]:8200\"]")).unwrap();
    assert_eq!(NodeConfig::from_table(table(&config.printed()), &FewKinds).unwrap(), config);
    let config = RouterConfig::from_table(table(ROUTER)).unwrap();
    assert_eq!(RouterConfig::from_table(table(&config.printed())).unwrap(), config);
}

#[test]
fn overrides_replace_the_file() {
    let environment = [
        ("MERIDIAN_PARTITIONS".to_owned(), "8".to_owned()),
        ("MERIDIAN_REGION".to_owned(), "eu-west-1".to_owned()),
        ("MERIDIAN_OTHER".to_owned(), "x".to_owned()),
    ];
    let mut overrides = Overrides::from_environment(environment.into_iter(), NODE_FIELDS);
    assert!(overrides.add("partitions=16"));
    assert!(overrides.add("seeds=[\"127.0.0.1:8201\"]"));
    assert!(!overrides.add("partitions"));
    let mut written = table(PLAIN);
    overrides.apply(&mut written);
    let config = NodeConfig::from_table(written, &FewKinds).unwrap();
    assert_eq!((config.partitions, config.region.as_str()), (16, "eu-west-1"));
    assert_eq!(config.seeds.len(), 1);
}

const ROUTER: &str = r#"
listen = "127.0.0.1:8090"
listen_admin = "127.0.0.1:8190"
preferred = "b"
[[regions]]
name = "a"
endpoints = ["127.0.0.1:8000"]
admin_endpoints = ["127.0.0.1:8100"]
[[regions]]
name = "b"
endpoints = ["127.0.0.1:8010"]
admin_endpoints = []
[[regions]]
name = "c"
endpoints = ["127.0.0.1:8020"]
admin_endpoints = []
"#;

#[test]
fn the_preferred_region_comes_first_and_the_others_keep_their_order() {
    let config = RouterConfig::from_table(table(ROUTER)).unwrap();
    let names: Vec<&str> = config.regions.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(names, ["b", "a", "c"]);
}

#[test]
fn a_router_file_reports_every_mistake() {
    let text = ROUTER.replace("\"b\"\n[[", "\"d\"\n[[").replace("name = \"c\"", "name = \"a\"")
        + "\n[other]\nx = 1\n";
    let errors = RouterConfig::from_table(table(&text)).unwrap_err();
    let fields: Vec<&str> = errors.0.iter().map(|p| p.field.as_str()).collect();
    assert_eq!(fields, ["other", "regions", "preferred"], "{errors}");
}

#[test]
fn the_reference_lists_every_setting() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/config.md");
    let made = reference();
    if std::env::var_os("MERIDIAN_REWRITE").is_some() {
        std::fs::create_dir_all(std::path::Path::new(file).parent().unwrap()).unwrap();
        std::fs::write(file, &made).unwrap();
    }
    let written = std::fs::read_to_string(file).unwrap();
    assert_eq!(written, made, "run this test with MERIDIAN_REWRITE=1");
}

fn reference() -> String {
    let node = markdown(NODE_FIELDS);
    let router = markdown(ROUTER_FIELDS);
    format!(
        "# Configuration\n\n\
         One TOML file a process. A flag `--set setting=value` overrides an environment variable\n\
         `MERIDIAN_<SETTING>`, which overrides the file. `--check-config` reads the file, reports\n\
         every mistake at once and ends; `--print-config` prints what the process would run with.\n\
         Secrets come from files and print as `<hidden>`. An unknown setting is a mistake.\n\n\
         ## `meridian serve --config node.toml`\n\n{node}\n\
         ### Object stores\n\n\
         `archive_url` and URLs under `[buckets]` are opened with options of the environment\n\
         (`AWS_…`, `GOOGLE_…`, `AZURE_…`), which those of the tables override. Names and values are\n\
         those of the Rust crate `object_store`: for S3\n\
         [AmazonS3ConfigKey](https://docs.rs/object_store/latest/object_store/aws/enum.AmazonS3ConfigKey.html)\n\
         (`aws_region`, `aws_endpoint`, `aws_access_key_id`, `aws_secret_access_key`, `aws_allow_http`, …),\n\
         for `gs` `GoogleConfigKey`, for `az` and `abfss` `AzureConfigKey`, and for all of them\n\
         `ClientConfigKey` (`timeout`, `proxy_url`, …), in lower case and with `_`. The value of an option\n\
         `…_file` that the store does not have itself is read from that file, without the line end: write\n\
         `aws_secret_access_key_file = \"/etc/meridian/s3.secret\"`. Without any credentials those of the\n\
         machine are asked for (instance role, workload identity).\n\n\
         ## `meridian router --config router.toml`\n\n{router}\n\
         Addresses inside `regions` are client and admin addresses of the region's nodes. The\n\
         router's own port never belongs to a region.\n"
    )
}
