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
    let mut parts = name_or_arn.splitn(6, ':');
    let prefix = [parts.next(), parts.next(), parts.next()];
    if prefix != [Some("arn"), Some("aws"), Some("dynamodb")] {
        return name_or_arn;
    }
    parts.nth(2).and_then(|resource| resource.strip_prefix("table/")).unwrap_or(name_or_arn)
}

/// The ARN of the role that scales tables where no other is named.
pub fn scaling_role_arn() -> String {
    format!(
        "arn:aws:iam::{ACCOUNT_ID}:role/aws-service-role/\
         dynamodb.application-autoscaling.amazonaws.com/\
         AWSServiceRoleForApplicationAutoScaling_DynamoDBTable"
    )
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
        let stream = stream_arn("eu-west-1", "music", "2026-01-01T00:00:00.000");
        assert!(stream.ends_with(":table/music/stream/2026-01-01T00:00:00.000"), "{stream}");
    }
}
