//! Tests of `sealed`.

use super::*;
use crate::{ArchivedChange, ArchivedItem, BaseChunk, LogSegment};
use meridian_base::{Cause, PartitionId, Position, Version};
use proptest::prelude::*;

const NAME: &str = "c/r/tables/9/p16/watermark";

fn key() -> DataKey {
    DataKey::new(7, [9; 32])
}

fn open_with(key: &DataKey, name: &str, bytes: &[u8]) -> Result<Vec<u8>, ArchiveError> {
    open(|number| (number == key.number()).then_some(key), name, bytes)
}

/// Seals bytes as they are, which no writer does.
fn seal_packed(packed: &[u8]) -> Vec<u8> {
    let (key, nonce) = (key(), [3; 12]);
    let mut out = [&MAGIC[..], &[FORMAT], &key.number().to_be_bytes(), &nonce].concat();
    let sealed = key.encrypt(nonce, packed, &bound(&out, NAME));
    out.extend_from_slice(&sealed);
    put_checksum(&mut out);
    out
}

#[test]
fn another_name_and_another_key_are_refused() {
    let sealed = seal(&key(), NAME, [3; 12], b"content");
    assert_eq!(key_number(NAME, &sealed), Ok(7));
    let other = "c/r/tables/8/p16/watermark";
    let misplaced = |object: &str| Err(ArchiveError::Misplaced { object: object.to_owned() });
    assert_eq!(open_with(&key(), other, &sealed), misplaced(other));
    assert_eq!(open_with(&DataKey::new(7, [8; 32]), NAME, &sealed), misplaced(NAME));
    let unknown = ArchiveError::UnknownKey { object: NAME.to_owned(), number: 7 };
    assert_eq!(open_with(&DataKey::new(6, [9; 32]), NAME, &sealed), Err(unknown));
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let sealed = seal(&key(), NAME, [3; 12], b"content");
    let check = |change: &dyn Fn(&mut Vec<u8>), offset: usize, what: &str| {
        let mut bytes = sealed.clone();
        change(&mut bytes);
        assert_eq!(open_with(&key(), NAME, &bytes), Err(damaged(NAME, offset, what)));
        assert_eq!(key_number(NAME, &bytes), Err(damaged(NAME, offset, what)));
    };
    check(&|bytes| bytes.clear(), 0, "the bytes end early");
    check(&|bytes| bytes[0] = 0, 0, "it does not begin as an object of the archive");
    check(&|bytes| bytes[30] ^= 1, sealed.len() - 4, "the checksum differs");
    let newer = |bytes: &mut Vec<u8>| {
        bytes.truncate(bytes.len() - 4);
        bytes[4] = 2;
        put_checksum(bytes);
    };
    check(&newer, 4, "its format is unknown");
}

#[test]
fn authentic_nonsense_is_refused() {
    let long = u32::try_from(PLAIN_BYTES_MAX + 1).unwrap().to_be_bytes();
    let garbled = [&9u32.to_be_bytes()[..], &[0xff; 9]].concat();
    let other_length = [&9u32.to_be_bytes()[..], &pack(b"short")[4..]].concat();
    for (packed, what) in [
        (&[1, 2, 3][..], "its content ends early"),
        (&long, "its content is longer than allowed"),
        (&garbled, "its content is garbled"),
        (&other_length, "its content has another length"),
    ] {
        let error = open_with(&key(), NAME, &seal_packed(packed));
        assert_eq!(error, Err(damaged(NAME, HEADER_BYTES, what)));
    }
}

#[test]
fn content_is_compressed() {
    let plain = b"the same again and again ".repeat(1000);
    let sealed = seal(&key(), NAME, [3; 12], &plain);
    assert!(sealed.len() < plain.len() / 20, "{} bytes", sealed.len());
    assert_eq!(open_with(&key(), NAME, &sealed), Ok(plain));
}

proptest! {
    #[test]
    fn sealed_content_round_trips(secret: [u8; 32], number: u32, nonce: [u8; 12], plain: Vec<u8>) {
        let key = DataKey::new(number, secret);
        let sealed = seal(&key, NAME, nonce, &plain);
        prop_assert_eq!(key_number(NAME, &sealed), Ok(number));
        prop_assert_eq!(open_with(&key, NAME, &sealed), Ok(plain));
    }

    #[test]
    fn a_flipped_bit_or_a_cut_is_damage(plain: Vec<u8>, at: prop::sample::Index, bit in 0u8..8) {
        let sealed = seal(&key(), NAME, [3; 12], &plain);
        let at = at.index(sealed.len());
        let mut flipped = sealed.clone();
        flipped[at] ^= 1 << bit;
        for bytes in [&flipped[..], &sealed[..at]] {
            let error = open_with(&key(), NAME, bytes).unwrap_err();
            prop_assert!(matches!(error, ArchiveError::Damaged { .. }), "{}", error);
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
        prop_assert!(open_with(&key(), NAME, &bytes).is_err());
        let mut framed = [&MAGIC[..], &[FORMAT], &7u32.to_be_bytes(), &bytes].concat();
        put_checksum(&mut framed);
        prop_assert!(open_with(&key(), NAME, &framed).is_err());
        let _ = open_with(&key(), NAME, &seal_packed(&bytes));
    }

    #[test]
    fn no_key_and_no_image_is_readable(
        keys in prop::collection::btree_set(prop::collection::vec(any::<u8>(), 16..40), 1..5),
        image in prop::collection::vec(any::<u8>(), 16..60),
        nonce: [u8; 12],
    ) {
        let (partition, version) = (PartitionId(16), Version::default());
        let items: Vec<_> = keys
            .iter()
            .map(|key| ArchivedItem { key: key.clone(), image: image.clone(), version })
            .collect();
        let changes: Vec<_> = (1..)
            .zip(&items)
            .map(|(position, item)| ArchivedChange {
                position: Position(position),
                commit_ms: 5,
                key: item.key.clone(),
                image: Some(item.image.clone()),
                version,
                cause: Cause::Write,
            })
            .collect();
        let (first, last) = (Position(1), Position(changes.len() as u64));
        let segment = LogSegment { partition, first, last, changes }.encode();
        let chunk = BaseChunk { partition, position: last, number: 0, items }.encode();
        for plain in [segment, chunk] {
            let sealed = seal(&key(), NAME, nonce, &plain);
            for secret in keys.iter().chain([&image]) {
                // Any 8 bytes in a row: a coincidence would be one in 2^64 for each place.
                let mut parts = secret.windows(8);
                prop_assert!(plain.windows(16).any(|w| secret.starts_with(w)));
                prop_assert!(!parts.any(|part| sealed.windows(8).any(|w| w == part)));
            }
        }
    }
}
