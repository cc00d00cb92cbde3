//! From a target and a body to an answer: one arm an operation.
//!
//! # Invariants
//!
//! - Types are checked before constraints, both before the operation sees anything.
//! - Every operation of the service is known; the ones not built say so.

use meridian_wire::{ApiError, Operation, read_request};

use crate::backend::Backend;
use crate::context::RequestContext;
use crate::{ops, tables};

/// Answers a request by its `X-Amz-Target` header.
pub async fn handle(
    backend: &dyn Backend,
    context: &RequestContext,
    target: &str,
    body: &[u8],
) -> Result<Vec<u8>, ApiError> {
    let operation = Operation::from_target(target).ok_or(ApiError::UnknownOperation)?;
    answer(backend, context, operation, body).await
}

/// Answers a request of a known operation.
pub async fn answer(
    backend: &dyn Backend,
    context: &RequestContext,
    operation: Operation,
    body: &[u8],
) -> Result<Vec<u8>, ApiError> {
    let fields = read_request(operation, body)?;
    tables::check_regions(backend, &fields)?;
    match operation {
        Operation::BatchExecuteStatement => {
            ops::batch_execute_statement::run(backend, fields).await
        }
        Operation::BatchGetItem => ops::batch_get_item::run(backend, fields).await,
        Operation::BatchWriteItem => ops::batch_write_item::run(backend, fields).await,
        Operation::CreateBackup => ops::create_backup::run(backend, context, fields).await,
        Operation::DeleteBackup => ops::delete_backup::run(backend, context, fields).await,
        Operation::DescribeBackup => ops::describe_backup::run(backend, context, fields),
        Operation::ListBackups => ops::list_backups::run(backend, context, fields),
        Operation::CreateGlobalTable => {
            ops::create_global_table::run(backend, context, fields).await
        }
        Operation::CreateTable => ops::create_table::run(backend, context, fields).await,
        Operation::DeleteItem => ops::delete_item::run(backend, fields).await,
        Operation::DeleteResourcePolicy => ops::delete_resource_policy::run(backend, fields).await,
        Operation::DeleteTable => ops::delete_table::run(backend, context, fields).await,
        Operation::DescribeContinuousBackups => {
            ops::describe_continuous_backups::run(backend, fields).await
        }
        Operation::DescribeContributorInsights => {
            ops::describe_contributor_insights::run(backend, fields)
        }
        Operation::DescribeEndpoints => Ok(ops::describe_endpoints::run(context)),
        Operation::DescribeGlobalTable => ops::describe_global_table::run(backend, context, fields),
        Operation::DescribeGlobalTableSettings => {
            ops::describe_global_table_settings::run(backend, context, fields)
        }
        Operation::DescribeKinesisStreamingDestination => {
            ops::describe_kinesis_streaming_destination::run(backend, fields)
        }
        Operation::DescribeTableReplicaAutoScaling => {
            ops::describe_table_replica_auto_scaling::run(backend, context, fields)
        }
        Operation::ListGlobalTables => Ok(ops::list_global_tables::run(backend, fields)),
        Operation::UpdateGlobalTable => {
            ops::update_global_table::run(backend, context, fields).await
        }
        Operation::UpdateGlobalTableSettings => {
            ops::update_global_table_settings::run(backend, context, fields).await
        }
        Operation::DescribeLimits => Ok(ops::describe_limits::run()),
        Operation::DescribeTable => ops::describe_table::run(backend, context, fields).await,
        Operation::DescribeTimeToLive => ops::describe_time_to_live::run(backend, fields),
        Operation::ExecuteStatement => ops::execute_statement::run(backend, fields).await,
        Operation::GetItem => ops::get_item::run(backend, fields).await,
        Operation::GetResourcePolicy => ops::get_resource_policy::run(backend, fields),
        Operation::ListContributorInsights => ops::list_contributor_insights::run(backend, fields),
        Operation::ListTables => Ok(ops::list_tables::run(backend, fields)),
        Operation::ListTagsOfResource => ops::list_tags_of_resource::run(backend, fields),
        Operation::PutItem => ops::put_item::run(backend, fields).await,
        Operation::PutResourcePolicy => ops::put_resource_policy::run(backend, fields).await,
        Operation::Query => ops::query::run(backend, fields).await,
        Operation::RestoreTableFromBackup => {
            ops::restore_table_from_backup::run(backend, context, fields).await
        }
        Operation::RestoreTableToPointInTime => {
            ops::restore_table_to_point_in_time::run(backend, context, fields).await
        }
        Operation::Scan => ops::scan::run(backend, fields).await,
        Operation::TagResource => ops::tag_resource::run(backend, fields).await,
        Operation::ExecuteTransaction => ops::execute_transaction::run(backend, fields).await,
        Operation::TransactGetItems => ops::transact_get_items::run(backend, fields).await,
        Operation::TransactWriteItems => ops::transact_write_items::run(backend, fields).await,
        Operation::DescribeStream => ops::describe_stream::run(backend, context, fields),
        Operation::GetRecords => ops::get_records::run(backend, context, fields).await,
        Operation::GetShardIterator => ops::get_shard_iterator::run(backend, context, fields).await,
        Operation::ListStreams => ops::list_streams::run(backend, context, fields),
        Operation::UntagResource => ops::untag_resource::run(backend, fields).await,
        Operation::UpdateContinuousBackups => {
            ops::update_continuous_backups::run(backend, fields).await
        }
        Operation::UpdateContributorInsights => {
            ops::update_contributor_insights::run(backend, fields).await
        }
        Operation::UpdateItem => ops::update_item::run(backend, fields).await,
        Operation::UpdateTable => ops::update_table::run(backend, context, fields).await,
        Operation::UpdateTableReplicaAutoScaling => {
            ops::update_table_replica_auto_scaling::run(backend, context, fields).await
        }
        Operation::UpdateTimeToLive => ops::update_time_to_live::run(backend, fields).await,
        Operation::DescribeExport => ops::describe_export::run(backend, context, fields),
        Operation::DescribeImport => ops::describe_import::run(backend, context, fields),
        Operation::ExportTableToPointInTime => {
            ops::export_table_to_point_in_time::run(backend, context, fields).await
        }
        Operation::ImportTable => ops::import_table::run(backend, context, fields).await,
        Operation::ListExports => ops::list_exports::run(backend, context, fields),
        Operation::ListImports => ops::list_imports::run(backend, context, fields),
        Operation::CancelBulkOperation
        | Operation::DescribeBulkOperation
        | Operation::DisableKinesisStreamingDestination
        | Operation::EnableKinesisStreamingDestination
        | Operation::ListBulkOperations
        | Operation::SearchVectors
        | Operation::StartBulkPutItems
        | Operation::UpdateKinesisStreamingDestination => Err(crate::unbuilt::operation(operation)),
    }
}
