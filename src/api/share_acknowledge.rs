//! ShareAcknowledge (key 79), versions 1-2: what became of records that a member of a share group acquired (KIP-932).
//!
//! - 2: acknowledgements may renew locks; the answer says for how long (KIP-1222)

use std::collections::BTreeMap;

use super::leaders::CurrentLeaders;
use super::share_request::{self, Acknowledgements, UnderWay};
use super::{Outcome, RequestContext};
use crate::coordinator::share::{FINAL_EPOCH, INITIAL_EPOCH, SessionKey, SharedTopicPartition};
use crate::error::ErrorCode;
use crate::ids::TopicId;
use crate::protocol::messages::{ShareAcknowledgeRequest, ShareAcknowledgeResponse};
use crate::protocol::share_fetch_response::ShareError;
use crate::protocol::wire::messages::share_acknowledge_response::{
    LeaderIdAndEpoch, NodeEndpoint, PartitionData, ShareAcknowledgeTopicResponse,
};
use crate::protocol::wire::protocol::StrBytes;

const RENEW_SINCE: i16 = 2;

pub(super) fn handle(cx: RequestContext, request: ShareAcknowledgeRequest) -> Outcome {
    match begin(&cx, request) {
        Ok((session, under_way)) => {
            let reply_context = cx.clone();
            cx.reply_later_without_request(async move { finish(&reply_context, &session, under_way).await })
        }
        Err(error) => {
            cx.count_error(error.code);
            let mut response = ShareAcknowledgeResponse::default();
            response.base.error_code = error.code.code();
            response.base.error_message = error.message.map(StrBytes::from_string);
            cx.reply(response)
        }
    }
}

/// Checks the request, moves its session on and takes its acknowledgements.
fn begin(cx: &RequestContext, request: ShareAcknowledgeRequest) -> Result<(SessionKey, UnderWay), ShareError> {
    let ShareAcknowledgeRequest { base, is_renew_ack } = request;
    let session = share_request::session_key(base.group_id.as_ref().map(|id| id.as_str()), base.member_id.as_ref())?;
    let sessions = &cx.services().shares.sessions;
    match base.share_session_epoch {
        // A session begins with a fetch.
        INITIAL_EPOCH => return Err(ErrorCode::InvalidShareSessionEpoch.into()),
        FINAL_EPOCH => sessions.check(&session)?,
        epoch => sessions.resume(&session, epoch, [], []).map(drop)?,
    }
    let mut acknowledgements: Acknowledgements = Vec::new();
    for topic in base.topics {
        for partition in topic.partitions {
            let batches = partition.acknowledgement_batches.into_iter();
            let batches = batches.map(|batch| (batch.first_offset, batch.last_offset, batch.acknowledge_types));
            acknowledgements.push(((TopicId(topic.topic_id), partition.partition_index), batches.collect()));
        }
    }
    let allows_renew = is_renew_ack && cx.version >= RENEW_SINCE;
    let under_way =
        share_request::acknowledge(cx, &session, base.share_session_epoch, acknowledgements, allows_renew);
    Ok((session, under_way))
}

async fn finish(cx: &RequestContext, session: &SessionKey, under_way: UnderWay) -> ShareAcknowledgeResponse {
    let shares = &cx.services().shares;
    let mut leaders = CurrentLeaders::new(cx);
    let mut response = ShareAcknowledgeResponse {
        acquisition_lock_timeout_ms: shares.config(&session.group_id).share_record_lock_duration_ms,
        ..ShareAcknowledgeResponse::default()
    };
    // Each partition once: what is given back at a session's end comes beside what was acknowledged with it.
    let mut errors: BTreeMap<SharedTopicPartition, ShareError> = BTreeMap::new();
    for (shared, acknowledging) in under_way {
        let error = acknowledging.done().await.err().unwrap_or_default();
        let known = errors.entry(shared).or_default();
        if !known.code.is_error() {
            *known = error;
        }
    }
    let topics = &mut response.base.responses;
    for ((topic_id, partition), error) in errors {
        cx.count_error(error.code);
        let mut answered = PartitionData::default();
        answered.partition_index = partition;
        answered.error_code = error.code.code();
        answered.error_message = error.message.map(StrBytes::from_string);
        let replica = shares.replica((topic_id, partition)).ok();
        if let Some((leader, epoch)) = leaders.hint(error.code, replica.as_deref()) {
            let mut current = LeaderIdAndEpoch::default();
            current.leader_id = leader.0;
            current.leader_epoch = epoch.0;
            answered.current_leader = current;
        }
        match topics.last_mut() {
            Some(topic) if topic.topic_id == topic_id.0 => topic.partitions.push(answered),
            _ => {
                let mut topic = ShareAcknowledgeTopicResponse::default();
                topic.topic_id = topic_id.0;
                topic.partitions.push(answered);
                topics.push(topic);
            }
        }
    }
    let endpoints = leaders.into_endpoints().map(|endpoint| {
        let mut on_wire = NodeEndpoint::default();
        on_wire.node_id = endpoint.id.0.into();
        on_wire.host = StrBytes::from_string(endpoint.host);
        on_wire.port = i32::from(endpoint.port);
        on_wire.rack = endpoint.rack.map(StrBytes::from_string);
        on_wire
    });
    response.base.node_endpoints = endpoints.collect();
    response
}
