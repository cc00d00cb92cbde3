//! The objects of a bucket, with a limit to how long a call may take.

use super::Stop;
use crate::buckets::BucketError;
use bytes::Bytes;
use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;
use meridian_api::imports::NO_SUCH_BUCKET;
use meridian_control::region::BucketPlace;
use meridian_raft::rt;
use meridian_wire::arn::ACCOUNT_ID;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use std::sync::Arc;
use std::time::Duration;

/// How long one call of the store may take.
const CALL_LIMIT: Duration = Duration::from_secs(60);

/// Objects of a bucket.
pub struct Files {
    store: Arc<dyn ObjectStore>,
}

/// What a failure of the store means for a job.
fn stop(error: object_store::Error) -> Stop {
    use object_store::Error;
    match error {
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => access_denied(),
        // An object that is not there is no error of what is called here; a bucket is.
        Error::NotFound { .. } => no_such_bucket(),
        // Of a listing the code of the answer stands in the text only.
        other if says(&other, &["NoSuchBucket", "ContainerNotFound"]) => no_such_bucket(),
        other if says(&other, &["AccessDenied", "AuthorizationFailure"]) => access_denied(),
        other => Stop::again(other),
    }
}

/// True when the text of an error holds one of some codes.
fn says(error: &object_store::Error, codes: &[&str]) -> bool {
    let text = error.to_string();
    codes.iter().any(|code| text.contains(code))
}

fn no_such_bucket() -> Stop {
    let (code, message) = NO_SUCH_BUCKET;
    Stop::failed(code, message)
}

fn access_denied() -> Stop {
    Stop::failed(
        "S3AccessDenied",
        "Access Denied (Service: Amazon S3; Status Code: 403; Error Code: AccessDenied)",
    )
}

async fn within<T>(call: impl Future<Output = Result<T, object_store::Error>>) -> Result<T, Stop> {
    match rt::timeout(CALL_LIMIT, call).await {
        Ok(done) => done.map_err(stop),
        Err(_) => Err(Stop::again("the bucket does not answer")),
    }
}

impl Files {
    /// The objects of a bucket that was opened. All buckets belong to the one account.
    pub fn of(
        place: &BucketPlace,
        opened: Result<Arc<dyn ObjectStore>, BucketError>,
    ) -> Result<Self, Stop> {
        if place.owner.as_deref().is_some_and(|owner| owner != ACCOUNT_ID) {
            return Err(access_denied());
        }
        match opened {
            Ok(store) => Ok(Files { store }),
            Err(BucketError::NoSuchBucket) => Err(no_such_bucket()),
            Err(BucketError::Store(error)) => Err(stop(error)),
        }
    }

    /// Stores an object.
    pub async fn put(&self, key: &str, bytes: Vec<u8>) -> Result<(), Stop> {
        within(self.store.put(&Path::from(key), bytes.into())).await.map(drop)
    }

    /// The objects whose names begin so, in the order of their names.
    pub async fn under(&self, prefix: &str) -> Result<Vec<Path>, Stop> {
        let prefix = prefix.trim_start_matches('/');
        // The store lists whole folders.
        let folder = prefix.rsplit_once('/').map(|(folder, _)| Path::from(folder));
        let listed = self.store.list(folder.as_ref()).try_collect::<Vec<_>>();
        let mut found: Vec<Path> =
            within(listed).await?.into_iter().map(|one| one.location).collect();
        found.retain(|path| path.as_ref().starts_with(prefix));
        found.sort_unstable();
        Ok(found)
    }

    /// The bytes of an object, as they arrive; none where it is gone.
    pub async fn read(
        &self,
        path: &Path,
    ) -> Result<Option<BoxStream<'static, Result<Bytes, object_store::Error>>>, Stop> {
        let opened = rt::timeout(CALL_LIMIT, self.store.get(path)).await;
        match opened.map_err(|_| Stop::again("the bucket does not answer"))? {
            Ok(found) => Ok(Some(found.into_stream())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(stop(error)),
        }
    }

    /// The next bytes of an object.
    pub async fn next(
        stream: &mut BoxStream<'static, Result<Bytes, object_store::Error>>,
    ) -> Result<Option<Bytes>, Stop> {
        within(stream.try_next()).await
    }
}
