//! DynamoDB's number: an exact decimal of 38 significant digits.
//!
//! # Invariants
//!
//! - `coefficient` has no trailing zero and at most 38 digits; zero is `(false, 0, 0)`.
//! - The first digit stands at a power of ten within -130..=125.
//! - So derived equality is numeric equality.
//!
//! Tested by `number/tests.rs`: round trips and order against a naive model.

mod order;
#[cfg(test)]
pub(crate) mod tests;
mod text;

use std::cmp::Ordering;

/// Most significant digits (AWS: Constraints, "Numbers").
pub const DIGITS_MAX: u32 = 38;
/// Largest power of ten of the first digit (AWS: Constraints, 9.99E+125).
pub const MAGNITUDE_MAX: i64 = 125;
/// Smallest power of ten of the first digit (AWS: Constraints, 1E-130).
pub const MAGNITUDE_MIN: i64 = -130;

/// Why a text or a sum is not a number; each prints DynamoDB's message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// The text is empty.
    #[error("The parameter cannot be converted to a numeric value")]
    Empty,
    /// The text is not a decimal number.
    #[error("The parameter cannot be converted to a numeric value: {0}")]
    NotNumeric(String),
    /// The magnitude is above 9.99E+125.
    #[error(
        "Number overflow. Attempting to store a number with magnitude larger than supported range"
    )]
    Overflow,
    /// The magnitude is below 1E-130 and is not zero.
    #[error(
        "Number underflow. Attempting to store a number with magnitude smaller than supported range"
    )]
    Underflow,
    /// More than 38 significant digits.
    #[error("Attempting to store more than 38 significant digits in a Number")]
    TooPrecise,
}

/// An exact decimal: `coefficient * 10^exponent`, negated when `negative`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Number {
    negative: bool,
    coefficient: u128,
    exponent: i16,
}

impl Number {
    /// The number zero.
    pub const ZERO: Number = Number { negative: false, coefficient: 0, exponent: 0 };

    /// Brings parts into canonical form and checks them against the limits.
    fn from_parts(
        negative: bool,
        mut coefficient: u128,
        mut exponent: i64,
    ) -> Result<Self, NumberError> {
        if coefficient == 0 {
            return Ok(Number::ZERO);
        }
        while coefficient.is_multiple_of(10) {
            coefficient /= 10;
            exponent = exponent.saturating_add(1);
        }
        let digits = digit_count(coefficient);
        let magnitude = exponent.saturating_add(i64::from(digits) - 1);
        if magnitude > MAGNITUDE_MAX {
            return Err(NumberError::Overflow);
        }
        if magnitude < MAGNITUDE_MIN {
            return Err(NumberError::Underflow);
        }
        if digits > DIGITS_MAX {
            return Err(NumberError::TooPrecise);
        }
        let exponent = i16::try_from(exponent).map_err(|_| NumberError::Overflow)?;
        Ok(Number { negative, coefficient, exponent })
    }

    /// The whole number at or below this one; none when it is negative or above `u64::MAX`.
    pub fn floor_u64(&self) -> Option<u64> {
        if self.negative {
            return None;
        }
        let scale = u32::from(self.exponent.unsigned_abs());
        let whole = match (10u128.checked_pow(scale), self.exponent < 0) {
            (Some(power), true) => self.coefficient / power,
            (None, true) => 0,
            (Some(power), false) => self.coefficient.checked_mul(power)?,
            (None, false) => return None,
        };
        u64::try_from(whole).ok()
    }

    /// Reads a decimal text: sign, digits with an optional point, exponent; no space around it.
    pub fn parse(text: &str) -> Result<Self, NumberError> {
        text::parse(text)
    }

    /// Tells whether this is zero.
    pub fn is_zero(&self) -> bool {
        self.coefficient == 0
    }

    /// Tells whether this is below zero.
    pub fn is_negative(&self) -> bool {
        self.negative
    }

    /// Counts the significant digits; zero has none.
    pub fn significant_digits(&self) -> u32 {
        if self.is_zero() { 0 } else { digit_count(self.coefficient) }
    }

    /// Counts the significant digits before and behind the decimal point.
    pub fn digits_around_point(&self) -> (u32, u32) {
        let digits = self.significant_digits();
        let behind = u32::from(self.exponent.min(0).unsigned_abs()).min(digits);
        (digits - behind, behind)
    }

    /// The power of ten of the first digit.
    fn magnitude(&self) -> i16 {
        let digits = i16::try_from(self.significant_digits()).expect("at most 38 digits");
        self.exponent + digits - 1
    }

    /// The number as an integer, if it is one that fits.
    pub fn to_i64(&self) -> Option<i64> {
        let power = 10u128.checked_pow(u32::try_from(self.exponent).ok()?)?;
        let value = i128::try_from(self.coefficient.checked_mul(power)?).ok()?;
        i64::try_from(if self.negative { -value } else { value }).ok()
    }

    /// Negates.
    pub fn negate(self) -> Self {
        Number { negative: !self.negative && !self.is_zero(), ..self }
    }

    /// Adds exactly. A sum that needs more than 38 digits is an overflow, as DynamoDB calls it
    /// when it refuses `1E+50 + 1`.
    pub fn add(&self, other: &Number) -> Result<Number, NumberError> {
        if self.is_zero() {
            return Ok(*other);
        }
        if other.is_zero() {
            return Ok(*self);
        }
        let (high, low) =
            if self.exponent >= other.exponent { (self, other) } else { (other, self) };
        // `low` ends in a nonzero digit. Where `high` does not fit 128 bits at that scale, or the
        // sum does not, the result keeps that last digit and has 39 digits or more.
        let gap = u32::try_from(high.exponent - low.exponent).expect("high is the greater one");
        let scaled = 10u128
            .checked_pow(gap)
            .and_then(|power| high.coefficient.checked_mul(power))
            .ok_or(NumberError::Overflow)?;
        let exponent = i64::from(low.exponent);
        if high.negative == low.negative {
            let sum = scaled.checked_add(low.coefficient).ok_or(NumberError::Overflow)?;
            return sum_of(high.negative, sum, exponent);
        }
        let negative = if scaled >= low.coefficient { high.negative } else { low.negative };
        sum_of(negative, scaled.abs_diff(low.coefficient), exponent)
    }

    /// Subtracts exactly; errors as [`Number::add`].
    pub fn sub(&self, other: &Number) -> Result<Number, NumberError> {
        self.add(&other.negate())
    }

    /// The coefficient scaled to 38 digits, so that equal magnitudes compare by it.
    fn scaled(&self) -> u128 {
        self.coefficient * 10u128.pow(DIGITS_MAX - self.significant_digits())
    }

    fn cmp_absolute(&self, other: &Number) -> Ordering {
        match (self.is_zero(), other.is_zero()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => self
                .magnitude()
                .cmp(&other.magnitude())
                .then_with(|| self.scaled().cmp(&other.scaled())),
        }
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => self.cmp_absolute(other),
            (true, true) => other.cmp_absolute(self),
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Number::from_parts(false, u128::from(value), 0).expect("20 digits fit")
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        let coefficient = u128::from(value.unsigned_abs());
        Number::from_parts(value < 0, coefficient, 0).expect("19 digits fit")
    }
}

impl std::str::FromStr for Number {
    type Err = NumberError;

    fn from_str(text: &str) -> Result<Self, NumberError> {
        Number::parse(text)
    }
}

fn sum_of(negative: bool, coefficient: u128, exponent: i64) -> Result<Number, NumberError> {
    Number::from_parts(negative, coefficient, exponent).map_err(|error| match error {
        NumberError::TooPrecise => NumberError::Overflow,
        other => other,
    })
}

fn digit_count(coefficient: u128) -> u32 {
    coefficient.checked_ilog10().map_or(1, |log| log + 1)
}
