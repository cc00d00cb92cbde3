//! Tests of `choice`.

use super::*;

const LEAVE: Duration = Duration::from_millis(1000);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Three regions a, b, c; `up` answer probes every 100 ms.
struct Script {
    choice: Choice,
    restored_ms: u64,
    now: u64,
    moves: Vec<(u64, &'static str)>,
}

const NAMES: [&str; 3] = ["a", "b", "c"];

impl Script {
    fn new() -> Self {
        let choice = Choice::new(NAMES.iter().map(|n| (*n).to_owned()), LEAVE);
        Script { choice, restored_ms: 0, now: 0, moves: Vec::new() }
    }

    /// Lets time pass until `until`, ms.
    fn run(&mut self, until: u64, up: &str) -> &mut Self {
        while self.now < until {
            self.now += 100;
            for (at, name) in NAMES.iter().enumerate() {
                if up.contains(name) {
                    self.choice.answered(at, ms(self.now));
                }
            }
            if let Some(step) = self.choice.decide(ms(self.now)) {
                assert_eq!(step.to, self.choice.current());
                self.moves.push((self.now, NAMES[step.to]));
            }
        }
        self
    }

    fn record(&mut self, name: &str, status: Status, epoch: u64) -> &mut Self {
        let restored_ms = self.restored_ms;
        self.choice.recorded(name, Record { status, epoch, restored_ms, target: None });
        self
    }

    /// A record that becomes Active by a restore.
    fn restore(&mut self, name: &str, epoch: u64) -> &mut Self {
        self.restored_ms += 1_000;
        self.record(name, Status::Active, epoch)
    }

    fn moved(&mut self) -> Vec<(u64, &'static str)> {
        std::mem::take(&mut self.moves)
    }
}

#[test]
fn a_silent_region_is_left_after_the_set_time_and_not_entered_again() {
    let mut s = Script::new();
    s.run(5_000, "abc").run(8_000, "bc");
    assert_eq!(s.moved(), [(6_000, "b")]);
    s.run(20_000, "abc");
    assert_eq!(s.moved(), []);
    assert!(s.choice.give_back("a"));
    s.run(20_200, "abc");
    assert_eq!(s.moved(), [(20_100, "a")]);
    assert!(!s.choice.give_back("mars"));
}

#[test]
fn a_restore_in_the_clusters_records_brings_it_back() {
    let mut s = Script::new();
    s.record("a", Status::Active, 1).run(5_000, "abc").run(7_000, "bc");
    s.record("a", Status::Lost, 2).run(9_000, "abc").record("a", Status::Recovering, 3);
    s.run(11_000, "abc");
    assert_eq!(s.moved(), [(6_000, "b")]);
    s.restore("a", 4).run(11_200, "abc");
    assert_eq!(s.moved(), [(11_100, "a")]);
}

#[test]
fn an_old_record_brings_nothing_back() {
    let mut s = Script::new();
    s.record("a", Status::Active, 3).run(5_000, "abc").run(7_000, "bc");
    s.record("a", Status::Active, 3).record("a", Status::Active, 2).run(9_000, "abc");
    assert_eq!(s.choice.current(), 1);
}

#[test]
fn a_drain_that_was_aborted_is_no_restore() {
    let mut s = Script::new();
    s.record("a", Status::Active, 1).run(5_000, "abc").run(7_000, "bc");
    s.record("a", Status::Draining, 2).record("a", Status::Active, 3).run(9_000, "abc");
    assert_eq!(s.choice.current(), 1);
}

#[test]
fn a_record_first_seen_after_leaving_brings_nothing_back() {
    let mut s = Script::new();
    s.run(5_000, "abc").run(7_000, "bc").record("a", Status::Active, 7).run(9_000, "abc");
    assert_eq!(s.choice.current(), 1);
    s.record("a", Status::Lost, 8).restore("a", 10).run(9_200, "abc");
    assert_eq!(s.choice.current(), 0);
}

#[test]
fn a_draining_region_keeps_its_traffic_until_it_is_evacuated() {
    let mut s = Script::new();
    s.record("a", Status::Active, 1).run(3_000, "abc");
    s.choice.recorded(
        "a",
        Record { status: Status::Draining, epoch: 2, restored_ms: 0, target: Some("c".to_owned()) },
    );
    s.run(6_000, "abc");
    assert_eq!(s.moved(), []);
    s.record("a", Status::Evacuated, 3).run(6_200, "abc");
    assert_eq!(s.moved(), [(6_100, "c")]);
    s.record("a", Status::Recovering, 4).run(7_000, "abc").record("a", Status::Active, 5);
    s.run(7_200, "abc");
    assert_eq!(s.moved(), [(7_100, "a")]);
}

#[test]
fn nothing_moves_where_nobody_can_take_over() {
    let mut s = Script::new();
    s.run(5_000, "abc").run(9_000, "");
    assert_eq!(s.moved(), []);
    // All come back, b first: a has the time in which it would be left.
    s.run(9_300, "bc").run(20_000, "abc");
    assert_eq!(s.moved(), []);
}

#[test]
fn a_region_that_never_answered_is_passed_over_without_being_abandoned() {
    let mut s = Script::new();
    s.run(3_000, "bc");
    assert_eq!(s.moved(), [(1_100, "b")]);
    s.run(6_000, "abc");
    assert_eq!(s.moved(), [(4_100, "a")]);
}

#[test]
fn the_second_region_is_left_too() {
    let mut s = Script::new();
    s.run(5_000, "abc").run(7_000, "bc").run(9_000, "c");
    assert_eq!(s.moved(), [(6_000, "b"), (8_000, "c")]);
    assert_eq!(s.choice.abandoned().len(), 2);
}

#[test]
fn the_routers_own_pause_is_no_silence() {
    let mut s = Script::new();
    s.run(5_000, "abc");
    s.now = 9_000;
    s.choice.forgive(ms(4_000));
    assert_eq!(s.choice.decide(ms(9_000)), None);
}

#[test]
fn what_an_earlier_router_abandoned_stays_so() {
    let mut s = Script::new();
    s.choice.abandon("a", Some(0));
    assert_eq!(s.choice.current(), 1);
    s.record("a", Status::Active, 4).run(9_000, "abc");
    assert_eq!(s.moved(), []);
    s.restore("a", 6).run(9_200, "abc");
    assert_eq!(s.moved(), [(9_100, "a")]);
}
