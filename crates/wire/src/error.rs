//! Every error that a client can get: exact name, message, fault and retry advice.
//!
//! # Invariants
//!
//! - No status code and no header here: `Fault` is what `server` maps to one.
//! - `row` is the one table; a variant without a row does not compile.
//!
//! Source: the public service model for names and message members, the developer guide's
//! "Error handling" page for faults and retries. Tested below and by the golden transcripts.

use meridian_model::Item;

use crate::json::{Array, Object};
use crate::value::write_item;

/// An answer other than success.
#[derive(Debug, Clone, PartialEq)]
pub enum ApiError {
    /// The request's types are right and its content is not.
    Validation(String),
    /// The body is not JSON (no text), or has a wrong JSON type (with text).
    Serialization(Option<String>),
    /// The target names no operation.
    UnknownOperation,
    /// The caller may not.
    AccessDenied(String),
    /// There is no signature.
    MissingAuthenticationToken,
    /// The signature lacks parts.
    IncompleteSignature(String),
    /// The signature does not match, or is out of time.
    InvalidSignature(String),
    /// The access key is not known.
    UnrecognizedClient(String),
    /// The session token has expired.
    ExpiredToken(String),
    /// A condition was false; with the item where the caller asked for it.
    ConditionalCheckFailed(Option<Item>),
    /// A table, stream or index does not exist.
    ResourceNotFound(String),
    /// A table exists already, or is in a state that forbids the change.
    ResourceInUse(String),
    /// Too many of something at once.
    LimitExceeded(String),
    /// The table's throughput is used up.
    ProvisionedThroughputExceeded(String, Vec<ThrottlingReason>),
    /// The account's throughput is used up.
    RequestLimitExceeded(String),
    /// Requests come too fast for the control plane.
    Throttling(String, Vec<ThrottlingReason>),
    /// An item collection is over 10 GB.
    ItemCollectionSizeLimitExceeded(String),
    /// A transaction was cancelled; one reason per action.
    TransactionCanceled(Vec<CancellationReason>),
    /// A write met a transaction.
    TransactionConflict(String),
    /// A transaction with this token is under way.
    TransactionInProgress(String),
    /// The token came before with other parameters.
    IdempotentParameterMismatch(String),
    /// The item is being written in another region (strong global tables).
    ReplicatedWriteConflict(String),
    /// A PartiQL INSERT met an existing item.
    DuplicateItem(String),
    /// There is no such table (backup and global-table operations).
    TableNotFound(String),
    /// There is such a table already (restore and import).
    TableAlreadyExists(String),
    /// The table is in a state that forbids the change (backup operations).
    TableInUse(String),
    /// There is no such index (2017 global tables).
    IndexNotFound(String),
    /// There is no such global table.
    GlobalTableNotFound(String),
    /// There is such a global table already.
    GlobalTableAlreadyExists(String),
    /// There is no such replica.
    ReplicaNotFound(String),
    /// There is such a replica already.
    ReplicaAlreadyExists(String),
    /// There is no such backup.
    BackupNotFound(String),
    /// The backup is in use.
    BackupInUse(String),
    /// Continuous backups are not on.
    ContinuousBackupsUnavailable(String),
    /// Point-in-time recovery is not on.
    PointInTimeRecoveryUnavailable(String),
    /// The restore time is out of range.
    InvalidRestoreTime(String),
    /// The export time is out of range.
    InvalidExportTime(String),
    /// There is no such export.
    ExportNotFound(String),
    /// The export's token came before with other parameters.
    ExportConflict(String),
    /// There is no such import.
    ImportNotFound(String),
    /// The import's token came before with other parameters.
    ImportConflict(String),
    /// There is no such resource policy.
    PolicyNotFound(String),
    /// A stream position is older than the stream keeps.
    TrimmedDataAccess(String),
    /// A shard iterator is too old.
    ExpiredIterator(String),
    /// It failed here; a write may or may not have been applied.
    InternalServerError,
    /// It cannot be served now; nothing was applied.
    ServiceUnavailable(String),
}

/// Why one action of a transaction cancelled it.
#[derive(Debug, Clone, PartialEq)]
pub struct CancellationReason {
    /// `None`, `ConditionalCheckFailed`, `TransactionConflict`, ...
    pub code: &'static str,
    /// The text, except for `None`.
    pub message: Option<String>,
    /// The item, where the caller asked for it.
    pub item: Option<Item>,
}

/// Which limit of throughput was reached.
#[derive(Debug, Clone, PartialEq)]
pub struct ThrottlingReason {
    /// `TableReadProvisionedThroughputExceeded`, ...
    pub reason: String,
    /// The ARN of the table or index.
    pub resource: String,
}

/// Whose fault an error is; `server` maps it to a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The client's.
    Client,
    /// The service's.
    Server,
    /// The service's, for now.
    ServerUnavailable,
}

/// What a client should do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Not send the same request again.
    Never,
    /// Send it again, after a while.
    Later,
    /// Send it again only where that does no harm: it may have been applied.
    Unknown,
}

/// One row of the error table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The exception's name.
    pub name: &'static str,
    /// What stands before `#` in `__type`.
    pub namespace: &'static str,
    /// The member that holds the message.
    pub message_key: &'static str,
    /// Whose fault.
    pub fault: Fault,
    /// Retry advice.
    pub retry: Retry,
}

const DYNAMODB: &str = "com.amazonaws.dynamodb.v20120810";
const CORAL: &str = "com.amazon.coral.service";
const VALIDATE: &str = "com.amazon.coral.validate";
const AVAILABILITY: &str = "com.amazon.coral.availability";

const fn row(namespace: &'static str, name: &'static str, fault: Fault, retry: Retry) -> Row {
    Row { name, namespace, message_key: "message", fault, retry }
}

/// A modelled error of the client that is not to be retried.
const fn refusal(name: &'static str) -> Row {
    row(DYNAMODB, name, Fault::Client, Retry::Never)
}

/// A modelled error of the client that may pass when repeated.
const fn later(name: &'static str) -> Row {
    row(DYNAMODB, name, Fault::Client, Retry::Later)
}

/// An error of the common service framework.
const fn framework(name: &'static str) -> Row {
    row(CORAL, name, Fault::Client, Retry::Never)
}

const fn capital(row: Row) -> Row {
    Row { message_key: "Message", ..row }
}

impl ApiError {
    /// Returns the row of the error table.
    pub fn row(&self) -> Row {
        match self {
            Self::Validation(_) => {
                row(VALIDATE, "ValidationException", Fault::Client, Retry::Never)
            }
            Self::Serialization(_) => capital(framework("SerializationException")),
            Self::UnknownOperation => framework("UnknownOperationException"),
            Self::AccessDenied(_) => capital(framework("AccessDeniedException")),
            Self::MissingAuthenticationToken => framework("MissingAuthenticationTokenException"),
            Self::IncompleteSignature(_) => framework("IncompleteSignatureException"),
            Self::InvalidSignature(_) => framework("InvalidSignatureException"),
            Self::UnrecognizedClient(_) => framework("UnrecognizedClientException"),
            Self::ExpiredToken(_) => framework("ExpiredTokenException"),
            Self::ConditionalCheckFailed(_) => refusal("ConditionalCheckFailedException"),
            Self::ResourceNotFound(_) => refusal("ResourceNotFoundException"),
            Self::ResourceInUse(_) => refusal("ResourceInUseException"),
            Self::LimitExceeded(_) => later("LimitExceededException"),
            Self::ProvisionedThroughputExceeded(..) => {
                later("ProvisionedThroughputExceededException")
            }
            Self::RequestLimitExceeded(_) => later("RequestLimitExceeded"),
            Self::Throttling(..) => {
                row(AVAILABILITY, "ThrottlingException", Fault::Client, Retry::Later)
            }
            Self::ItemCollectionSizeLimitExceeded(_) => {
                refusal("ItemCollectionSizeLimitExceededException")
            }
            Self::TransactionCanceled(_) => capital(refusal("TransactionCanceledException")),
            Self::TransactionConflict(_) => later("TransactionConflictException"),
            Self::TransactionInProgress(_) => capital(later("TransactionInProgressException")),
            Self::IdempotentParameterMismatch(_) => {
                capital(refusal("IdempotentParameterMismatchException"))
            }
            Self::ReplicatedWriteConflict(_) => later("ReplicatedWriteConflictException"),
            Self::DuplicateItem(_) => refusal("DuplicateItemException"),
            Self::TableNotFound(_) => refusal("TableNotFoundException"),
            Self::TableAlreadyExists(_) => refusal("TableAlreadyExistsException"),
            Self::TableInUse(_) => refusal("TableInUseException"),
            Self::IndexNotFound(_) => refusal("IndexNotFoundException"),
            Self::GlobalTableNotFound(_) => refusal("GlobalTableNotFoundException"),
            Self::GlobalTableAlreadyExists(_) => refusal("GlobalTableAlreadyExistsException"),
            Self::ReplicaNotFound(_) => refusal("ReplicaNotFoundException"),
            Self::ReplicaAlreadyExists(_) => refusal("ReplicaAlreadyExistsException"),
            Self::BackupNotFound(_) => refusal("BackupNotFoundException"),
            Self::BackupInUse(_) => refusal("BackupInUseException"),
            Self::ContinuousBackupsUnavailable(_) => {
                refusal("ContinuousBackupsUnavailableException")
            }
            Self::PointInTimeRecoveryUnavailable(_) => {
                refusal("PointInTimeRecoveryUnavailableException")
            }
            Self::InvalidRestoreTime(_) => refusal("InvalidRestoreTimeException"),
            Self::InvalidExportTime(_) => refusal("InvalidExportTimeException"),
            Self::ExportNotFound(_) => refusal("ExportNotFoundException"),
            Self::ExportConflict(_) => refusal("ExportConflictException"),
            Self::ImportNotFound(_) => refusal("ImportNotFoundException"),
            Self::ImportConflict(_) => refusal("ImportConflictException"),
            Self::PolicyNotFound(_) => refusal("PolicyNotFoundException"),
            Self::TrimmedDataAccess(_) => refusal("TrimmedDataAccessException"),
            Self::ExpiredIterator(_) => refusal("ExpiredIteratorException"),
            Self::InternalServerError => {
                row(DYNAMODB, "InternalServerError", Fault::Server, Retry::Unknown)
            }
            Self::ServiceUnavailable(_) => row(
                AVAILABILITY,
                "ServiceUnavailableException",
                Fault::ServerUnavailable,
                Retry::Later,
            ),
        }
    }

    /// Returns the message, where the error has one.
    pub fn message(&self) -> Option<String> {
        match self {
            Self::Serialization(text) => text.clone(),
            Self::UnknownOperation => None,
            Self::MissingAuthenticationToken => {
                Some("Request is missing Authentication Token".to_owned())
            }
            Self::ConditionalCheckFailed(_) => Some("The conditional request failed".to_owned()),
            Self::InternalServerError => Some("Internal server error".to_owned()),
            Self::TransactionCanceled(reasons) => {
                let codes: Vec<&str> = reasons.iter().map(|reason| reason.code).collect();
                Some(format!(
                    "Transaction cancelled, please refer cancellation reasons for specific \
                     reasons [{}]",
                    codes.join(", ")
                ))
            }
            Self::Validation(text)
            | Self::AccessDenied(text)
            | Self::IncompleteSignature(text)
            | Self::InvalidSignature(text)
            | Self::UnrecognizedClient(text)
            | Self::ExpiredToken(text)
            | Self::ResourceNotFound(text)
            | Self::ResourceInUse(text)
            | Self::LimitExceeded(text)
            | Self::ProvisionedThroughputExceeded(text, _)
            | Self::RequestLimitExceeded(text)
            | Self::Throttling(text, _)
            | Self::ItemCollectionSizeLimitExceeded(text)
            | Self::TransactionConflict(text)
            | Self::TransactionInProgress(text)
            | Self::IdempotentParameterMismatch(text)
            | Self::ReplicatedWriteConflict(text)
            | Self::DuplicateItem(text)
            | Self::TableNotFound(text)
            | Self::TableAlreadyExists(text)
            | Self::TableInUse(text)
            | Self::IndexNotFound(text)
            | Self::GlobalTableNotFound(text)
            | Self::GlobalTableAlreadyExists(text)
            | Self::ReplicaNotFound(text)
            | Self::ReplicaAlreadyExists(text)
            | Self::BackupNotFound(text)
            | Self::BackupInUse(text)
            | Self::ContinuousBackupsUnavailable(text)
            | Self::PointInTimeRecoveryUnavailable(text)
            | Self::InvalidRestoreTime(text)
            | Self::InvalidExportTime(text)
            | Self::ExportNotFound(text)
            | Self::ExportConflict(text)
            | Self::ImportNotFound(text)
            | Self::ImportConflict(text)
            | Self::PolicyNotFound(text)
            | Self::TrimmedDataAccess(text)
            | Self::ExpiredIterator(text)
            | Self::ServiceUnavailable(text) => Some(text.clone()),
        }
    }

    /// Returns the body of the answer.
    pub fn body(&self) -> Vec<u8> {
        let row = self.row();
        let mut out = Vec::with_capacity(128);
        let mut object = Object::open(&mut out);
        object.text("__type", &format!("{}#{}", row.namespace, row.name));
        if let Some(message) = self.message() {
            object.text(row.message_key, &message);
        }
        match self {
            Self::ConditionalCheckFailed(Some(item)) => write_item(object.key("Item"), item),
            Self::TransactionCanceled(reasons) => {
                let mut array = Array::open(object.key("CancellationReasons"));
                for reason in reasons {
                    reason.write(array.element());
                }
                array.close();
            }
            Self::ProvisionedThroughputExceeded(_, reasons) if !reasons.is_empty() => {
                write_reasons(object.key("ThrottlingReasons"), reasons);
            }
            Self::Throttling(_, reasons) if !reasons.is_empty() => {
                write_reasons(object.key("throttlingReasons"), reasons);
            }
            _ => {}
        }
        object.close();
        out
    }
}

fn write_reasons(out: &mut Vec<u8>, reasons: &[ThrottlingReason]) {
    let mut array = Array::open(out);
    for reason in reasons {
        let mut one = Object::open(array.element());
        one.text("reason", &reason.reason).text("resource", &reason.resource);
        one.close();
    }
    array.close();
}

impl CancellationReason {
    fn write(&self, out: &mut Vec<u8>) {
        let mut object = Object::open(out);
        if let Some(item) = &self.item {
            write_item(object.key("Item"), item);
        }
        object.text("Code", self.code);
        if let Some(message) = &self.message {
            object.text("Message", message);
        }
        object.close();
    }
}

#[cfg(test)]
mod tests {
    use meridian_model::AttributeValue;

    use super::*;

    fn check(error: &ApiError, want: &str) {
        assert_eq!(String::from_utf8(error.body()).unwrap(), want);
    }

    #[test]
    fn bodies() {
        check(
            &ApiError::Validation("a \"b\"".into()),
            r#"{"__type":"com.amazon.coral.validate#ValidationException","message":"a \"b\""}"#,
        );
        check(
            &ApiError::Serialization(None),
            r#"{"__type":"com.amazon.coral.service#SerializationException"}"#,
        );
        check(
            &ApiError::Serialization(Some("x".into())),
            r#"{"__type":"com.amazon.coral.service#SerializationException","Message":"x"}"#,
        );
        check(
            &ApiError::UnknownOperation,
            r#"{"__type":"com.amazon.coral.service#UnknownOperationException"}"#,
        );
        let item = Item::from([("a".to_owned(), AttributeValue::S("x".into()))]);
        check(
            &ApiError::ConditionalCheckFailed(Some(item.clone())),
            &(r#"{"__type":"com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException","#
                .to_owned()
                + r#""message":"The conditional request failed","Item":{"a":{"S":"x"}}}"#),
        );
        let failed = CancellationReason {
            code: "ConditionalCheckFailed",
            message: Some("The conditional request failed".into()),
            item: Some(item),
        };
        let none = CancellationReason { code: "None", message: None, item: None };
        check(
            &ApiError::TransactionCanceled(vec![none, failed]),
            &(r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","#
                .to_owned()
                + r#""Message":"Transaction cancelled, please refer cancellation reasons for "#
                + r#"specific reasons [None, ConditionalCheckFailed]","CancellationReasons":["#
                + r#"{"Code":"None"},{"Item":{"a":{"S":"x"}},"Code":"ConditionalCheckFailed","#
                + r#""Message":"The conditional request failed"}]}"#),
        );
    }
}
