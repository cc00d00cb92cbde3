//! Tests of `sender`.

use super::*;
use proptest::prelude::*;

fn sender() -> Sender {
    Sender::new(Position(10), SenderLimits { batches: 2, bytes: 100 })
}

#[test]
fn the_window_fills_and_opens() {
    let mut sender = sender();
    assert_eq!(sender.reads_after(), Some(Position(10)));
    sender.sent(Position(12), 10, None);
    assert_eq!(sender.reads_after(), Some(Position(12)));
    sender.sent(Position(15), 10, None);
    assert_eq!(sender.reads_after(), None);
    assert!(sender.acked(Position(12), Hlc(0)));
    assert_eq!(sender.reads_after(), Some(Position(15)));
    assert_eq!(sender.unsaved(), Some(Position(12)));
    sender.saved(Position(12));
    assert_eq!(sender.unsaved(), None);
}

#[test]
fn one_batch_over_the_byte_limit_still_goes() {
    let mut sender = sender();
    sender.sent(Position(11), 1000, None);
    assert_eq!(sender.reads_after(), None);
    sender.acked(Position(11), Hlc(0));
    assert_eq!(sender.reads_after(), Some(Position(11)));
}

#[test]
fn a_closed_version_waits_for_its_position() {
    let mut sender = sender();
    sender.close(Hlc(5), Position(12));
    sender.close(Hlc(9), Position(20));
    assert!(!sender.has_news());
    assert_eq!(sender.closed_with(Position(15)), Some(Hlc(5)));
    sender.sent(Position(15), 1, Some(Hlc(5)));
    assert_eq!(sender.closed_with(Position(15)), None);
    assert_eq!(sender.closed_with(Position(20)), Some(Hlc(9)));
    sender.acked(Position(15), Hlc(5));
    assert_eq!(sender.acked_closed(), Hlc(5));
}

#[test]
fn pages_without_own_changes_move_the_cursor() {
    let mut sender = sender();
    sender.skipped(Position(14));
    assert_eq!(sender.acked_position(), Position(14));
    sender.sent(Position(16), 1, None);
    sender.skipped(Position(30));
    assert_eq!(sender.acked_position(), Position(14));
    sender.acked(Position(16), Hlc(0));
    assert_eq!(sender.acked_position(), Position(30));
}

#[test]
fn a_broken_stream_sends_again_what_was_not_acknowledged() {
    let mut sender = sender();
    sender.close(Hlc(5), Position(12));
    sender.sent(Position(12), 1, Some(Hlc(5)));
    sender.rewind();
    assert_eq!(sender.reads_after(), Some(Position(10)));
    assert_eq!(sender.closed_with(Position(12)), Some(Hlc(5)));
    // An acknowledgement of before the break settles nothing that is not in flight.
    assert!(!sender.acked(Position(12), Hlc(5)));
    assert_eq!(sender.acked_position(), Position(10));
}

#[test]
fn the_stable_version_is_that_of_the_slowest_region() {
    let (mut near, mut far) = (sender(), sender());
    near.close(Hlc(9), Position(10));
    near.sent(Position(10), 1, Some(Hlc(9)));
    near.acked(Position(10), Hlc(9));
    assert_eq!(stable([&near, &far]), Hlc(0));
    far.close(Hlc(7), Position(10));
    far.sent(Position(10), 1, Some(Hlc(7)));
    far.acked(Position(10), Hlc(7));
    assert_eq!(stable([&near, &far]), Hlc(7));
    assert_eq!(near.saved_closed(), Hlc(9));
    assert_eq!(near.lag_ms(Hlc(9).ms() + 40), 40);
}

#[test]
fn what_a_new_leader_would_send_again_is_not_stable() {
    let mut sender = sender();
    sender.close(Hlc(5), Position(12));
    sender.sent(Position(12), 1, Some(Hlc(5)));
    sender.acked(Position(12), Hlc(5));
    assert_eq!((sender.acked_closed(), sender.saved_closed()), (Hlc(5), Hlc(0)));
    sender.saved(Position(12));
    assert_eq!(sender.saved_closed(), Hlc(5));
}

proptest! {
    /// Whatever breaks, the cursor follows only what the receiver has, and W only what it has
    /// everything for.
    #[test]
    fn the_cursor_never_passes_the_receiver(steps in prop::collection::vec(0u8..6, 1..200)) {
        let mut sender = Sender::new(Position(0), SenderLimits { batches: 3, bytes: 1000 });
        let mut stream: VecDeque<(Position, Option<Hlc>)> = VecDeque::new();
        let (mut end, mut has, mut has_closed) = (Position(0), Position(0), Hlc(0));
        let mut saved = Position(0);
        for step in steps {
            match step {
                0 => end = end.next(),
                1 => sender.close(Hlc(end.0 * 10), end),
                2 => if let Some(after) = sender.reads_after() {
                    let upto = Position((after.0 + 2).min(end.0));
                    let closed = sender.closed_with(upto);
                    if upto > after || closed.is_some() {
                        sender.sent(upto, 10, closed);
                        stream.push_back((upto, closed));
                    }
                },
                3 => if let Some((upto, closed)) = stream.pop_front() {
                    has = has.max(upto);
                    has_closed = has_closed.max(closed.unwrap_or_default());
                    prop_assert!(has.0 * 10 >= has_closed.0);
                    sender.acked(has, has_closed);
                },
                4 => if let Some(cursor) = sender.unsaved() {
                    saved = cursor;
                    sender.saved(cursor);
                },
                _ => {
                    stream.clear();
                    sender.rewind();
                }
            }
            prop_assert!(sender.acked_position() <= has);
            prop_assert!(sender.acked_closed() <= has_closed);
            prop_assert!(sender.saved_closed() <= sender.acked_closed());
            // The cursor of a new leader never lies below what is stable.
            prop_assert!(sender.saved_closed().0 <= saved.0 * 10);
        }
    }
}
