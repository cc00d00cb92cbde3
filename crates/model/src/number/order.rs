//! Numbers as bytes whose order is the numeric order.
//!
//! `class` (1 negative, 2 zero, 3 positive), then for numbers other than zero: one byte for the
//! power of ten of the first digit (-130 is 0), the digits in pairs, each pair plus one, and a 0.
//! After the class all bytes of a negative number are inverted. At most 22 bytes; no encoding is
//! the prefix of another.

use meridian_base::codec::{DecodeError, Reader};

use super::{DIGITS_MAX, MAGNITUDE_MIN, Number};

const NEGATIVE: u8 = 1;
const ZERO: u8 = 2;
const POSITIVE: u8 = 3;
const UNKNOWN: DecodeError = DecodeError::Unknown("number");

impl Number {
    /// Appends the order-preserving bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        if self.is_zero() {
            out.push(ZERO);
            return;
        }
        out.push(if self.negative { NEGATIVE } else { POSITIVE });
        let flip = if self.negative { 0xff } else { 0 };
        let biased = i64::from(self.magnitude()) - MAGNITUDE_MIN;
        out.push(u8::try_from(biased).expect("256 powers of ten") ^ flip);
        let mut rest = self.scaled();
        for place in (0..DIGITS_MAX / 2).rev() {
            if rest == 0 {
                break;
            }
            let unit = 100u128.pow(place);
            let pair = u8::try_from(rest / unit).expect("a pair is below 100");
            out.push((pair + 1) ^ flip);
            rest %= unit;
        }
        out.push(flip);
    }

    /// Reads what [`Number::encode`] wrote; refuses every other form.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Number, DecodeError> {
        let negative = match reader.u8()? {
            ZERO => return Ok(Number::ZERO),
            NEGATIVE => true,
            POSITIVE => false,
            _ => return Err(UNKNOWN),
        };
        let flip = if negative { 0xff } else { 0 };
        let magnitude = i64::from(reader.u8()? ^ flip) + MAGNITUDE_MIN;
        let (mut coefficient, mut pairs, mut last) = (0u128, 0i64, 0u8);
        loop {
            let byte = reader.u8()? ^ flip;
            if byte == 0 {
                break;
            }
            let pair = byte - 1;
            let first = pairs == 0;
            pairs += 1;
            if pair > 99 || pairs > i64::from(DIGITS_MAX / 2) || (first && pair < 10) {
                return Err(UNKNOWN);
            }
            coefficient = coefficient * 100 + u128::from(pair);
            last = pair;
        }
        if last == 0 {
            return Err(UNKNOWN);
        }
        let exponent = magnitude - (2 * pairs - 1);
        Number::from_parts(negative, coefficient, exponent).map_err(|_| UNKNOWN)
    }
}
