//! Tests of `keys`.

use super::*;
use proptest::prelude::*;

const SECRET: [u8; 32] = *b"an example of thirty-two bytes!!";

fn text_error(text: &str) -> String {
    MasterKey::parse(text).expect_err("not a key").to_string()
}

#[test]
fn a_master_key_is_read_from_hex_and_base64() {
    let id = MasterKey::new(SECRET).id();
    let hex: String = SECRET.iter().map(|byte| format!("{byte:02x}")).collect();
    let base64 = BASE64.encode(SECRET);
    let bare = base64.trim_end_matches('=');
    for text in [&hex, &hex.to_uppercase(), &base64, bare, &format!("\r\n {hex}\t\n")] {
        assert_eq!(MasterKey::parse(text).unwrap().id(), id, "{text}");
    }
}

#[test]
fn other_texts_are_refused_and_not_repeated() {
    let hex = "ab".repeat(32);
    for text in ["", "ab", &hex[1..], &format!("{hex}0"), &format!("{}g", &hex[1..]), "ä ö ü"] {
        let error = text_error(text);
        assert!(error.contains("64 hexadecimal digits, or 32 bytes in base64"), "{error}");
        assert!(text.is_empty() || !error.contains(text) || text == "ab", "{error}");
    }
    assert!(text_error(" äöü \n").contains("these are 3 characters"));
    // The base64 of 31 and of 33 bytes.
    for bytes in [31, 33] {
        text_error(&BASE64.encode(vec![7; bytes]));
    }
}

#[test]
fn no_key_is_printed() {
    let master = format!("{:?}", MasterKey::new([0xab; 32]));
    let data = format!("{:?}", DataKey::new(7, [0xab; 32]));
    assert_eq!(data, "DataKey(7, <hidden>)");
    assert_eq!(master, format!("MasterKey({}, <hidden>)", MasterKey::new([0xab; 32]).id()));
    assert!(!master.contains("abab") && !master.contains("171"));
}

#[test]
fn a_key_id_is_the_start_of_the_sha_256() {
    // SHA-256 of 32 zero bytes begins with 66687aadf862bd77.
    let id = MasterKey::new([0; 32]).id();
    assert_eq!(id.to_string(), "66687aadf862bd77");
    assert_eq!(format!("{id:?}"), "KeyId(66687aadf862bd77)");
}

#[test]
fn another_master_key_is_named() {
    let (right, wrong) = (MasterKey::new([1; 32]), MasterKey::new([2; 32]));
    let wrapped = right.wrap(&DataKey::new(7, [9; 32]), [3; 12]);
    let expected = ArchiveError::WrongKey { needed: right.id(), given: wrong.id() };
    assert_eq!(wrong.unwrap("k", &wrapped).unwrap_err(), expected);
}

#[test]
fn a_forged_header_is_noticed_behind_a_right_checksum() {
    let master = MasterKey::new([1; 32]);
    let mut wrapped = master.wrap(&DataKey::new(7, [9; 32]), [3; 12]);
    wrapped.truncate(wrapped.len() - 4);
    wrapped[16] ^= 1; // the number
    put_checksum(&mut wrapped);
    let error = master.unwrap("k", &wrapped).unwrap_err();
    assert!(matches!(error, ArchiveError::Damaged { offset: HEADER_BYTES, .. }), "{error}");
}

proptest! {
    #[test]
    fn wrapped_keys_round_trip(master: [u8; 32], secret: [u8; 32], nonce: [u8; 12], number: u32) {
        let master = MasterKey::new(master);
        let wrapped = master.wrap(&DataKey::new(number, secret), nonce);
        prop_assert!(!wrapped.windows(8).any(|w| secret.windows(8).any(|s| s == w)));
        let key = master.unwrap("k", &wrapped).unwrap();
        prop_assert_eq!((key.number(), key.secret), (number, secret));
    }

    #[test]
    fn a_flipped_bit_or_a_cut_is_damage(at: prop::sample::Index, bit in 0u8..8) {
        let master = MasterKey::new([1; 32]);
        let wrapped = master.wrap(&DataKey::new(7, [9; 32]), [3; 12]);
        let at = at.index(wrapped.len());
        let mut flipped = wrapped.clone();
        flipped[at] ^= 1 << bit;
        for bytes in [&flipped[..], &wrapped[..at]] {
            let error = master.unwrap("k", bytes).unwrap_err();
            let named = matches!(&error, ArchiveError::Damaged { object, .. } if object == "k");
            prop_assert!(named, "{}", error);
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
        let master = MasterKey::new([1; 32]);
        prop_assert!(master.unwrap("k", &bytes).is_err());
        // With magic, format and checksum right, too.
        let mut framed = [&MAGIC[..], &[FORMAT], &bytes].concat();
        put_checksum(&mut framed);
        prop_assert!(master.unwrap("k", &framed).is_err());
        let _ = MasterKey::parse(&String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn what_an_older_key_wrapped_is_opened_and_wrapped_again() {
    let (old, new) = (MasterKey::new([1; 32]), MasterKey::new([2; 32]));
    let wrapped = old.wrap(&DataKey::new(7, [9; 32]), [3; 12]);
    assert_eq!(MasterKey::wrapper_of("k", &wrapped), Ok(old.id()));
    let both = new.clone().after(vec![MasterKey::new([4; 32]), old]);
    let key = both.unwrap("k", &wrapped).unwrap();
    let again = both.wrap(&key, [5; 12]);
    assert_eq!(MasterKey::wrapper_of("k", &again), Ok(new.id()), "it wraps with the newest only");
    assert_eq!(
        new.unwrap("k", &again).unwrap().encrypt([0; 12], b"x", b"y"),
        key.encrypt([0; 12], b"x", b"y")
    );
    assert!(MasterKey::wrapper_of("k", &again[..20]).is_err());
}
