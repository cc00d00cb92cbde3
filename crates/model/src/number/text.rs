//! Numbers as text: what DynamoDB accepts, and plain notation as it prints.

use std::fmt;

use super::{DIGITS_MAX, Number, NumberError};

/// Reads `[+-] digits [. digits] [e [+-] digits]` with at least one digit before the exponent.
pub(super) fn parse(text: &str) -> Result<Number, NumberError> {
    if text.is_empty() {
        return Err(NumberError::Empty);
    }
    let refused = || NumberError::NotNumeric(text.to_owned());
    let (negative, unsigned) = split_sign(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent).ok_or_else(refused)?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits_only = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if !digits_only(whole) || !digits_only(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return Err(refused());
    }
    let point = i64::try_from(fraction.len()).map_err(|_| NumberError::TooPrecise)?;
    collect(negative, whole, fraction, exponent.saturating_sub(point))
}

/// Joins the digits without leading and trailing zeros.
fn collect(
    negative: bool,
    whole: &str,
    fraction: &str,
    exponent: i64,
) -> Result<Number, NumberError> {
    let mut coefficient = 0u128;
    let mut digits = 0u32;
    let mut zeros = 0u32;
    let mut too_precise = false;
    for byte in whole.bytes().chain(fraction.bytes()) {
        if byte == b'0' {
            zeros = zeros.saturating_add(u32::from(digits > 0));
            continue;
        }
        // Zeros count only when a digit follows; those at the end become part of the exponent.
        digits = digits.saturating_add(zeros).saturating_add(1);
        too_precise |= digits > DIGITS_MAX;
        if !too_precise {
            coefficient = coefficient * 10u128.pow(zeros + 1) + u128::from(byte - b'0');
        }
        zeros = 0;
    }
    if digits == 0 {
        return Ok(Number::ZERO);
    }
    let exponent = exponent.saturating_add(i64::from(zeros));
    if !too_precise {
        return Number::from_parts(negative, coefficient, exponent);
    }
    // The range is reported before the precision, as for numbers that fit: ask a stand-in with the
    // same first digit.
    Number::from_parts(negative, 1, exponent.saturating_add(i64::from(digits) - 1))?;
    Err(NumberError::TooPrecise)
}

fn split_sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// Reads an exponent; one beyond the range of `i64` saturates.
fn parse_exponent(text: &str) -> Option<i64> {
    let (negative, digits) = split_sign(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let value = digits
        .bytes()
        .fold(0i64, |value, b| value.saturating_mul(10).saturating_add(i64::from(b - b'0')));
    Some(if negative { -value } else { value })
}

impl fmt::Display for Number {
    /// Prints plain notation without exponent, as DynamoDB returns numbers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.negative {
            f.write_str("-")?;
        }
        let digits = self.coefficient.to_string();
        let zeros = usize::from(self.exponent.unsigned_abs());
        if self.exponent >= 0 {
            return write!(f, "{digits}{}", "0".repeat(zeros));
        }
        match digits.len().checked_sub(zeros) {
            None | Some(0) => write!(f, "0.{}{digits}", "0".repeat(zeros - digits.len())),
            Some(point) => {
                let (whole, fraction) = digits.split_at(point);
                write!(f, "{whole}.{fraction}")
            }
        }
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
