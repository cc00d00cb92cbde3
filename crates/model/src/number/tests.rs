//! Numbers: texts, limits, arithmetic and order.

use meridian_base::codec::Reader;
use proptest::prelude::*;

use super::*;

fn number(text: &str) -> Number {
    Number::parse(text).expect("a test's number is well formed")
}

/// Any number, small integers often.
pub(crate) fn any_number() -> impl Strategy<Value = Number> {
    let whole = (any::<bool>(), 0u128..10u128.pow(38), -130i64..=125).prop_filter_map(
        "within the range",
        |(negative, coefficient, exponent)| {
            Number::from_parts(negative, coefficient, exponent).ok()
        },
    );
    prop_oneof![
        (-20i64..20).prop_map(Number::from),
        any::<i64>().prop_map(Number::from),
        whole,
        (any::<bool>(), 1u128..1000, -130i64..=122)
            .prop_map(|(n, c, e)| Number::from_parts(n, c, e).expect("within the range")),
    ]
}

fn encoded(number: &Number) -> Vec<u8> {
    let mut out = Vec::new();
    number.encode(&mut out);
    out
}

/// Sign, digits before the point and digits behind it, all at full width: compares as text.
fn aligned(number: &Number) -> (bool, String) {
    let text = number.to_string();
    let unsigned = text.trim_start_matches('-');
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    (text.starts_with('-'), format!("{whole:0>130}{fraction:0<170}"))
}

fn naive_order(left: &Number, right: &Number) -> Ordering {
    match (aligned(left), aligned(right)) {
        ((false, left), (false, right)) => left.cmp(&right),
        ((true, left), (true, right)) => right.cmp(&left),
        ((left, _), (right, _)) => right.cmp(&left),
    }
}

#[test]
fn texts_print_in_plain_notation() {
    for (text, printed) in [
        ("0", "0"),
        ("-0", "0"),
        ("0.000", "0"),
        ("0e1000", "0"),
        ("+3", "3"),
        ("-7.1234", "-7.1234"),
        ("0001.2300", "1.23"),
        (".123", "0.123"),
        ("5.", "5"),
        ("1e+5", "100000"),
        ("1E+2", "100"),
        ("1e-10", "0.0000000001"),
        ("-17e5", "-1700000"),
        ("12.5e-1", "1.25"),
        (
            "100000000000000000000000000000000000000000",
            "100000000000000000000000000000000000000000",
        ),
        ("3.1415926535897932384626433832795028841", "3.1415926535897932384626433832795028841"),
    ] {
        assert_eq!(number(text).to_string(), printed, "{text}");
    }
    assert_eq!(number("1e125").to_string(), format!("1{}", "0".repeat(125)));
    assert_eq!(number("-1e-130").to_string(), format!("-0.{}1", "0".repeat(129)));
}

#[test]
fn refusals_say_what_is_wrong() {
    let refused = |text: &str| Number::parse(text).expect_err(text).to_string();
    assert_eq!(refused(""), "The parameter cannot be converted to a numeric value");
    for text in [
        " 1", "1 ", "NaN", "Infinity", "-", "+", ".", "e5", "1e", "1e+", "--1", "1.2.3", "0x10",
        "1_000", "1e5.5", "１", "1e--5", "dog",
    ] {
        let said = format!("The parameter cannot be converted to a numeric value: {text}");
        assert_eq!(refused(text), said);
    }
    for text in ["1e126", "11e125", "-1e126", "1e99999999999999999999"] {
        assert!(refused(text).starts_with("Number overflow"), "{text}");
    }
    for text in ["1e-131", "0.9e-130", "-1e-99999999999999999999"] {
        assert!(refused(text).starts_with("Number underflow"), "{text}");
    }
    for text in [
        "3.14159265358979323846264338327950288419",
        "314159265358979323846264338327950288419e30",
        "100000000000000000000000000000000000001",
    ] {
        let said = "Attempting to store more than 38 significant digits in a Number";
        assert_eq!(refused(text), said, "{text}");
    }
    assert!(refused(&"9".repeat(200)).starts_with("Number overflow"));
}

#[test]
fn arithmetic_is_exact_or_refused() {
    let add = |left: &str, right: &str| number(left).add(&number(right)).map(|n| n.to_string());
    assert_eq!(add("0.1", "0.2"), Ok("0.3".to_owned()));
    assert_eq!(add("1", "10000000000000000000000"), Ok("10000000000000000000001".to_owned()));
    assert_eq!(add("5", "-5"), Ok("0".to_owned()));
    assert_eq!(add("-5", "3"), Ok("-2".to_owned()));
    assert_eq!(
        add("99999999999999999999999999999999999999", "1"),
        Ok(format!("1{}", "0".repeat(38)))
    );
    assert_eq!(add("1e38", "-1"), Ok("9".repeat(38)));
    assert_eq!(add("9e125", "9e125"), Err(NumberError::Overflow));
    assert_eq!(add("1e50", "1"), Err(NumberError::Overflow));
    assert_eq!(add("1e125", "1e-130"), Err(NumberError::Overflow));
    assert_eq!(add("1e38", "1"), Err(NumberError::Overflow));
    assert_eq!(add("99999999999999999999999999999999999999", "0.9"), Err(NumberError::Overflow));
    assert_eq!(number("1.1e-130").sub(&number("1e-130")), Err(NumberError::Underflow));
}

#[test]
fn integers_come_back() {
    for value in [0, 1, -1, 1000, i64::MAX, i64::MIN] {
        assert_eq!(Number::from(value).to_i64(), Some(value));
    }
    for text in ["0.5", "9223372036854775808", "1e100"] {
        assert_eq!(number(text).to_i64(), None, "{text}");
    }
}

proptest! {
    #[test]
    fn texts_round_trip(n in any_number()) {
        prop_assert_eq!(number(&n.to_string()), n);
    }

    #[test]
    fn any_text_is_read_without_panic(text in "[-+.eE0-9 x]{0,60}") {
        if let Ok(n) = Number::parse(&text) {
            prop_assert_eq!(number(&n.to_string()), n);
        }
    }

    #[test]
    fn bytes_round_trip_and_order(left in any_number(), right in any_number()) {
        let bytes = encoded(&left);
        let mut reader = Reader::new(&bytes);
        prop_assert_eq!(Number::decode(&mut reader), Ok(left));
        prop_assert!(reader.is_empty());
        prop_assert_eq!(left.cmp(&right), naive_order(&left, &right));
        prop_assert_eq!(bytes.cmp(&encoded(&right)), left.cmp(&right));
    }

    #[test]
    fn any_bytes_are_read_canonically_or_refused(
        mut bytes in prop::collection::vec(any::<u8>(), 0..24),
        class in 0u8..5,
    ) {
        if let Some(first) = bytes.first_mut() {
            *first = class;
        }
        let mut reader = Reader::new(&bytes);
        if let Ok(n) = Number::decode(&mut reader) {
            let read = bytes.len() - reader.rest().len();
            prop_assert_eq!(encoded(&n), &bytes[..read]);
        }
    }

    #[test]
    fn sums_equal_those_of_integers(a in -10i128.pow(18)..10i128.pow(18), b in any::<i64>(), e in -4i32..4) {
        let text = |value: i128| number(&format!("{value}e{e}"));
        let b = i128::from(b);
        prop_assert_eq!(text(a).add(&text(b)), Ok(text(a + b)));
        prop_assert_eq!(text(a).sub(&text(b)), Ok(text(a - b)));
    }

    #[test]
    fn what_was_added_can_be_taken_away(a in any_number(), b in any_number()) {
        prop_assert_eq!(a.add(&b), b.add(&a));
        if let Ok(sum) = a.add(&b) {
            prop_assert_eq!(sum.sub(&b), Ok(a));
        }
        prop_assert_eq!(a.sub(&a), Ok(Number::ZERO));
    }
}

#[test]
fn numbers_are_floored() {
    let floor = |text: &str| Number::parse(text).unwrap().floor_u64();
    for (text, whole) in [
        ("0", Some(0)),
        ("1700000000", Some(1_700_000_000)),
        ("17e8", Some(1_700_000_000)),
        ("1.99", Some(1)),
        ("1e-130", Some(0)),
        ("18446744073709551615", Some(u64::MAX)),
        ("18446744073709551616", None),
        ("1e125", None),
        ("-1", None),
    ] {
        assert_eq!(floor(text), whole, "{text}");
    }
}
