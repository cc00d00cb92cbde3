//! Tables for people out of the JSON that nodes answer.
//!
//! Every list of objects becomes a table with a column a field; the rest is listed by name.

use serde_json::{Map, Value};

/// The whole answer as text.
pub(super) fn text(value: &Value) -> String {
    let Value::Object(fields) = value else { return cell(value) };
    let (lists, plain): (Vec<_>, Vec<_>) = fields.iter().partition(|(_, v)| is_table(v));
    let width = plain.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut blocks = Vec::new();
    if !plain.is_empty() {
        let lines = plain.iter().map(|(name, v)| format!("{name:<width$}  {}", cell(v)));
        blocks.push(lines.collect::<Vec<_>>().join("\n"));
    }
    for (name, list) in lists {
        let rows = list.as_array().map(Vec::as_slice).unwrap_or_default();
        blocks.push(format!("{name}\n{}", table(rows)));
    }
    blocks.join("\n\n")
}

/// True for a list of objects, an empty one included.
fn is_table(value: &Value) -> bool {
    value.as_array().is_some_and(|list| list.iter().all(Value::is_object))
}

fn table(rows: &[Value]) -> String {
    if rows.is_empty() {
        return "  none".to_owned();
    }
    let rows: Vec<&Map<String, Value>> = rows.iter().filter_map(Value::as_object).collect();
    let mut columns: Vec<&String> = Vec::new();
    for name in rows.iter().flat_map(|row| row.keys()) {
        if !columns.contains(&name) {
            columns.push(name);
        }
    }
    let head = columns.iter().map(|name| name.replace('_', " ")).collect();
    let body = rows.iter().map(|row| {
        columns.iter().map(|name| row.get(*name).map(cell).unwrap_or_default()).collect()
    });
    let lines: Vec<Vec<String>> = std::iter::once(head).chain(body).collect();
    let width = |at: usize| lines.iter().map(|line| line[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |cells: &Vec<String>| {
        let padded = cells.iter().zip(&widths).map(|(text, &width)| format!("{text:<width$}"));
        format!("  {}", padded.collect::<Vec<_>>().join("  ").trim_end())
    };
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// One value in one cell.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(cell).collect::<Vec<_>>().join(","),
        Value::Object(fields) => {
            let field = |(name, v): (&String, &Value)| format!("{name}={}", cell(v));
            fields.iter().map(field).collect::<Vec<_>>().join(" ")
        }
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_become_tables() {
        let answer = json!({
            "cluster_id": "c",
            "regions": [
                {"name": "us-east-1", "state": "Active", "epoch": 1},
                {"name": "eu", "state": "Lost", "epoch": 12, "since_ms": 5},
            ],
            "nodes": [],
            "partitions": [{"partition": 16, "leader": null, "replicas": [1, 2]}],
        });
        let expected = "\
cluster_id  c

regions
  name       state   epoch  since ms
  us-east-1  Active  1
  eu         Lost    12     5

nodes
  none

partitions
  partition  leader  replicas
  16         -       1,2";
        assert_eq!(text(&answer), expected);
    }
}
