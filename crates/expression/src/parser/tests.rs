//! Grammar: what is a syntax error and where, what nests, what is too much.

use proptest::prelude::*;

use super::*;

fn refusal(text: &str) -> String {
    parse_condition(text, Origin::Client).expect_err(text).to_string()
}

fn update_refusal(text: &str) -> String {
    parse_update(text, Origin::Client).expect_err(text).to_string()
}

#[test]
fn syntax_errors_name_the_token_and_its_neighbours() {
    for (text, token, near) in [
        ("things are not", "are", "things are not"),
        ("a > 4", "4", "> 4"),
        ("attribute_exists(Pictures-RearView)", "-", "Pictures-RearView"),
        ("attribute_exists(\"Pictures\")", "\"", "(\"Pictures"),
        ("attribute_exists(Pictures..RearView)", ".", "..RearView"),
        ("attribute_exists(asdf[a])", "a", "[a]"),
        ("a in b, c", "b", "in b,"),
        ("a > between", "between", "> between"),
        ("a in (b,c,)", ")", ",)"),
        ("a in ()", ")", "()"),
        ("(a)between(b.(c.d))and(c)", "(", ".(c"),
        ("(a)between(b.c.d)and((c)", "<EOF>", ")"),
        ("#$.b > a", "#", "#$"),
        ("a > :things.stuff", ".", ":things.stuff"),
        ("b[:a] > a", ":a", "[:a]"),
        ("b[01] > a", "1", "01]"),
        ("ü > a", "ü", "ü >"),
        ("_a = b", "_", "_a"),
        ("size(a).b > a", ".", ").b"),
        ("(size(a))[0] > a", "[", ")[0"),
        ("p=:p AND c!=:c", "!", "c!="),
        ("a", "<EOF>", "a"),
        (":a", "<EOF>", ":a"),
        ("(a) AND b = c", "AND", ") AND b"),
        ("a = (b = c)", "=", "b = c"),
        ("a = b AND", "<EOF>", "AND"),
        ("a = b = c", "=", "b = c"),
        ("NOT", "<EOF>", "NOT"),
        ("attribute_type()", ")", "()"),
        (" ", "<EOF>", ""),
    ] {
        let said = format!("Syntax error; token: \"{token}\", near: \"{near}\"");
        assert_eq!(refusal(text), said, "{text}");
    }
}

#[test]
fn updates_have_syntax_errors_too() {
    for (text, token, near) in [
        ("SET", "<EOF>", "SET"),
        ("HELLO b = :v", "HELLO", "HELLO b"),
        ("SET _123 = :v", "_", "SET _123"),
        ("SET 123 = :v", "123", "SET 123 ="),
        ("SET :a = :b", ":a", "SET :a ="),
        ("ADD hits : incr", ":", "hits : incr"),
        ("SET b = :a + :b + :c", "+", ":b + :c"),
        ("SET c = if_not_exists(c, :a+:b)", "+", ":a+:b"),
        ("SET a = :v,", "<EOF>", ","),
        ("SET a = :v, SET b = :v", "SET", ", SET b"),
        ("REMOVE a b", "b", "a b"),
        ("DELETE a b", "b", "a b"),
        ("SET a = :v)", ")", ":v)"),
    ] {
        let said = format!("Syntax error; token: \"{token}\", near: \"{near}\"");
        assert_eq!(update_refusal(text), said, "{text}");
    }
}

#[test]
fn redundant_parentheses_are_refused_and_single_ones_are_not() {
    for text in [
        "a=a and a > ((views))",
        "(a)between(((b.c)).d)and(c)",
        "a > whatever((:things), ((a)))",
        "a=a AND ((a=a AND a=a)) AND a=a",
        "a=a OR ((a=a OR (a=a OR a=a)))",
        "((a=b))",
        "((attribute_exists(a)))",
        "((a)) = b",
    ] {
        assert_eq!(refusal(text), "The expression has redundant parentheses;", "{text}");
    }
    assert_eq!(update_refusal("SET a = ((b))"), "The expression has redundant parentheses;");
    assert_eq!(update_refusal("SET a = ((b + c))"), "The expression has redundant parentheses;");
    for text in [
        "((a=b) AND (c=d))",
        "((a) = b)",
        "(a) = (b)",
        "(b.c).d[1] = a",
        "(attribute_exists(a))",
        "NOT (a = b)",
        "NOT NOT a = b",
        "(size(a)) > b",
        "a BETWEEN (b) AND (c) AND (NOT d = e OR f IN (g, (h)))",
        "a between b and c or d in(e)and not f<>g",
    ] {
        assert!(parse_condition(text, Origin::Client).is_ok(), "{text}");
    }
    for text in ["SET a = (b + :c)", "SET a = (b) + (:c)", "set a=b Remove c add d :e delete f :g"]
    {
        assert!(parse_update(text, Origin::Client).is_ok(), "{text}");
    }
}

#[test]
fn and_binds_tighter_than_or() {
    let parts = |text: &str| parse_condition(text, Origin::Client).expect("well formed");
    let WrittenCondition::Or(alternatives) = parts("a=b OR c=d AND NOT e=f OR g=h") else {
        panic!("OR binds weakest");
    };
    assert_eq!(alternatives.len(), 3);
    assert_eq!(alternatives[1], parts("c=d AND NOT e=f"));
    assert_eq!(parts("a=b AND (c=d AND e=f)"), parts("a=b AND (c=d AND e=f)"));
    assert_ne!(parts("a=b AND c=d AND e=f"), parts("a=b AND (c=d AND e=f)"));
}

#[test]
fn limits_hold_for_clients() {
    assert_eq!(refusal(""), "The expression can not be empty;");
    let long = format!("{} = b", "a".repeat(4093));
    assert_eq!(
        refusal(&long),
        "Expression size has exceeded the maximum allowed size; expression size: 4097"
    );
    assert!(parse_condition(&long[1..], Origin::Client).is_ok());
    assert!(parse_condition(&long, Origin::Peer).is_ok());
    let many = |count| vec!["a<b"; count].join(" or ");
    assert!(parse_condition(&many(150), Origin::Client).is_ok());
    assert_eq!(
        refusal(&many(151)),
        "The expression contains too many operators; operator count: 301"
    );
    let assignments = (0..400).map(|i| format!("a{i}=:v")).collect::<Vec<_>>().join(",");
    assert!(parse_update(&format!("SET {assignments}"), Origin::Client).is_ok());
    let betweens = vec!["a between b and c"; 150].join(" or ");
    assert!(parse_condition(&betweens, Origin::Client).is_ok());
}

#[test]
fn deep_nesting_is_refused_before_the_stack_ends() {
    let right = |levels: usize| format!("{}a<b{}", "a<b or (".repeat(levels), ")".repeat(levels));
    assert!(parse_condition(&right(149), Origin::Client).is_ok());
    assert!(parse_condition(&right(DEPTH_MAX), Origin::Peer).is_ok());
    let nots = format!("{}a<b", "NOT ".repeat(DEPTH_MAX));
    assert!(parse_condition(&nots, Origin::Client).is_err_and(|e| e == Problem::TooManyOperators));
    assert!(parse_condition(&nots, Origin::Peer).is_ok());
    for text in [
        right(DEPTH_MAX + 1),
        right(100_000),
        "(".repeat(100_000),
        "NOT ".repeat(100_000),
        "NOT (".repeat(100_000),
    ] {
        let problem = parse_condition(&text, Origin::Peer).expect_err("too deep");
        assert_eq!(problem, Problem::TooDeep(DEPTH_MAX + 1));
    }
    for open in ["size(", "a = (", "a = size("] {
        let text = open.to_owned() + &open.trim_start_matches("a = ").repeat(100_000);
        let problem = parse_condition(&text, Origin::Peer).expect_err("too deep");
        assert_eq!(problem, Problem::TooDeep(OPERAND_DEPTH_MAX + 1), "{open}");
    }
    for open in ["(", "if_not_exists(a, "] {
        let text = format!("SET a = {}", open.repeat(100_000));
        let problem = parse_update(&text, Origin::Peer).expect_err("too deep");
        assert_eq!(problem, Problem::TooDeep(OPERAND_DEPTH_MAX + 1), "{open}");
    }
    // Depth is of what is open, not of what was.
    let flat = vec!["(NOT (NOT a<b))"; 40].join(" OR ");
    assert!(parse_condition(&flat, Origin::Client).is_ok());
    assert!(parse_condition(&"(".repeat(4096), Origin::Client).is_err());
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text: String) {
        let _ = parse_condition(&text, Origin::Client);
        let _ = parse_update(&text, Origin::Client);
        let _ = parse_projection(&text, Origin::Client);
    }

    #[test]
    fn any_tokens_are_read_or_refused(tokens in prop::collection::vec(prop::sample::select(vec![
        "a", "#b", ":c", "(", ")", "[", "]", "0", "12", ".", ",", "=", "<>", "<", ">=", "+", "-",
        "and", "or", "not", "between", "in", "size(", "contains(", "set", "remove", "add", "delete",
        "if_not_exists(", "list_append(", "!", "é",
    ]), 0..40)) {
        let text = tokens.join(" ");
        let _ = parse_condition(&text, Origin::Client);
        let _ = parse_update(&text, Origin::Client);
        let _ = parse_projection(&text, Origin::Client);
    }
}
