//! Reads a whole restored table by a parallel, strongly consistent Scan.
//!
//! # Invariants
//!
//! - Nothing that is there is passed over, whatever it looks like.
//!
//! Tested below: what counts as a whole item.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::judge::Shown;
use crate::client::Client;
use crate::items;

/// Segments that are read at once.
const SEGMENTS: usize = 6;
/// Longest wait for one page.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// What a table shows.
#[derive(Debug, Default)]
pub struct Table {
    /// Its items, by the text of their keys.
    pub items: BTreeMap<String, Shown>,
    /// Their bytes, as DynamoDB counts them.
    pub bytes: u64,
    /// Keys that were shown twice, or have no text.
    pub odd: Vec<String>,
}

/// Reads all of a table.
///
/// # Errors
///
/// If a page is not answered, again and again.
pub async fn read(endpoints: &[String], name: &str, item_bytes: usize) -> anyhow::Result<Table> {
    let mut segments = JoinSet::new();
    for (segment, url) in (0..SEGMENTS).zip(endpoints.iter().cycle()) {
        let client = Arc::new(Client::patient(url, ANSWER_TIMEOUT)?);
        segments.spawn(read_segment(client, name.to_owned(), segment, item_bytes));
    }
    let mut table = Table::default();
    while let Some(read) = segments.join_next().await {
        let (items, bytes, odd) = read??;
        table.bytes += bytes;
        table.odd.extend(odd);
        for (key, shown) in items {
            if let Some(twice) = table.items.insert(key.clone(), shown) {
                table.odd.push(format!("{key} twice: {twice:?} and {shown:?}"));
            }
        }
    }
    Ok(table)
}

type Segment = (Vec<(String, Shown)>, u64, Vec<String>);

async fn read_segment(
    client: Arc<Client>,
    name: String,
    segment: usize,
    item_bytes: usize,
) -> anyhow::Result<Segment> {
    let mut body = json!({
        "TableName": name,
        "ConsistentRead": true,
        "Segment": segment,
        "TotalSegments": SEGMENTS,
    });
    let (mut found, mut bytes, mut odd) = (Vec::new(), 0, Vec::new());
    loop {
        let page = items::scan_page(&client, &body).await?;
        for item in page.get("Items").and_then(Value::as_array).context("a page without items")? {
            bytes += bytes_of(item);
            match item.get("pk").and_then(text) {
                Some(key) => found.push((key.to_owned(), shown(item, item_bytes))),
                None => odd.push(item.to_string()),
            }
        }
        match page.get("LastEvaluatedKey") {
            Some(last) if !last.is_null() => body["ExclusiveStartKey"] = last.clone(),
            Some(_) | None => return Ok((found, bytes, odd)),
        }
    }
}

fn text(value: &Value) -> Option<&str> {
    value.get("S").and_then(Value::as_str)
}

/// What an item is, of those that the drill writes.
fn shown(item: &Value, item_bytes: usize) -> Shown {
    let padded = item.get("pad").and_then(text);
    let padded =
        padded.is_some_and(|pad| pad.len() == item_bytes && pad.bytes().all(|b| b == b'x'));
    let attributes = item.as_object().map_or(0, serde_json::Map::len);
    Shown { write: items::write_of(item), whole: padded && attributes == 3 }
}

/// The size of an item of texts: those of the names and of the values.
fn bytes_of(item: &Value) -> u64 {
    let attributes = item.as_object().into_iter().flatten();
    let sizes = attributes.map(|(name, value)| name.len() + text(value).map_or(0, str::len));
    sizes.sum::<usize>() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Key, Write};

    #[test]
    fn an_item_is_whole_with_its_three_attributes_only() {
        let write = Write { client: 1, sequence: 2 };
        let item = items::item(Key::Pool(7), write, 4);
        assert_eq!(shown(&item, 4), Shown { write: Some(write), whole: true });
        assert_eq!(bytes_of(&item), 2 + 2 + 1 + 3 + 3 + 4);
        let changed = |change: fn(&mut Value)| {
            let mut item = item.clone();
            change(&mut item);
            shown(&item, 4)
        };
        let parts: [fn(&mut Value); 4] = [
            |item| item["pad"] = json!({ "S": "xxx" }),
            |item| item["pad"] = json!({ "S": "xxxy" }),
            |item| item["more"] = json!({ "S": "" }),
            |item| drop(item.as_object_mut().unwrap().remove("pad")),
        ];
        for part in parts {
            assert_eq!(changed(part), Shown { write: Some(write), whole: false });
        }
        assert_eq!(changed(|item| item["v"] = json!({ "N": "1" })).write, None);
    }
}
