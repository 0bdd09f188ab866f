//! ListOffsets (key 2), versions 1-11: offsets by timestamp, and the ends of a partition.
//!
//! - 2: isolation level
//! - 4: leader epochs (KIP-320)
//! - 6: flexible
//! - 7: the offset of the largest timestamp (KIP-734)
//! - 8: the earliest local offset (KIP-405)
//! - 9: the latest tiered offset (KIP-1005)
//! - 10: a timeout, for tiered storage (KIP-1075)
//! - 11: the earliest offset that waits for its upload (KIP-1023)
//!
//! There is no tier: the local log is all there is, and no offset is tiered or waits to be.

use std::collections::HashSet;

use super::{Outcome, RequestContext};
use crate::error::ErrorCode;
use crate::ids::{LeaderEpoch, Offset};
use crate::log::timestamps::TimestampedOffset;
use crate::protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};
use crate::protocol::wire::messages::list_offsets_request::ListOffsetsPartition;
use crate::protocol::wire::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use crate::replication::Visibility;

/// Older versions have no place for an epoch.
const LEADER_EPOCH_SINCE: i16 = 4;
const CONSUMER_REPLICA_ID: i32 = -1;
const READ_COMMITTED: i8 = 1;

/// What a request's timestamp asks for, where it is not a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Latest,
    Earliest,
    MaxTimestamp,
    EarliestLocal,
    LatestTiered,
    EarliestPendingUpload,
    AtOrAfter(i64),
}

impl Wanted {
    /// None where `version` does not know this timestamp.
    fn from_wire(timestamp: i64, version: i16) -> Option<Self> {
        let (wanted, since) = match timestamp {
            -1 => (Self::Latest, 1),
            -2 => (Self::Earliest, 1),
            -3 => (Self::MaxTimestamp, 7),
            -4 => (Self::EarliestLocal, 8),
            -5 => (Self::LatestTiered, 9),
            -6 => (Self::EarliestPendingUpload, 11),
            time if time >= 0 => (Self::AtOrAfter(time), 1),
            _ => return None,
        };
        (version >= since).then_some(wanted)
    }
}

/// An offset with its timestamp and epoch; what is not known is -1 on the wire.
#[derive(Clone, Copy, Debug)]
struct Listed {
    timestamp: i64,
    offset: Offset,
    leader_epoch: LeaderEpoch,
}

impl Listed {
    const NOTHING: Self = Self { timestamp: -1, offset: Offset::NONE, leader_epoch: LeaderEpoch::NONE };
}

pub(super) fn handle(cx: RequestContext, request: ListOffsetsRequest) -> Outcome {
    // Looking up a timestamp reads index and log, which may be cold: off the tokio workers.
    let reply_context = cx.clone();
    cx.reply_later(async move {
        let cx = reply_context;
        let listing = tokio::task::spawn_blocking(move || list(&cx, request));
        listing.await.unwrap_or_default()
    })
}

fn list(cx: &RequestContext, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let visibility = match (*request.replica_id, request.isolation_level) {
        (CONSUMER_REPLICA_ID, READ_COMMITTED) => Visibility::Stable,
        (CONSUMER_REPLICA_ID, _) => Visibility::Committed,
        _ => Visibility::LogEnd,
    };
    let mut response = ListOffsetsResponse::default();
    for topic in &request.topics {
        let mut seen = HashSet::new();
        let mut listed = ListOffsetsTopicResponse::default();
        listed.name = topic.name.clone();
        listed.partitions = topic
            .partitions
            .iter()
            .map(|partition| {
                let found = if seen.insert(partition.partition_index) {
                    list_partition(cx, &topic.name, partition, visibility)
                } else {
                    Err(ErrorCode::InvalidRequest)
                };
                partition_response(cx, partition.partition_index, found)
            })
            .collect();
        response.topics.push(listed);
    }
    response
}

fn list_partition(
    cx: &RequestContext,
    topic: &str,
    asked: &ListOffsetsPartition,
    visibility: Visibility,
) -> Result<Listed, ErrorCode> {
    let wanted = Wanted::from_wire(asked.timestamp, cx.version).ok_or(ErrorCode::UnsupportedVersion)?;
    let topic = cx.services().replicas.topic(topic).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let replica = topic.partition(asked.partition_index)?;
    let leader_epoch = replica.check_leader(LeaderEpoch(asked.current_leader_epoch)).map_err(|error| error.code())?;
    let log = replica.log();
    let end = replica.visible_end(visibility);
    let epoch_of = |offset| log.epoch_for_offset(offset).unwrap_or(LeaderEpoch::NONE);
    let at = |found: Option<TimestampedOffset>| match found {
        Some(TimestampedOffset { timestamp, offset, leader_epoch }) if offset < end => {
            Listed { timestamp, offset, leader_epoch }
        }
        _ => Listed::NOTHING,
    };
    Ok(match wanted {
        Wanted::Latest => Listed { timestamp: -1, offset: end, leader_epoch },
        Wanted::Earliest | Wanted::EarliestLocal => {
            let offset = log.log_start_offset();
            Listed { timestamp: -1, offset, leader_epoch: epoch_of(offset) }
        }
        Wanted::LatestTiered | Wanted::EarliestPendingUpload => Listed::NOTHING,
        Wanted::MaxTimestamp => at(log.offset_of_max_timestamp().map_err(|error| error.code())?),
        Wanted::AtOrAfter(time) => at(log.offset_for_timestamp(time).map_err(|error| error.code())?),
    })
}

fn partition_response(
    cx: &RequestContext,
    partition_index: i32,
    found: Result<Listed, ErrorCode>,
) -> ListOffsetsPartitionResponse {
    let mut response = ListOffsetsPartitionResponse::default();
    response.partition_index = partition_index;
    let listed = found.unwrap_or_else(|code| {
        cx.count_error(code);
        response.error_code = code.code();
        Listed::NOTHING
    });
    response.timestamp = listed.timestamp;
    response.offset = listed.offset.0;
    if cx.version >= LEADER_EPOCH_SINCE {
        response.leader_epoch = listed.leader_epoch.0;
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_timestamps_by_version() {
        assert_eq!(Wanted::from_wire(-1, 1), Some(Wanted::Latest));
        assert_eq!(Wanted::from_wire(0, 1), Some(Wanted::AtOrAfter(0)));
        assert_eq!(Wanted::from_wire(-3, 6), None);
        assert_eq!(Wanted::from_wire(-3, 7), Some(Wanted::MaxTimestamp));
        assert_eq!(Wanted::from_wire(-6, 10), None);
        assert_eq!(Wanted::from_wire(-7, 11), None);
    }
}
