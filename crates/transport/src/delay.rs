//! Delay lines: everything comes out a fixed time after it went in, in order.
//!
//! # Invariants
//!
//! - Each item is due at its own time of entry plus the delay, so that a line of any length
//!   passes as much per second as one of none.
//! - What is held is bounded by bytes ([`Delayed`]) or by the caller ([`DelayLine`]).
//!
//! Tested beside the code on paused time and by `tests/delay.rs` on sockets.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::Stream;
use tokio::time::{Instant, Sleep, sleep_until};

/// Most bytes that a line of frames holds: 60 ms of 1 GB/s.
const HELD_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A first-in first-out line that holds each item for the same time.
pub struct DelayLine<T> {
    delay: Duration,
    held: VecDeque<(Instant, T)>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl<T> DelayLine<T> {
    /// An empty line.
    pub fn new(delay: Duration) -> DelayLine<T> {
        DelayLine { delay, held: VecDeque::new(), alarm: None }
    }

    /// Puts an item in; it is due after the delay.
    pub fn push(&mut self, item: T) {
        self.held.push_back((Instant::now() + self.delay, item));
    }

    /// When the next item is due, if there is one.
    pub fn due(&self) -> Option<Instant> {
        self.held.front().map(|(due, _)| *due)
    }

    /// Takes the next item if it is due by now.
    pub fn pop(&mut self) -> Option<T> {
        let due = self.due()?;
        // A line without delay never asks for the time.
        if self.delay.is_zero() || due <= Instant::now() {
            return self.held.pop_front().map(|(_, item)| item);
        }
        None
    }

    /// The next item once it is due; `None` when the line is empty.
    pub fn poll_pop(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        loop {
            let Some(due) = self.due() else { return Poll::Ready(None) };
            if let Some(item) = self.pop() {
                return Poll::Ready(Some(item));
            }
            let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(due)));
            if alarm.deadline() != due {
                alarm.as_mut().reset(due);
            }
            ready!(alarm.as_mut().poll(cx));
        }
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}

/// A stream whose items come out after a delay.
pub(crate) struct Delayed<S: Stream> {
    /// `None` once it has ended.
    source: Option<S>,
    line: DelayLine<(usize, S::Item)>,
    weigh: fn(&S::Item) -> usize,
    held_bytes: usize,
}

impl<S: Stream + Unpin> Delayed<S> {
    /// Delays a stream; `weigh` gives the bytes of an item, for the bound of the line.
    pub(crate) fn new(source: S, delay: Duration, weigh: fn(&S::Item) -> usize) -> Delayed<S> {
        Delayed { source: Some(source), line: DelayLine::new(delay), weigh, held_bytes: 0 }
    }

    /// Puts everything that the source has ready into the line.
    fn fill(&mut self, cx: &mut Context<'_>) {
        while self.held_bytes < HELD_BYTES_MAX {
            let Some(source) = &mut self.source else { return };
            match Pin::new(source).poll_next(cx) {
                Poll::Ready(Some(item)) => {
                    let bytes = (self.weigh)(&item);
                    self.held_bytes += bytes;
                    self.line.push((bytes, item));
                }
                Poll::Ready(None) => self.source = None,
                Poll::Pending => return,
            }
        }
    }
}

impl<S: Stream + Unpin> Stream for Delayed<S>
where
    S::Item: Unpin,
{
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let this = &mut *self;
        if this.line.delay.is_zero() {
            return match &mut this.source {
                Some(source) => Pin::new(source).poll_next(cx),
                None => Poll::Ready(None),
            };
        }
        this.fill(cx);
        match ready!(this.line.poll_pop(cx)) {
            Some((bytes, item)) => {
                this.held_bytes -= bytes;
                Poll::Ready(Some(item))
            }
            None if this.source.is_none() => Poll::Ready(None),
            // The source was polled last and wakes us.
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{StreamExt, stream};

    #[tokio::test(start_paused = true)]
    async fn a_thousand_items_take_one_delay() {
        let delay = Duration::from_millis(30);
        let begin = Instant::now();
        let items: Vec<u32> =
            Delayed::new(stream::iter(0..1000u32), delay, |_| 100).collect().await;
        assert_eq!(items, (0..1000).collect::<Vec<_>>());
        let took = begin.elapsed();
        assert!(took >= delay && took < delay * 2, "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_line_takes_no_more_until_something_is_due() {
        let delay = Duration::from_millis(10);
        let begin = Instant::now();
        let half = |_: &u32| HELD_BYTES_MAX / 2;
        let count = Delayed::new(stream::iter(0..8u32), delay, half).count().await;
        assert_eq!(count, 8);
        assert!(begin.elapsed() >= delay * 4, "two at a time: {:?}", begin.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn items_keep_their_distance() {
        let mut line = DelayLine::new(Duration::from_millis(30));
        line.push(1);
        tokio::time::advance(Duration::from_millis(20)).await;
        line.push(2);
        assert_eq!(line.pop(), None);
        tokio::time::advance(Duration::from_millis(11)).await;
        assert_eq!(line.pop(), Some(1));
        assert_eq!(line.pop(), None);
        tokio::time::advance(Duration::from_millis(20)).await;
        assert_eq!(line.pop(), Some(2));
        assert!(line.is_empty());
    }
}
