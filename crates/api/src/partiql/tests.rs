//! Tests of planning: which operation a statement becomes, and that it asks for the same items as
//! the condition that it states.

use std::collections::BTreeSet;
use std::ops::Bound;

use meridian_expression::partiql::Statement;
use meridian_expression::{Predicate, SortCondition};
use meridian_model::{AttributeValue, Number};
use meridian_partition::Action;
use meridian_wire::{ApiError, Fault, Operation};

use super::plan::{OneWrite, Pages};
use super::terms::Terms;
use super::{Plan, plan};
use crate::tests::ask;
use crate::tests::memory::Memory;

/// A table `t` with a string partition key `pk`, a number sort key `sk` and an index `by-at`.
async fn memory() -> Memory {
    let memory = Memory::default();
    let body = r#"{"TableName":"t-1","BillingMode":"PAY_PER_REQUEST",
        "KeySchema":[{"AttributeName":"pk","KeyType":"HASH"},{"AttributeName":"sk","KeyType":"RANGE"}],
        "AttributeDefinitions":[{"AttributeName":"pk","AttributeType":"S"},
            {"AttributeName":"sk","AttributeType":"N"},{"AttributeName":"at","AttributeType":"N"}],
        "LocalSecondaryIndexes":[{"IndexName":"by-at","Projection":{"ProjectionType":"ALL"},
            "KeySchema":[{"AttributeName":"pk","KeyType":"HASH"},{"AttributeName":"at","KeyType":"RANGE"}]}]}"#;
    ask(&memory, Operation::CreateTable, body).await.expect("the table is made");
    memory
}

fn planned(memory: &Memory, text: &str) -> Result<Plan, ApiError> {
    let statement = Statement::parse(text, &[]).expect("well formed");
    Ok(plan(memory, statement, false)?)
}

async fn pages(where_clause: &str) -> Pages {
    match planned(&memory().await, &format!("SELECT * FROM \"t-1\" {where_clause}")) {
        Ok(Plan::Pages(pages)) => pages,
        other => panic!("{where_clause}: {other:?}"),
    }
}

async fn write(text: &str) -> OneWrite {
    match planned(&memory().await, text) {
        Ok(Plan::Write(write)) => write,
        other => panic!("{text}: {other:?}"),
    }
}

fn number(text: &str) -> AttributeValue {
    AttributeValue::N(Number::parse(text).expect("a number"))
}

fn terms(condition: &str) -> Terms {
    let text = format!("SELECT * FROM t WHERE {condition}");
    match Statement::parse(&text, &[]) {
        Ok(Statement::Select(select)) => Terms::of(select.condition.as_ref()),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn terms_are_taken_out() {
    let mut split = terms("x = 1 AND (k = 2 AND (y = 3 AND z = 4))");
    assert_eq!(split.take_values("k"), Some(vec![number("2")]));
    assert!(matches!(split.rest(), Some(Predicate::And(parts)) if parts.len() == 3));

    let mut split = terms("k > 1 AND k BETWEEN 0 AND 9 AND 5 = k");
    assert_eq!(split.take_sort("k"), Some(SortCondition::Equal(number("5"))));
    assert_eq!(split.take_sort("k"), Some(SortCondition::Greater(number("1"))));
    assert_eq!(split.take_sort("k"), Some(SortCondition::Between(number("0"), number("9"))));
    assert_eq!(split.rest(), None);

    let mut split = terms("k = 1 OR (k IN [2, 1] OR 3 = k)");
    let values = [number("1"), number("2"), number("3")];
    assert_eq!(split.take_values("k"), Some(values.to_vec()));

    for other in ["k = x", "k.a = 1", "k <> 1", "NOT k = 1", "k IN [1, x]", "k = 1 OR x = 1"] {
        assert_eq!(terms(other).take_values("k"), None, "{other}");
        assert_eq!(terms(other).take_sort("k"), None, "{other}");
    }
}

#[tokio::test]
async fn the_whole_key_is_one_read() {
    let memory = memory().await;
    let one = planned(&memory, "SELECT * FROM \"t-1\" WHERE x = 1 AND sk = 2 AND 'a' = pk");
    let Ok(Plan::One(read)) = one else { panic!("{one:?}") };
    assert_eq!(read.key.sort, Some(number("2")));
    assert_eq!(read.filter.expect("x").to_string(), "#n0 = :v0");
}

#[tokio::test]
async fn reads_are_no_wider_than_they_must() {
    for (clause, ranges, filtered) in [
        ("WHERE pk = 'a'", 1, false),
        ("WHERE pk = 'a' AND sk > 1", 1, false),
        ("WHERE pk = 'a' AND sk > 1 AND sk < 3", 1, true),
        ("WHERE pk IN ['a', 'b', 'a'] AND sk = 1", 2, false),
        ("WHERE pk = 'a' OR pk = 'b'", 2, false),
    ] {
        let pages = pages(clause).await;
        assert_eq!((pages.ranges.len(), pages.filter.is_some()), (ranges, filtered), "{clause}");
        assert!(pages.ranges.iter().all(|range| range.0 != Bound::Unbounded), "{clause}");
    }
    for clause in ["", "WHERE sk = 1", "WHERE pk > 'a'", "WHERE pk = 'a' OR sk = 1", "WHERE pk = x"]
    {
        let pages = pages(clause).await;
        assert_eq!(pages.ranges, [(Bound::Unbounded, Bound::Unbounded)], "{clause}");
        assert_eq!(pages.filter.is_some(), !clause.is_empty(), "{clause}");
    }
    let of_index = pages(".\"by-at\" WHERE pk = 'a' AND at = 1 AND sk = 2").await;
    assert_eq!((of_index.ranges.len(), of_index.filter.is_some()), (1, true));
}

#[tokio::test]
async fn writes_state_what_must_be_there() {
    let insert = write("INSERT INTO \"t-1\" VALUE {'pk': 'a', 'sk': 1}").await;
    assert!(insert.inserts && matches!(insert.write.action, Action::Put(_)));
    let condition = |write: &OneWrite| write.write.condition.as_ref().map(ToString::to_string);
    assert_eq!(condition(&insert).as_deref(), Some("attribute_not_exists(#n0)"));

    let update = write("UPDATE \"t-1\" SET x = 1 WHERE pk = 'a' AND y = 2 AND sk = 1").await;
    assert_eq!(condition(&update).as_deref(), Some("attribute_exists(#n0) AND #n1 = :v0"));
    let delete = write("DELETE FROM \"t-1\" WHERE pk = 'a' AND sk = 1").await;
    assert_eq!(condition(&delete), None);
    let delete = write("DELETE FROM \"t-1\" WHERE pk = 'a' AND sk = 1 AND x = 1").await;
    assert_eq!(condition(&delete).as_deref(), Some("attribute_not_exists(#n0) OR #n1 = :v0"));
}

/// The keys that a statement gives, page by page.
async fn keys(memory: &Memory, statement: &str, limit: usize) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    let mut token = String::new();
    for _ in 0..200 {
        let body = format!(
            r#"{{"Statement":{},"Limit":{limit}{token}}}"#,
            serde_json::Value::String(statement.to_owned())
        );
        let answer = ask(memory, Operation::ExecuteStatement, &body).await.expect(statement);
        let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
        for item in answer["Items"].as_array().expect("items") {
            assert!(keys.insert(item.to_string()), "{statement}: {item} twice");
        }
        match answer["NextToken"].as_str() {
            Some(next) => token = format!(r#","NextToken":"{next}""#),
            None => return keys,
        }
    }
    panic!("{statement} does not end");
}

#[tokio::test]
async fn a_range_gives_what_a_filter_gives() {
    let memory = memory().await;
    for pk in ["a", "b", "c"] {
        for sk in 0..5 {
            let text = format!(
                "INSERT INTO \\\"t-1\\\" VALUE {{'pk': '{pk}', 'sk': {sk}, 'at': {}}}",
                5 - sk
            );
            let body = format!(r#"{{"Statement":"{text}"}}"#);
            ask(&memory, Operation::ExecuteStatement, &body).await.expect("inserted");
        }
    }
    let partitions = ["pk = 'a'", "pk IN ['c', 'a']", "(pk = 'b' OR pk = 'x')", "pk > 'a'"];
    let others = [
        "sk = 2",
        "sk > 1",
        "sk >= 3 AND sk <> 4",
        "2 > sk AND at > 3",
        "sk BETWEEN 1 AND 3 AND sk BETWEEN 2 AND 4",
        "NOT sk = 1",
        "(sk = 1 OR sk = 3)",
        "sk IN [0, 4, 9]",
        "at IN (1, 5)",
        "sk = 1 AND sk = 2",
        "sk IS NUMBER",
    ];
    for partition in partitions {
        for other in others {
            // Neither side of an OR can be a range: a Scan with a filter.
            let filter = format!("({partition} AND {other}) OR pk IS NULL");
            let all =
                keys(&memory, &format!("SELECT pk, sk FROM \"t-1\" WHERE {filter}"), 100).await;
            for from in ["\"t-1\"", "\"t-1\".\"by-at\""] {
                for limit in [1, 3, 100] {
                    let text = format!("SELECT pk, sk FROM {from} WHERE {partition} AND {other}");
                    assert_eq!(keys(&memory, &text, limit).await, all, "{text}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_damaged_token_is_the_clients_fault() {
    let memory = memory().await;
    for sk in 0..3 {
        let text = format!("INSERT INTO \\\"t-1\\\" VALUE {{'pk': 'a', 'sk': {sk}, 'at': 1}}");
        let body = format!(r#"{{"Statement":"{text}"}}"#);
        ask(&memory, Operation::ExecuteStatement, &body).await.expect("inserted");
    }
    for from in [r#"\"t-1\""#, r#"\"t-1\".\"by-at\""#] {
        let statement = format!("SELECT sk FROM {from} WHERE pk = 'a'");
        let body = |rest: &str| format!(r#"{{"Statement":"{statement}","Limit":1{rest}}}"#);
        let answer = ask(&memory, Operation::ExecuteStatement, &body("")).await.expect("a page");
        let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
        let token = answer["NextToken"].as_str().expect("a token");
        for at in 0..token.len() {
            let changed = if token.as_bytes()[at] == b'A' { "B" } else { "A" };
            let damaged = format!("{}{changed}{}", &token[..at], &token[at + 1..]);
            for damaged in [damaged.as_str(), &token[..at]] {
                let body = body(&format!(r#","NextToken":"{damaged}""#));
                if let Err(error) = ask(&memory, Operation::ExecuteStatement, &body).await {
                    assert_eq!(error.row().fault, Fault::Client, "{body}");
                }
            }
        }
    }
}
