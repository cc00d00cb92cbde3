//! ExecuteStatement.

use meridian_model::Item;
use meridian_wire::json::{Array, Object};
use meridian_wire::{ApiError, Fields, write_item};

use crate::backend::Backend;
use crate::capacity::Report;
use crate::partiql::{self, Fingerprint, One, Plan, Request, Start};
use crate::reads;

/// Answers ExecuteStatement.
pub async fn run(backend: &dyn Backend, mut fields: Fields) -> Result<Vec<u8>, ApiError> {
    let request = Request::take(&mut fields)?;
    let (limit, report) = (reads::limit(&mut fields), Report::take(&mut fields));
    let token = fields.take_text("NextToken");
    let plan = partiql::plan(backend, request.statement()?, request.old_on_failure)?;
    let one = match plan {
        Plan::Pages(pages) => {
            let fingerprint = Fingerprint::of(&request);
            let place = token.map(|token| fingerprint.place(&token, &pages)).transpose()?;
            let start = Start { place, limit, consistency: request.consistency };
            let found = partiql::run_pages(backend, &pages, start).await?;
            let next = match found.next {
                None => None,
                Some((place, last)) => Some((last, fingerprint.token(&place)?)),
            };
            return Ok(answer(
                |object| report.write(object, &pages.table.name, &found.consumed),
                &found.items,
                next,
            ));
        }
        // A statement about one item never gives a token.
        Plan::One(_) | Plan::Write(_) if token.is_some() => return Err(partiql::mismatch()),
        Plan::One(read) => One::Read(read, request.consistency),
        Plan::Write(write) => One::Write(write),
    };
    let outcome = partiql::run_one(backend, one).await?;
    let items: Vec<Item> = outcome.item.into_iter().collect();
    let capacity =
        |object: &mut Object<'_>| report.write(object, &outcome.table, &outcome.consumed);
    Ok(answer(capacity, &items, None))
}

/// Writes the answer; `next` is the last key and the token.
fn answer(
    capacity: impl FnOnce(&mut Object<'_>),
    items: &[Item],
    next: Option<(Item, String)>,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    let mut object = Object::open(&mut out);
    capacity(&mut object);
    let mut list = Array::open(object.key("Items"));
    for item in items {
        write_item(list.element(), item);
    }
    list.close();
    if let Some((last, token)) = next {
        write_item(object.key("LastEvaluatedKey"), &last);
        object.text("NextToken", &token);
    }
    object.close();
    out
}
