//! Where a node keeps objects: the archive, and the buckets of exports and imports.
//!
//! A store is a folder or a URL with options. This file knows neither what URLs mean nor which options
//! there are: whoever opens stores says so, by [`StoreKinds`].
//!
//! # Invariants
//!
//! - An option that no store takes is a mistake, and so are options where there is no URL.
//! - The value of an option that may be a secret is never printed.
//!
//! Tested below.

use super::archive_key::{self, ArchiveKeys, KEY_SETTINGS, RawKeys};
use super::field::{Field, Reading};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// What a URL of a store may be, in error texts and the reference.
pub(super) const STORE_URLS: &str = "a URL `s3://bucket/path`, `gs://…`, `az://…`, `abfss://…` or `file:///…`, the path being optional";

/// Where objects are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreConfig {
    /// In a folder.
    Folder(PathBuf),
    /// In an object store.
    Url(UrlStore),
}

/// An object store by its URL.
#[derive(Clone, PartialEq, Eq)]
pub struct UrlStore {
    /// Which bucket, and a path in it.
    pub url: String,
    /// Options by name, all of which the store knows.
    pub options: BTreeMap<String, String>,
}

impl fmt::Debug for UrlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = self.options.keys();
        f.debug_struct("UrlStore").field("url", &self.url).field("options", &options).finish()
    }
}

/// What is known of the object stores that can be opened.
pub trait StoreKinds {
    /// True when a store with this URL takes such an option.
    fn takes(&self, url: &str, option: &str) -> bool;
    /// Says why a store cannot be opened; nothing is asked of it.
    fn check(&self, store: &UrlStore) -> Result<(), String>;
}

/// Where the point-in-time archive is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveConfig {
    /// The store of its objects.
    pub store: StoreConfig,
    /// The key that wraps the tables' keys.
    pub keys: ArchiveKeys,
}

/// The settings of the archive as written.
pub(super) struct RawArchive {
    pub(super) dir: Field<PathBuf>,
    pub(super) url: Field<String>,
    pub(super) options: Field<BTreeMap<String, String>>,
    pub(super) keys: RawKeys,
}

/// Where the archive is: a place and a key that can be used, or neither.
pub(super) fn archive(
    r: &mut Reading,
    raw: RawArchive,
    kinds: &dyn StoreKinds,
) -> Option<ArchiveConfig> {
    const OPTIONS: &str = "archive_options";
    let (dir, url) = (r.maybe("archive_dir", raw.dir), r.maybe("archive_url", raw.url));
    let options = r.maybe(OPTIONS, raw.options).unwrap_or_default();
    let keys = archive_key::keys(r, raw.keys);
    if url.is_none() && !options.is_empty() {
        r.problem(OPTIONS, "is for an archive_url");
    }
    let store = match (dir, url) {
        (Some(_), Some(_)) => {
            r.problem("archive_url", "is instead of archive_dir; only one of them may be there");
            None
        }
        (Some(dir), None) => Some(StoreConfig::Folder(dir)),
        (None, Some(url)) => {
            unknown(r, OPTIONS, &options, |option| kinds.takes(&url, option));
            Some(url_store(r, "archive_url", url, &options, kinds))
        }
        (None, None) => None,
    };
    match (store, keys) {
        (None, None) => None,
        (Some(_), None) => {
            if KEY_SETTINGS.iter().all(|name| r.is_clean(name)) {
                r.problem(
                    "archive_key_file",
                    "or archive_key_command is required with archive_dir or archive_url",
                );
            }
            None
        }
        (None, Some(_)) => {
            if r.is_clean("archive_url") {
                r.problem("archive_dir", "or archive_url is required with the key of an archive");
            }
            None
        }
        (Some(store), Some(keys)) => Some(ArchiveConfig { store, keys }),
    }
}

/// The buckets that are listed.
pub(super) fn buckets(
    r: &mut Reading,
    buckets: Field<BTreeMap<String, String>>,
    options: Field<BTreeMap<String, String>>,
    kinds: &dyn StoreKinds,
) -> BTreeMap<String, StoreConfig> {
    const OPTIONS: &str = "bucket_options";
    let buckets = r.maybe("buckets", buckets).unwrap_or_default();
    let options = r.maybe(OPTIONS, options).unwrap_or_default();
    let urls: Vec<&String> = buckets.values().filter(|place| is_url(place)).collect();
    if urls.is_empty() && !options.is_empty() {
        r.problem(OPTIONS, "is for buckets that are URLs");
    } else {
        unknown(r, OPTIONS, &options, |option| urls.iter().any(|url| kinds.takes(url, option)));
    }
    let store = |(name, place): (&String, &String)| {
        let store = if is_url(place) {
            url_store(r, &format!("buckets.{name}"), place.clone(), &options, kinds)
        } else {
            StoreConfig::Folder(PathBuf::from(place))
        };
        (name.clone(), store)
    };
    buckets.iter().map(store).collect()
}

fn is_url(place: &str) -> bool {
    place.contains("://")
}

fn unknown(
    r: &mut Reading,
    table: &str,
    options: &BTreeMap<String, String>,
    is_taken: impl Fn(&str) -> bool,
) {
    for option in options.keys().filter(|option| !is_taken(option)) {
        r.problem(&format!("{table}.{option}"), "the store has no such option");
    }
}

/// A store with those of the options that it takes.
fn url_store(
    r: &mut Reading,
    field: &str,
    url: String,
    options: &BTreeMap<String, String>,
    kinds: &dyn StoreKinds,
) -> StoreConfig {
    let mut options = options.clone();
    options.retain(|option, _| kinds.takes(&url, option));
    let store = UrlStore { url, options };
    if let Err(why) = kinds.check(&store) {
        r.problem(field, why);
    }
    StoreConfig::Url(store)
}

/// The tables of a file: options, buckets, options. `secret` shows the value of an option that may be
/// one.
pub(super) fn tables(
    archive: Option<&ArchiveConfig>,
    buckets: &BTreeMap<String, StoreConfig>,
    secret: fn(&str) -> String,
) -> Vec<String> {
    let quoted = |s: &str| toml::Value::String(s.to_owned()).to_string();
    let options = |store: &StoreConfig| match store {
        StoreConfig::Folder(_) => BTreeMap::new(),
        StoreConfig::Url(store) => store.options.clone(),
    };
    let mut lines = Vec::new();
    let mut table = |name: &str, entries: BTreeMap<String, String>| {
        if !entries.is_empty() {
            lines.push(format!("[{name}]"));
        }
        lines.extend(
            entries.iter().map(|(key, value)| format!("{} = {}", quoted(key), quoted(value))),
        );
    };
    let shown = |(option, value): (String, String)| {
        let value = if may_be_secret(&option) { secret(&value) } else { value };
        (option, value)
    };
    let of_archive = archive.map(|archive| options(&archive.store)).unwrap_or_default();
    table("archive_options", of_archive.into_iter().map(shown).collect());
    let place = |(name, store): (&String, &StoreConfig)| match store {
        StoreConfig::Folder(folder) => (name.clone(), folder.display().to_string()),
        StoreConfig::Url(store) => (name.clone(), store.url.clone()),
    };
    table("buckets", buckets.iter().map(place).collect());
    table("bucket_options", buckets.values().flat_map(options).map(shown).collect());
    lines
}

/// True for an option whose name sounds like a secret; the path of a file is none.
fn may_be_secret(option: &str) -> bool {
    let secret = ["key", "secret", "token", "password", "sas", "credential"];
    !option.ends_with("_file") && secret.iter().any(|word| option.contains(word))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{FewKinds, PLAIN, node, table};
    use super::super::{ConfigErrors, NodeConfig};
    use super::*;

    fn problems(text: &str) -> String {
        let read = NodeConfig::from_table(table(&format!("{PLAIN}{text}")), &FewKinds);
        let ConfigErrors(problems) = read.unwrap_err();
        problems.iter().map(|p| format!("{}: {}\n", p.field, p.text)).collect()
    }

    #[test]
    fn the_archive_is_in_one_place_and_has_a_key() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        std::fs::write(&key, "07".repeat(32)).unwrap();
        let key = format!("archive_key_file = {key:?}\n");
        let both = "archive_dir = \"/a\"\narchive_url = \"few://b\"\n";
        assert!(problems(&format!("{both}{key}")).starts_with("archive_url: is instead of"));
        assert!(problems(&key).starts_with("archive_dir: or archive_url is required"));
        let url = "archive_url = \"few://b/c\"\n";
        assert!(problems(url).starts_with("archive_key_file: or archive_key_command is required"));
        let options = "[archive_options]\n\"few_regoin\" = \"x\"\n";
        let text = problems(&format!("{url}{key}{options}"));
        assert_eq!(text, "archive_options.few_regoin: the store has no such option\n");
        let text = problems(&format!("archive_dir = \"/a\"\n{key}{options}"));
        assert_eq!(text, "archive_options: is for an archive_url\n");
        let text = problems(&format!("archive_url = \"ftp://b\"\n{key}"));
        assert_eq!(text, "archive_url: ftp://b is no store\n");
    }

    #[test]
    fn buckets_are_folders_or_urls_which_take_the_options_that_they_know() {
        let text = "[buckets]\na = \"/folder\"\nb = \"few://b\"\nc = \"other://c\"\n\
                    [bucket_options]\nfew_region = \"x\"\nother_token = \"s3cr3t\"\n";
        let config = node(&format!("{PLAIN}{text}")).unwrap();
        let options = |name: &str| match &config.buckets[name] {
            StoreConfig::Folder(_) => Vec::new(),
            StoreConfig::Url(store) => store.options.keys().map(String::as_str).collect(),
        };
        assert_eq!(config.buckets["a"], StoreConfig::Folder("/folder".into()));
        assert_eq!((options("b"), options("c")), (vec!["few_region"], vec!["other_token"]));
        assert_eq!(NodeConfig::from_table(table(&config.to_toml()), &FewKinds).unwrap(), config);
        assert!(config.printed().contains("other_token\" = \"<hidden>\""), "{}", config.printed());
        assert!(!format!("{config:?}{}", config.printed()).contains("s3cr3t"));
        let text = problems(&text.replace("other_token", "another"));
        assert_eq!(text, "bucket_options.another: the store has no such option\n");
        let text = problems("[buckets]\nb = \"ftp://b\"\n[bucket_options]\nx = \"y\"\n");
        assert_eq!(
            text,
            "bucket_options.x: the store has no such option\nbuckets.b: ftp://b is no store\n"
        );
        let text = problems("[buckets]\nb = \"/b\"\n[bucket_options]\nx = \"y\"\n");
        assert_eq!(text, "bucket_options: is for buckets that are URLs\n");
    }
}
