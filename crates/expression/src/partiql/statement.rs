//! The grammar of whole statements.
//!
//! Tested by `partiql/tests.rs`.

use meridian_base::limits::NESTING_LEVELS_MAX;
use meridian_model::{AttributeValue, depth};

use super::cursor::Cursor;
use super::error::{Malformed, StatementError};
use super::{Delete, Exists, Insert, Order, Returning, Select, Statement, Update};
use crate::path::Path;

/// Reads a statement.
pub(super) fn parse(
    text: &str,
    parameters: &[AttributeValue],
) -> Result<Statement, StatementError> {
    let mut cursor = Cursor::new(text, parameters)?;
    let statement = if cursor.take_word("SELECT") {
        Statement::Select(cursor.select()?)
    } else if cursor.take_word("INSERT") {
        Statement::Insert(cursor.insert()?)
    } else if cursor.take_word("UPDATE") {
        Statement::Update(cursor.update()?)
    } else if cursor.take_word("DELETE") {
        Statement::Delete(cursor.delete()?)
    } else if cursor.take_word("EXISTS") {
        Statement::Exists(cursor.exists()?)
    } else {
        return Err(Malformed::Manipulation.into());
    };
    cursor.end()?;
    Ok(statement)
}

impl Cursor<'_> {
    fn select(&mut self) -> Result<Select, StatementError> {
        let columns = if self.take_sign("*") { Vec::new() } else { self.columns()? };
        self.expect_word("FROM")?;
        let table = self.name()?;
        let index = if self.take_sign(".") { Some(self.name()?) } else { None };
        let condition = if self.take_word("WHERE") { Some(self.condition()?) } else { None };
        let order = if self.take_word("ORDER") { self.order()? } else { Vec::new() };
        Ok(Select { columns, table, index, condition, order })
    }

    fn exists(&mut self) -> Result<Exists, StatementError> {
        self.expect_sign("(")?;
        self.expect_word("SELECT")?;
        let Select { table, index, condition, order, .. } = self.select()?;
        self.expect_sign(")")?;
        if index.is_some() || !order.is_empty() {
            return Err(StatementError::Unsupported(
                "an index, or ORDER BY, within EXISTS".to_owned(),
            ));
        }
        let condition = condition.ok_or(Malformed::Expected("WHERE"))?;
        Ok(Exists { table, condition })
    }

    fn columns(&mut self) -> Result<Vec<Path>, StatementError> {
        if self.is_word(0, "VALUE") || self.is_word(0, "DISTINCT") {
            return Err(StatementError::Unsupported("SELECT VALUE and SELECT DISTINCT".to_owned()));
        }
        let mut columns = vec![self.column()?];
        while self.take_sign(",") {
            columns.push(self.column()?);
        }
        Ok(columns)
    }

    fn column(&mut self) -> Result<Path, StatementError> {
        let path = self.path()?;
        if self.is_sign("(") {
            return Err(StatementError::Unsupported("a function in a list of columns".to_owned()));
        }
        Ok(path)
    }

    fn order(&mut self) -> Result<Vec<Order>, StatementError> {
        self.expect_word("BY")?;
        let mut order = Vec::new();
        loop {
            let attribute = self.name()?;
            let descending = self.take_word("DESC");
            if !descending {
                self.take_word("ASC");
            }
            order.push(Order { attribute, descending });
            if !self.take_sign(",") {
                return Ok(order);
            }
        }
    }

    fn insert(&mut self) -> Result<Insert, StatementError> {
        self.expect_word("INTO")?;
        let table = self.name()?;
        self.expect_word("VALUE")?;
        match self.item()? {
            AttributeValue::M(item) if depth_within(&item) => Ok(Insert { table, item }),
            AttributeValue::M(_) => Err(StatementError::TooDeep),
            _ => Err(Malformed::Expected("a tuple behind VALUE").into()),
        }
    }

    fn update(&mut self) -> Result<Update, StatementError> {
        let table = self.name()?;
        let update = self.clauses()?;
        self.expect_word("WHERE")?;
        let condition = self.condition()?;
        let returning = self.returning()?;
        Ok(Update { table, update, condition, returning })
    }

    fn delete(&mut self) -> Result<Delete, StatementError> {
        self.expect_word("FROM")?;
        let table = self.name()?;
        self.expect_word("WHERE")?;
        let condition = self.condition()?;
        let returning_old = match self.returning()? {
            None => false,
            Some(Returning::AllOld) => true,
            Some(Returning::ModifiedOld | Returning::AllNew | Returning::ModifiedNew) => {
                return Err(StatementError::Unsupported(
                    "DELETE with RETURNING of anything but ALL OLD *".to_owned(),
                ));
            }
        };
        Ok(Delete { table, condition, returning_old })
    }

    fn returning(&mut self) -> Result<Option<Returning>, StatementError> {
        if !self.take_word("RETURNING") {
            return Ok(None);
        }
        let all = self.take_word("ALL");
        if !all {
            self.expect_word("MODIFIED")?;
        }
        let old = self.take_word("OLD");
        if !old {
            self.expect_word("NEW")?;
        }
        self.expect_sign("*")?;
        Ok(Some(match (all, old) {
            (true, true) => Returning::AllOld,
            (true, false) => Returning::AllNew,
            (false, true) => Returning::ModifiedOld,
            (false, false) => Returning::ModifiedNew,
        }))
    }
}

fn depth_within(item: &meridian_model::Item) -> bool {
    item.values().all(|value| depth(value) < NESTING_LEVELS_MAX)
}
