//! Opens the object stores that the configuration names: folders, S3, GCS and Azure.
//!
//! # Invariants
//!
//! - Opening asks nothing of a cloud: a node starts without its store, and catches up when it is there.
//! - Options of the configuration override those of the environment.
//! - A call ends, with its reason, before whoever made it gives it up.
//!
//! Tested below and, against a server that speaks S3, by `tests/operations/s3.py`.

use anyhow::{Context, anyhow, bail, ensure};
use meridian_node::buckets::open_folder;
use meridian_server::config::{StoreConfig, StoreKinds, UrlStore};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::path::Path as StorePath;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientConfigKey, ObjectStore, ObjectStoreScheme, RetryConfig};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// How long one request to a cloud may take, unless an option says so.
const REQUEST_TIMEOUT: &str = "10s";
/// After so long a request that failed is not sent again within one call; whoever called gives up after
/// 20 s.
const RETRY_TIME: Duration = Duration::from_secs(5);
/// How often a request that failed is sent again within one call.
const RETRIES_MAX: usize = 3;
/// The longest pause before that.
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// The stores that can be opened.
pub struct Stores;

impl StoreKinds for Stores {
    fn takes(&self, url: &str, option: &str) -> bool {
        // What is wrong with the URL is said by `check`.
        Kind::of(url)
            .is_ok_and(|(kind, _, _)| kind.takes(option) || file_of(kind, option).is_some())
    }

    fn check(&self, store: &UrlStore) -> Result<(), String> {
        let (kind, url, _) = Kind::of(&store.url).map_err(|why| format!("{why:#}"))?;
        match kind {
            // Made when it is opened.
            Kind::Folder => folder(&url).map(drop).map_err(|why| format!("{why:#}")),
            Kind::S3 | Kind::Gcs | Kind::Azure => {
                open_url(store).map(drop).map_err(|why| format!("{why:#}"))
            }
        }
    }
}

/// Opens a store; a folder is made where there is none.
pub fn open(config: &StoreConfig) -> anyhow::Result<Arc<dyn ObjectStore>> {
    match config {
        StoreConfig::Folder(folder) => open_made(folder),
        StoreConfig::Url(store) => open_url(store),
    }
}

fn open_made(folder: &Path) -> anyhow::Result<Arc<dyn ObjectStore>> {
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::canonicalize(folder).map(drop))
        .with_context(|| folder.display().to_string())?;
    Ok(open_folder(folder)?)
}

/// The kinds of stores that a URL may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Folder,
    S3,
    Gcs,
    Azure,
}

impl Kind {
    /// The kind of a URL, and the path in its bucket.
    fn of(url: &str) -> anyhow::Result<(Kind, Url, StorePath)> {
        let parsed = Url::parse(url).with_context(|| format!("{url} is no URL"))?;
        ensure!(
            parsed.password().is_none() && parsed.query().is_none(),
            "a URL of a store has neither a password nor a query"
        );
        let (scheme, path) = ObjectStoreScheme::parse(&parsed)
            .map_err(|_| anyhow!("{url} is no s3, gs, az, abfss or file URL"))?;
        let kind = match scheme {
            ObjectStoreScheme::Local => Kind::Folder,
            ObjectStoreScheme::AmazonS3 => Kind::S3,
            ObjectStoreScheme::GoogleCloudStorage => Kind::Gcs,
            ObjectStoreScheme::MicrosoftAzure => Kind::Azure,
            _ => bail!("{url} is no s3, gs, az, abfss or file URL"),
        };
        Ok((kind, parsed, path))
    }

    fn takes(self, option: &str) -> bool {
        match self {
            Kind::Folder => false,
            Kind::S3 => AmazonS3ConfigKey::from_str(option).is_ok(),
            Kind::Gcs => GoogleConfigKey::from_str(option).is_ok(),
            Kind::Azure => AzureConfigKey::from_str(option).is_ok(),
        }
    }
}

/// The option whose value is in the file that this one names.
fn file_of(kind: Kind, option: &str) -> Option<&str> {
    option.strip_suffix("_file").filter(|named| !kind.takes(option) && kind.takes(named))
}

fn folder(url: &Url) -> anyhow::Result<PathBuf> {
    url.to_file_path().map_err(|()| anyhow!("{url} is the path of no folder"))
}

/// Options and their values, those of files read.
fn options(kind: Kind, store: &UrlStore) -> anyhow::Result<Vec<(String, String)>> {
    let value = |(option, value): (&String, &String)| match file_of(kind, option) {
        None => Ok((option.clone(), value.clone())),
        Some(named) => {
            let read = std::fs::read_to_string(value);
            let text = read.with_context(|| format!("{option}: {value} cannot be read"))?;
            Ok((named.to_owned(), text.trim_end_matches(['\n', '\r']).to_owned()))
        }
    };
    store.options.iter().map(value).collect()
}

fn retry() -> RetryConfig {
    let backoff = BackoffConfig { max_backoff: BACKOFF_MAX, ..BackoffConfig::default() };
    RetryConfig { backoff, max_retries: RETRIES_MAX, retry_timeout: RETRY_TIME }
}

fn open_url(store: &UrlStore) -> anyhow::Result<Arc<dyn ObjectStore>> {
    // Once is enough; that it is there already is no error.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (kind, url, path) = Kind::of(&store.url)?;
    let options = options(kind, store)?;
    let opened: Arc<dyn ObjectStore> = match kind {
        Kind::Folder => return open_made(&folder(&url)?),
        Kind::S3 => {
            let timeout = AmazonS3ConfigKey::Client(ClientConfigKey::Timeout);
            let mut builder = AmazonS3Builder::new().with_config(timeout, REQUEST_TIMEOUT);
            for (option, value) in environment("AWS_").chain(options) {
                if let Ok(key) = option.parse() {
                    ensure!(
                        key != AmazonS3ConfigKey::ConditionalPut || value != "disabled",
                        "{option}: data keys need puts that succeed only where nothing is"
                    );
                    builder = builder.with_config(key, value);
                }
            }
            Arc::new(builder.with_url(url.to_string()).with_retry(retry()).build()?)
        }
        Kind::Gcs => {
            let timeout = GoogleConfigKey::Client(ClientConfigKey::Timeout);
            let mut builder =
                GoogleCloudStorageBuilder::new().with_config(timeout, REQUEST_TIMEOUT);
            for (option, value) in environment("GOOGLE_").chain(options) {
                if let Ok(key) = option.parse() {
                    builder = builder.with_config(key, value);
                }
            }
            Arc::new(builder.with_url(url.to_string()).with_retry(retry()).build()?)
        }
        Kind::Azure => {
            let timeout = AzureConfigKey::Client(ClientConfigKey::Timeout);
            let mut builder = MicrosoftAzureBuilder::new().with_config(timeout, REQUEST_TIMEOUT);
            for (option, value) in environment("AZURE_").chain(options) {
                if let Ok(key) = option.parse() {
                    builder = builder.with_config(key, value);
                }
            }
            Arc::new(builder.with_url(url.to_string()).with_retry(retry()).build()?)
        }
    };
    Ok(if path.is_root() { opened } else { Arc::new(PrefixStore::new(opened, path)) })
}

/// Variables of the environment, as options.
fn environment(prefix: &'static str) -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(move |(name, value)| {
        let name = name.into_string().ok().filter(|name| name.starts_with(prefix))?;
        Some((name.to_ascii_lowercase(), value.into_string().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn store(url: &str, options: &[(&str, &str)]) -> UrlStore {
        let options = options.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        UrlStore { url: url.to_owned(), options: options.collect::<BTreeMap<_, _>>() }
    }

    const KEYS: [(&str, &str); 3] =
        [("aws_region", "r"), ("aws_access_key_id", "id"), ("aws_secret_access_key", "s")];

    #[test]
    fn stores_of_every_kind_open_without_being_asked() {
        for store in [
            store("s3://bucket", &KEYS),
            store("s3://bucket/a/path", &KEYS),
            store("gs://bucket/path", &[("google_skip_signature", "true")]),
            store("az://container/path", &[("azure_storage_account_name", "a")]),
            store("abfss://container@account.dfs.core.windows.net/path", &[]),
        ] {
            assert_eq!(Stores.check(&store), Ok(()), "{store:?}");
        }
        let opened = open(&StoreConfig::Url(store("s3://bucket/a/path", &KEYS))).unwrap();
        assert_eq!(opened.to_string(), "PrefixObjectStore(a/path)");
    }

    #[test]
    fn what_is_wrong_with_a_url_or_an_option_is_said() {
        let wrong = |url, options: &[_]| Stores.check(&store(url, options)).unwrap_err();
        assert!(wrong("bucket", &[]).starts_with("bucket is no URL"));
        assert_eq!(wrong("ftp://bucket", &[]), "ftp://bucket is no s3, gs, az, abfss or file URL");
        assert_eq!(
            wrong("https://host/x", &[]),
            "https://host/x is no s3, gs, az, abfss or file URL"
        );
        assert!(wrong("s3://id:secret@bucket", &[]).contains("neither a password"));
        assert!(
            wrong("s3://bucket", &[("aws_conditional_put", "disabled")]).contains("only where")
        );
        assert!(wrong("s3://bucket", &[("aws_allow_http", "perhaps")]).contains("perhaps"));
        let missing = wrong("s3://bucket", &[("aws_secret_access_key_file", "/none/such")]);
        assert!(missing.contains("aws_secret_access_key_file: /none/such cannot be read"));
    }

    #[test]
    fn options_belong_to_their_store_and_may_stand_in_files() {
        assert!(Stores.takes("s3://b", "aws_region") && Stores.takes("s3://b", "timeout"));
        assert!(
            !Stores.takes("s3://b", "aws_regoin")
                && !Stores.takes("s3://b", "azure_storage_account_name")
        );
        assert!(!Stores.takes("gs://b", "aws_region") && !Stores.takes("file:///b", "timeout"));
        assert!(Stores.takes("s3://b", "aws_secret_access_key_file"));
        // Its own, which is not the file of a `token`.
        assert!(Stores.takes("s3://b", "aws_web_identity_token_file"));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "the secret\n").unwrap();
        let named = file.display().to_string();
        let store = store("s3://b", &[("aws_secret_access_key_file", &named)]);
        let read = options(Kind::S3, &store).unwrap();
        assert_eq!(read, [("aws_secret_access_key".to_owned(), "the secret".to_owned())]);
    }

    #[tokio::test]
    async fn a_file_url_is_the_folder() {
        use object_store::ObjectStoreExt;
        let folder = tempfile::tempdir().unwrap();
        let url = format!("file://{}/a%20b", folder.path().display());
        let opened = open(&StoreConfig::Url(store(&url, &[]))).unwrap();
        opened.put(&StorePath::from("x/y"), "z".into()).await.unwrap();
        assert_eq!(std::fs::read_to_string(folder.path().join("a b/x/y")).unwrap(), "z");
        assert_eq!(Stores.check(&store("file:///none/such", &[])), Ok(()), "it is not made");
        assert!(!Path::new("/none").exists());
    }
}
