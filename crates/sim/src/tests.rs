//! Good seeds pass, planted bugs are found, a seed replays.

use super::*;

/// Seeds that a planted bug may take at most.
const SEEDS_MAX: u64 = 60;

/// Runs seeds until one violates one of the properties.
fn find(bug: Bug, properties: &[&str]) {
    let found = (1..=SEEDS_MAX).find(|seed| run(*seed, Some(bug)).violates(properties));
    assert!(found.is_some(), "{} is not found by {SEEDS_MAX} seeds", bug.name());
}

#[test]
fn good_seeds_pass() {
    let mut activity = Activity::default();
    for seed in 1..=10 {
        let outcome = run(seed, None);
        assert_eq!(outcome.violations, [], "seed {seed}");
        activity.add(&outcome.activity);
    }
    let Counts { crashes, cuts, pauses, installs, releases, handovers, rebuilds, .. } =
        activity.counts;
    let happened =
        [crashes, cuts, pauses, installs, releases, handovers, rebuilds, activity.refused];
    assert!(happened.iter().all(|count| *count > 0), "too little happened: {activity}");
}

#[test]
fn a_seed_replays() {
    for seed in [3, 4] {
        assert_eq!(run(seed, None), run(seed, None));
    }
    assert_ne!(run(3, None).history_hash, run(4, None).history_hash);
}

#[test]
fn acknowledging_before_a_quorum_is_found() {
    find(Bug::AckBeforeQuorum, &["acknowledged-writes-survive", "linearizable"]);
}

#[test]
fn acknowledging_before_an_fsync_is_found() {
    find(Bug::AckBeforeFsync, &["acknowledged-writes-survive", "linearizable"]);
}

#[test]
fn a_fence_by_term_is_found() {
    find(Bug::FenceByTerm, &["fence", "replicas-agree", "linearizable"]);
}

#[test]
fn answering_refused_conditions_at_once_is_found() {
    find(Bug::AnswersAtOnce, &["linearizable"]);
}
