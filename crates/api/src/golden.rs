//! Golden transcripts: requests with the exact answers, kept in `tests/golden/*.txt`.
//!
//! The same files run in process, against a node and against any URL: whoever runs them brings an
//! [`Answering`]. A file is a list of exchanges, with blank lines between them:
//!
//! ```text
//! # A comment.
//! == what this shows
//! PutItem
//! {"TableName":"golden-put","Item":{"a":{"S":"x"}}}
//! ----
//! 200
//! {}
//!
//! @until ACTIVE golden-put
//! ```
//!
//! The second line is an operation, or a whole target where it has a dot; the request body may have
//! several lines or none, `<<v*1000>>` in it stands for a thousand `v`, and `<<ShardId>>` for the last
//! value that an answer gave that member ([`KEPT`]). The region `eu-test-1` in an ARN stands for the
//! one of the last `TableArn` that was answered. `@until` waits until a
//! table has a status, or is `GONE`, or `INDEXED`: neither it nor an index of it is changing; or is
//! `RESTORABLE`: there is a time to which it can be restored; or is `BACKED-UP`: its backups are
//! available; or is `EXPORTED` or `IMPORTED`: the last export or import that was begun has ended.
//!
//! # Invariants
//!
//! - What differs from run to run is masked in the answer before it is compared: times, table ids,
//!   stream labels, sizes, and region and account in ARNs. Which times of a table can be restored is
//!   left out: as long as the archive has none, no answer has any.
//! - `render(parse(text)) == text` for every file that this module wrote.
//!
//! Tested below; the files are run by `tests/golden.rs`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use async_trait::async_trait;
use meridian_wire::{Fault, Operation};

/// How often an eventually consistent read is sent at most.
const ATTEMPTS_MAX: u32 = 40;

/// Members whose last value requests can name.
pub const KEPT: [&str; 13] = [
    "BackupArn",
    "BackupCreationDateTime",
    "ExportArn",
    "ExportId",
    "ImportArn",
    "LatestRestorableDateTime",
    "LatestStreamArn",
    "LatestStreamLabel",
    "NextShardIterator",
    "NextToken",
    "SequenceNumber",
    "ShardId",
    "ShardIterator",
];

/// Begins an ARN of this service.
const ARN: &str = "arn:aws:dynamodb:";
/// The region that ARNs in requests name.
const REGION: &str = "eu-test-1";

/// Gives the answers that are compared.
#[async_trait]
pub trait Answering: Send {
    /// Sends one request; returns the status number and the body.
    async fn call(&mut self, target: &str, body: &str) -> (u16, String);

    /// Lets time pass while a table changes its status; false when it took too long.
    async fn pause(&mut self) -> bool;
}

/// One part of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Lines that begin with `#`.
    Comment(Vec<String>),
    /// Waits until a table has a status.
    Until {
        /// The status, or `GONE`, or `INDEXED`.
        status: String,
        /// The table.
        table: String,
    },
    /// A request with its answer.
    Exchange(Exchange),
}

/// A request with its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// What it shows.
    pub title: String,
    /// An operation or a whole target.
    pub target: String,
    /// The request's body.
    pub request: String,
    /// The answer's status number.
    pub status: u16,
    /// The answer's body, masked.
    pub answer: String,
}

/// What is wrong with a file, or with an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GoldenError {
    /// A line that does not fit the format.
    #[error("line {line}: {what}")]
    Format {
        /// Its number, from 1.
        line: usize,
        /// What was expected.
        what: &'static str,
    },
    /// A table did not get its status in time.
    #[error("table {table} did not become {status}")]
    Late {
        /// The table.
        table: String,
        /// The status.
        status: String,
    },
}

/// Parses a file.
pub fn parse(text: &str) -> Result<Vec<Part>, GoldenError> {
    let lines: Vec<&str> = text.lines().collect();
    let mut parts = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let block = lines[at..].iter().take_while(|line| !line.is_empty()).count();
        if block > 0 {
            parts.push(part(&lines[at..at + block], at + 1)?);
        }
        at += block.max(1);
    }
    Ok(parts)
}

fn part(block: &[&str], line: usize) -> Result<Part, GoldenError> {
    let format = |what| GoldenError::Format { line, what };
    if block[0].starts_with('#') {
        return Ok(Part::Comment(block.iter().map(|line| (*line).to_owned()).collect()));
    }
    if let Some(rest) = block[0].strip_prefix("@until ") {
        let (status, table) = rest.split_once(' ').ok_or(format("a status and a table"))?;
        return Ok(Part::Until { status: status.to_owned(), table: table.to_owned() });
    }
    let title = block[0].strip_prefix("== ").ok_or(format("a title, `== ...`"))?;
    let target = block.get(1).ok_or(format("an operation"))?;
    let split = block.iter().position(|line| *line == "----").ok_or(format("`----`"))?;
    let [status, answer @ ..] = &block[split + 1..] else { return Err(format("a status")) };
    Ok(Part::Exchange(Exchange {
        title: title.to_owned(),
        target: (*target).to_owned(),
        request: block[2..split].join("\n"),
        status: status.parse().map_err(|_| format("a status number"))?,
        answer: answer.join("\n"),
    }))
}

/// Prints a file.
pub fn render(parts: &[Part]) -> String {
    let blocks: Vec<String> = parts.iter().map(Part::render).collect();
    blocks.join("\n\n") + "\n"
}

impl Part {
    fn render(&self) -> String {
        match self {
            Part::Comment(lines) => lines.join("\n"),
            Part::Until { status, table } => format!("@until {status} {table}"),
            Part::Exchange(exchange) => exchange.render(),
        }
    }
}

impl Exchange {
    fn render(&self) -> String {
        let mut out = format!("== {}\n{}\n", self.title, self.target);
        if !self.request.is_empty() {
            out += &self.request;
            out += "\n";
        }
        // Writing to a String cannot fail.
        let _ = write!(out, "----\n{}", self.status);
        if !self.answer.is_empty() {
            out += "\n";
            out += &self.answer;
        }
        out
    }

    /// Returns the body to send: `<<text*times>>` written out.
    pub fn full_request(&self) -> String {
        let mut parts = self.request.split("<<");
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let repeated = part.split_once(">>").and_then(|(what, rest)| {
                let (text, times) = what.rsplit_once('*')?;
                Some(text.repeat(times.parse().ok()?) + rest)
            });
            out += &repeated.unwrap_or_else(|| format!("<<{part}"));
        }
        out
    }

    /// Tells whether the answer may be older than what was acknowledged before.
    fn is_eventual_read(&self) -> bool {
        let reads = ["GetItem", "BatchGetItem", "Query", "Scan", "ExecuteStatement"];
        reads.contains(&self.target.as_str()) && !self.request.contains("\"ConsistentRead\":true")
    }

    /// Returns the `X-Amz-Target` to send.
    pub fn full_target(&self) -> String {
        match Operation::from_name(&self.target) {
            Some(operation) => operation.target(),
            None => self.target.clone(),
        }
    }
}

/// Runs a file; returns it with the answers as they are now.
pub async fn run(parts: &[Part], answering: &mut dyn Answering) -> Result<Vec<Part>, GoldenError> {
    let mut now = Vec::with_capacity(parts.len());
    let mut kept = BTreeMap::new();
    for part in parts {
        match part {
            Part::Comment(_) => {}
            Part::Until { status, table } => {
                let job = if status == "EXPORTED" { "ExportArn" } else { "ImportArn" };
                until(answering, status, table, kept.get(job)).await?;
            }
            Part::Exchange(exchange) => {
                now.push(Part::Exchange(ask(answering, exchange, &mut kept).await));
                continue;
            }
        }
        now.push(part.clone());
    }
    Ok(now)
}

/// Sends a request; one that reads eventually consistent again, as long as it sees too little.
async fn ask(
    answering: &mut dyn Answering,
    exchange: &Exchange,
    kept: &mut BTreeMap<&'static str, String>,
) -> Exchange {
    let (target, mut request) = (exchange.full_target(), exchange.full_request());
    for (member, value) in &*kept {
        request = request.replace(&format!("<<{member}>>"), value);
    }
    if let Some(region) = kept.get(REGION) {
        request = request.replace(&format!("{ARN}{REGION}:"), &format!("{ARN}{region}:"));
    }
    let mut attempts = 0;
    loop {
        let (status, answer) = answering.call(&target, &request).await;
        let region = answer.rsplit_once(&format!("\"TableArn\":\"{ARN}"));
        let region = region.and_then(|(_, rest)| rest.split(':').next());
        kept.extend(region.map(|region| (REGION, region.to_owned())));
        for member in KEPT {
            let value = answer.rsplit(&format!("\"{member}\":")).next();
            let value = value.filter(|rest| rest.len() < answer.len());
            let value = value.and_then(|rest| match rest.strip_prefix('"') {
                Some(text) => text.split('"').next(),
                None => rest.split([',', '}']).next(),
            });
            kept.extend(value.map(|value| (member, value.to_owned())));
            // The names of an export's files have its id in them.
            if let ("ExportArn", Some((_, id))) = (member, value.and_then(|v| v.rsplit_once('/'))) {
                kept.insert("ExportId", id.to_owned());
            }
        }
        let got = Exchange { status, answer: mask(&answer), ..exchange.clone() };
        attempts += 1;
        let again = got != *exchange && exchange.is_eventual_read() && attempts < ATTEMPTS_MAX;
        if !again || !answering.pause().await {
            return got;
        }
    }
}

/// Describes where two runs of a file differ; empty when they agree.
pub fn differences(want: &[Part], got: &[Part]) -> String {
    let mut out = String::new();
    for (want, got) in want.iter().zip(got) {
        if let (Part::Exchange(want), Part::Exchange(got)) = (want, got)
            && want != got
        {
            let _ = write!(
                out,
                "== {}\n{}\n{}\nwanted {} {}\n   got {} {}\n\n",
                want.title,
                want.target,
                want.request,
                want.status,
                want.answer,
                got.status,
                got.answer
            );
        }
    }
    out
}

async fn until(
    answering: &mut dyn Answering,
    status: &str,
    table: &str,
    job: Option<&String>,
) -> Result<(), GoldenError> {
    let body = format!("{{\"TableName\":\"{table}\"}}");
    let asks = match status {
        "RESTORABLE" => Operation::DescribeContinuousBackups,
        "BACKED-UP" => Operation::ListBackups,
        "EXPORTED" => Operation::DescribeExport,
        "IMPORTED" => Operation::DescribeImport,
        _ => Operation::DescribeTable,
    };
    let body = match (asks, job) {
        (Operation::DescribeExport, Some(arn)) => format!("{{\"ExportArn\":\"{arn}\"}}"),
        (Operation::DescribeImport, Some(arn)) => format!("{{\"ImportArn\":\"{arn}\"}}"),
        _ => body,
    };
    let (wanted, unwanted) = match status {
        "RESTORABLE" => ("\"LatestRestorableDateTime\":".to_owned(), None),
        "BACKED-UP" => ("\"AVAILABLE\"".to_owned(), Some("\"CREATING\"")),
        "GONE" => ("ResourceNotFoundException".to_owned(), None),
        "EXPORTED" | "IMPORTED" => ("\"EndTime\":".to_owned(), None),
        "INDEXED" => ("\"TableStatus\":\"ACTIVE\"".to_owned(), Some("ING\"")),
        status => (format!("\"TableStatus\":\"{status}\""), None),
    };
    loop {
        let (_, answer) = answering.call(&asks.target(), &body).await;
        let changing = unwanted.is_some_and(|ending| answer.contains(ending));
        if answer.contains(&wanted) && !changing {
            return Ok(());
        }
        if !answering.pause().await {
            let (table, status) = (table.to_owned(), status.to_owned());
            return Err(GoldenError::Late { table, status });
        }
    }
}

/// The status number that the transcripts state for a fault. They are the one thing here that
/// speaks of HTTP: over HTTP the number is `server`'s.
pub fn status_of(fault: Fault) -> u16 {
    match fault {
        Fault::Client => 400,
        Fault::Server => 500,
        Fault::ServerUnavailable => 503,
    }
}

/// Members whose value differs from run to run.
const MASKED: [&str; 36] = [
    "Address",
    "ApproximateCreationDateTime",
    "BackupCreationDateTime",
    "BackupExpiryDateTime",
    "BackupSizeBytes",
    "BilledSizeBytes",
    "ClientToken",
    "CreationDateTime",
    "CreationRequestDateTime",
    "EndTime",
    "EndingSequenceNumber",
    "ExportManifest",
    "ExportTime",
    "IndexSizeBytes",
    "ItemCount",
    "LastDecreaseDateTime",
    "LastEvaluatedShardId",
    "LastIncreaseDateTime",
    "LastUpdateDateTime",
    "LastUpdateToPayPerRequestDateTime",
    "LatestStreamLabel",
    "NextShardIterator",
    "NumberOfDecreasesToday",
    "RestoreDateTime",
    "RevisionId",
    "SequenceNumber",
    "ShardId",
    "ShardIterator",
    "StartTime",
    "StartingSequenceNumber",
    "StreamLabel",
    "TableCreationDateTime",
    "TableId",
    "TableSizeBytes",
    "awsRegion",
    "eventID",
];

/// The bounds of what can be restored.
const BOUNDS: [&str; 2] = ["EarliestRestorableDateTime", "LatestRestorableDateTime"];

/// Masks what differs from run to run.
pub fn mask(answer: &str) -> String {
    let mut out = answer.to_owned();
    for member in MASKED {
        out = mask_member(&out, member);
    }
    for bound in BOUNDS {
        out = mask_bound(&out, bound);
    }
    for kind in PAGES {
        out = mask_pages(&out, kind);
    }
    mask_arns(&mask_folders(&out))
}

/// Masks ids of exports in names of objects.
fn mask_folders(text: &str) -> String {
    const FOLDER: &str = "AWSDynamoDB/";
    let mut parts = text.split(FOLDER);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (id, rest) = part.split_at(part.find('/').unwrap_or_default());
        let shown = if id.contains('-') { "<id>" } else { id };
        out += &format!("{FOLDER}{shown}{rest}");
    }
    out
}

/// What tokens of pages of exports and of imports begin with, and how long they are.
const PAGES: [&str; 2] = ["6578706f7274", "696d706f7274"];
const PAGE_CHARACTERS: usize = 128;

/// Masks tokens of pages, which name an export or import.
fn mask_pages(text: &str, kind: &str) -> String {
    let mut parts = text.split(kind);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.get(PAGE_CHARACTERS - kind.len()..) {
            Some(rest) => out += &format!("<page>{rest}"),
            None => out += &format!("{kind}{part}"),
        }
    }
    out
}

/// Leaves out a bound of what can be restored, which stands before another member, and masks it in a
/// text.
fn mask_bound(text: &str, bound: &str) -> String {
    let (member, quoted) = (format!("\"{bound}\":"), format!("{bound} '"));
    let mut out = text.to_owned();
    if let Some((before, rest)) = text.split_once(&member)
        && let Some((_, rest)) = rest.split_once(',')
    {
        out = format!("{before}{rest}");
    }
    if let Some((before, rest)) = text.split_once(&quoted)
        && let Some((_, rest)) = rest.split_once('\'')
    {
        out = format!("{before}{quoted}<{bound}>'{rest}");
    }
    out
}

fn mask_member(text: &str, member: &str) -> String {
    let key = format!("\"{member}\":");
    let mut parts = text.split(&key);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = match part.strip_prefix('"') {
            Some(rest) => rest.find('"').map_or(part.len(), |at| at + 2),
            None => part.find([',', '}']).unwrap_or(part.len()),
        };
        let _ = write!(out, "{key}\"<{member}>\"{}", &part[end..]);
    }
    out
}

fn mask_arns(text: &str) -> String {
    let mut parts = text.split(ARN);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        // region ":" account ":" resource
        let resource = part.splitn(3, ':').nth(2).unwrap_or(part);
        let end = resource.find('"').unwrap_or(resource.len());
        let (resource, rest) = resource.split_at(end);
        let named = ["stream", "backup", "export", "import"].into_iter().find_map(|kind| {
            let (table, _) = resource.split_once(&format!("/{kind}/"))?;
            let label = if matches!(kind, "stream" | "backup") { "label" } else { "id" };
            Some(format!("{table}/{kind}/<{label}>"))
        });
        let resource = named.unwrap_or_else(|| resource.to_owned());
        let _ = write!(out, "{ARN}<region>:<account>:{resource}{rest}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# A comment.\n\n== shows\nPutItem\n{\"a\":\n1}\n----\n200\n{}\n\n\
                        @until ACTIVE t\n\n== no body\nDynamoDB_20120810.X\n----\n400\n";

    #[test]
    fn files_round_trip() {
        let parts = parse(FILE).unwrap();
        assert_eq!(render(&parts), FILE);
        let [_, Part::Exchange(put), Part::Until { .. }, Part::Exchange(other)] = &parts[..] else {
            panic!("{parts:?}");
        };
        assert_eq!((put.request.as_str(), put.status), ("{\"a\":\n1}", 200));
        assert_eq!(put.full_target(), "DynamoDB_20120810.PutItem");
        assert_eq!(
            (other.full_target().as_str(), other.answer.as_str()),
            ("DynamoDB_20120810.X", "")
        );
    }

    #[test]
    fn long_texts_are_written_short() {
        let exchange = |request: &str| Exchange {
            title: String::new(),
            target: String::new(),
            request: request.to_owned(),
            status: 200,
            answer: String::new(),
        };
        assert_eq!(exchange("a<<xy*3>>b<<<*2>>").full_request(), "axyxyxyb<<");
        assert_eq!(exchange("<<x>> <<").full_request(), "<<x>> <<");
    }

    #[test]
    fn bad_files_name_the_line() {
        for (text, line) in [("x", 1), ("\n== t\nPutItem", 2), ("== t\nP\n----\nx", 1)] {
            let error = parse(text).unwrap_err();
            assert!(matches!(error, GoldenError::Format { line: at, .. } if at == line), "{error}");
        }
    }

    #[test]
    fn masks() {
        assert_eq!(
            mask(
                r#"{"CreationDateTime":1.5,"TableId":"x-y","A":"arn:aws:dynamodb:eu:000:table/t/stream/2026-01:00"}"#
            ),
            r#"{"CreationDateTime":"<CreationDateTime>","TableId":"<TableId>","A":"arn:aws:dynamodb:<region>:<account>:table/t/stream/<label>"}"#
        );
        let folder = r#"{"S3KeyPrefix":"p/AWSDynamoDB/0170-beef/data/","b":"AWSDynamoDB/data/x"}"#;
        let masked = r#"{"S3KeyPrefix":"p/AWSDynamoDB/<id>/data/","b":"AWSDynamoDB/data/x"}"#;
        assert_eq!(mask(folder), masked);
        let page = format!(r#"{{"NextToken":"6578706f7274{}"}}"#, "0".repeat(116));
        assert_eq!(mask(&page), r#"{"NextToken":"<page>"}"#);
        assert_eq!(mask("6578706f7274"), "6578706f7274");
        let export = r#"{"A":"arn:aws:dynamodb:eu:000:table/t/export/0170-beef"}"#;
        assert_eq!(
            mask(export),
            r#"{"A":"arn:aws:dynamodb:<region>:<account>:table/t/export/<id>"}"#
        );
        let window = r#"{"EarliestRestorableDateTime":1,"LatestRestorableDateTime":2,"A":3}"#;
        assert_eq!(mask(window), r#"{"A":3}"#);
        let text = "a LatestRestorableDateTime '2026-10-08T23:16:33Z' b";
        assert_eq!(mask(text), "a LatestRestorableDateTime '<LatestRestorableDateTime>' b");
    }
}
