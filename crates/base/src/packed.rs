//! Bytes made shorter: their length, then an LZ4 block.
//!
//! # Invariants
//!
//! - What is unpacked has the length that it was packed with.
//! - Nothing is allocated by a length that was not checked.
//!
//! Tested here and by those who keep packed bytes.

/// The packed form of `plain`, which may be longer than `plain`: where nothing repeats, by 4 bytes and
/// one in 255.
///
/// # Panics
///
/// When `plain` has 4 GiB or more.
pub fn pack(plain: &[u8]) -> Vec<u8> {
    let bytes = u32::try_from(plain.len()).expect("callers pack less than 4 GiB");
    let mut packed = bytes.to_be_bytes().to_vec();
    packed.extend_from_slice(&lz4_flex::block::compress(plain));
    packed
}

/// What was packed, if it is no longer than `bytes_max`. Error: what is wrong with the bytes.
pub fn unpack(packed: &[u8], bytes_max: usize) -> Result<Vec<u8>, &'static str> {
    let (length, block) = packed.split_first_chunk::<4>().ok_or("its content ends early")?;
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    if length > bytes_max {
        return Err("its content is longer than allowed");
    }
    let plain = lz4_flex::block::decompress(block, length).map_err(|_| "its content is garbled")?;
    if plain.len() == length { Ok(plain) } else { Err("its content has another length") }
}

#[cfg(test)]
mod tests {
    use super::{pack, unpack};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(plain: Vec<u8>, times in 1usize..64) {
            let plain = plain.repeat(times);
            prop_assert_eq!(unpack(&pack(&plain), plain.len()), Ok(plain.clone()));
            if let Some(less) = plain.len().checked_sub(1) {
                prop_assert!(unpack(&pack(&plain), less).is_err());
            }
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            let _ = unpack(&bytes, 1 << 20);
        }
    }
}
