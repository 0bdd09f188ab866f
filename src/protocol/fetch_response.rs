//! The response to a fetch, encoded into pieces so that record data is never copied.
//!
//! ```text
//!  Piece::Bytes                 Piece::File          Piece::Bytes           Piece::File
//!  throttle .. records' size │ batches on disk    │ next partition .. │ batches on disk  │ ..
//! ```
//! The message crate would want all records in one buffer; this writes versions 4 to 18 around them. Everything but
//! records goes to one allocation of exact size, of which the pieces are slices.
//!
//! Source: Kafka's `FetchResponse` schema; KIP-74, KIP-98 (aborted transactions), KIP-227 (sessions), KIP-320 and
//! KIP-595 (diverging epoch), KIP-392 (preferred read replica), KIP-516 (topic ids), KIP-951 (leaders and endpoints).

#[cfg(test)]
mod tests;
pub(super) mod write;

use self::write::{Measure, Out, Pieces, Sink};
use super::piece::Piece;
use crate::error::ErrorCode;
use crate::ids::{BrokerId, LeaderEpoch, Offset, PartitionIndex, ProducerId, TopicId, TopicName};

/// The versions that this writes.
pub const MIN_VERSION: i16 = 4;
pub const MAX_VERSION: i16 = 18;

const LOG_START_OFFSET_VERSION: i16 = 5;
const SESSION_VERSION: i16 = 7;
const PREFERRED_REPLICA_VERSION: i16 = 11;
const FLEXIBLE_VERSION: i16 = 12;
const TOPIC_ID_VERSION: i16 = 13;
const NODE_ENDPOINTS_VERSION: i16 = 16;

/// The answer to one fetch. What a version does not know is left out.
#[derive(Clone, Debug)]
pub struct FetchResponse {
    pub throttle_time_ms: i32,
    pub error_code: ErrorCode,
    /// 0: no session.
    pub session_id: i32,
    pub responses: Vec<FetchableTopic>,
    /// Where the leaders named in `current_leader` are reached (KIP-951).
    pub node_endpoints: Vec<NodeEndpoint>,
}

/// What was fetched of one topic; version 13 on names it by id.
#[derive(Clone, Debug)]
pub struct FetchableTopic {
    pub topic: TopicName,
    pub topic_id: TopicId,
    pub partitions: Vec<FetchedPartition>,
}

/// What was fetched of one partition.
#[derive(Clone, Debug)]
pub struct FetchedPartition {
    pub partition_index: PartitionIndex,
    pub error_code: ErrorCode,
    pub high_watermark: Offset,
    pub last_stable_offset: Offset,
    pub log_start_offset: Offset,
    /// The follower's or consumer's log has left ours after this (KIP-320, KIP-595).
    pub diverging_epoch: Option<EpochEndOffset>,
    /// Who leads now, told with NOT_LEADER_OR_FOLLOWER and FENCED_LEADER_EPOCH (KIP-951).
    pub current_leader: Option<LeaderIdAndEpoch>,
    /// `None` for read_uncommitted: clients tell null from empty.
    pub aborted_transactions: Option<Vec<AbortedTransaction>>,
    pub preferred_read_replica: BrokerId,
    /// Whole batches, the last one perhaps cut; less than 2 GiB. Never null on the wire: clients stumble over it.
    pub records: Vec<Piece>,
}

impl FetchedPartition {
    /// A partition of which nothing is known but an error.
    pub fn failed(partition_index: PartitionIndex, error_code: ErrorCode) -> Self {
        Self {
            partition_index,
            error_code,
            high_watermark: Offset::NONE,
            last_stable_offset: Offset::NONE,
            log_start_offset: Offset::NONE,
            diverging_epoch: None,
            current_leader: None,
            aborted_transactions: None,
            preferred_read_replica: BrokerId::NONE,
            records: Vec::new(),
        }
    }

    pub fn records_bytes(&self) -> usize {
        self.records.iter().map(Piece::size_bytes).sum()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEndOffset {
    pub epoch: LeaderEpoch,
    pub end_offset: Offset,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaderIdAndEpoch {
    pub leader_id: BrokerId,
    pub leader_epoch: LeaderEpoch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    pub producer_id: ProducerId,
    pub first_offset: Offset,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeEndpoint {
    pub node_id: BrokerId,
    pub host: String,
    pub port: i32,
    pub rack: Option<String>,
}

impl FetchResponse {
    /// The response without frame size and header, which the connection puts in front. `version` is one of 4 to 18.
    pub fn encode(&self, version: i16) -> Vec<Piece> {
        let mut pieces = Pieces::with_capacity(self.measure(version).own_bytes);
        self.write(&mut pieces, version);
        pieces.finish()
    }

    /// Bytes of all that [`FetchResponse::encode`] answers.
    pub fn size_bytes(&self, version: i16) -> usize {
        let measure = self.measure(version);
        measure.own_bytes + measure.records_bytes
    }

    fn measure(&self, version: i16) -> Measure {
        let mut measure = Measure::default();
        self.write(&mut measure, version);
        measure
    }

    fn write(&self, out: &mut impl Sink, version: i16) {
        assert!((MIN_VERSION..=MAX_VERSION).contains(&version), "no FetchResponse of version {version}");
        out.i32(self.throttle_time_ms);
        if version >= SESSION_VERSION {
            out.i16(self.error_code.code());
            out.i32(self.session_id);
        }
        out.count(self.responses.len(), version);
        for topic in &self.responses {
            topic.write(out, version);
        }
        if version >= NODE_ENDPOINTS_VERSION && !self.node_endpoints.is_empty() {
            out.unsigned(1);
            out.tagged(0, &encode_node_endpoints(&self.node_endpoints, version));
        } else {
            out.no_tags(version);
        }
    }
}

impl FetchableTopic {
    fn write(&self, out: &mut impl Sink, version: i16) {
        if version >= TOPIC_ID_VERSION {
            out.put(self.topic_id.0.as_bytes());
        } else {
            out.string(&self.topic, version);
        }
        out.count(self.partitions.len(), version);
        for partition in &self.partitions {
            partition.write(out, version);
        }
        out.no_tags(version);
    }
}

impl FetchedPartition {
    fn write(&self, out: &mut impl Sink, version: i16) {
        out.i32(self.partition_index);
        out.i16(self.error_code.code());
        out.i64(self.high_watermark.0);
        out.i64(self.last_stable_offset.0);
        if version >= LOG_START_OFFSET_VERSION {
            out.i64(self.log_start_offset.0);
        }
        self.write_aborted_transactions(out, version);
        if version >= PREFERRED_REPLICA_VERSION {
            out.i32(self.preferred_read_replica.0);
        }
        let records_bytes = self.records_bytes();
        if version >= FLEXIBLE_VERSION {
            out.unsigned(records_bytes as u32 + 1);
        } else {
            out.i32(records_bytes as i32);
        }
        self.records.iter().for_each(|piece| out.piece(piece));
        if version >= FLEXIBLE_VERSION {
            self.write_tags(out);
        }
    }

    fn write_aborted_transactions(&self, out: &mut impl Sink, version: i16) {
        let Some(transactions) = &self.aborted_transactions else {
            return out.null_array(version);
        };
        out.count(transactions.len(), version);
        for transaction in transactions {
            out.i64(transaction.producer_id.0);
            out.i64(transaction.first_offset.0);
            out.no_tags(version);
        }
    }

    fn write_tags(&self, out: &mut impl Sink) {
        let count = u32::from(self.diverging_epoch.is_some()) + u32::from(self.current_leader.is_some());
        out.unsigned(count);
        if let Some(EpochEndOffset { epoch, end_offset }) = self.diverging_epoch {
            let mut field = Vec::new();
            field.i32(epoch.0);
            field.i64(end_offset.0);
            field.unsigned(0);
            out.tagged(0, &field);
        }
        if let Some(LeaderIdAndEpoch { leader_id, leader_epoch }) = self.current_leader {
            let mut field = Vec::new();
            field.i32(leader_id.0);
            field.i32(leader_epoch.0);
            field.unsigned(0);
            out.tagged(1, &field);
        }
    }
}

fn encode_node_endpoints(endpoints: &[NodeEndpoint], version: i16) -> Vec<u8> {
    let mut field = Vec::new();
    field.count(endpoints.len(), version);
    for endpoint in endpoints {
        field.i32(endpoint.node_id.0);
        field.string(&endpoint.host, version);
        field.i32(endpoint.port);
        match &endpoint.rack {
            Some(rack) => field.string(rack, version),
            None => field.unsigned(0),
        }
        field.no_tags(version);
    }
    field
}
