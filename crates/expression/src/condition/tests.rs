//! Conditions: the service's refusals and answers, one by one.

use super::*;
use crate::testing::{b, item, l, m, n, ns, placeholders, s, ss};
use meridian_model::KeySchema;

fn values() -> Vec<(&'static str, AttributeValue)> {
    vec![
        (":s", s("a")),
        (":t", s("b")),
        (":n", n("1")),
        (":three", n("3")),
        (":b", b(b"xy")),
        (":hi", b(b"hi")),
        (":true", AttributeValue::Bool(true)),
        (":null", AttributeValue::Null),
        (":l", l(&[n("1"), s("a")])),
        (":m", m(&[("x", n("1"))])),
        (":ss", ss(&["a", "b"])),
        (":ns", ns(&[1, 2])),
        (":N", s("N")),
    ]
}

fn compiled(text: &str) -> Result<Condition, ExpressionError> {
    let mut placeholders = placeholders(&[("#a", "a"), ("#size", "size")], &values());
    Condition::parse(ExpressionKind::Filter, text, &mut placeholders)
}

fn refusal(text: &str) -> String {
    compiled(text).expect_err(text).to_string()
}

#[test]
fn functions_are_checked_first() {
    for (text, said) in [
        ("a=b and whatever((:s)) > a", "Invalid function name; function: whatever"),
        ("attRIbute_exIsts((views), #a)", "Invalid function name; function: attRIbute_exIsts"),
        (
            "if_not_exists(a, b) = :s",
            "The function is not allowed in a condition expression; function: if_not_exists",
        ),
        (
            "attribute_exists(views, #a)",
            "Attribute name is a reserved keyword; reserved keyword: views",
        ),
        (":s < abOrT", "Attribute name is a reserved keyword; reserved keyword: abOrT"),
        ("a.b.status = :x", "Attribute name is a reserved keyword; reserved keyword: status"),
        ("a[2147483648] = :x", "List index is not within the allowable range; index: [2147483648]"),
    ] {
        assert_eq!(refusal(text), format!("Invalid FilterExpression: {said}"), "{text}");
    }
    for (text, function) in [
        ("a=b and attribute_exists((views), (#a)) > b", "attribute_exists"),
        ("attribute_type(things, :s) > b", "attribute_type"),
        ("size(contains(a, b)) > a", "contains"),
        ("size(things)", "size"),
        ("NOT size(things)", "size"),
        ("a between b and attribute_exists(things)", "attribute_exists"),
        ("a in (b, attribute_exists(things))", "attribute_exists"),
    ] {
        let said = "The function is not allowed to be used this way in an expression; function: ";
        assert_eq!(refusal(text), format!("Invalid FilterExpression: {said}{function}"), "{text}");
    }
}

#[test]
fn placeholders_must_be_defined() {
    for (text, name) in [
        ("attribute_exists(#Pictures.RearView, :x) and a=a", "#Pictures"),
        ("begins_with(Pictures.#RearView)", "#RearView"),
        ("(#P between :lo and :hi) and (#PC in (:cat1, :cat2))", "#P"),
    ] {
        let said = "An expression attribute name used in the document path is not defined; \
                    attribute name: ";
        assert_eq!(refusal(text), format!("Invalid FilterExpression: {said}{name}"), "{text}");
    }
    for (text, value) in [("begins_with(:hello, #x, #y)", ":hello"), (":x < :y", ":x")] {
        let said = "An expression attribute value used in expression is not defined; \
                    attribute value: ";
        assert_eq!(refusal(text), format!("Invalid FilterExpression: {said}{value}"), "{text}");
    }
}

#[test]
fn operands_are_counted() {
    for (text, function, count) in [
        ("attribute_exists(things, a) and a=a", "attribute_exists", 2),
        ("attribute_type(things)", "attribute_type", 1),
        ("begins_with(things, size(a), b)", "begins_with", 3),
        ("contains(things)", "contains", 1),
        ("size(things, a) > b", "size", 2),
    ] {
        let said = format!(
            "Incorrect number of operands for operator or function; operator or function: \
             {function}, number of operands: {count}"
        );
        assert_eq!(refusal(text), format!("Invalid FilterExpression: {said}"), "{text}");
    }
    let many = vec![":s"; 101].join(",");
    assert_eq!(
        refusal(&format!("a IN ({many})")),
        "Invalid FilterExpression: The IN operator is provided with too many operands; \
         number of operands: 101"
    );
    assert!(compiled(&format!("a IN ({})", &many[3..])).is_ok());
}

#[test]
fn operand_types_are_checked_where_they_are_known() {
    for (text, operator, operand) in [
        ("attribute_type(a, :n)", "attribute_type", "N"),
        ("attribute_type(a, size(b))", "attribute_type", "N"),
        ("attribute_type(a, b)", "attribute_type", "{NS,SS,L,BS,N,M,B,BOOL,NULL,S}"),
        ("begins_with(a, :n)", "begins_with", "N"),
        ("begins_with(:l, a)", "begins_with", "L"),
        ("begins_with(a, size(b))", "begins_with", "N"),
        ("size(size(a)) > :n", "size", "N"),
        ("attribute_not_exists(size(:n))", "size", "N"),
        ("size(:true) > a", "size", "BOOL"),
        ("size(:null) > a", "size", "NULL"),
        ("a < :l", "<", "L"),
        (":m >= a", ">=", "M"),
        ("a BETWEEN :ss AND :ss", "BETWEEN", "SS"),
        (":true BETWEEN a AND b", "BETWEEN", "BOOL"),
    ] {
        let said = format!(
            "Incorrect operand type for operator or function; operator or function: {operator}, \
             operand type: {operand}"
        );
        assert_eq!(refusal(text), format!("Invalid FilterExpression: {said}"), "{text}");
    }
    for (text, said) in [
        (
            "attribute_exists(:s) and a=b",
            "Operator or function requires a document path; operator or function: attribute_exists",
        ),
        (
            "attribute_not_exists(size(:s))",
            "Operator or function requires a document path; operator or function: \
             attribute_not_exists",
        ),
        (
            "attribute_type(a, :s)",
            "Invalid attribute type name found; type: a, valid types: \
             {B,NULL,SS,BOOL,L,BS,N,NS,S,M}",
        ),
        (
            "a BETWEEN :n AND :s",
            "The BETWEEN operator requires same data type for lower and upper bounds; \
             lower bound operand: AttributeValue: {N:1}, upper bound operand: AttributeValue: {S:a}",
        ),
        (
            "a BETWEEN :t AND :s",
            "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; \
             lower bound operand: AttributeValue: {S:b}, upper bound operand: AttributeValue: {S:a}",
        ),
    ] {
        assert_eq!(refusal(text), format!("Invalid FilterExpression: {said}"), "{text}");
    }
}

#[test]
fn the_first_operand_stands_once() {
    for (text, operator, operand) in [
        ("a = a AND #a = b AND :views > a", "=", "[a]"),
        ("#a <> a", "<>", "[a]"),
        ("a > #a", ">", "[a]"),
        ("a BETWEEN b AND a", "BETWEEN", "[a]"),
        ("a IN (b, a)", "IN", "[a]"),
        ("contains(ab.bc[1].a, ab.bc[1].#a)", "contains", "[ab, bc, [1], a]"),
        ("attribute_type(ab.bc[1].#a, ab.bc[1].a)", "attribute_type", "[ab, bc, [1], a]"),
        ("begins_with(ab.bc[1].a, ab.bc[1].#a)", "begins_with", "[ab, bc, [1], a]"),
    ] {
        let said = format!(
            "The first operand must be distinct from the remaining operands for this operator or \
             function; operator: {operator}, first operand: {operand}"
        );
        assert_eq!(refusal(text), format!("Invalid FilterExpression: {said}"), "{text}");
    }
    assert!(compiled(":s = :s AND size(a) = size(a) AND a.b = a.c").is_ok());
}

#[test]
fn paths_have_a_depth() {
    let path = |steps: usize| format!("a{} = :s", ".b".repeat(steps - 1));
    assert!(compiled(&path(32)).is_ok());
    assert_eq!(
        refusal(&path(33)),
        "Invalid FilterExpression: The document path has too many nesting levels; \
         nesting levels: 33"
    );
}

fn stored() -> Item {
    item(&[
        ("one", n("1")),
        ("two", n("2.0")),
        ("word", s("hello")),
        ("bin", b(b"hi there")),
        ("flag", AttributeValue::Bool(true)),
        ("nil", AttributeValue::Null),
        ("strings", ss(&["dog", "cat"])),
        ("numbers", ns(&[1, 2])),
        ("things", l(&[n("1"), s("a"), l(&[n("3")]), ns(&[1, 2])])),
        ("tree", m(&[("x", n("1")), ("y", l(&[n("-1"), n("2")]))])),
        ("size", n("5")),
        ("emoji", s("é😀")),
    ])
}

fn check(text: &str, expected: bool) {
    let condition = compiled(text).expect(text);
    assert_eq!(condition.matches(&stored()), expected, "{text}");
    let negated = compiled(&format!("NOT ({text})")).expect(text);
    assert_eq!(negated.matches(&stored()), !expected, "NOT ({text})");
    let again = Condition::from_source(&condition.source()).expect(text);
    assert_eq!(again, condition, "{text}");
}

#[test]
fn comparisons_answer_as_the_service() {
    for text in [
        "one = :n",
        "one < two",
        "one <= :n",
        "two > :n",
        "two >= one",
        "one <> :s",
        "gone <> :n",
        "gone <> another",
        "word > :s",
        "bin < :b",
        "things <> :l",
        "one BETWEEN :n AND two",
        "two BETWEEN one AND size(strings)",
        "one IN (:s, :n)",
        "tree.x = :n",
        "tree.y[1] = two",
        "things[1] = :s",
        "#size > :n",
        "numbers = :ns",
        "flag = :true",
        "nil = :null",
    ] {
        check(text, true);
    }
    for text in [
        "one = :s",
        "gone = another",
        "gone < :n",
        "gone >= another",
        "one < word",
        "word < :n",
        "things < one",
        "one BETWEEN word AND two",
        "gone BETWEEN one AND two",
        "two BETWEEN :n AND :n",
        "gone IN (:s, :n)",
        "one IN (:s, word)",
        "tree.y[2] = :n",
        "tree[0] = :n",
        "things.x = :n",
        "one.x = :n",
        "one <> :n",
    ] {
        check(text, false);
    }
}

#[test]
fn functions_answer_as_the_service() {
    for text in [
        "attribute_exists(tree.y[0])",
        "attribute_not_exists(tree.z)",
        "attribute_type(one, :N)",
        "attribute_type(:n, :N)",
        "begins_with(:s, :s)",
        "begins_with(bin, :hi)",
        "contains(strings, things[1]) OR contains(numbers, one)",
        "contains(things, :s)",
        "contains(things, :ns)",
        "contains(things, things[2])",
        "size(word) = #size",
        "size(bin) > #size",
        "size(strings) = two",
        "size(tree) = two",
        "size(things) > two",
        "size(emoji) = :three",
        "size(:l) = two",
    ] {
        check(text, true);
    }
    for text in [
        "attribute_exists(gone)",
        "attribute_not_exists(one)",
        "attribute_type(word, :N)",
        "attribute_type(gone, :N)",
        "begins_with(one, word)",
        "begins_with(word, :t)",
        "begins_with(gone, :s)",
        "contains(word, one)",
        "contains(bin, :b)",
        "contains(numbers, :s)",
        "contains(one, :n)",
        "contains(gone, :n)",
        "contains(tree, :s)",
        "size(one) = :n",
        "size(flag) = :n",
        "size(gone) = :n",
        "size(word) = :s",
        "size(emoji) < :three",
    ] {
        check(text, false);
    }
}

#[test]
fn connectives_answer_with_the_service_s_precedence() {
    for (text, expected) in [
        ("one = :n OR two = :n AND word = :s", true),
        ("(one = :n OR two = :n) AND word = :s", false),
        ("NOT one = two AND two = one", false),
        ("NOT one = :n OR one = :n", true),
        ("NOT NOT NOT one = two", true),
        ("one BETWEEN one2 AND two OR one = :n AND attribute_exists(two)", true),
    ] {
        check(text, expected);
    }
}

#[test]
fn keys_are_protected() {
    use meridian_model::{KeyAttribute, KeyKind};
    let schema = KeySchema::composite(
        KeyAttribute::new("p", KeyKind::S),
        KeyAttribute::new("q", KeyKind::N),
    );
    let said = |text: &str| {
        let condition = compiled(text).expect(text);
        (
            condition.check_keys(&schema).map_err(|e| e.to_string()),
            condition.check_query_filter(&schema).map_err(|e| e.to_string()),
        )
    };
    let nested = "Key attributes must be scalars; list random access '[]' and map lookup '.' are \
                  not allowed: Key: q";
    let filtered = "Filter Expression can only contain non-primary key attributes: \
                    Primary key attribute: q";
    assert_eq!(said("a = :s"), (Ok(()), Ok(())));
    assert_eq!(said("a = :s OR size(q) = :n"), (Ok(()), Err(filtered.to_owned())));
    assert_eq!(said("a = :s OR NOT q[1] = :n"), (Err(nested.to_owned()), Err(filtered.to_owned())));
}

#[test]
fn the_deepest_condition_is_compiled_printed_and_evaluated() {
    let nested = |levels: usize| {
        let open = "one = :n AND (".repeat(levels);
        format!("{open}one = :n{}", ")".repeat(levels))
    };
    check_deep(&compiled(&nested(149)).expect("299 operators"), true);
    let mut deepest = Predicate::Exists(crate::path::Path::new("one"));
    for _ in 0..crate::parser::DEPTH_MAX / 2 {
        let part = Predicate::Exists(crate::path::Path::new("two"));
        deepest = Predicate::Not(Box::new(Predicate::Or(vec![part, deepest])));
    }
    check_deep(&Condition::new(deepest), false);
}

fn check_deep(condition: &Condition, expected: bool) {
    assert_eq!(condition.matches(&stored()), expected);
    assert_eq!(Condition::from_source(&condition.source()).as_ref(), Ok(condition));
}
