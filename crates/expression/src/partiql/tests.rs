//! Tests of statements: each clause, each refusal, and properties over any text and any value.

use meridian_model::AttributeValue;
use proptest::prelude::*;

use super::print::literal;
use super::{Order, Returning, Select, Statement};
use crate::condition::Condition;
use crate::testing::{item, l, m, n, s};

fn parse(text: &str) -> Result<Statement, String> {
    Statement::parse(text, &[]).map_err(|error| error.to_string())
}

fn select(text: &str) -> Select {
    match parse(text) {
        Ok(Statement::Select(select)) => select,
        other => panic!("{text}: {other:?}"),
    }
}

/// The condition of a SELECT as an expression prints it, and the values in it.
fn condition(text: &str) -> (String, Vec<AttributeValue>) {
    let source = select(&format!("SELECT * FROM t WHERE {text}"))
        .condition
        .expect("there is a condition")
        .source();
    (source.text, source.values.into_values().collect())
}

#[test]
fn selects() {
    let all = select("select * from \"my-table\".by_date where pk = 'a' order by sk desc, pk;");
    assert_eq!(
        (all.table.as_str(), all.index.as_deref(), all.columns.len()),
        ("my-table", Some("by_date"), 0)
    );
    assert_eq!(
        all.order,
        [
            Order { attribute: "sk".to_owned(), descending: true },
            Order { attribute: "pk".to_owned(), descending: false }
        ]
    );
    let some = select("SELECT a.\"b c\"[0], d['e'] FROM t");
    let columns: Vec<String> = some.columns.iter().map(ToString::to_string).collect();
    assert_eq!(columns, ["[a, b c, [0]]", "[d, e]"]);
    assert_eq!(some.condition, None);
}

#[test]
fn conditions_become_expressions() {
    for (text, printed) in [
        ("a = 1 AND b != 'x' OR NOT c <> 2", "#n0 = :v0 AND #n1 <> :v1 OR NOT #n2 <> :v2"),
        ("(a = 1 OR b = 2) AND c = 3", "(#n0 = :v0 OR #n1 = :v1) AND #n2 = :v2"),
        ("a BETWEEN 1 AND 2 AND b = 3", "#n0 BETWEEN :v0 AND :v1 AND #n1 = :v2"),
        ("a NOT BETWEEN 1 AND 2", "NOT #n0 BETWEEN :v0 AND :v1"),
        ("a IN [1, 2] AND b IN ('x')", "#n0 IN (:v0, :v1) AND #n1 IN (:v2)"),
        ("a NOT IN <<1>>", "NOT #n0 IN (:v0)"),
        ("a IS MISSING", "attribute_not_exists(#n0)"),
        ("a IS NOT MISSING OR b NOT MISSING", "attribute_exists(#n0) OR attribute_exists(#n1)"),
        ("a.b IS NULL", "attribute_type(#n0.#n1, :v0)"),
        ("a IS STRING", "attribute_type(#n0, :v0)"),
        ("begins_with(a, 'x')", "begins_with(#n0, :v0)"),
        ("Contains(a, 'x') and SIZE(a[3]) > 2", "contains(#n0, :v0) AND size(#n0[3]) > :v1"),
        ("attribute_type(a, 'SS')", "attribute_type(#n0, :v0)"),
        ("((a)) = ((1))", "#n0 = :v0"),
        ("5 < a", ":v0 < #n0"),
        ("\"select\" = \"a\"\"b\"", "#n0 = #n1"),
    ] {
        assert_eq!(condition(text).0, printed, "{text}");
    }
    assert_eq!(condition("a = -1.50e1").1, [n("-15")]);
    assert_eq!(condition("a = 'it''s'").1, [s("it's")]);
    assert_eq!(
        condition("a = [1, {'b': NULL}]").1,
        [l(&[n("1"), m(&[("b", AttributeValue::Null)])])]
    );
}

#[test]
fn inserts_updates_and_deletes() {
    let Ok(Statement::Insert(insert)) =
        parse("INSERT INTO t VALUE {'a': 'x', 'b': {'c': [TRUE, <<1, 2>>]}}")
    else {
        panic!("an insert");
    };
    assert_eq!((insert.table.as_str(), insert.item.len()), ("t", 2));

    let text = "UPDATE t SET a = 1, b.c = b.c + 2 SET d = list_append(d, [3]) REMOVE e[0] \
                SET f = set_add(f, <<'x'>>) SET g = SET_DELETE(g, <<4>>) SET h = h - 1 \
                WHERE pk = 'k' RETURNING MODIFIED NEW *";
    let Ok(Statement::Update(update)) = parse(text) else { panic!("an update") };
    assert_eq!(
        update.update.to_string(),
        "SET #n0 = :v0, #n1.#n2 = #n1.#n2 + :v1, #n3 = list_append(#n3, :v2), #n4 = #n4 - :v3 \
         REMOVE #n5[0] ADD #n6 :v4 DELETE #n7 :v5"
    );
    assert_eq!(update.returning, Some(Returning::ModifiedNew));

    let Ok(Statement::Delete(delete)) = parse("DELETE FROM t WHERE a = 1 RETURNING ALL OLD *")
    else {
        panic!("a delete");
    };
    assert!(delete.returning_old);
}

#[test]
fn parameters_stand_for_values_in_order() {
    let parameters = [s("a"), n("1"), l(&[n("2")])];
    let text = "INSERT INTO t VALUE {'x': ?, 'y': [?, {'z': ?}]}";
    let inserted = Statement::parse(text, &parameters).expect("well formed");
    let Statement::Insert(insert) = inserted else { panic!("an insert") };
    let nested = l(&[n("1"), m(&[("z", l(&[n("2")]))])]);
    assert_eq!(insert.item, item(&[("x", s("a")), ("y", nested)]));

    for (text, count) in [("SELECT * FROM t WHERE a = ?", 0), ("SELECT * FROM t", 1)] {
        let parameters = vec![s("x"); count];
        assert_eq!(
            Statement::parse(text, &parameters).expect_err("the count differs").to_string(),
            "Number of parameters in request and statement don't match."
        );
    }
    for text in ["SELECT ? FROM t", "SELECT * FROM ?", "SELECT * FROM t WHERE 'a?' = a AND ?.b = 1"]
    {
        assert!(Statement::parse(text, &[s("x")]).is_err(), "{text}");
    }
}

#[test]
fn malformed_statements() {
    for (text, said) in [
        ("", "Expected data manipulation"),
        ("DROP TABLE t", "Expected data manipulation"),
        ("UPDATE t WHERE a = 1", "Expected data manipulation"),
        ("UPDATE pay-ment SET a = 1 WHERE b = 1", "Expected data manipulation"),
        ("SELECT * FROM t WHERE a = 1 b", "Unexpected token after expression"),
        ("SELECT * FROM t AS x", "Unexpected token after expression"),
        ("SELECT * FROM t; SELECT * FROM t", "Unexpected token after expression"),
        ("SELECT from FROM t", "Unexpected keyword"),
        ("SELECT * FROM t WHERE select = 1", "Unexpected keyword"),
        ("SELECT * FROM t WHERE", "Unexpected term"),
        ("SELECT * FROM t WHERE a =", "Unexpected term"),
        ("SELECT * FROM t WHERE a = 'x", "Unexpected end of a quoted text"),
        ("SELECT * FROM t WHERE a # 1", "Unexpected character: #"),
        ("SELECT * FROM 't'", "Expected identifier for simple path"),
        ("SELECT *, a FROM t", "Expected FROM"),
        ("SELECT a[-1] FROM t", "Expected list index"),
        ("SELECT a[1.5] FROM t", "List index is not within the allowable range: [1.5]"),
        ("SELECT * FROM t ORDER sk", "Expected BY"),
        ("SELECT * FROM t WHERE (a = 1", "Expected )"),
        ("SELECT * FROM t WHERE a IN 5", "Expected a list of values behind IN"),
        ("INSERT INTO t VALUES ('a')", "Expected VALUE"),
        ("INSERT INTO t VALUE 5", "Expected a tuple behind VALUE"),
        ("INSERT INTO t VALUE {a: 5}", "Expected a name in single quotes"),
        ("INSERT INTO t VALUE {'a': b}", "Unexpected term"),
        ("DELETE FROM t", "Expected WHERE"),
        ("UPDATE t SET a = 1", "Expected WHERE"),
        ("DELETE FROM t WHERE a = 1 RETURNING OLD *", "Expected MODIFIED"),
    ] {
        let said = format!("Statement wasn't well formed, can't be processed: {said}");
        assert_eq!(parse(text), Err(said), "{text}");
    }
    let deep = format!("SELECT * FROM t WHERE {}a = 1{}", "(".repeat(999), ")".repeat(999));
    assert!(parse(&deep).expect_err("too deep").ends_with("Too many nesting levels"));
    let deep = format!("SELECT * FROM t WHERE a = {}", "[".repeat(999));
    assert!(parse(&deep).expect_err("too deep").ends_with("Too many nesting levels"));
}

#[test]
fn refusals_of_meaning() {
    let nested = |levels: usize| {
        format!("INSERT INTO t VALUE {{'a': {}1{}}}", "[".repeat(levels), "]".repeat(levels))
    };
    assert!(parse(&nested(31)).is_ok());
    assert!(parse(&nested(32)).expect_err("too deep").starts_with("Nesting Levels have exceeded"));
    for (text, said) in [
        ("SELECT * FROM t WHERE a = MISSING", "Unsupported in a statement: MISSING"),
        ("SELECT * FROM t WHERE a LIKE 'x'", "Unsupported in a statement: LIKE"),
        ("SELECT * FROM t WHERE a + 1 > 2", "Unsupported in a statement: arithmetic"),
        ("SELECT * FROM t WHERE a > 1 - 2", "Unsupported in a statement: arithmetic"),
        ("SELECT * FROM t WHERE a", "Unsupported in a statement: a value where"),
        ("SELECT * FROM t WHERE (a = 1) = TRUE", "Statement wasn't well formed"),
        ("SELECT * FROM t WHERE upper(a) = 'X'", "Unsupported in a statement: the function upper"),
        ("SELECT * FROM t WHERE a IS CLOB", "Unsupported in a statement: the type CLOB"),
        ("SELECT * FROM t WHERE size(a) IS MISSING", "Unsupported in a statement: MISSING of"),
        ("SELECT * FROM t WHERE a > TRUE", "Invalid ConditionExpression: Incorrect operand type"),
        ("SELECT * FROM t WHERE a BETWEEN 2 AND 1", "Invalid ConditionExpression: The BETWEEN"),
        ("SELECT * FROM t WHERE a = a", "Invalid ConditionExpression: The first operand must"),
        ("SELECT COUNT(*) FROM t", "Unsupported in a statement: a function in a list"),
        ("SELECT DISTINCT a FROM t", "Unsupported in a statement: SELECT VALUE"),
        (
            "EXISTS(SELECT * FROM t)",
            "Statement wasn't well formed, can't be processed: Expected WHERE",
        ),
        (
            "EXISTS SELECT * FROM t WHERE a = 1",
            "Statement wasn't well formed, can't be processed: Exp",
        ),
        (
            "EXISTS(SELECT * FROM t WHERE a = 1",
            "Statement wasn't well formed, can't be processed: Exp",
        ),
        (
            "EXISTS(SELECT * FROM t.i WHERE a = 1)",
            "Unsupported in a statement: an index, or ORDER BY",
        ),
        (
            "SELECT * FROM t WHERE EXISTS(SELECT * FROM t WHERE a = 1)",
            "Unsupported in a statement: EXI",
        ),
        ("INSERT INTO t VALUE {'a': <<>>}", "One or more parameter values were invalid: An string"),
        ("INSERT INTO t VALUE {'a': <<1, 1.0>>}", "One or more parameter values were invalid: Inp"),
        ("INSERT INTO t VALUE {'a': <<1, 'x'>>}", "One or more parameter values were invalid: The"),
        ("INSERT INTO t VALUE {'a': 1, 'a': 2}", "One or more parameter values were invalid: Dup"),
        ("INSERT INTO t VALUE {'': 1}", "Empty attribute name"),
        ("INSERT INTO t VALUE {'a': 1e999}", "Number overflow."),
        ("UPDATE t SET a = 1, a.b = 2 WHERE k = 1", "Invalid UpdateExpression: Two document paths"),
        ("UPDATE t SET a = 'x' + 1 WHERE k = 1", "Invalid UpdateExpression: Incorrect operand"),
        ("UPDATE t SET a = set_add(b, <<1>>) WHERE k = 1", "Unsupported in a statement: set_add"),
        ("UPDATE t SET a = set_add(a, 1) WHERE k = 1", "Statement wasn't well formed"),
        ("UPDATE t SET a = upper(a) WHERE k = 1", "Unsupported in a statement: the function upper"),
        ("DELETE FROM t WHERE k = 1 RETURNING ALL NEW *", "Unsupported in a statement: DELETE"),
    ] {
        let refused = parse(text).expect_err("these are refused");
        assert!(refused.starts_with(said), "{text}: {refused}");
    }
}

fn values() -> impl Strategy<Value = AttributeValue> {
    let scalar = prop_oneof![
        any::<String>().prop_map(AttributeValue::S),
        any::<i64>().prop_map(|number| n(&number.to_string())),
        any::<bool>().prop_map(AttributeValue::Bool),
        Just(AttributeValue::Null),
        prop::collection::btree_set(any::<String>(), 1..4).prop_map(AttributeValue::Ss),
    ];
    scalar.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(AttributeValue::L),
            prop::collection::btree_map(".{1,8}", inner, 0..4).prop_map(AttributeValue::M),
        ]
    })
}

/// Texts that look like statements, so that the parser is met deeper than in its first token.
fn statement_like() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "SELECT",
        "*",
        "FROM",
        "t",
        ".",
        "WHERE",
        "a",
        "=",
        "1",
        "AND",
        "NOT",
        "(",
        ")",
        "[",
        "]",
        "IN",
        "BETWEEN",
        "IS",
        "MISSING",
        "?",
        "'x'",
        "\"y\"",
        "{",
        "}",
        ":",
        ",",
        "<<",
        ">>",
        "UPDATE",
        "SET",
        "REMOVE",
        "DELETE",
        "INSERT",
        "INTO",
        "VALUE",
        "size",
        "begins_with",
        "list_append",
        "set_add",
        "RETURNING",
        "ALL",
        "OLD",
        "ORDER",
        "BY",
        "-",
        "+",
        ";",
    ]);
    prop::collection::vec(words, 0..40).prop_map(|words| words.join(" "))
}

/// Conditions that are well formed, nested.
fn conditions() -> impl Strategy<Value = String> {
    let leaves = prop::sample::select(vec![
        "a = 1",
        "b.c[2] <> 'x'",
        "\"d e\" IS NOT MISSING",
        "f IS NULL",
        "size(g) > 3",
        "h IN [1, 2]",
        "i NOT BETWEEN 1 AND 2",
        "begins_with(j, 'x')",
        "NOT contains(k, 5)",
        "l IS BAG",
    ]);
    leaves.prop_map(str::to_owned).prop_recursive(5, 32, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| parts.join(" AND ")),
            prop::collection::vec(inner.clone(), 2..4)
                .prop_map(|parts| format!("({})", parts.join(" OR "))),
            inner.prop_map(|inner| format!("NOT ({inner})")),
        ]
    })
}

proptest! {
    #[test]
    fn conditions_reach_a_peer_as_they_are(text in conditions()) {
        let condition = select(&format!("SELECT * FROM t WHERE {text}")).condition;
        let condition = condition.expect("there is a condition");
        prop_assert_eq!(Condition::from_source(&condition.source()), Ok(condition));
    }

    #[test]
    fn any_text_is_answered(text: String) {
        let _ = Statement::parse(&text, &[]);
        let _ = Statement::parse(&format!("SELECT * FROM t WHERE {text}"), &[]);
    }

    #[test]
    fn any_words_are_answered(text in statement_like()) {
        let parameters = vec![AttributeValue::Bool(true); text.matches('?').count()];
        let _ = Statement::parse(&text, &parameters);
        let _ = Statement::parse(&format!("SELECT * FROM t WHERE a = {text}"), &parameters);
        let _ = Statement::parse(&format!("UPDATE t SET a = {text} WHERE k = 1"), &parameters);
    }

    #[test]
    fn literals_are_read_back(value in values()) {
        let text = literal(&value).expect("there are no bytes in it");
        let read = Statement::parse(&format!("INSERT INTO t VALUE {{'a': {text}}}"), &[]);
        let Ok(Statement::Insert(insert)) = read else { panic!("{text}: {read:?}") };
        prop_assert_eq!(insert.item, item(&[("a", value)]));
    }

    #[test]
    fn a_parameter_is_what_its_literal_is(value in values()) {
        let text = literal(&value).expect("there are no bytes in it");
        let by_literal = Statement::parse(&format!("DELETE FROM t WHERE a = {text}"), &[]);
        let by_parameter = Statement::parse("DELETE FROM t WHERE a = ?", &[value]);
        prop_assert_eq!(by_literal, by_parameter);
    }
}
