//! Counts what became of the writes that a lost region still held.

/// How many stranded writes ended how. A write that every survivor had already is not stranded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StrandedSummary {
    /// They are the newest writes of their items.
    pub merged: u64,
    /// Newer concurrent writes of other regions stand in their place.
    pub overwritten: u64,
}

impl StrandedSummary {
    /// All stranded writes.
    pub fn total(&self) -> u64 {
        self.merged.saturating_add(self.overwritten)
    }

    /// Adds the counts of another partition.
    pub fn add(&mut self, other: StrandedSummary) {
        self.merged = self.merged.saturating_add(other.merged);
        self.overwritten = self.overwritten.saturating_add(other.overwritten);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up() {
        let mut all = StrandedSummary { merged: 2, overwritten: 1 };
        all.add(StrandedSummary { merged: 1, overwritten: 0 });
        assert_eq!((all.merged, all.overwritten, all.total()), (3, 1, 4));
    }
}
