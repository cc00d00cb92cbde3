//! Tests of `transact`: steps one by one, and transfers whose steps are mixed, lost and repeated.

use super::*;
use crate::evaluator::{ClosedCommits, Evaluated};
use crate::header::Reader;
use crate::record::ChangeRecord;
use crate::request::{Action, Returns, WriteOutcome};
use crate::testing::{Leader, condition, delete, key, number, put, text, update, when};
use crate::{ReadLimits, read_changes};
use meridian_base::{Position, Version};
use meridian_model::{AttributeValue, Item};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn head(id: u128) -> Head {
    let home = Place { table: TableId(7), partition: PartitionId(16) };
    Head { id: TransactId(id), home, began_ms: 1_000 }
}

fn check(n: i64, condition: crate::transact::tests::Condition) -> Write {
    Write { action: Action::Check, ..when(put(n, ""), condition) }
}

type Condition = meridian_expression::Condition;

fn step(leader: &mut Leader, step: Transact) -> TransactAnswer {
    let step = Transact::decode(&step.encode()).unwrap();
    let outcome = match leader.evaluator.transact(step, leader.now_ms).unwrap() {
        Evaluated::Write { outcome, .. } | Evaluated::Answer { outcome, .. } => outcome,
        other => panic!("not evaluated: {other:?}"),
    };
    leader.flush();
    assert_eq!(TransactAnswer::decode(&outcome.encode()), Ok(outcome.clone()));
    outcome
}

fn prepare(leader: &mut Leader, id: u128, writes: Vec<Write>) -> TransactAnswer {
    step(leader, Transact::Prepare(head(id), writes))
}

fn resolve(leader: &mut Leader, id: u128, committed_ms: Option<u64>) {
    let resolve = Transact::Resolve(TransactId(id), committed_ms);
    assert_eq!(step(leader, resolve), TransactAnswer::Noted);
}

fn token(text: &str, fingerprint: u64) -> Option<Token> {
    Some(Token { token: text.to_owned(), fingerprint })
}

#[test]
fn what_is_held_is_not_written_and_not_shown() {
    let mut leader = Leader::new(1);
    leader.done(&put(1, "old"));
    let held = prepare(&mut leader, 5, vec![put(1, "new"), delete(2)]);
    let TransactAnswer::Held(done, _) = held else { panic!("{held:?}") };
    assert_eq!(done[0].old, Some(crate::testing::item(1, "old")));
    assert_eq!(leader.get(1), Some(crate::testing::item(1, "old")));
    assert_eq!(leader.done(&put(1, "other")), WriteOutcome::Conflict);
    assert_eq!(leader.done(&put(2, "other")), WriteOutcome::Conflict);
    let blamed = prepare(&mut leader, 6, vec![put(3, "x"), put(2, "y")]);
    assert_eq!(blamed, TransactAnswer::Blamed(vec![None, Some(Blame::Conflict)]));
    // Also after a change of the leader.
    leader.begin();
    assert_eq!(leader.done(&put(1, "other")), WriteOutcome::Conflict);
    assert_eq!(leader.evaluator.left_behind(2_000).held, [head(5)]);
    resolve(&mut leader, 5, Some(5_000));
    assert_eq!(leader.get(1), Some(crate::testing::item(1, "new")));
    assert!(matches!(leader.done(&put(2, "free")), WriteOutcome::Done(_)));
    assert_eq!(leader.evaluator.left_behind(u64::MAX).held, []);
}

#[test]
fn all_actions_count_and_each_is_told() {
    let mut leader = Leader::new(1);
    leader.done(&put(1, "a"));
    let is = |value: &str| condition("v = :v", &[(":v", text(value))]);
    let writes = vec![check(1, is("a")), when(put(2, "x"), is("b")), put(3, "y")];
    let single = Transact::Single(head(1), None, writes);
    let blamed = step(&mut leader, single.clone());
    let failed = Some(Blame::ConditionFailed(None));
    assert_eq!(blamed, TransactAnswer::Blamed(vec![None, failed, None]));
    assert!(leader.get(3).is_none());
    leader.done(&put(2, "b"));
    let done = step(&mut leader, single);
    assert!(matches!(done, TransactAnswer::Done(done) if done.len() == 3));
    assert_eq!(leader.get(2), Some(crate::testing::item(2, "x")));
    assert_eq!(leader.get(1), Some(crate::testing::item(1, "a")));
    assert!(leader.get(3).is_some());
    assert_eq!(leader.replica.header().items, 3);
}

#[test]
fn a_token_commits_once() {
    let mut leader = Leader::new(1);
    let single = |id, fingerprint| {
        Transact::Single(head(id), token("t", fingerprint), vec![put(1, &id.to_string())])
    };
    assert!(matches!(step(&mut leader, single(1, 9)), TransactAnswer::Done(_)));
    assert_eq!(step(&mut leader, single(2, 9)), TransactAnswer::DoneBefore(true));
    assert_eq!(step(&mut leader, single(3, 8)), TransactAnswer::OtherParameters);
    leader.begin();
    assert_eq!(step(&mut leader, single(4, 9)), TransactAnswer::DoneBefore(true));
    assert_eq!(leader.get(1), Some(crate::testing::item(1, "1")));
    // It is forgotten only when it is old.
    let forget = Transact::Forget(vec![TransactId(1)]);
    step(&mut leader, forget.clone());
    assert_eq!(step(&mut leader, single(5, 9)), TransactAnswer::DoneBefore(true));
    leader.now_ms += KEPT_MS + 1;
    step(&mut leader, forget);
    assert!(matches!(step(&mut leader, single(6, 9)), TransactAnswer::Done(_)));
}

#[test]
fn a_decision_stays() {
    let mut leader = Leader::new(1);
    let place = Place { table: TableId(8), partition: PartitionId(17) };
    let at_ms = leader.now_ms + 7;
    let commit = move |id, token| Transact::Commit(head(id), token, vec![place], at_ms);
    let committed = TransactAnswer::Committed(at_ms);
    assert_eq!(step(&mut leader, commit(1, token("t", 1))), committed);
    assert_eq!(step(&mut leader, Transact::Abort(head(1))), committed);
    assert_eq!(step(&mut leader, Transact::Abort(head(2))), TransactAnswer::Aborted);
    assert_eq!(step(&mut leader, commit(2, None)), TransactAnswer::Aborted);
    assert_eq!(step(&mut leader, commit(3, token("t", 1))), TransactAnswer::DoneBefore(false));
    leader.begin();
    let left = leader.evaluator.left_behind(u64::MAX);
    assert_eq!(left.unfinished, [Unfinished { id: TransactId(1), at_ms, places: vec![place] }]);
    step(&mut leader, Transact::Finish(TransactId(1)));
    assert_eq!(leader.evaluator.left_behind(u64::MAX), LeftBehind::default());
    leader.begin();
    assert_eq!(step(&mut leader, commit(3, token("t", 1))), TransactAnswer::DoneBefore(true));
    assert_eq!(step(&mut leader, commit(4, token("t", 2))), TransactAnswer::OtherParameters);
    leader.now_ms = head(5).began_ms + COMMIT_MS_MAX + 1;
    assert_eq!(step(&mut leader, commit(5, None)), TransactAnswer::Aborted);
}

#[test]
fn a_freeze_waits_for_what_is_held() {
    let mut leader = Leader::new(1);
    prepare(&mut leader, 1, vec![put(1, "x")]);
    leader.evaluator.refuse_transactions(leader.now_ms + 100);
    let target = meridian_base::RegionId::new(2);
    assert_eq!(leader.evaluator.freeze_for(1, target), None);
    let refused = Transact::Prepare(head(2), vec![put(2, "y")]);
    let refused = leader.evaluator.transact(refused, leader.now_ms).unwrap();
    assert_eq!(refused, Evaluated::Busy);
    resolve(&mut leader, 1, Some(5_000));
    assert!(leader.evaluator.freeze_for(1, target).is_some());
    leader.flush();
    assert!(leader.get(1).is_some());
}

#[test]
fn a_replicated_change_waits_for_what_is_held() {
    let mut leader = Leader::new(1);
    prepare(&mut leader, 1, vec![put(1, "x")]);
    let region = meridian_base::RegionId::new(2);
    let change = meridian_base::Change {
        key: key(1).encode().into_bytes(),
        image: None,
        version: Version { hlc: meridian_base::Hlc::from_ms(1), region },
        base: meridian_base::VersionVector::default(),
        origin: meridian_base::Origin { region, ..Default::default() },
        cause: meridian_base::Cause::Write,
        commit_ms: 1,
    };
    let waits = leader.evaluator.replicated(change.clone(), false, leader.now_ms).unwrap();
    assert_eq!(waits, Evaluated::Busy);
    resolve(&mut leader, 1, None);
    let taken = leader.evaluator.replicated(change, false, leader.now_ms).unwrap();
    assert!(!matches!(taken, Evaluated::Busy));
}

const ACCOUNTS: i64 = 2;
const BEGAN_MS: u64 = 2_000;

/// How far the clocks of two leaders are apart at most.
const APART_MS: u64 = 250;

/// Two partitions, of which the first is the home, and transfers between accounts of both.
struct Bank {
    places: [Leader; 2],
    transfers: Vec<Transfer>,
    /// The time, and how far the clock of each leader is behind it.
    true_ms: u64,
    behind_ms: [u64; 2],
    closed: [Vec<ClosedCommits>; 2],
}

#[derive(Clone)]
struct Transfer {
    from: i64,
    to: i64,
    /// Since when each place holds it; none where it refused.
    prepared: [Option<Option<u64>>; 2],
    /// When it was committed; none when it was not.
    decided: Option<Option<u64>>,
}

fn balance(leader: &Leader, n: i64) -> i64 {
    balance_of(&leader.get(n).unwrap())
}

fn balance_of(item: &Item) -> i64 {
    match item.get("v") {
        Some(AttributeValue::N(number)) => number.floor_u64().unwrap().try_into().unwrap(),
        other => panic!("no balance: {other:?}"),
    }
}

#[derive(Debug, Clone)]
enum Move {
    Start(i64, i64),
    Prepare(prop::sample::Index, usize),
    Commit(prop::sample::Index),
    Abort(prop::sample::Index),
    Resolve(prop::sample::Index, usize),
    Begin(usize, u64),
    Plain(usize, i64),
    Wait(u64),
    Close(usize),
}

fn moves() -> impl Strategy<Value = Move> {
    let which = any::<prop::sample::Index>;
    prop_oneof![
        (0..ACCOUNTS, 0..ACCOUNTS).prop_map(|(from, to)| Move::Start(from, to)),
        (which(), 0..2usize).prop_map(|(at, place)| Move::Prepare(at, place)),
        (which(), 0..2usize).prop_map(|(at, place)| Move::Prepare(at, place)),
        which().prop_map(Move::Commit),
        which().prop_map(Move::Abort),
        (which(), 0..2usize).prop_map(|(at, place)| Move::Resolve(at, place)),
        (0..2usize, 0..=APART_MS).prop_map(|(place, behind_ms)| Move::Begin(place, behind_ms)),
        (0..2usize, 0..ACCOUNTS).prop_map(|(place, n)| Move::Plain(place, n)),
        (0u64..100).prop_map(Move::Wait),
        (0..2usize).prop_map(Move::Close),
    ]
}

impl Bank {
    fn new() -> Self {
        let mut places = [Leader::new(1), Leader::new(1)];
        for leader in &mut places {
            leader.evaluator.start_reader(Reader::Archive).unwrap();
            leader.now_ms = BEGAN_MS;
            for n in 0..ACCOUNTS {
                leader.done(&update(n, "SET v = :v", &[(":v", number(3))]));
            }
        }
        let (behind_ms, closed) = Default::default();
        Bank { places, transfers: Vec::new(), true_ms: BEGAN_MS + APART_MS, behind_ms, closed }
    }

    /// What the change log of a place holds.
    fn changes(&self, place: usize) -> Vec<ChangeRecord> {
        let replica = &self.places[place].replica;
        let (engine, partition) = (replica.engine().as_ref(), replica.spec().partition);
        let limits = ReadLimits { records: 10_000, bytes: 1 << 24 };
        read_changes(engine, partition, Position(0), limits).unwrap().records
    }

    /// The sum of all accounts as of a time.
    fn total(&self, at_ms: u64) -> i64 {
        let mut balances = BTreeMap::new();
        for place in 0..2 {
            for change in self.changes(place) {
                if change.counts_from_ms() <= at_ms {
                    let item = crate::record::item_of(&change.new.unwrap()).unwrap();
                    balances.insert((place, change.key), balance_of(&item));
                }
            }
        }
        balances.into_values().sum()
    }

    fn prepare(&mut self, at: usize, place: usize) {
        let transfer = &mut self.transfers[at];
        // The coordinator prepares each place once, and not after it knows the decision.
        if transfer.prepared[place].is_some() || transfer.decided.is_some() {
            return;
        }
        let one = [(":one", number(1))];
        let write = match place {
            0 => {
                when(update(transfer.from, "SET v = v - :one", &one), condition("v >= :one", &one))
            }
            _ => update(transfer.to, "SET v = v + :one", &one),
        };
        let write = Write { returns: Returns::default(), ..write };
        let answer = prepare(&mut self.places[place], at as u128, vec![write]);
        self.transfers[at].prepared[place] = Some(match answer {
            TransactAnswer::Held(_, held_ms) => Some(held_ms),
            _ => None,
        });
    }

    fn decide(&mut self, at: usize, commit: bool) {
        let step_of = if commit {
            let [Some(Some(one)), Some(Some(other))] = self.transfers[at].prepared else { return };
            Transact::Commit(head(at as u128), None, Vec::new(), one.max(other))
        } else {
            Transact::Abort(head(at as u128))
        };
        let decided = match step(&mut self.places[0], step_of) {
            TransactAnswer::Committed(at_ms) => Some(at_ms),
            TransactAnswer::Aborted => None,
            other => panic!("no decision: {other:?}"),
        };
        let known = self.transfers[at].decided.replace(decided);
        assert!(known.is_none_or(|known| known == decided), "a decision changed");
    }

    fn resolve(&mut self, at: usize, place: usize) {
        if let Some(committed_ms) = self.transfers[at].decided {
            resolve(&mut self.places[place], at as u128, committed_ms);
        }
    }

    fn run(&mut self, step: Move) {
        for (place, behind_ms) in self.places.iter_mut().zip(self.behind_ms) {
            place.now_ms = self.true_ms - behind_ms;
        }
        let pick = |index: prop::sample::Index, bank: &Bank| {
            (!bank.transfers.is_empty()).then(|| index.index(bank.transfers.len()))
        };
        match step {
            Move::Start(from, to) => {
                self.transfers.push(Transfer { from, to, prepared: [None; 2], decided: None });
            }
            Move::Prepare(index, place) => {
                if let Some(at) = pick(index, self) {
                    self.prepare(at, place);
                }
            }
            Move::Commit(index) => {
                if let Some(at) = pick(index, self) {
                    self.decide(at, true);
                }
            }
            Move::Abort(index) => {
                if let Some(at) = pick(index, self) {
                    self.decide(at, false);
                }
            }
            Move::Resolve(index, place) => {
                if let Some(at) = pick(index, self) {
                    self.resolve(at, place);
                }
            }
            Move::Begin(place, behind_ms) => {
                self.behind_ms[place] = behind_ms;
                self.places[place].begin();
            }
            Move::Wait(ms) => self.true_ms += ms,
            Move::Close(place) => {
                let leader = &mut self.places[place];
                let closed = leader.evaluator.close_commits(leader.now_ms - APART_MS - 1);
                self.closed[place].push(closed);
            }
            // A write that changes nothing of the balance.
            Move::Plain(place, n) => {
                self.places[place].done(&update(n, "SET w = :w", &[(":w", text("x"))]));
            }
        }
    }
}

proptest! {
    #[test]
    fn transfers_are_done_whole_or_not_at_all(steps in prop::collection::vec(moves(), 1..120)) {
        let mut bank = Bank::new();
        for step in steps {
            bank.run(step);
        }
        for at in 0..bank.transfers.len() {
            if bank.transfers[at].decided.is_none() {
                bank.decide(at, false);
            }
            bank.resolve(at, 0);
            bank.resolve(at, 1);
        }
        for (place, sign) in [(0, -1), (1, 1)] {
            for n in 0..ACCOUNTS {
                let committed = bank.transfers.iter().filter(|one| one.decided.flatten().is_some());
                let mine = committed.filter(|one| n == if place == 0 { one.from } else { one.to });
                let wanted = 3 + sign * i64::try_from(mine.count()).unwrap();
                prop_assert_eq!(balance(&bank.places[place], n), wanted);
                prop_assert!(wanted >= 0);
            }
            prop_assert_eq!(bank.places[place].evaluator.left_behind(u64::MAX).held, []);
        }
        let (from_ms, until_ms) = (BEGAN_MS, bank.true_ms + APART_MS);
        let changes = [bank.changes(0), bank.changes(1)];
        let times: BTreeSet<u64> =
            changes.iter().flatten().map(ChangeRecord::counts_from_ms).collect();
        for at_ms in times {
            prop_assert!((from_ms..=until_ms).contains(&at_ms));
            prop_assert_eq!(bank.total(at_ms), 2 * ACCOUNTS * 3, "at {}", at_ms);
        }
        for (changes, closed) in changes.iter().zip(&bank.closed) {
            let mut last = BTreeMap::new();
            for change in changes {
                let before = last.insert(&change.key, change.counts_from_ms());
                prop_assert!(before <= Some(change.counts_from_ms()));
                for closed in closed.iter().filter(|one| one.position < change.position) {
                    prop_assert!(closed.commit_ms < change.counts_from_ms(), "{closed:?} {change:?}");
                }
            }
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
        let _ = (Transact::decode(&bytes), TransactAnswer::decode(&bytes));
        let _ = (Intent::decode(&bytes), Decision::decode(&bytes));
    }
}
