//! A control group's state as its Raft group runs it.
//!
//! The whole state is in memory; the engine holds it as of the last persist, and the log, which is
//! purged only behind a persist, holds the rest.
//!
//! # Invariants
//!
//! - Readers see whole states, each after some applied entry.

use bytes::Bytes;
use meridian_base::codec::{DecodeError, Reader, put_bytes, put_var};
use meridian_base::{GroupId, LogIndex};
use meridian_control::{Stored, global, region};
use meridian_raft::machine::{Applied, Committed, Content, MachineError, StateMachine};
use meridian_raft::snapshot::Chunks;
use meridian_storage::{Batch, Engine};
use std::sync::Arc;
use tokio::sync::watch;

const FORMAT: u8 = 1;
/// Tag of the engine keys of control states; partitions use higher ones.
const CONTROL: u8 = 0x00;

/// What a control group replicates.
pub trait ControlState: Stored + Clone + Send + Sync + 'static {
    /// The state before the first command.
    fn fresh() -> Self;

    /// Applies an encoded command; gives the encoded answer.
    fn apply_encoded(&mut self, index: LogIndex, command: &[u8]) -> Vec<u8>;
}

impl ControlState for global::GlobalState {
    fn fresh() -> Self {
        global::GlobalState::new()
    }

    fn apply_encoded(&mut self, index: LogIndex, command: &[u8]) -> Vec<u8> {
        // A command of a newer program: the answer is empty, which its proposer reads as unknown.
        global::Command::decode(command)
            .map(|command| Answer(self.apply(index, &command)).encode())
            .unwrap_or_default()
    }
}

impl ControlState for region::RegionState {
    fn fresh() -> Self {
        region::RegionState::new()
    }

    fn apply_encoded(&mut self, index: LogIndex, command: &[u8]) -> Vec<u8> {
        region::Command::decode(command)
            .map(|command| Answer(self.apply(index, &command)).encode())
            .unwrap_or_default()
    }
}

/// The answer to a control command, in a stored form.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct Answer<T>(pub T);

impl<T: serde::Serialize + serde::de::DeserializeOwned> Stored for Answer<T> {}

/// The state machine of a control group.
pub struct ControlMachine<S> {
    group: GroupId,
    engine: Arc<dyn Engine>,
    state: S,
    applied: Applied,
    published: Arc<watch::Sender<Arc<S>>>,
}

/// The engine key of a control group's state.
fn state_key(group: GroupId) -> Vec<u8> {
    let mut key = vec![CONTROL];
    key.extend_from_slice(&group.to_u64().to_be_bytes());
    key
}

fn encode<S: ControlState>(state: &S, applied: &Applied) -> Vec<u8> {
    let mut out = vec![FORMAT, u8::from(applied.at.is_some())];
    let (term, index) = applied.at.unwrap_or_default();
    put_var(&mut out, term);
    put_var(&mut out, index.0);
    put_bytes(&mut out, &applied.members);
    put_bytes(&mut out, &state.encode());
    let crc = crc32fast::hash(&out);
    out.extend_from_slice(&crc.to_be_bytes());
    out
}

fn decode<S: ControlState>(bytes: &[u8]) -> Result<(S, Applied), DecodeError> {
    let (body, crc) = bytes.split_last_chunk::<4>().ok_or(DecodeError::Short)?;
    if crc32fast::hash(body) != u32::from_be_bytes(*crc) {
        return Err(DecodeError::Unknown("checksum"));
    }
    let mut reader = Reader::new(body);
    if reader.u8()? != FORMAT {
        return Err(DecodeError::Unknown("format"));
    }
    let some = reader.u8()? == 1;
    let at = (reader.var()?, LogIndex(reader.var()?));
    let members = reader.bytes()?.to_vec();
    let state = S::decode(reader.bytes()?)?;
    reader.end()?;
    Ok((state, Applied { at: some.then_some(at), members }))
}

fn stopped(error: impl ToString) -> MachineError {
    MachineError(error.to_string())
}

impl<S: ControlState> ControlMachine<S> {
    /// Opens the state that the engine holds, and tells where it can be watched.
    pub fn open(
        group: GroupId,
        engine: Arc<dyn Engine>,
    ) -> Result<(Self, watch::Receiver<Arc<S>>), MachineError> {
        let (state, applied) = match engine.get(&state_key(group)).map_err(stopped)? {
            Some(bytes) => decode(&bytes).map_err(stopped)?,
            None => (S::fresh(), Applied::default()),
        };
        let published = Arc::new(watch::Sender::new(Arc::new(state.clone())));
        let watcher = published.subscribe();
        Ok((ControlMachine { group, engine, state, applied, published }, watcher))
    }

    fn publish(&self) {
        self.published.send_replace(Arc::new(self.state.clone()));
    }
}

impl<S: ControlState> StateMachine for ControlMachine<S> {
    fn applied(&self) -> Applied {
        self.applied.clone()
    }

    fn apply(&mut self, entries: &[Committed]) -> Result<Vec<Vec<u8>>, MachineError> {
        let mut answers = Vec::with_capacity(entries.len());
        for entry in entries {
            self.applied.advance(entry);
            answers.push(match &entry.content {
                Content::Command(command) => self.state.apply_encoded(entry.index, command),
                Content::Blank | Content::Members(_) => Vec::new(),
            });
        }
        self.publish();
        Ok(answers)
    }

    fn persist(&self) -> Box<dyn FnOnce() -> Result<(), MachineError> + Send> {
        let mut batch = Batch::new();
        batch.put(state_key(self.group), encode(&self.state, &self.applied));
        let engine = Arc::clone(&self.engine);
        Box::new(move || {
            engine.write(batch).map_err(stopped)?;
            engine.persist().map_err(stopped)
        })
    }

    fn chunks(&self) -> Result<Chunks, MachineError> {
        let bytes = Bytes::from(encode(&self.state, &self.applied));
        Ok(Box::new(std::iter::once(Ok(bytes))))
    }

    fn install(&mut self, chunks: Chunks, _applied: &Applied) -> Result<(), MachineError> {
        let mut bytes = Vec::new();
        for chunk in chunks {
            bytes.extend_from_slice(&chunk.map_err(stopped)?);
        }
        (self.state, self.applied) = decode(&bytes).map_err(stopped)?;
        self.publish();
        Ok(())
    }
}
