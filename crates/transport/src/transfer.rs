//! Transfers: one header, many chunks, one answer, on a connection of their own.
//!
//! # Invariants
//!
//! - The sender runs ahead of the receiver by a flow-control window and the delay line, no more.
//! - A receiver sees the end of the chunks only if the sender sent all of them; anything else is
//!   an error.
//!
//! Tested by `tests/transfers.rs`.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use thiserror::Error;

use crate::config::PAYLOAD_BYTES_MAX;
use crate::dial::Dialled;
use crate::ear::Ear;
use crate::meter::{Direction, Meter};
use crate::outbound;
use crate::proto::{Frame, Part, PartStep};
use crate::{CallError, Kind, Timing};

/// Why the chunks of a transfer ended early.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TransferError {
    /// The sender gave up, and says why.
    #[error("the sender gave up: {0}")]
    Aborted(String),
    /// The connection broke, or the sender was silent for too long.
    #[error("the transfer broke: {0}")]
    Broken(String),
}

/// A frame with a part of a transfer.
pub(crate) fn part(step: PartStep, kind: Option<Kind>, payload: Bytes) -> Frame {
    let kind = kind.map_or(0, Kind::to_wire);
    Frame { part: Some(Part { step: step.into(), kind, payload }), ..Frame::default() }
}

/// Sends a transfer and waits for its answer.
pub(crate) async fn send<S>(
    dialled: Dialled,
    kind: Kind,
    header: Bytes,
    chunks: S,
    timing: &Timing,
    meter: Meter,
) -> Result<Bytes, CallError>
where
    S: Stream<Item = Result<Bytes, String>> + Send + 'static,
{
    let frames = frames(kind, header, chunks, meter);
    // If nobody takes it the connection is broken, which reading finds out.
    let _ = dialled.body.send(outbound::body(frames, timing.keepalive, dialled.delay));
    let mut ear = dialled.ear;
    let _line = dialled.line;
    loop {
        match ear.next().await {
            Ok(frame) => {
                if let Some(result) = frame.part.and_then(outcome) {
                    return result;
                }
            }
            Err(_) => return Err(CallError::Unknown),
        }
    }
}

/// What the receiver says of the whole transfer.
fn outcome(part: Part) -> Option<Result<Bytes, CallError>> {
    match part.step() {
        PartStep::Answer => Some(Ok(part.payload)),
        PartStep::Refusal => {
            let reason = String::from_utf8_lossy(&part.payload).into_owned();
            Some(Err(CallError::Refused(reason)))
        }
        PartStep::Unspecified
        | PartStep::Start
        | PartStep::Chunk
        | PartStep::End
        | PartStep::Abort => None,
    }
}

/// The frames of a transfer: start, chunks, and how they ended.
fn frames<S>(
    kind: Kind,
    header: Bytes,
    chunks: S,
    meter: Meter,
) -> Pin<Box<dyn Stream<Item = Frame> + Send>>
where
    S: Stream<Item = Result<Bytes, String>> + Send + 'static,
{
    let start = stream::iter([part(PartStep::Start, Some(kind), header)]);
    let end = stream::iter([Ok(None)]);
    let rest = chunks.map(|chunk| chunk.map(Some)).chain(end).scan(false, move |over, chunk| {
        let frame = (!*over).then(|| match chunk {
            Ok(Some(chunk)) if chunk.len() <= PAYLOAD_BYTES_MAX => {
                meter.chunk(kind, Direction::Sent, chunk.len());
                part(PartStep::Chunk, None, chunk)
            }
            Ok(None) => part(PartStep::End, None, Bytes::new()),
            Ok(Some(chunk)) => {
                *over = true;
                let reason = format!(
                    "a chunk of {} bytes exceeds the limit of {PAYLOAD_BYTES_MAX}",
                    chunk.len()
                );
                part(PartStep::Abort, None, Bytes::from(reason))
            }
            Err(reason) => {
                *over = true;
                part(PartStep::Abort, None, Bytes::from(reason))
            }
        });
        std::future::ready(frame)
    });
    Box::pin(start.chain(rest))
}

/// The chunks of a transfer as its receiver reads them. Reading slowly slows the sender down.
pub struct Chunks {
    /// `None` once the end or an error was seen.
    ear: Option<Ear>,
    kind: Kind,
    meter: Meter,
}

impl Chunks {
    /// Reads the start of a transfer: its kind, its header and what follows.
    pub(crate) async fn start(
        mut ear: Ear,
        meter: Meter,
    ) -> Result<(Bytes, Chunks), TransferError> {
        let part = next_part(&mut ear).await?;
        let kind = Kind::from_wire(part.kind);
        match (part.step(), kind) {
            (PartStep::Start, Some(kind)) => {
                Ok((part.payload, Chunks { ear: Some(ear), kind, meter }))
            }
            (PartStep::Start, None) => {
                Err(TransferError::Broken(format!("kind {} is not known", part.kind)))
            }
            (step, _) => Err(TransferError::Broken(format!("it starts with {step:?}"))),
        }
    }

    /// What the transfer is.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// The next chunk; `None` after the last one, if all of them came.
    pub async fn next(&mut self) -> Option<Result<Bytes, TransferError>> {
        let ear = self.ear.as_mut()?;
        let next = match next_part(ear).await {
            Ok(part) => match part.step() {
                PartStep::Chunk => {
                    self.meter.chunk(self.kind, Direction::Received, part.payload.len());
                    return Some(Ok(part.payload));
                }
                PartStep::End => None,
                PartStep::Abort => Some(Err(TransferError::Aborted(
                    String::from_utf8_lossy(&part.payload).into_owned(),
                ))),
                step @ (PartStep::Unspecified
                | PartStep::Start
                | PartStep::Answer
                | PartStep::Refusal) => {
                    Some(Err(TransferError::Broken(format!("{step:?} among the chunks"))))
                }
            },
            Err(error) => Some(Err(error)),
        };
        self.ear = None;
        next
    }

    /// The chunks as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, TransferError>> + Send {
        stream::unfold(self, |mut chunks| async move { Some((chunks.next().await?, chunks)) })
    }
}

/// The next frame with a part; signs of life are passed over.
async fn next_part(ear: &mut Ear) -> Result<Part, TransferError> {
    loop {
        match ear.next().await {
            Ok(Frame { part: Some(part), .. }) => return Ok(part),
            Ok(_) => {}
            Err(reason) => return Err(TransferError::Broken(reason)),
        }
    }
}
