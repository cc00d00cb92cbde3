//! ListTables.

use meridian_wire::Fields;
use meridian_wire::json::{Array, Object, string};

use crate::backend::Backend;

/// Most names of one answer (AWS: ListTables).
const NAMES_MAX: usize = 100;

/// Answers ListTables.
pub fn run(backend: &dyn Backend, mut fields: Fields) -> Vec<u8> {
    let after = fields.take_text("ExclusiveStartTableName");
    let limit = fields.take_number("Limit").and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.unwrap_or(NAMES_MAX).min(NAMES_MAX);
    // One more than asked tells whether there is a next page.
    let mut names = backend.table_names(after.as_deref(), limit + 1);
    let more = names.len() > limit;
    names.truncate(limit);
    let mut out = Vec::new();
    let mut answer = Object::open(&mut out);
    if let Some(last) = names.last().filter(|_| more) {
        answer.text("LastEvaluatedTableName", last);
    }
    let mut list = Array::open(answer.key("TableNames"));
    for name in &names {
        string(list.element(), name);
    }
    list.close();
    answer.close();
    out
}
