//! Tests of `transact`: steps one by one, and transfers whose steps are mixed, lost and repeated.

use super::*;
use crate::evaluator::Evaluated;
use crate::request::{Action, Returns, WriteOutcome};
use crate::testing::{Leader, condition, delete, key, number, put, text, update, when};
use meridian_base::Version;
use meridian_model::{AttributeValue, Item};
use proptest::prelude::*;

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

fn resolve(leader: &mut Leader, id: u128, commit: bool) {
    assert_eq!(step(leader, Transact::Resolve(TransactId(id), commit)), TransactAnswer::Noted);
}

fn token(text: &str, fingerprint: u64) -> Option<Token> {
    Some(Token { token: text.to_owned(), fingerprint })
}

#[test]
fn what_is_held_is_not_written_and_not_shown() {
    let mut leader = Leader::new(1);
    leader.done(&put(1, "old"));
    let held = prepare(&mut leader, 5, vec![put(1, "new"), delete(2)]);
    let TransactAnswer::Done(done) = held else { panic!("{held:?}") };
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
    resolve(&mut leader, 5, true);
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
    let commit = |id, token| Transact::Commit(head(id), token, vec![place]);
    assert_eq!(step(&mut leader, commit(1, token("t", 1))), TransactAnswer::Committed);
    assert_eq!(step(&mut leader, Transact::Abort(head(1))), TransactAnswer::Committed);
    assert_eq!(step(&mut leader, Transact::Abort(head(2))), TransactAnswer::Aborted);
    assert_eq!(step(&mut leader, commit(2, None)), TransactAnswer::Aborted);
    assert_eq!(step(&mut leader, commit(3, token("t", 1))), TransactAnswer::DoneBefore(false));
    leader.begin();
    let left = leader.evaluator.left_behind(u64::MAX);
    assert_eq!(left.unfinished, [(TransactId(1), vec![place])]);
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
    resolve(&mut leader, 1, true);
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
    resolve(&mut leader, 1, false);
    let taken = leader.evaluator.replicated(change, false, leader.now_ms).unwrap();
    assert!(!matches!(taken, Evaluated::Busy));
}

const ACCOUNTS: i64 = 2;

/// Two partitions, of which the first is the home, and transfers between accounts of both.
struct Bank {
    places: [Leader; 2],
    transfers: Vec<Transfer>,
}

#[derive(Clone)]
struct Transfer {
    from: i64,
    to: i64,
    prepared: [Option<bool>; 2],
    decided: Option<bool>,
}

fn balance(leader: &Leader, n: i64) -> i64 {
    let item: Option<Item> = leader.get(n);
    match item.and_then(|item| item.get("v").cloned()) {
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
    Begin(usize),
    Plain(usize, i64),
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
        (0..2usize).prop_map(Move::Begin),
        (0..2usize, 0..ACCOUNTS).prop_map(|(place, n)| Move::Plain(place, n)),
    ]
}

impl Bank {
    fn new() -> Self {
        let mut places = [Leader::new(1), Leader::new(1)];
        for leader in &mut places {
            for n in 0..ACCOUNTS {
                leader.done(&update(n, "SET v = :v", &[(":v", number(3))]));
            }
        }
        Bank { places, transfers: Vec::new() }
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
        self.transfers[at].prepared[place] = Some(matches!(answer, TransactAnswer::Done(_)));
    }

    fn decide(&mut self, at: usize, commit: bool) {
        let ready = self.transfers[at].prepared == [Some(true); 2];
        let step_of = if commit {
            if !ready {
                return;
            }
            Transact::Commit(head(at as u128), None, Vec::new())
        } else {
            Transact::Abort(head(at as u128))
        };
        let decided = match step(&mut self.places[0], step_of) {
            TransactAnswer::Committed => true,
            TransactAnswer::Aborted => false,
            other => panic!("no decision: {other:?}"),
        };
        let known = self.transfers[at].decided.replace(decided);
        assert!(known.is_none_or(|known| known == decided), "a decision changed");
    }

    fn resolve(&mut self, at: usize, place: usize) {
        if let Some(commit) = self.transfers[at].decided {
            resolve(&mut self.places[place], at as u128, commit);
        }
    }

    fn run(&mut self, step: Move) {
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
            Move::Begin(place) => self.places[place].begin(),
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
                let committed = bank.transfers.iter().filter(|one| one.decided == Some(true));
                let mine = committed.filter(|one| n == if place == 0 { one.from } else { one.to });
                let wanted = 3 + sign * i64::try_from(mine.count()).unwrap();
                prop_assert_eq!(balance(&bank.places[place], n), wanted);
                prop_assert!(wanted >= 0);
            }
            prop_assert_eq!(bank.places[place].evaluator.left_behind(u64::MAX).held, []);
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
        let _ = (Transact::decode(&bytes), TransactAnswer::decode(&bytes));
        let _ = (Intent::decode(&bytes), Decision::decode(&bytes));
    }
}
