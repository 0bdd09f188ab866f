//! OffsetForLeaderEpoch (key 23), versions 2-4: where an epoch ended, so that a reader finds where its log and ours
//! part (KIP-101, KIP-279, KIP-320).
//!
//! - 3: the replica id
//! - 4: flexible

use super::{Outcome, RequestContext};
use crate::error::ErrorCode;
use crate::ids::{LeaderEpoch, Offset};
use crate::protocol::wire::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use crate::protocol::wire::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use crate::protocol::wire::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

pub(super) fn handle(cx: RequestContext, request: OffsetForLeaderEpochRequest) -> Outcome {
    let mut response = OffsetForLeaderEpochResponse::default();
    for topic in request.topics {
        let mut result = OffsetForLeaderTopicResult::default();
        result.partitions = topic
            .partitions
            .iter()
            .map(|partition| {
                let mut on_wire = EpochEndOffset::default();
                on_wire.partition = partition.partition;
                match end_offset(&cx, &topic.topic, partition) {
                    Ok((epoch, end_offset)) => {
                        on_wire.leader_epoch = epoch.0;
                        on_wire.end_offset = end_offset.0;
                    }
                    Err(code) => {
                        cx.count_error(code);
                        on_wire.error_code = code.code();
                    }
                }
                on_wire
            })
            .collect();
        result.topic = topic.topic;
        response.topics.push(result);
    }
    cx.reply(response)
}

/// The largest epoch not above the one asked for, and where it ended; -1 and -1 where that is not known.
fn end_offset(
    cx: &RequestContext,
    topic: &str,
    asked: &OffsetForLeaderPartition,
) -> Result<(LeaderEpoch, Offset), ErrorCode> {
    let topic = cx.services().replicas.topic(topic).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let replica = topic.partition(asked.partition)?;
    replica.check_leader(LeaderEpoch(asked.current_leader_epoch)).map_err(|error| error.code())?;
    Ok(replica.epoch_end_offset(LeaderEpoch(asked.leader_epoch)))
}
