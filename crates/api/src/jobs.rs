//! What exports and imports have in common: ARNs, buckets, tokens of pages.
//!
//! Tested by `exports.txt`, `imports.txt` and `tests/jobs.rs`; the texts are the service's.

use meridian_control::region::{BucketPlace, JobId};
use meridian_wire::arn::{ACCOUNT_ID, Arn, table_arn};
use meridian_wire::{ApiError, Fields};

use crate::errors::{invalid, invalid_parameter};

/// Jobs of a page where the request names no number.
const PAGE: usize = 10;
/// Characters of a page's token: the SDKs refuse shorter ones of imports.
const TOKEN_CHARACTERS: usize = 128;
/// The constraint of a bucket's name, as the service tells it.
const BUCKET_PATTERN: &str = r"^[a-z0-9A-Z]+[\.\-\w]*[a-z0-9A-Z]+$";

/// Which of the two a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An export.
    Export,
    /// An import.
    Import,
}

impl Kind {
    /// As it stands in ARNs.
    fn name(self) -> &'static str {
        match self {
            Kind::Export => "export",
            Kind::Import => "import",
        }
    }

    /// As it stands in texts.
    fn title(self) -> &'static str {
        match self {
            Kind::Export => "Export",
            Kind::Import => "Import",
        }
    }

    fn not_found(self, why: &str) -> ApiError {
        let text = format!("{} not found: {why}", self.title());
        match self {
            Kind::Export => ApiError::ExportNotFound(text),
            Kind::Import => ApiError::ImportNotFound(text),
        }
    }

    /// Says that there is no such job.
    pub fn unknown(self, arn: &str) -> ApiError {
        self.not_found(&format!("{} not found: {arn}", self.title()))
    }
}

/// Returns the ARN of a job of a table.
pub fn job_arn(kind: Kind, region: &str, table: &str, id: JobId) -> String {
    format!("{}/{}/{id}", table_arn(region, table), kind.name())
}

/// Reads the ARN of a job in this region; gives the table's name and the job's id.
pub fn read_arn<'a>(kind: Kind, region: &str, arn: &'a str) -> Result<(&'a str, JobId), ApiError> {
    let malformed = || invalid(format!("Invalid {} ARN", kind.title()));
    let (parts, resource) = split(arn).ok_or_else(malformed)?;
    let marker = format!("/{}/", kind.name());
    let (table, id) = resource.split_once(&marker).ok_or_else(malformed)?;
    check_account(&parts)?;
    if parts.region != region {
        let why = format!("Invalid {} arn", kind.name());
        return Err(kind.not_found(&why));
    }
    let id = id.parse().map_err(|_| kind.unknown(arn))?;
    Ok((table, id))
}

/// Reads `TableArn`; gives the table's name. Its region is not looked at: after a region was left,
/// programs still name it.
pub fn read_table_arn(arn: &str) -> Result<&str, ApiError> {
    let malformed = || invalid_parameter("tableArn is not a valid ARN");
    let (parts, resource) = split(arn).ok_or_else(malformed)?;
    if resource.contains('/') {
        return Err(invalid("Invalid Request: Table ARN is invalid."));
    }
    check_account(&parts)?;
    Ok(resource)
}

/// Refuses the ARN of another account.
pub fn check_account(arn: &Arn<'_>) -> Result<(), ApiError> {
    if arn.account == ACCOUNT_ID {
        return Ok(());
    }
    Err(denied())
}

/// Says that the caller may not.
pub fn denied() -> ApiError {
    ApiError::AccessDenied("Access is denied".to_owned())
}

/// Splits an ARN of a table, or of something of a table; also gives what follows `table/`.
fn split(arn: &str) -> Option<(Arn<'_>, &str)> {
    let parts = Arn::parse(arn)?;
    Some((parts, parts.table_resource()?))
}

/// True for a name that a bucket can have.
pub fn is_bucket_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let outer = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    bytes.len() > 1 && outer(bytes.first()) && outer(bytes.last()) && bytes.iter().all(inner)
}

/// Takes a bucket with its owner and prefix out of a structure; `path` is where the bucket stands.
pub fn take_place(fields: &mut Fields, prefix: &str, path: &str) -> Result<BucketPlace, ApiError> {
    let bucket = fields.take_text("S3Bucket").unwrap_or_default();
    if !is_bucket_name(&bucket) {
        return Err(ApiError::Validation(format!(
            "1 validation error detected: Value '{bucket}' at '{path}' failed to satisfy \
             constraint: Member must satisfy regular expression pattern: {BUCKET_PATTERN}"
        )));
    }
    let (owner, prefix) = (fields.take_text("S3BucketOwner"), fields.take_text(prefix));
    Ok(BucketPlace { bucket, owner, prefix })
}

/// A page of jobs: the newest first.
pub struct Page {
    kind: Kind,
    /// The last one of the page before.
    pub after: Option<JobId>,
    /// How many there are on it at most.
    pub limit: usize,
}

impl Page {
    /// Takes the parameters of a page out of a request.
    pub fn take(kind: Kind, fields: &mut Fields, limit: &str) -> Result<Self, ApiError> {
        let limit = fields.take_number(limit).and_then(|limit| usize::try_from(limit).ok());
        let token = fields.take_text("NextToken");
        let after = token.map(|token| {
            let read = read_token(kind, &token);
            read.ok_or_else(|| {
                invalid(format!("Invalid Request: Provided nextToken is invalid: {token}"))
            })
        });
        Ok(Page { kind, after: after.transpose()?, limit: limit.unwrap_or(PAGE) })
    }

    /// Returns the last job of the page, where the jobs found, of which there is one more than asked,
    /// go on after it.
    pub fn last<'a, T>(&self, found: &'a [T]) -> Option<&'a T> {
        let last = self.limit.checked_sub(1).and_then(|at| found.get(at));
        last.filter(|_| found.len() > self.limit)
    }

    /// Returns the token of the page after the one that this job ends.
    pub fn token(&self, last: JobId) -> String {
        let text = format!("{}{last}", self.kind.name());
        let digits: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        format!("{digits:0<TOKEN_CHARACTERS$}")
    }
}

fn read_token(kind: Kind, token: &str) -> Option<JobId> {
    if token.len() != TOKEN_CHARACTERS {
        return None;
    }
    let digits = token.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    });
    let bytes: Vec<u8> = digits.collect::<Option<Vec<u8>>>()?;
    let text = String::from_utf8(bytes).ok()?;
    text.trim_end_matches('\0').strip_prefix(kind.name())?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: JobId = JobId { at_ms: 1_700_000_000_123, random: 0xbeef };

    #[test]
    fn arns_are_read_as_they_are_made() {
        let arn = job_arn(Kind::Export, "r", "music", ID);
        assert_eq!(
            arn,
            "arn:aws:dynamodb:r:000000000000:table/music/export/01700000000123-0000beef"
        );
        assert_eq!(read_arn(Kind::Export, "r", &arn), Ok(("music", ID)));
        let name =
            |region: &str, arn: &str| read_arn(Kind::Export, region, arn).unwrap_err().row().name;
        assert_eq!(name("other", &arn), "ExportNotFoundException");
        assert_eq!(name("r", &arn.replace("0000beef", "0000BEEF")), "ExportNotFoundException");
        assert_eq!(
            name("r", &arn.replace("000000000000", "123456789012")),
            "AccessDeniedException"
        );
        assert_eq!(name("r", &arn.replace("export", "import")), "ValidationException");
        assert_eq!(name("r", "arn:aws:s3:::x/export/y"), "ValidationException");
    }

    #[test]
    fn tokens_are_long_and_of_one_kind() {
        let page = |kind| Page { kind, after: None, limit: 1 };
        let token = page(Kind::Import).token(ID);
        assert_eq!(token.len(), TOKEN_CHARACTERS);
        assert_eq!(read_token(Kind::Import, &token), Some(ID));
        assert_eq!(read_token(Kind::Export, &token), None);
        for other in ["", "x", &token[1..], &token.replace('0', "g"), &"é".repeat(64)] {
            assert_eq!(read_token(Kind::Import, other), None, "{other}");
        }
    }
}
