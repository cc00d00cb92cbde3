//! ARNs of tables, indexes, streams and encryption keys.
//!
//! Tested below.

/// The account that owns everything here.
pub const ACCOUNT_ID: &str = "000000000000";

/// Returns the ARN of a table in a region.
pub fn table_arn(region: &str, table: &str) -> String {
    format!("arn:aws:dynamodb:{region}:{ACCOUNT_ID}:table/{table}")
}

/// Returns the ARN of a global table of 2017: it is of no region.
pub fn global_table_arn(table: &str) -> String {
    format!("arn:aws:dynamodb::{ACCOUNT_ID}:global-table/{table}")
}

/// Returns the ARN of a table's stream by the stream's label.
pub fn stream_arn(region: &str, table: &str, label: &str) -> String {
    format!("{}/stream/{label}", table_arn(region, table))
}

/// Returns the ARN of an index of a table.
pub fn index_arn(region: &str, table: &str, index: &str) -> String {
    format!("{}/index/{index}", table_arn(region, table))
}

/// Returns the ARN of an encryption key, by its id or as it is given.
pub fn key_arn(region: &str, key: &str) -> String {
    if key.starts_with("arn:") {
        return key.to_owned();
    }
    format!("arn:aws:kms:{region}:{ACCOUNT_ID}:key/{key}")
}

/// Returns the table's name out of a `TableName` parameter, which may be an ARN instead.
pub fn table_name(name_or_arn: &str) -> &str {
    Arn::parse(name_or_arn).and_then(Arn::table_resource).unwrap_or(name_or_arn)
}

/// The ARN of the role that scales tables where no other is named.
pub fn scaling_role_arn() -> String {
    format!(
        "arn:aws:iam::{ACCOUNT_ID}:role/aws-service-role/\
         dynamodb.application-autoscaling.amazonaws.com/\
         AWSServiceRoleForApplicationAutoScaling_DynamoDBTable"
    )
}

/// Returns the region of an ARN of this service.
pub fn arn_region(text: &str) -> Option<&str> {
    Arn::of_service(text).map(|parts| parts.region)
}

/// Tells whether a text is an ARN of this service in an account other than the one here.
pub fn is_of_other_account(text: &str) -> bool {
    Arn::of_service(text).is_some_and(|parts| parts.account != ACCOUNT_ID)
}

/// Says what is wrong with the partition or the kind of resource of an ARN that stands for a
/// table's name; what is no ARN of this service is a name.
pub fn table_arn_fault(text: &str) -> Option<String> {
    let Arn { partition, resource, .. } = Arn::of_service(text)?;
    if partition != "aws" {
        return Some(format!("Invalid AWS partition in '{text}'"));
    }
    (!resource.starts_with("table/")).then(|| format!("Invalid resource type in '{text}'"))
}

/// What an ARN is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arn<'a> {
    /// `aws`.
    pub partition: &'a str,
    /// `dynamodb`.
    pub service: &'a str,
    /// The region.
    pub region: &'a str,
    /// The account.
    pub account: &'a str,
    /// What it names there.
    pub resource: &'a str,
}

impl<'a> Arn<'a> {
    /// Splits an ARN; none for what is none.
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.strip_prefix("arn:")?.splitn(5, ':');
        let (partition, service) = (parts.next()?, parts.next()?);
        let (region, account) = (parts.next()?, parts.next()?);
        Some(Arn { partition, service, region, account, resource: parts.next()? })
    }

    /// The same of this service only.
    fn of_service(text: &'a str) -> Option<Self> {
        Arn::parse(text).filter(|arn| arn.service == "dynamodb")
    }

    /// What follows `table/`, of this service in the partition `aws`.
    pub fn table_resource(self) -> Option<&'a str> {
        let is_ours = self.partition == "aws" && self.service == "dynamodb";
        self.resource.strip_prefix("table/").filter(|_| is_ours)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_out_of_arns() {
        assert_eq!(table_name(&table_arn("eu-west-1", "music")), "music");
        for plain in ["music", "arn", "arn:aws:s3:::bucket", "arn:aws:dynamodb:x:1:index/a"] {
            assert_eq!(table_name(plain), plain);
        }
        let key = |key| key_arn("x", key);
        assert_eq!(key("12-34"), "arn:aws:kms:x:000000000000:key/12-34");
        assert_eq!(key("arn:aws:kms:y:1:key/a"), "arn:aws:kms:y:1:key/a");
        assert_eq!(arn_region(&table_arn("eu-west-1", "music")), Some("eu-west-1"));
        for none in ["music", "arn:aws:s3:::bucket", "arn:aws:dynamodb:x"] {
            assert_eq!((arn_region(none), table_arn_fault(none)), (None, None));
        }
        let stream = stream_arn("eu-west-1", "music", "2026-01-01T00:00:00.000");
        assert!(stream.ends_with(":table/music/stream/2026-01-01T00:00:00.000"), "{stream}");
    }
}
