//! Undoes the compression of an object, a piece at a time.
//!
//! # Invariants
//!
//! - A piece of [`PIECE_BYTES`] gives a bounded number of bytes, however it is compressed.
//! - An object that ends too early is an error; one without a byte is empty.
//!
//! Tested by `source/tests.rs`.

use crate::source::Compression;
use flate2::write::MultiGzDecoder;
use std::io::Write as _;
use zstd::stream::raw::{Decoder as ZstdDecoder, Operation as _, OutBuffer};

/// Compressed bytes that are undone at a time: as zstd they may become 128 KiB for each four.
pub const PIECE_BYTES: usize = 1024;
/// Bytes that zstd gives at a time.
const ZSTD_OUT_BYTES: usize = 128 * 1024;

/// Says that the bytes are not what they are said to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the object is not compressed as the import says, or it is damaged")]
pub struct NotCompressedSo;

/// One object being decompressed.
pub enum Decoder {
    /// It is not compressed.
    Plain,
    /// gzip, of one member or more.
    Gzip(Box<MultiGzDecoder<Vec<u8>>>, bool),
    /// zstd, of one frame or more.
    Zstd(Box<ZstdDecoder<'static>>, bool),
}

impl Decoder {
    /// Begins an object.
    pub fn new(compression: Compression) -> Self {
        match compression {
            Compression::None => Decoder::Plain,
            Compression::Gzip => Decoder::Gzip(Box::new(MultiGzDecoder::new(Vec::new())), false),
            Compression::Zstd => {
                let decoder = ZstdDecoder::new().expect("zstd has memory for a context");
                Decoder::Zstd(Box::new(decoder), true)
            }
        }
    }

    /// Undoes a piece.
    pub fn push(&mut self, piece: &[u8]) -> Result<Vec<u8>, NotCompressedSo> {
        match self {
            Decoder::Plain => Ok(piece.to_vec()),
            Decoder::Gzip(gzip, begun) => {
                *begun |= !piece.is_empty();
                gzip.write_all(piece).map_err(|_| NotCompressedSo)?;
                gzip.flush().map_err(|_| NotCompressedSo)?;
                Ok(std::mem::take(gzip.get_mut()))
            }
            Decoder::Zstd(zstd, whole) => unzstd(zstd, whole, piece),
        }
    }

    /// Ends the object.
    pub fn finish(self) -> Result<Vec<u8>, NotCompressedSo> {
        match self {
            Decoder::Plain => Ok(Vec::new()),
            Decoder::Gzip(_, false) => Ok(Vec::new()),
            Decoder::Gzip(gzip, true) => gzip.finish().map_err(|_| NotCompressedSo),
            Decoder::Zstd(_, true) => Ok(Vec::new()),
            Decoder::Zstd(_, false) => Err(NotCompressedSo),
        }
    }
}

/// Undoes a piece; notes whether a frame is whole.
fn unzstd(
    zstd: &mut ZstdDecoder<'static>,
    whole: &mut bool,
    piece: &[u8],
) -> Result<Vec<u8>, NotCompressedSo> {
    let mut out = Vec::new();
    let mut buffer = vec![0; ZSTD_OUT_BYTES];
    let mut rest = piece;
    loop {
        let mut written = OutBuffer::around(buffer.as_mut_slice());
        let mut read = zstd::stream::raw::InBuffer::around(rest);
        let left = zstd.run(&mut read, &mut written).map_err(|_| NotCompressedSo)?;
        let (consumed, filled) = (read.pos(), written.pos());
        out.extend_from_slice(buffer.get(..filled).unwrap_or_default());
        *whole = left == 0 || (consumed == 0 && filled == 0 && *whole);
        rest = rest.get(consumed..).unwrap_or_default();
        if rest.is_empty() && filled < ZSTD_OUT_BYTES {
            return Ok(out);
        }
    }
}
