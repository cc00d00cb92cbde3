//! An object store in memory that does, when it is told, what object stores do when they fail.

use async_trait::async_trait;
use futures_util::stream::{BoxStream, StreamExt};
use futures_util::{FutureExt, TryFutureExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;

/// How a store fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Not at all.
    None,
    /// Every call fails at once.
    Refuses,
    /// No call is ever answered.
    Hangs,
    /// Nothing can be put; the rest works.
    Full,
}

/// The store.
#[derive(Debug)]
pub struct FaultyStore {
    inner: InMemory,
    fault: Mutex<Fault>,
    reads: Mutex<BTreeMap<Path, u32>>,
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultyStore")
    }
}

impl FaultyStore {
    pub fn new() -> Self {
        let (fault, reads) = (Mutex::new(Fault::None), Mutex::default());
        FaultyStore { inner: InMemory::new(), fault, reads }
    }

    /// Fails so from now on. A call that hangs already goes on hanging.
    pub fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    /// The names of all objects that have a part in theirs, in order.
    pub async fn names(&self, part: &str) -> Vec<Path> {
        let listed: Vec<ObjectMeta> = self.inner.list(None).try_collect().await.unwrap();
        let mut names: Vec<Path> = listed.into_iter().map(|meta| meta.location).collect();
        names.retain(|name| name.as_ref().contains(part));
        names.sort_unstable();
        names
    }

    /// How often an object was asked for.
    pub fn reads(&self, name: &Path) -> u32 {
        self.reads.lock().unwrap().get(name).copied().unwrap_or_default()
    }

    /// Loses an object that was acknowledged.
    pub async fn lose(&self, name: &Path) {
        self.inner.delete(name).await.unwrap();
    }

    /// Flips a bit in the middle of an object.
    pub async fn damage(&self, name: &Path) {
        let mut bytes = self.inner.get(name).await.unwrap().bytes().await.unwrap().to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x10;
        self.inner.put(name, bytes.into()).await.unwrap();
    }
}

fn failed(what: &'static str) -> Error {
    Error::Generic { store: "FaultyStore", source: what.into() }
}

async fn pass(fault: Fault, puts: bool) -> Result<()> {
    match fault {
        Fault::None => Ok(()),
        Fault::Refuses => Err(failed("503 Slow Down")),
        Fault::Hangs => std::future::pending().await,
        Fault::Full if puts => Err(failed("no space left")),
        Fault::Full => Ok(()),
    }
}

impl FaultyStore {
    fn passing(&self, puts: bool) -> impl Future<Output = Result<()>> + Send + 'static {
        pass(*self.fault.lock().unwrap(), puts)
    }

    /// A stream that begins when the store lets it.
    fn after<T: Send + 'static>(
        &self,
        stream: BoxStream<'static, Result<T>>,
    ) -> BoxStream<'static, Result<T>> {
        let begun = self.passing(false).map(|passed| passed.map(|()| stream));
        begun.try_flatten_stream().boxed()
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.passing(true).await?;
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.passing(true).await?;
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.passing(false).await?;
        *self.reads.lock().unwrap().entry(location.clone()).or_default() += 1;
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.after(self.inner.delete_stream(locations))
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.after(self.inner.list(prefix))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.passing(false).await?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.passing(true).await?;
        self.inner.copy_opts(from, to, options).await
    }
}
