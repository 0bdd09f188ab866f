//! The response to a share fetch, encoded into pieces so that record data is never copied; as
//! [`fetch_response`](super::fetch_response) does for Fetch.
//!
//! Source: Kafka's `ShareFetchResponse` schema, versions 1 and 2, which are the same bytes; KIP-932.

#[cfg(test)]
mod tests;

use super::fetch_response::write::{Measure, Pieces, Sink};
use super::fetch_response::{LeaderIdAndEpoch, NodeEndpoint};
use super::piece::Piece;
use crate::error::ErrorCode;
use crate::ids::{Offset, PartitionIndex, TopicId};

/// The version of Fetch whose primitive types these are: flexible ones.
const FLEXIBLE: i16 = 12;

/// The answer to one share fetch.
#[derive(Clone, Debug, Default)]
pub struct ShareFetchResponse {
    pub throttle_time_ms: i32,
    pub error: ShareError,
    /// For how long the acquired records are locked.
    pub acquisition_lock_timeout_ms: i32,
    pub responses: Vec<ShareFetchedTopic>,
    /// Where the leaders named in `current_leader` are reached.
    pub node_endpoints: Vec<NodeEndpoint>,
}

/// An error code with a text that people read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareError {
    pub code: ErrorCode,
    pub message: Option<String>,
}

impl ShareError {
    pub const NONE: Self = Self { code: ErrorCode::None, message: None };

    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: Some(message.into()) }
    }
}

impl Default for ShareError {
    fn default() -> Self {
        Self::NONE
    }
}

impl From<ErrorCode> for ShareError {
    fn from(code: ErrorCode) -> Self {
        Self { code, message: None }
    }
}

/// What was fetched of one topic.
#[derive(Clone, Debug)]
pub struct ShareFetchedTopic {
    pub topic_id: TopicId,
    pub partitions: Vec<ShareFetchedPartition>,
}

/// What was fetched of one partition, and how its acknowledgements were taken.
#[derive(Clone, Debug, Default)]
pub struct ShareFetchedPartition {
    pub partition_index: PartitionIndex,
    pub error: ShareError,
    pub acknowledge_error: ShareError,
    /// Told with NOT_LEADER_OR_FOLLOWER and FENCED_LEADER_EPOCH.
    pub current_leader: Option<LeaderIdAndEpoch>,
    /// Whole batches.
    pub records: Vec<Piece>,
    /// Which of the records are the member's.
    pub acquired: Vec<AcquiredRecords>,
}

/// Records that a member holds from here on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcquiredRecords {
    pub first_offset: Offset,
    pub last_offset: Offset,
    /// This delivery counted.
    pub delivery_count: i16,
}

impl ShareFetchResponse {
    /// The response without frame size and header, which the connection puts in front.
    pub fn encode(&self) -> Vec<Piece> {
        let mut measure = Measure::default();
        self.write(&mut measure);
        let mut pieces = Pieces::with_capacity(measure.own_bytes);
        self.write(&mut pieces);
        pieces.finish()
    }

    fn write(&self, out: &mut impl Sink) {
        out.i32(self.throttle_time_ms);
        write_error(out, &self.error);
        out.i32(self.acquisition_lock_timeout_ms);
        out.count(self.responses.len(), FLEXIBLE);
        for topic in &self.responses {
            out.put(topic.topic_id.0.as_bytes());
            out.count(topic.partitions.len(), FLEXIBLE);
            topic.partitions.iter().for_each(|partition| partition.write(out));
            out.no_tags(FLEXIBLE);
        }
        out.count(self.node_endpoints.len(), FLEXIBLE);
        for endpoint in &self.node_endpoints {
            out.i32(endpoint.node_id.0);
            out.string(&endpoint.host, FLEXIBLE);
            out.i32(endpoint.port);
            write_nullable(out, endpoint.rack.as_deref());
            out.no_tags(FLEXIBLE);
        }
        out.no_tags(FLEXIBLE);
    }
}

impl ShareFetchedPartition {
    fn write(&self, out: &mut impl Sink) {
        out.i32(self.partition_index);
        write_error(out, &self.error);
        write_error(out, &self.acknowledge_error);
        let (leader_id, leader_epoch) =
            self.current_leader.map_or((0, 0), |leader| (leader.leader_id.0, leader.leader_epoch.0));
        out.i32(leader_id);
        out.i32(leader_epoch);
        out.no_tags(FLEXIBLE);
        let records_bytes: usize = self.records.iter().map(Piece::size_bytes).sum();
        out.unsigned(records_bytes as u32 + 1);
        self.records.iter().for_each(|piece| out.piece(piece));
        out.count(self.acquired.len(), FLEXIBLE);
        for acquired in &self.acquired {
            out.i64(acquired.first_offset.0);
            out.i64(acquired.last_offset.0);
            out.i16(acquired.delivery_count);
            out.no_tags(FLEXIBLE);
        }
        out.no_tags(FLEXIBLE);
    }
}

fn write_error(out: &mut impl Sink, error: &ShareError) {
    out.i16(error.code.code());
    write_nullable(out, error.message.as_deref());
}

fn write_nullable(out: &mut impl Sink, text: Option<&str>) {
    match text {
        Some(text) => out.string(text, FLEXIBLE),
        None => out.unsigned(0),
    }
}
