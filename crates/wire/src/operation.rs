//! The operations of DynamoDB and DynamoDB Streams, and the header that names one.
//!
//! Tested below.

/// One of the 66 operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// BatchExecuteStatement
    BatchExecuteStatement,
    /// BatchGetItem
    BatchGetItem,
    /// BatchWriteItem
    BatchWriteItem,
    /// CancelBulkOperation
    CancelBulkOperation,
    /// CreateBackup
    CreateBackup,
    /// CreateGlobalTable
    CreateGlobalTable,
    /// CreateTable
    CreateTable,
    /// DeleteBackup
    DeleteBackup,
    /// DeleteItem
    DeleteItem,
    /// DeleteResourcePolicy
    DeleteResourcePolicy,
    /// DeleteTable
    DeleteTable,
    /// DescribeBackup
    DescribeBackup,
    /// DescribeBulkOperation
    DescribeBulkOperation,
    /// DescribeContinuousBackups
    DescribeContinuousBackups,
    /// DescribeContributorInsights
    DescribeContributorInsights,
    /// DescribeEndpoints
    DescribeEndpoints,
    /// DescribeExport
    DescribeExport,
    /// DescribeGlobalTable
    DescribeGlobalTable,
    /// DescribeGlobalTableSettings
    DescribeGlobalTableSettings,
    /// DescribeImport
    DescribeImport,
    /// DescribeKinesisStreamingDestination
    DescribeKinesisStreamingDestination,
    /// DescribeLimits
    DescribeLimits,
    /// DescribeTable
    DescribeTable,
    /// DescribeTableReplicaAutoScaling
    DescribeTableReplicaAutoScaling,
    /// DescribeTimeToLive
    DescribeTimeToLive,
    /// DisableKinesisStreamingDestination
    DisableKinesisStreamingDestination,
    /// EnableKinesisStreamingDestination
    EnableKinesisStreamingDestination,
    /// ExecuteStatement
    ExecuteStatement,
    /// ExecuteTransaction
    ExecuteTransaction,
    /// ExportTableToPointInTime
    ExportTableToPointInTime,
    /// GetItem
    GetItem,
    /// GetResourcePolicy
    GetResourcePolicy,
    /// ImportTable
    ImportTable,
    /// ListBackups
    ListBackups,
    /// ListBulkOperations
    ListBulkOperations,
    /// ListContributorInsights
    ListContributorInsights,
    /// ListExports
    ListExports,
    /// ListGlobalTables
    ListGlobalTables,
    /// ListImports
    ListImports,
    /// ListTables
    ListTables,
    /// ListTagsOfResource
    ListTagsOfResource,
    /// PutItem
    PutItem,
    /// PutResourcePolicy
    PutResourcePolicy,
    /// Query
    Query,
    /// RestoreTableFromBackup
    RestoreTableFromBackup,
    /// RestoreTableToPointInTime
    RestoreTableToPointInTime,
    /// Scan
    Scan,
    /// SearchVectors
    SearchVectors,
    /// StartBulkPutItems
    StartBulkPutItems,
    /// TagResource
    TagResource,
    /// TransactGetItems
    TransactGetItems,
    /// TransactWriteItems
    TransactWriteItems,
    /// UntagResource
    UntagResource,
    /// UpdateContinuousBackups
    UpdateContinuousBackups,
    /// UpdateContributorInsights
    UpdateContributorInsights,
    /// UpdateGlobalTable
    UpdateGlobalTable,
    /// UpdateGlobalTableSettings
    UpdateGlobalTableSettings,
    /// UpdateItem
    UpdateItem,
    /// UpdateKinesisStreamingDestination
    UpdateKinesisStreamingDestination,
    /// UpdateTable
    UpdateTable,
    /// UpdateTableReplicaAutoScaling
    UpdateTableReplicaAutoScaling,
    /// UpdateTimeToLive
    UpdateTimeToLive,
    /// DescribeStream (streams)
    DescribeStream,
    /// GetRecords (streams)
    GetRecords,
    /// GetShardIterator (streams)
    GetShardIterator,
    /// ListStreams (streams)
    ListStreams,
}

const DATABASE: &str = "DynamoDB_20120810";
const STREAMS: &str = "DynamoDBStreams_20120810";

impl Operation {
    /// Every operation.
    pub const ALL: [Operation; 66] = [
        Operation::BatchExecuteStatement,
        Operation::BatchGetItem,
        Operation::BatchWriteItem,
        Operation::CancelBulkOperation,
        Operation::CreateBackup,
        Operation::CreateGlobalTable,
        Operation::CreateTable,
        Operation::DeleteBackup,
        Operation::DeleteItem,
        Operation::DeleteResourcePolicy,
        Operation::DeleteTable,
        Operation::DescribeBackup,
        Operation::DescribeBulkOperation,
        Operation::DescribeContinuousBackups,
        Operation::DescribeContributorInsights,
        Operation::DescribeEndpoints,
        Operation::DescribeExport,
        Operation::DescribeGlobalTable,
        Operation::DescribeGlobalTableSettings,
        Operation::DescribeImport,
        Operation::DescribeKinesisStreamingDestination,
        Operation::DescribeLimits,
        Operation::DescribeTable,
        Operation::DescribeTableReplicaAutoScaling,
        Operation::DescribeTimeToLive,
        Operation::DisableKinesisStreamingDestination,
        Operation::EnableKinesisStreamingDestination,
        Operation::ExecuteStatement,
        Operation::ExecuteTransaction,
        Operation::ExportTableToPointInTime,
        Operation::GetItem,
        Operation::GetResourcePolicy,
        Operation::ImportTable,
        Operation::ListBackups,
        Operation::ListBulkOperations,
        Operation::ListContributorInsights,
        Operation::ListExports,
        Operation::ListGlobalTables,
        Operation::ListImports,
        Operation::ListTables,
        Operation::ListTagsOfResource,
        Operation::PutItem,
        Operation::PutResourcePolicy,
        Operation::Query,
        Operation::RestoreTableFromBackup,
        Operation::RestoreTableToPointInTime,
        Operation::Scan,
        Operation::SearchVectors,
        Operation::StartBulkPutItems,
        Operation::TagResource,
        Operation::TransactGetItems,
        Operation::TransactWriteItems,
        Operation::UntagResource,
        Operation::UpdateContinuousBackups,
        Operation::UpdateContributorInsights,
        Operation::UpdateGlobalTable,
        Operation::UpdateGlobalTableSettings,
        Operation::UpdateItem,
        Operation::UpdateKinesisStreamingDestination,
        Operation::UpdateTable,
        Operation::UpdateTableReplicaAutoScaling,
        Operation::UpdateTimeToLive,
        Operation::DescribeStream,
        Operation::GetRecords,
        Operation::GetShardIterator,
        Operation::ListStreams,
    ];

    /// Returns the operation's name.
    pub fn name(self) -> &'static str {
        match self {
            Operation::BatchExecuteStatement => "BatchExecuteStatement",
            Operation::BatchGetItem => "BatchGetItem",
            Operation::BatchWriteItem => "BatchWriteItem",
            Operation::CancelBulkOperation => "CancelBulkOperation",
            Operation::CreateBackup => "CreateBackup",
            Operation::CreateGlobalTable => "CreateGlobalTable",
            Operation::CreateTable => "CreateTable",
            Operation::DeleteBackup => "DeleteBackup",
            Operation::DeleteItem => "DeleteItem",
            Operation::DeleteResourcePolicy => "DeleteResourcePolicy",
            Operation::DeleteTable => "DeleteTable",
            Operation::DescribeBackup => "DescribeBackup",
            Operation::DescribeBulkOperation => "DescribeBulkOperation",
            Operation::DescribeContinuousBackups => "DescribeContinuousBackups",
            Operation::DescribeContributorInsights => "DescribeContributorInsights",
            Operation::DescribeEndpoints => "DescribeEndpoints",
            Operation::DescribeExport => "DescribeExport",
            Operation::DescribeGlobalTable => "DescribeGlobalTable",
            Operation::DescribeGlobalTableSettings => "DescribeGlobalTableSettings",
            Operation::DescribeImport => "DescribeImport",
            Operation::DescribeKinesisStreamingDestination => "DescribeKinesisStreamingDestination",
            Operation::DescribeLimits => "DescribeLimits",
            Operation::DescribeTable => "DescribeTable",
            Operation::DescribeTableReplicaAutoScaling => "DescribeTableReplicaAutoScaling",
            Operation::DescribeTimeToLive => "DescribeTimeToLive",
            Operation::DisableKinesisStreamingDestination => "DisableKinesisStreamingDestination",
            Operation::EnableKinesisStreamingDestination => "EnableKinesisStreamingDestination",
            Operation::ExecuteStatement => "ExecuteStatement",
            Operation::ExecuteTransaction => "ExecuteTransaction",
            Operation::ExportTableToPointInTime => "ExportTableToPointInTime",
            Operation::GetItem => "GetItem",
            Operation::GetResourcePolicy => "GetResourcePolicy",
            Operation::ImportTable => "ImportTable",
            Operation::ListBackups => "ListBackups",
            Operation::ListBulkOperations => "ListBulkOperations",
            Operation::ListContributorInsights => "ListContributorInsights",
            Operation::ListExports => "ListExports",
            Operation::ListGlobalTables => "ListGlobalTables",
            Operation::ListImports => "ListImports",
            Operation::ListTables => "ListTables",
            Operation::ListTagsOfResource => "ListTagsOfResource",
            Operation::PutItem => "PutItem",
            Operation::PutResourcePolicy => "PutResourcePolicy",
            Operation::Query => "Query",
            Operation::RestoreTableFromBackup => "RestoreTableFromBackup",
            Operation::RestoreTableToPointInTime => "RestoreTableToPointInTime",
            Operation::Scan => "Scan",
            Operation::SearchVectors => "SearchVectors",
            Operation::StartBulkPutItems => "StartBulkPutItems",
            Operation::TagResource => "TagResource",
            Operation::TransactGetItems => "TransactGetItems",
            Operation::TransactWriteItems => "TransactWriteItems",
            Operation::UntagResource => "UntagResource",
            Operation::UpdateContinuousBackups => "UpdateContinuousBackups",
            Operation::UpdateContributorInsights => "UpdateContributorInsights",
            Operation::UpdateGlobalTable => "UpdateGlobalTable",
            Operation::UpdateGlobalTableSettings => "UpdateGlobalTableSettings",
            Operation::UpdateItem => "UpdateItem",
            Operation::UpdateKinesisStreamingDestination => "UpdateKinesisStreamingDestination",
            Operation::UpdateTable => "UpdateTable",
            Operation::UpdateTableReplicaAutoScaling => "UpdateTableReplicaAutoScaling",
            Operation::UpdateTimeToLive => "UpdateTimeToLive",
            Operation::DescribeStream => "DescribeStream",
            Operation::GetRecords => "GetRecords",
            Operation::GetShardIterator => "GetShardIterator",
            Operation::ListStreams => "ListStreams",
        }
    }

    /// Finds an operation by its name.
    pub fn from_name(name: &str) -> Option<Self> {
        Operation::ALL.into_iter().find(|operation| operation.name() == name)
    }

    /// Tells whether the operation belongs to DynamoDB Streams.
    pub fn is_streams(self) -> bool {
        matches!(
            self,
            Operation::DescribeStream
                | Operation::GetRecords
                | Operation::GetShardIterator
                | Operation::ListStreams
        )
    }

    /// Reads an `X-Amz-Target` header: `DynamoDB_20120810.PutItem`.
    pub fn from_target(target: &str) -> Option<Self> {
        let (service, name) = target.split_once('.')?;
        let operation = Operation::from_name(name)?;
        let wanted = if operation.is_streams() { STREAMS } else { DATABASE };
        (service == wanted).then_some(operation)
    }

    /// Writes the `X-Amz-Target` header.
    pub fn target(self) -> String {
        let service = if self.is_streams() { STREAMS } else { DATABASE };
        format!("{service}.{}", self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_round_trip() {
        assert_eq!(Operation::ALL.len(), 66);
        for operation in Operation::ALL {
            assert_eq!(Operation::from_target(&operation.target()), Some(operation));
        }
    }

    #[test]
    fn other_targets_are_unknown() {
        for target in [
            "",
            "PutItem",
            "DynamoDB_20120810",
            "DynamoDB_20120810.",
            "DynamoDB_20120810.putItem",
            "DynamoDB_20111205.PutItem",
            "DynamoDBStreams_20120810.PutItem",
            "DynamoDB_20120810.GetRecords",
            "DynamoDB_20120810.PutItem.x",
        ] {
            assert_eq!(Operation::from_target(target), None, "{target}");
        }
    }
}
