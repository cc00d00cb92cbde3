//! `cargo xtask golden`: the golden transcripts of `tests/golden`, in process by the test of the
//! `api` crate, or against whatever answers at a URL.
//!
//! # Invariants
//!
//! - Files are rewritten only when asked to (`--bless`).
//! - Against a URL the tables of a file are deleted before and after it.

use crate::{cargo, root};
use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use meridian_api::golden::{Answering, Part, differences, parse, render, run as play};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a table may take to change its status.
const STATUS_LIMIT: Duration = Duration::from_secs(60);
/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(100);
/// How long one answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// What `golden` takes.
#[derive(clap::Args)]
pub struct Arguments {
    /// Asks this endpoint, such as `http://127.0.0.1:8000`, instead of the code in process.
    #[arg(long)]
    url: Option<String>,
    /// Writes the answers into the files.
    #[arg(long)]
    bless: bool,
}

/// Runs the transcripts; false when an answer differs.
pub fn run(arguments: &Arguments) -> Result<bool> {
    match &arguments.url {
        None => in_process(arguments.bless),
        Some(url) => against(url, arguments.bless),
    }
}

fn in_process(bless: bool) -> Result<bool> {
    let mut command = cargo()?;
    command.args(["test", "--package", "meridian-api", "--lib", "golden"]);
    if bless {
        command.env("MERIDIAN_GOLDEN", "rewrite");
    }
    Ok(command.status().context("cargo test does not start")?.success())
}

fn against(url: &str, bless: bool) -> Result<bool> {
    let authority = url.strip_prefix("http://").context("only http:// is supported")?;
    let authority = authority.trim_end_matches('/').to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut good = true;
    for path in files()? {
        let text = std::fs::read_to_string(&path)?;
        let parts = parse(&text).with_context(|| path.display().to_string())?;
        let mut endpoint =
            Endpoint { authority: authority.clone(), last: String::new(), asked: None };
        let tables = tables(&parts);
        runtime.block_on(endpoint.drop_tables(&tables))?;
        let now = runtime.block_on(play(&parts, &mut endpoint));
        runtime.block_on(endpoint.drop_tables(&tables))?;
        let now = now.with_context(|| path.display().to_string())?;
        let found = differences(&parts, &now);
        if bless {
            std::fs::write(&path, render(&now))?;
        } else if !found.is_empty() {
            println!("{}\n{found}", path.display());
            good = false;
        }
    }
    Ok(good)
}

fn files() -> Result<Vec<PathBuf>> {
    let folder: &Path = &root()?.join("tests/golden");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The tables that a file creates or imports.
fn tables(parts: &[Part]) -> BTreeSet<String> {
    let mut tables = BTreeSet::new();
    for part in parts {
        if let Part::Exchange(exchange) = part
            && ["CreateTable", "ImportTable"].contains(&exchange.target.as_str())
            && let Ok(request) = serde_json::from_str::<serde_json::Value>(&exchange.full_request())
            && let imported = &request["TableCreationParameters"]["TableName"]
            && let Some(name) = request["TableName"].as_str().or(imported.as_str())
        {
            tables.insert(name.to_owned());
        }
    }
    tables
}

/// An endpoint on the network.
struct Endpoint {
    authority: String,
    /// The last request.
    last: String,
    /// Since when it is waited for another answer to it.
    asked: Option<Instant>,
}

impl Endpoint {
    async fn drop_tables(&mut self, tables: &BTreeSet<String>) -> Result<()> {
        for table in tables {
            let name = serde_json::json!({ "TableName": table }).to_string();
            let unprotect = serde_json::json!({
                "TableName": table,
                "DeletionProtectionEnabled": false,
            });
            let (status, _) = self.ask("DynamoDB_20120810.DescribeTable", &name)?;
            if status != 200 {
                continue;
            }
            self.ask("DynamoDB_20120810.UpdateTable", &unprotect.to_string())?;
            let deadline = Instant::now() + STATUS_LIMIT;
            loop {
                self.ask("DynamoDB_20120810.DeleteTable", &name)?;
                let (status, _) = self.ask("DynamoDB_20120810.DescribeTable", &name)?;
                if status != 200 {
                    break;
                }
                if Instant::now() > deadline {
                    bail!("table {table} is not deleted");
                }
                std::thread::sleep(LOOK);
            }
        }
        Ok(())
    }

    fn ask(&self, target: &str, body: &str) -> Result<(u16, String)> {
        let mut stream = TcpStream::connect(&self.authority)
            .with_context(|| format!("nothing answers at {}", self.authority))?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        let head = format!(
            "POST / HTTP/1.1\r\nHost: {}\r\nX-Amz-Target: {target}\r\n\
             Content-Type: application/x-amz-json-1.0\r\nContent-Length: {}\r\n\
             X-Amz-Date: 20260101T000000Z\r\nAuthorization: AWS4-HMAC-SHA256 \
             Credential=golden/20260101/us-east-1/dynamodb/aws4_request, \
             SignedHeaders=host;x-amz-date;x-amz-target, Signature={}\r\nConnection: close\r\n\r\n",
            self.authority,
            body.len(),
            "0".repeat(64),
        );
        stream.write_all(head.as_bytes())?;
        // A server may answer and close before it has read a body that it refuses.
        let sent = stream.write_all(body.as_bytes());
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        if answer.is_empty() {
            sent.and(read.map(drop))?;
        }
        parse_answer(&answer)
    }
}

fn parse_answer(answer: &[u8]) -> Result<(u16, String)> {
    let split = answer.windows(4).position(|window| window == b"\r\n\r\n");
    let (head, body) = answer.split_at(split.context("an answer without a head")?);
    let head = String::from_utf8_lossy(head);
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = &body[4..];
    let body = if chunked { unchunked(body)? } else { body.to_vec() };
    Ok((status.context("an answer without a status")?, String::from_utf8(body)?))
}

fn unchunked(mut rest: &[u8]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|window| window == b"\r\n");
        let line = line.context("a chunk without a length")?;
        let length = std::str::from_utf8(&rest[..line])?;
        let length = usize::from_str_radix(length.trim(), 16)?;
        if length == 0 {
            return Ok(body);
        }
        let start = line + 2;
        body.extend(rest.get(start..start + length).context("a chunk that is cut short")?);
        rest = rest.get(start + length + 2..).context("a chunk that is cut short")?;
    }
}

#[async_trait]
impl Answering for Endpoint {
    async fn call(&mut self, target: &str, body: &str) -> (u16, String) {
        // Whoever waits sends one request again and again.
        let request = format!("{target} {body}");
        if self.last != request {
            (self.last, self.asked) = (request, None);
        }
        self.ask(target, body).unwrap_or_else(|error| (0, format!("{error:#}")))
    }

    async fn pause(&mut self) -> bool {
        let asked = *self.asked.get_or_insert_with(Instant::now);
        std::thread::sleep(LOOK);
        asked.elapsed() < STATUS_LIMIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_whole_or_in_chunks() {
        let plain = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(parse_answer(plain).unwrap(), (200, "{}".to_owned()));
        let chunked =
            b"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n2\r\n\":\r\n0\r\n\r\n";
        assert_eq!(parse_answer(chunked).unwrap(), (400, "{\"a\":".to_owned()));
        assert!(parse_answer(b"").is_err());
    }
}
