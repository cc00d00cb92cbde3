//! Which admin call a path and a body mean.

use http::{Method, Uri};
use meridian_api::admin::{AdminCall, ArchivedSource, RestoreKind};
use serde_json::Value;

/// What a request wants done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    Call(AdminCall),
    BlackHole(bool),
}

/// Why a request means nothing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unroutable {
    NotFound,
    Invalid(String),
}

/// Reads a request.
pub(super) fn action(method: &Method, uri: &Uri, body: &Value) -> Result<Action, Unroutable> {
    let path: Vec<String> = uri.path().split('/').skip(1).map(unescaped).collect();
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let query = Query(uri.query().unwrap_or_default());
    match *method {
        Method::GET => reading(&path, &query).map(Action::Call),
        Method::POST => match path[..] {
            ["admin", "blackhole"] => {
                let on = body.get("on").and_then(Value::as_bool);
                on.map(Action::BlackHole).ok_or_else(|| invalid("`on` must be true or false"))
            }
            _ => doing(&path, body).map(Action::Call),
        },
        _ => Err(Unroutable::NotFound),
    }
}

fn reading(path: &[&str], query: &Query<'_>) -> Result<AdminCall, Unroutable> {
    Ok(match *path {
        ["admin", "status"] => AdminCall::Status,
        ["admin", "tables"] => AdminCall::Tables,
        ["admin", "regions"] => AdminCall::Regions,
        ["admin", "lag"] => AdminCall::Lag,
        ["admin", "archive"] => AdminCall::Archived,
        ["admin", "restoring", table] => AdminCall::Restoring { table: table.to_owned() },
        ["admin", "conflicts", table] => AdminCall::Conflicts { table: table.to_owned() },
        ["admin", "digest", table] => {
            AdminCall::Digest { table: table.to_owned(), partition: query.number("partition")? }
        }
        // The entries of an index are kept as a table of this name.
        ["admin", "digest", table, index] => AdminCall::Digest {
            table: format!("{table}/{index}"),
            partition: query.number("partition")?,
        },
        ["admin", "dump", table] => AdminCall::Dump {
            table: table.to_owned(),
            partition: partition(query)?,
            after: query.text("after"),
        },
        ["admin", "entries", table, index] => AdminCall::Entries {
            table: table.to_owned(),
            index: index.to_owned(),
            partition: partition(query)?,
            after: query.text("after"),
        },
        _ => return Err(Unroutable::NotFound),
    })
}

fn partition(query: &Query<'_>) -> Result<u64, Unroutable> {
    query.number("partition")?.ok_or_else(|| invalid("`partition` is needed"))
}

fn doing(path: &[&str], body: &Value) -> Result<AdminCall, Unroutable> {
    Ok(match *path {
        ["admin", "cluster", "init"] => AdminCall::ClusterInit { nodes: number(body, "nodes")? },
        ["admin", "region", region, "fail"] => AdminCall::RegionFail {
            region: region.to_owned(),
            override_epoch: number(body, "override_epoch")?,
        },
        ["admin", "region", region, "restore"] => {
            AdminCall::RegionRestore { region: region.to_owned() }
        }
        ["admin", "region", region, "evacuate"] => AdminCall::RegionEvacuate {
            region: region.to_owned(),
            target: body.get("target").and_then(Value::as_str).map(str::to_owned),
            abort: body.get("abort").and_then(Value::as_bool).unwrap_or(false),
        },
        ["admin", "rewrap"] => {
            AdminCall::Rewrap { cluster: text(body, "cluster")?, region: text(body, "region")? }
        }
        ["admin", "restore"] => AdminCall::Restore {
            from: archived_source(body)?,
            to: needed_text(body, "to")?,
            at_ms: number(body, "at_ms")?,
            kind: match (flag(body, "all_settings")?, flag(body, "scratch")?) {
                (true, true) => {
                    return Err(invalid("only one of `all_settings` and `scratch` may be true"));
                }
                (true, false) => RestoreKind::AllSettings,
                (false, true) => RestoreKind::Scratch,
                (false, false) => RestoreKind::Usual,
            },
        },
        ["admin", "compare"] => AdminCall::Compare {
            from: archived_source(body)?,
            restored: needed_text(body, "restored")?,
            partition: needed_number(body, "partition")?,
            at_ms: needed_number(body, "at_ms")?,
        },
        ["admin", "table", "swap"] => AdminCall::TableSwap {
            first: needed_text(body, "first")?,
            second: needed_text(body, "second")?,
        },
        ["admin", "table", "drop"] => AdminCall::TableDrop { table: needed_text(body, "table")? },
        ["admin", "node", "start"] => AdminCall::NodeStart { node: node(body)? },
        ["admin", "node", "add"] => AdminCall::NodeAdd { node: node(body)? },
        ["admin", "node", "drain"] => AdminCall::NodeDrain { node: node(body)? },
        ["admin", "node", "remove"] => AdminCall::NodeRemove { node: node(body)? },
        _ => return Err(Unroutable::NotFound),
    })
}

fn invalid(text: &str) -> Unroutable {
    Unroutable::Invalid(text.to_owned())
}

fn archived_source(body: &Value) -> Result<ArchivedSource, Unroutable> {
    Ok(ArchivedSource {
        source: needed_text(body, "source")?,
        is_backup: flag(body, "backup")?,
        cluster: text(body, "cluster")?,
        region: text(body, "region")?,
    })
}

fn node(body: &Value) -> Result<u64, Unroutable> {
    needed_number(body, "node")
}

fn needed_number(body: &Value, name: &str) -> Result<u64, Unroutable> {
    number(body, name)?.ok_or_else(|| invalid(&format!("`{name}` is needed")))
}

fn needed_text(body: &Value, name: &str) -> Result<String, Unroutable> {
    text(body, name)?.ok_or_else(|| invalid(&format!("`{name}` is needed")))
}

fn text(body: &Value, name: &str) -> Result<Option<String>, Unroutable> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(invalid(&format!("`{name}` must be a text"))),
    }
}

/// False when absent.
fn flag(body: &Value, name: &str) -> Result<bool, Unroutable> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => Err(invalid(&format!("`{name}` must be true or false"))),
    }
}

fn number(body: &Value, name: &str) -> Result<Option<u64>, Unroutable> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64() {
            Some(number) => Ok(Some(number)),
            None => Err(Unroutable::Invalid(format!("`{name}` must be a whole number"))),
        },
    }
}

struct Query<'a>(&'a str);

impl Query<'_> {
    fn text(&self, name: &str) -> Option<String> {
        let pairs = self.0.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(key, _)| *key == name).map(|(_, value)| unescaped(value)).next()
    }

    fn number(&self, name: &str) -> Result<Option<u64>, Unroutable> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let number = text.parse().ok();
        number.map(Some).ok_or_else(|| Unroutable::Invalid(format!("`{name}` must be a number")))
    }
}

/// Undoes percent-encoding; what is not an escape stays as it is.
fn unescaped(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escape = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match escape.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(value) if byte == b'%' => {
                out.push(value);
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
