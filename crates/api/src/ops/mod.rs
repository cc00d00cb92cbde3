//! The operations: one file each.

pub mod batch_get_item;
pub mod batch_write_item;
pub mod create_table;
pub mod delete_item;
pub mod delete_resource_policy;
pub mod delete_table;
pub mod describe_continuous_backups;
pub mod describe_contributor_insights;
pub mod describe_endpoints;
pub mod describe_limits;
pub mod describe_table;
pub mod describe_time_to_live;
pub mod get_item;
pub mod get_resource_policy;
pub mod list_contributor_insights;
pub mod list_tables;
pub mod list_tags_of_resource;
pub mod put_item;
pub mod put_resource_policy;
pub mod query;
pub mod scan;
pub mod tag_resource;
pub mod untag_resource;
pub mod update_contributor_insights;
pub mod update_item;
pub mod update_table;
