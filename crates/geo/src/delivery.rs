//! Random writes in three regions, delivered in any order and any number of times.
//!
//! # Invariants
//!
//! - A region in here stamps and stores as `partition` does, and merges by the rule alone.

use meridian_base::merge::{Side, joined_base, merge};
use meridian_base::{Hlc, RegionId, Version, VersionVector};
use proptest::prelude::*;

/// One write of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    version: Version,
    base: VersionVector,
    image: Option<Vec<u8>>,
}

impl State {
    fn side(&self) -> Side<'_> {
        Side { version: self.version, base: &self.base, image: self.image.as_deref() }
    }
}

/// A region's copy of one item.
#[derive(Debug, Clone, Default)]
struct Region {
    item: Option<State>,
    log: Vec<State>,
    conflicts: usize,
    last: Hlc,
}

impl Region {
    fn write(&mut self, number: u16, clock: u64, image: Option<Vec<u8>>) {
        let stored = self.item.as_ref();
        let floor = stored.map_or(self.last, |s| self.last.max(s.version.hlc));
        let version = Version { hlc: Hlc::next(floor, clock), region: RegionId::new(number) };
        let mut base = VersionVector::default();
        if let Some(stored) = stored {
            base = stored.base.clone();
            base.observe(stored.version);
        }
        self.last = version.hlc;
        let state = State { version, base, image };
        self.log.push(state.clone());
        self.item = Some(state);
    }

    fn receive(&mut self, change: &State) {
        let stored = self.item.as_ref().map(State::side);
        let verdict = merge(stored, change.side());
        let base = joined_base(stored, change.side());
        self.conflicts += usize::from(verdict.conflict);
        let winner = if verdict.outcome.applies() { change } else { self.item.as_ref().unwrap() };
        self.item = Some(State { base, ..winner.clone() });
        self.last = self.last.max(change.version.hlc);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Write { region: usize, clock: u64, image: Option<Vec<u8>> },
    Deliver { from: usize, to: usize, which: prop::sample::Index },
}

fn step() -> impl Strategy<Value = Step> {
    let image = prop::option::of(prop::collection::vec(0u8..4, 1..2));
    prop_oneof![
        // Clocks are off by as much as they like.
        (0usize..3, 0u64..5, image).prop_map(|(region, clock, image)| Step::Write {
            region,
            clock,
            image
        }),
        (0usize..3, 0usize..3, any::<prop::sample::Index>())
            .prop_map(|(from, to, which)| Step::Deliver { from, to, which }),
    ]
}

fn run(steps: &[Step]) -> Vec<Region> {
    let mut regions = vec![Region::default(); 3];
    for step in steps {
        match step {
            Step::Write { region, clock, image } => {
                let number = u16::try_from(*region).unwrap() + 1;
                regions[*region].write(number, *clock, image.clone());
            }
            Step::Deliver { from, to, which } if from != to && !regions[*from].log.is_empty() => {
                let change = which.get(&regions[*from].log).clone();
                regions[*to].receive(&change);
            }
            Step::Deliver { .. } => {}
        }
    }
    regions
}

fn deliver_all(regions: &mut [Region], order: &[usize]) {
    let changes: Vec<_> = regions.iter().flat_map(|r| r.log.clone()).collect();
    for at in order {
        let Some(change) = changes.get(*at) else { continue };
        for (number, region) in regions.iter_mut().enumerate() {
            if change.version.region.number != u16::try_from(number).unwrap() + 1 {
                region.receive(change);
            }
        }
    }
}

proptest! {
    #[test]
    fn regions_agree_whatever_the_order(
        steps in prop::collection::vec(step(), 1..40),
        order in Just((0..40usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let mut regions = run(&steps);
        let mut others = regions.clone();
        deliver_all(&mut regions, &order);
        let reversed: Vec<_> = order.iter().rev().chain(&order).copied().collect();
        deliver_all(&mut others, &reversed);
        let first = regions[0].item.clone();
        for region in regions.iter().chain(&others) {
            prop_assert_eq!(&region.item, &first);
        }
        let newest = regions.iter().flat_map(|r| &r.log).max_by_key(|s| s.version);
        prop_assert_eq!(
            newest.map(|s| (s.version, s.image.clone())),
            first.map(|s| (s.version, s.image))
        );
    }

    #[test]
    fn what_was_seen_is_no_conflict(
        writes in prop::collection::vec((0usize..3, 0u64..5), 1..20),
    ) {
        // Every write is delivered everywhere before the next one: each has seen all before.
        let mut regions = vec![Region::default(); 3];
        for (region, clock) in writes {
            regions[region].write(u16::try_from(region).unwrap() + 1, clock, Some(vec![1]));
            let change = regions[region].log.last().unwrap().clone();
            for (number, other) in regions.iter_mut().enumerate() {
                if number != region {
                    other.receive(&change);
                }
            }
        }
        prop_assert!(regions.iter().all(|r| r.conflicts == 0));
    }

    #[test]
    fn a_concurrent_pair_is_found_in_both_regions(clocks: (u8, u8)) {
        let mut regions = vec![Region::default(); 3];
        regions[0].write(1, clocks.0.into(), Some(vec![1]));
        regions[1].write(2, clocks.1.into(), Some(vec![2]));
        deliver_all(&mut regions, &[0, 1, 0, 1]);
        prop_assert_eq!(regions[0].conflicts, 1);
        prop_assert_eq!(regions[1].conflicts, 1);
        prop_assert_eq!(regions[2].conflicts, 1);
    }
}
