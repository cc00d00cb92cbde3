//! Random choices of the simulated world, apart from those of the program under test.
//!
//! Each part of the world throws dice of its own, so that a change in one part moves as little as
//! possible in the others.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// Seeded dice.
#[derive(Clone)]
pub struct Dice(SmallRng);

impl Dice {
    /// Dice of a seed for one part of the world.
    pub fn new(seed: u64, part: u64) -> Dice {
        Dice(SmallRng::seed_from_u64(seed ^ part.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number in `0..bound`; 0 where `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.any() % bound }
    }

    /// A number in `low..=high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low).saturating_add(1))
    }

    /// True so many times of a thousand.
    pub fn chance(&mut self, permille: u64) -> bool {
        self.below(1000) < permille
    }

    /// A position in a list of `len`; 0 for an empty one.
    pub fn place(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        of.get(self.place(of.len())).copied()
    }
}
