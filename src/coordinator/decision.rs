//! What a coordinator's machine is, and what it decides. Pure.

use std::fmt::Debug;
use std::time::Duration;

use crate::ids::{Offset, ProducerId};
use crate::protocol::records::TransactionOutcome;
use crate::time::TimestampMs;

/// The moment of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// For deadlines: never goes back.
    pub monotonic: Duration,
    /// For what is written into records.
    pub wall_ms: TimestampMs,
}

/// Names a request whose answer may come with a later decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplyTo(pub u64);

/// What one partition of an internal topic holds, and the rules by which it changes.
///
/// Hard state is what the records say: [`apply`](Self::apply) alone changes it, after an append as in replay. Soft
/// state (deadlines, requests that wait) is lost with the leadership; [`apply_soft`](Self::apply_soft) alone changes it.
/// Deciding takes the machine by reference and changes nothing.
pub trait Machine: Debug + Send + Sized + 'static {
    type Record: Debug + Send;
    type SoftChange: Debug + Send;
    /// The answer to a request that may have to wait for later decisions.
    type Reply: Debug + Send;
    type TimerKey: Clone + Debug + Ord + Send;

    /// Kafka's key and value of the record.
    fn encode(record: &Self::Record) -> EncodedRecord;
    /// Takes in a record that was read from the log: decodes it and applies it.
    fn replay(&mut self, key: &[u8], value: Option<&[u8]>, origin: RecordOrigin) -> Result<(), ReplayError>;
    /// The transaction of `producer` ended: what its records said since it began counts, or is forgotten.
    fn replay_end_of_transaction(&mut self, _producer: ProducerId, _outcome: TransactionOutcome) {}
    /// Changes the hard state, at the offset that the record was appended at.
    fn apply(&mut self, record: Self::Record, offset: Offset);
    fn apply_soft(&mut self, change: Self::SoftChange);
    /// Everything is replayed: soft state begins anew, with the timers of what is there.
    fn on_loaded(&mut self, now: Now) -> Decision<Self>;
    /// A timer's deadline has passed; the timer is gone.
    fn on_timer(&self, now: Now, key: Self::TimerKey) -> Decision<Self>;
}

/// What a machine decided. Everything happens or, where the records cannot be appended, nothing.
#[derive(Debug)]
pub struct Decision<M: Machine> {
    /// Appended together, then applied in this order.
    pub records: Vec<M::Record>,
    /// Applied after the records.
    pub soft: Vec<M::SoftChange>,
    pub timers: Vec<Timer<M::TimerKey>>,
    /// Answers to this request or to ones that waited. They leave once the high watermark has passed everything they
    /// may tell of.
    pub replies: Vec<(ReplyTo, M::Reply)>,
}

impl<M: Machine> Default for Decision<M> {
    fn default() -> Self {
        Self { records: Vec::new(), soft: Vec::new(), timers: Vec::new(), replies: Vec::new() }
    }
}

/// Sets, moves or cancels the timer of `key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timer<K> {
    pub key: K,
    /// On the monotonic clock; `None` cancels.
    pub deadline: Option<Duration>,
}

impl<K> Timer<K> {
    pub fn at(key: K, deadline: Duration) -> Self {
        Self { key, deadline: Some(deadline) }
    }

    pub fn cancelled(key: K) -> Self {
        Self { key, deadline: None }
    }
}

/// A record as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedRecord {
    pub key: Vec<u8>,
    /// `None` deletes what the key names.
    pub value: Option<Vec<u8>>,
}

/// Where a replayed record comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordOrigin {
    pub offset: Offset,
    pub timestamp_ms: TimestampMs,
    /// The record is part of a transaction of this producer, which may still be open.
    pub transaction_of: Option<ProducerId>,
}

/// A record that cannot be taken in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// A newer broker wrote it; it is left alone.
    #[error("a record of unknown kind {0}")]
    UnknownKind(i16),
    #[error("{0}")]
    Malformed(String),
}
