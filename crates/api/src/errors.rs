//! Turns refusals of the layers below into DynamoDB's errors.
//!
//! # Invariants
//!
//! - What may have been applied is an InternalServerError (500: "may or may not have applied"),
//!   what was surely not applied is a ServiceUnavailable or a throttling error: both retryable.
//!
//! Tested by the golden transcripts and `tests/errors.rs`.

use meridian_control::table::TableStatus;
use meridian_control::{global, region};
use meridian_expression::ExpressionError;
use meridian_model::KeyError;
use meridian_wire::{ApiError, ThrottlingReason};

use crate::backend::{BackendError, ChangeError, Exceeded};
use crate::{policies, tags};

/// Says that an item operation found no table.
pub fn not_found() -> ApiError {
    ApiError::ResourceNotFound("Requested resource not found".to_owned())
}

/// Says that a table operation found no table.
pub fn table_not_found(table: &str) -> ApiError {
    ApiError::ResourceNotFound(format!("Requested resource not found: Table: {table} not found"))
}

/// Says that the request's content is wrong.
pub fn invalid(text: impl Into<String>) -> ApiError {
    ApiError::Validation(text.into())
}

/// Says which parameter value is wrong, in the service's usual frame.
pub fn invalid_parameter(text: impl std::fmt::Display) -> ApiError {
    invalid(format!("One or more parameter values were invalid: {text}"))
}

/// Puts a refusal into the frame in which PutItem, UpdateItem and DeleteItem tell what is wrong
/// with the request itself, since mid-2026.
pub fn enveloped<T>(result: Result<T, ApiError>) -> Result<T, ApiError> {
    result.map_err(|error| match error {
        ApiError::Validation(text) => invalid(format!("1 validation error detected: {text}")),
        other => other,
    })
}

/// Words a refused expression.
pub fn expression(error: ExpressionError) -> ApiError {
    invalid(error.to_string())
}

/// Words a refused key.
pub fn key(error: KeyError) -> ApiError {
    invalid(error.to_string())
}

/// What is wrong with a write itself. A transaction tells the two apart: the first cancels it, the
/// second refuses the whole request.
#[derive(Debug, Clone, PartialEq)]
pub enum WriteFault {
    /// A key of the table or of an index is missing or has another type; with the text.
    Key(String),
    /// Anything else.
    Request(ApiError),
}

impl From<ApiError> for WriteFault {
    fn from(error: ApiError) -> Self {
        WriteFault::Request(error)
    }
}

impl From<KeyError> for WriteFault {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Missing(_) | KeyError::Mismatch { .. } | KeyError::NotTheSchema => {
                WriteFault::Key(error.to_string())
            }
            KeyError::EmptyString(_)
            | KeyError::EmptyBinary(_)
            | KeyError::PartitionTooLong
            | KeyError::SortTooLong
            | KeyError::IndexTooLong { .. } => WriteFault::Request(key(error)),
        }
    }
}

impl From<WriteFault> for ApiError {
    fn from(fault: WriteFault) -> Self {
        match fault {
            WriteFault::Key(text) => invalid(text),
            WriteFault::Request(error) => error,
        }
    }
}

/// Words an item request that was not answered.
pub fn backend(error: BackendError) -> ApiError {
    match error {
        BackendError::Unavailable { maybe_applied: true }
        | BackendError::Timeout
        | BackendError::Internal => ApiError::InternalServerError,
        BackendError::Unavailable { maybe_applied: false } => ApiError::ServiceUnavailable(
            "The service is currently unavailable. Nothing was applied: try again.".to_owned(),
        ),
        BackendError::NoRoom => ApiError::ServiceUnavailable(
            "The node that leads this partition is short of disk. Nothing was written: try again."
                .to_owned(),
        ),
        BackendError::Throttled => ApiError::ProvisionedThroughputExceeded(
            "The level of configured provisioned throughput for the table was exceeded. Consider \
             increasing your provisioning level with the UpdateTable API."
                .to_owned(),
            Vec::new(),
        ),
        BackendError::Exceeded(limit) => exceeded(&limit),
        BackendError::ResourceNotFound => not_found(),
    }
}

/// Says which limit of throughput was reached.
fn exceeded(limit: &Exceeded) -> ApiError {
    let part = if limit.of_index { "Index" } else { "Table" };
    let access = if limit.of_writes { "Write" } else { "Read" };
    let kind = if limit.on_demand { "MaxOnDemandThroughput" } else { "ProvisionedThroughput" };
    let reason = ThrottlingReason {
        reason: format!("{part}{access}{kind}Exceeded"),
        resource: limit.resource.clone(),
    };
    let text = exceeded_text(limit).to_owned();
    if limit.on_demand {
        ApiError::Throttling(text, vec![reason])
    } else {
        ApiError::ProvisionedThroughputExceeded(text, vec![reason])
    }
}

/// Words which limit of throughput was reached.
pub fn exceeded_text(limit: &Exceeded) -> &'static str {
    if limit.on_demand {
        "Throughput exceeds the maximum OnDemandThroughput configured on table or index"
    } else if limit.of_index {
        "The level of configured provisioned throughput for one or more global secondary indexes of \
         the table was exceeded. Consider increasing your provisioning level for the \
         under-provisioned global secondary indexes with the UpdateTable API"
    } else {
        "The level of configured provisioned throughput for the table was exceeded. Consider \
         increasing your provisioning level with the UpdateTable API."
    }
}

/// Words a refused change of a table.
pub fn change(error: ChangeError, table: &str) -> ApiError {
    match error {
        ChangeError::Region(refusal) => by_region(refusal, table),
        ChangeError::Global(refusal) => by_global(refusal, table),
        ChangeError::Backend(BackendError::ResourceNotFound) => table_not_found(table),
        ChangeError::Backend(error) => backend(error),
    }
}

/// Words a status that forbids a change.
pub fn in_use(status: TableStatus, table: &str) -> ApiError {
    let doing = match status {
        TableStatus::Creating => "created",
        TableStatus::Deleting => "deleted",
        TableStatus::Active | TableStatus::Updating => "updated",
    };
    still_in_use(&format!("Table is being {doing}: {table}"))
}

/// Says what keeps a table from being changed.
pub fn still_in_use(why: &str) -> ApiError {
    ApiError::ResourceInUse(format!("Attempt to change a resource which is still in use: {why}"))
}

fn by_region(refusal: region::Refusal, table: &str) -> ApiError {
    use region::Refusal;
    match refusal {
        Refusal::TableExists { .. } => {
            ApiError::ResourceInUse(format!("Table already exists: {table}"))
        }
        Refusal::TableNotFound => table_not_found(table),
        Refusal::InUse { status } => in_use(status, table),
        Refusal::LimitExceeded => too_many(),
        Refusal::DeletionProtected => invalid(
            "Resource cannot be deleted as it is currently protected against deletion. Disable \
             deletion protection first.",
        ),
        Refusal::Definition(_) => invalid_parameter(refusal),
        Refusal::BackupNotFound => ApiError::BackupNotFound("Backup not found".to_owned()),
        Refusal::BackupInUse => ApiError::BackupInUse("Backup is in use".to_owned()),
        Refusal::IndexBusy => one_index_at_a_time(),
        Refusal::IndexUpdating => still_in_use(&format!("Index is being updated. Table: {table}")),
        Refusal::IndexNotFound => not_found(),
        Refusal::TooManyTags => tags::too_many(),
        Refusal::OtherPolicy => policies::not_found(table),
        Refusal::OtherParameters => invalid(refusal.to_string()),
        // These are between the node and its group: the client can only try again.
        Refusal::NotInitialised
        | Refusal::StalePlacement
        | Refusal::StaleEpoch { .. }
        | Refusal::InitialisedOtherwise
        | Refusal::Replayed
        | Refusal::PartitionNotFound
        | Refusal::JobNotFound
        | Refusal::SameTable
        | Refusal::Replicated
        | Refusal::NodeNotFound
        | Refusal::NodeRemoved
        | Refusal::NodeLostLog
        | Refusal::LastNode => unavailable(),
    }
}

fn by_global(refusal: global::Refusal, table: &str) -> ApiError {
    use global::Refusal;
    match refusal {
        Refusal::RegionNotFound => invalid_parameter("The requested region does not exist"),
        Refusal::TableExists { .. } => replica_exists(table),
        Refusal::TableNotFound | Refusal::ReplicaNotFound => invalid(
            "Update global table operation failed because one or more replicas were not part of \
             the global table.",
        ),
        Refusal::ReplicaInUse { .. } => ApiError::ResourceInUse(format!(
            "Attempt to change a resource which is still in use: Table is being updated: {table}"
        )),
        Refusal::LastReplica => invalid_parameter("The last replica cannot be deleted"),
        Refusal::LimitExceeded => too_many(),
        Refusal::Definition(_) | Refusal::KeysChanged => invalid_parameter(refusal),
        // These are between the node and its group: the client can only try again.
        Refusal::NotInitialised
        | Refusal::InitialisedOtherwise
        | Refusal::Replayed
        | Refusal::RegionExists
        | Refusal::StaleEpoch { .. }
        | Refusal::StaleVersion { .. }
        | Refusal::IllegalMove { .. }
        | Refusal::BadTarget
        | Refusal::LastRegion
        | Refusal::SelfReport
        | Refusal::NodeNotFound
        | Refusal::NodeRemoved
        | Refusal::NodeLostLog
        | Refusal::NodeElsewhere { .. } => unavailable(),
    }
}

/// Says that a region to be added has the table, or one of its name. The spelling is the service's.
pub fn replica_exists(table: &str) -> ApiError {
    invalid(format!(
        "Failed to create a the new replica of table with name: ‘{table}’ because one or more \
         replicas already existed as tables."
    ))
}

/// Says that another index of the table is being made or deleted.
pub fn one_index_at_a_time() -> ApiError {
    ApiError::LimitExceeded(
        "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously \
         per table"
            .to_owned(),
    )
}

fn too_many() -> ApiError {
    ApiError::LimitExceeded(
        "Subscriber limit exceeded: There is a limit of 2500 tables per subscriber".to_owned(),
    )
}

fn unavailable() -> ApiError {
    ApiError::ServiceUnavailable(
        "The change could not be made now. Nothing was applied: try again.".to_owned(),
    )
}
