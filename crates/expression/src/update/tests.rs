//! Updates: the service's refusals and results, one by one, and a naive model.

mod model;

use meridian_model::KeySchema;
use meridian_model::{AttributeValue, KeyAttribute, KeyKind};

use super::*;
use crate::testing::{b, item, l, m, n, ns, placeholders, s, ss};

fn compiled(text: &str) -> Result<Update, ExpressionError> {
    let names = [("#a", "a"), ("#a2", "a"), ("#status", "status")];
    let values = [
        (":n", n("5")),
        (":s", s("x")),
        (":l", l(&[n("8"), n("9")])),
        (":m", m(&[("k", n("1"))])),
        (":ss", ss(&["cat", "pig"])),
        (":ns", ns(&[1, 2])),
        (":b", b(b"x")),
        (":true", AttributeValue::Bool(true)),
        (":null", AttributeValue::Null),
        (":max", n("9e125")),
    ];
    Update::parse(text, &mut placeholders(&names, &values))
}

fn refusal(text: &str) -> String {
    compiled(text).expect_err(text).to_string()
}

#[test]
fn forms_are_checked() {
    for (text, said) in [
        ("SET a = f(b, c)", "Invalid function name; function: f"),
        ("SET a = size(b)", "The function is not allowed in an update expression; function: size"),
        (
            "SET a = list_append(list_append(:l, :l), :l)",
            "The function is not allowed to be used this way in an expression; \
             function: list_append",
        ),
        (
            "SET a = list_append(:l)",
            "Incorrect number of operands for operator or function; operator or function: \
             list_append, number of operands: 1",
        ),
        (
            "SET a = if_not_exists(:n, :n)",
            "Operator or function requires a document path; operator or function: if_not_exists",
        ),
        ("SET status = :n", "Attribute name is a reserved keyword; reserved keyword: status"),
        (
            "SET a = :n REMOVE b SET c = :n",
            "The \"SET\" section can only be used once in an update expression;",
        ),
        (
            "SET #x = :n",
            "An expression attribute name used in the document path is not defined; \
             attribute name: #x",
        ),
        (
            "SET a = :x",
            "An expression attribute value used in expression is not defined; attribute value: :x",
        ),
        (
            "DELETE a :x",
            "An expression attribute value used in expression is not defined; attribute value: :x",
        ),
        ("", "The expression can not be empty;"),
    ] {
        assert_eq!(refusal(text), format!("Invalid UpdateExpression: {said}"), "{text}");
    }
}

#[test]
fn operand_types_are_checked_where_they_are_known() {
    for (text, operator, operand) in [
        ("SET a = :n + :s", "+", "S"),
        ("SET a = :l - b", "-", "L"),
        ("SET a = list_append(b, :s)", "list_append", "S"),
        ("SET a = list_append(:l, :l) + :n", "+", "L"),
    ] {
        let said = format!(
            "Invalid UpdateExpression: Incorrect operand type for operator or function; \
             operator or function: {operator}, operand type: {operand}"
        );
        assert_eq!(refusal(text), said, "{text}");
    }
    for (text, operator, operand) in [
        ("ADD a :s", "ADD", "STRING"),
        ("ADD a :l", "ADD", "LIST"),
        ("ADD a :true", "ADD", "BOOLEAN"),
        ("DELETE a :n", "DELETE", "NUMBER"),
        ("DELETE a :m", "DELETE", "MAP"),
        ("DELETE a :b", "DELETE", "BINARY"),
        ("DELETE a :null", "DELETE", "NULL"),
    ] {
        let said = format!(
            "Invalid UpdateExpression: Incorrect operand type for operator or function; \
             operator: {operator}, operand type: {operand}, typeSet: ALLOWED_FOR_{operator}_OPERAND"
        );
        assert_eq!(refusal(text), said, "{text}");
    }
}

#[test]
fn paths_neither_overlap_nor_conflict() {
    for (text, what, one, two) in [
        ("SET a = :n, a = :s", "overlap", "[a]", "[a]"),
        ("SET #a = :n, #a2 = :s", "overlap", "[a]", "[a]"),
        ("SET a = :n REMOVE a", "overlap", "[a]", "[a]"),
        ("SET a = :n, a.b = :n", "overlap", "[a]", "[a, b]"),
        ("SET a.b.c = :n, a.b = :n", "overlap", "[a, b, c]", "[a, b]"),
        ("SET a[1] = :n, a = :n", "overlap", "[a, [1]]", "[a]"),
        ("SET a[1][1] = :n, a[1] = :n", "overlap", "[a, [1], [1]]", "[a, [1]]"),
        ("SET a.b = :n, a.b.c.d.e = :n", "overlap", "[a, b]", "[a, b, c, d, e]"),
        ("SET a.b = :n, a[1] = :n", "conflict", "[a, b]", "[a, [1]]"),
        ("SET a.b.c = :n, a.b[2] = :n", "conflict", "[a, b, c]", "[a, b, [2]]"),
    ] {
        let said = format!(
            "Invalid UpdateExpression: Two document paths {what} with each other; must remove or \
             rewrite one of these paths; path one: {one}, path two: {two}"
        );
        assert_eq!(refusal(text), said, "{text}");
    }
    for text in ["SET a.b = :n, a.c.d = :n, b.x = :n REMOVE a.x", "SET a[0] = :n, a[1].b = a[0]"] {
        assert!(compiled(text).is_ok(), "{text}");
    }
}

#[test]
fn key_attributes_are_not_updated() {
    let schema = KeySchema::simple("p", KeyKind::S);
    let composite = KeySchema::composite(
        KeyAttribute::new("o", KeyKind::S),
        KeyAttribute::new("p", KeyKind::S),
    );
    for text in ["SET p = :n", "REMOVE p", "ADD p :n", "DELETE p :ss", "SET a = :n, p.x = :n"] {
        for schema in [&schema, &composite] {
            let refused = compiled(text).expect(text).check_keys(schema).expect_err(text);
            assert_eq!(
                refused.to_string(),
                "One or more parameter values were invalid: Cannot update attribute p. \
                 This attribute is part of the key"
            );
        }
    }
    assert_eq!(compiled("SET a = p").expect("well formed").check_keys(&schema), Ok(()));
}

fn stored() -> Item {
    item(&[
        ("num", n("3")),
        ("word", s("hello")),
        ("pets", ss(&["dog", "cat", "mouse"])),
        ("nums", l(&[n("0"), n("1"), n("2"), n("3"), n("4"), n("5")])),
        ("tree", m(&[("x", n("1")), ("l", l(&[s("hi"), m(&[("y", l(&[n("3"), n("7")]))])]))])),
    ])
}

/// The attributes that `text` changes, as they are afterwards; none for those removed.
fn changed(text: &str) -> Result<Vec<(String, Option<AttributeValue>)>, String> {
    let update = compiled(text).expect(text);
    let new = update.apply(&stored()).map_err(|e| e.to_string())?.item;
    let names: std::collections::BTreeSet<_> =
        stored().into_keys().chain(new.keys().cloned()).collect();
    let differs = |name: &String| new.get(name) != stored().get(name);
    let pair = |name: String| (name.clone(), new.get(&name).cloned());
    Ok(names.into_iter().filter(differs).map(pair).collect())
}

fn check(text: &str, expected: &[(&str, Option<AttributeValue>)]) {
    let expected = expected.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    assert_eq!(changed(text), Ok(expected.collect::<Vec<_>>()), "{text}");
}

#[test]
fn assignments_read_the_item_as_it_was() {
    check("SET a = :n", &[("a", Some(n("5")))]);
    check("SET a = num", &[("a", Some(n("3")))]);
    check("SET num = :s, a = num", &[("a", Some(n("3"))), ("num", Some(s("x")))]);
    check("SET b = num REMOVE num", &[("b", Some(n("3"))), ("num", None)]);
    check("SET num = num", &[]);
    check("SET a = tree.l[1].y[1]", &[("a", Some(n("7")))]);
    check("SET a = num + :n, b = :n - num", &[("a", Some(n("8"))), ("b", Some(n("2")))]);
    check(
        "SET a = if_not_exists(num, :n), b = if_not_exists(z, if_not_exists(y, :s))",
        &[("a", Some(n("3"))), ("b", Some(s("x")))],
    );
    check("SET num = if_not_exists(num, :n) + :n", &[("num", Some(n("8")))]);
    check(
        "SET a = list_append(if_not_exists(z, :l), :l)",
        &[("a", Some(l(&[n("8"), n("9"), n("8"), n("9")])))],
    );
    check(
        "SET a = list_append(tree.l[1].y, :l)",
        &[("a", Some(l(&[n("3"), n("7"), n("8"), n("9")])))],
    );
}

#[test]
fn lists_change_by_their_old_positions() {
    let numbers =
        |members: &[i64]| Some(l(&members.iter().map(|i| n(&i.to_string())).collect::<Vec<_>>()));
    check("REMOVE nums[1] SET nums[3] = :n", &[("nums", numbers(&[0, 2, 5, 4, 5]))]);
    check("SET nums[3] = :n REMOVE nums[1]", &[("nums", numbers(&[0, 2, 5, 4, 5]))]);
    check("REMOVE nums[0], nums[5], nums[2], nums[17]", &[("nums", numbers(&[1, 3, 4]))]);
    check("SET nums[7] = :n", &[("nums", numbers(&[0, 1, 2, 3, 4, 5, 5]))]);
    check(
        "SET nums[84] = num, nums[37] = :n, nums[6] = nums[0]",
        &[("nums", numbers(&[0, 1, 2, 3, 4, 5, 0, 5, 3]))],
    );
    check("SET nums[9] = :n REMOVE nums[0]", &[("nums", numbers(&[1, 2, 3, 4, 5, 5]))]);
    check("ADD nums[1] :n, nums[99] :n", &[("nums", numbers(&[0, 6, 2, 3, 4, 5, 5]))]);
}

#[test]
fn documents_change_within() {
    let tree = |x: Option<AttributeValue>, y: &[AttributeValue]| {
        let inner = l(&[s("hi"), m(&[("y", l(y))])]);
        let mut entries = vec![("l", inner)];
        entries.extend(x.map(|x| ("x", x)));
        Some(m(&entries))
    };
    let (three, seven) = (n("3"), n("7"));
    check("SET tree.l[1].y[0] = :n", &[("tree", tree(Some(n("1")), &[n("5"), seven.clone()]))]);
    check("REMOVE tree.x, tree.l[1].y[1]", &[("tree", tree(None, std::slice::from_ref(&three)))]);
    check("REMOVE tree.gone, nums[7], other1, tree.l[1].y[9]", &[]);
    check("REMOVE tree.l[1].y[1], tree.l[1].y[0], tree.x", &[("tree", tree(None, &[]))]);
    check("ADD tree.x :n", &[("tree", tree(Some(n("6")), &[three, seven]))]);
}

#[test]
fn sets_and_numbers_grow_and_shrink() {
    check("ADD num :n", &[("num", Some(n("8")))]);
    check("ADD a :n, c :ss", &[("a", Some(n("5"))), ("c", Some(ss(&["cat", "pig"])))]);
    check("ADD pets :ss", &[("pets", Some(ss(&["dog", "cat", "mouse", "pig"])))]);
    check("DELETE pets :ss", &[("pets", Some(ss(&["dog", "mouse"])))]);
    check("DELETE gone :ss", &[]);
    let pair = item(&[("pets", ss(&["cat", "pig"]))]);
    let left = compiled("DELETE pets :ss").expect("well formed").apply(&pair).expect("applies");
    assert_eq!(left.item, Item::new());
}

#[test]
fn what_does_not_fit_the_item_is_refused() {
    let path = "The document path provided in the update expression is invalid for update";
    let gone = "The provided expression refers to an attribute that does not exist in the item";
    let typed = "An operand in the update expression has an incorrect data type";
    let overflow =
        "Number overflow. Attempting to store a number with magnitude larger than supported range";
    for (text, said) in [
        ("SET word.c = :n", path),
        ("SET nums.c = :n", path),
        ("SET gone.c = :n", path),
        ("SET word[0] = :n", path),
        ("SET gone[0] = :n", path),
        ("SET tree[0] = :n", path),
        ("SET nums[9].c = :n", path),
        ("REMOVE gone.c", path),
        ("REMOVE word[0]", path),
        ("ADD gone.c :n", path),
        ("DELETE gone.c :ss", path),
        ("SET a = gone", gone),
        ("SET gone = gone", gone),
        ("SET a = nums[6]", gone),
        ("SET b = :n, a = b", gone),
        ("SET a = list_append(gone, :l)", gone),
        ("SET a = word + :n", typed),
        ("SET a = list_append(num, :l)", typed),
        ("SET a = if_not_exists(word, :n) + :n", typed),
        ("ADD word :n", typed),
        ("ADD nums :ns", typed),
        ("ADD pets :ns", typed),
        ("DELETE num :ss", typed),
        ("SET a = :max + :max", overflow),
        ("SET a = :max + :n", overflow),
    ] {
        assert_eq!(changed(text), Err(said.to_owned()), "{text}");
    }
}

#[test]
fn items_do_not_nest_too_deep() {
    let nested = |levels: usize| (0..levels).fold(s("leaf"), |inner, _| m(&[("n", inner)]));
    let apply = |levels| {
        let actions = vec![UpdateAction::Set(
            Path::new("tree").key("x"),
            crate::ast::SetValue::Operand(crate::ast::SetOperand::Value(nested(levels))),
        )];
        Update::new(actions).expect("one path").apply(&stored()).map(|_| ())
    };
    assert_eq!(apply(30), Ok(()));
    assert_eq!(apply(31), Err(crate::error::UpdateError::TooDeep.into()));
}

#[test]
fn a_missing_item_is_made_of_its_key() {
    let key = item(&[("p", s("k"))]);
    let created = |text: &str| {
        compiled(text)
            .expect(text)
            .create(&key)
            .map(|updated| updated.item)
            .map_err(|e| e.to_string())
    };
    assert_eq!(created("SET a = p"), Ok(item(&[("p", s("k")), ("a", s("k"))])));
    assert_eq!(created("ADD a :n"), Ok(item(&[("p", s("k")), ("a", n("5"))])));
    assert_eq!(created("REMOVE x.y, z[0] DELETE w.v :ss"), Ok(key.clone()));
    assert!(created("SET c.c = :n").is_err());
    assert!(created("REMOVE x.y SET x.z = :n").is_err());
    assert!(created("SET a = z").is_err());
    let nothing = Update::new(Vec::new()).expect("no paths");
    assert_eq!(nothing.create(&key).map(|updated| updated.item), Ok(key.clone()));
    assert_eq!(Update::from_source(&nothing.source()), Ok(nothing));
}

#[test]
fn touched_parts_are_reported() {
    let update = compiled("SET tree.l[1].y[0] = :n, a = :s REMOVE num").expect("well formed");
    let updated = update.apply(&stored()).expect("applies");
    let part = |y: &str| m(&[("l", l(&[m(&[("y", l(&[n(y)]))])]))]);
    assert_eq!(update.touched(&stored()), item(&[("tree", part("3")), ("num", n("3"))]));
    assert_eq!(update.touched(&updated.item), item(&[("tree", part("5")), ("a", s("x"))]));
    let paths: Vec<_> = updated.touched.iter().map(Path::to_string).collect();
    assert_eq!(paths, ["[tree, l, [1], y, [0]]", "[a]", "[num]"]);
}

#[test]
fn legacy_actions_may_add_to_lists() {
    let add = UpdateAction::Add(Path::new("nums"), l(&[n("6")]));
    let update = Update::new(vec![add]).expect("one path");
    let update = Update::from_source(&update.source()).expect("peers may say so");
    let list = update.apply(&stored()).expect("applies").item.remove("nums");
    assert!(matches!(list, Some(AttributeValue::L(list)) if list.len() == 7));
}
