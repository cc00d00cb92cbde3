//! Every limit, with its unit and its source.

/// Largest item, names included (AWS: Constraints, "Item size").
pub const ITEM_BYTES_MAX: usize = 400 * 1024;
/// Longest partition key value (AWS: Constraints).
pub const PARTITION_KEY_BYTES_MAX: usize = 2048;
/// Longest sort key value (AWS: Constraints).
pub const SORT_KEY_BYTES_MAX: usize = 1024;
/// Deepest nesting of lists and maps (AWS: Constraints).
pub const NESTING_LEVELS_MAX: usize = 32;
/// Longest expression text (AWS: Constraints).
pub const EXPRESSION_BYTES_MAX: usize = 4096;
/// Most operators in an expression (AWS: Constraints).
pub const EXPRESSION_OPERATORS_MAX: usize = 300;
/// Most operands of `IN` (AWS: Constraints).
pub const IN_OPERANDS_MAX: usize = 100;
/// One page of Query or Scan, before filters (AWS: Constraints).
pub const PAGE_BYTES_MAX: usize = 1024 * 1024;
/// Largest request or response of a batch operation (AWS: Constraints).
pub const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most keys of BatchGetItem (AWS: Constraints).
pub const BATCH_GET_KEYS_MAX: usize = 100;
/// Most requests of BatchWriteItem (AWS: Constraints).
pub const BATCH_WRITE_ITEMS_MAX: usize = 25;
/// All items of a transaction (AWS: Constraints, "DynamoDB transactions").
pub const TRANSACTION_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest attribute name (AWS: Constraints).
pub const ATTRIBUTE_NAME_BYTES_MAX: usize = 64 * 1024;
/// Largest HTTP body that is read (AWS: BatchWriteItem, total request size).
pub const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most local secondary indexes of a table (AWS: Service quotas).
pub const LOCAL_INDEXES_MAX: usize = 5;
/// Most global secondary indexes of a table (AWS: Service quotas, default).
pub const GLOBAL_INDEXES_MAX: usize = 20;
/// Most tables of a region (AWS: Service quotas, default).
pub const TABLES_MAX: usize = 2500;
/// How far in the future of the local clock a replicated version may be before it is parked, ms.
pub const CLOCK_AHEAD_MS_MAX: u64 = 500;
