//! Produce (key 0), versions 3-13; 0-2 are advertised and refused.
//!
//! - 3: record batches of message format v2 (KIP-98); a transactional id
//! - 5: the response carries the log start offset
//! - 7: zstd (KIP-110)
//! - 8: per-record errors (KIP-467)
//! - 9: flexible
//! - 10: the current leader, where this broker is not it (KIP-951)
//! - 11, 12: transactions V2 (KIP-890)
//! - 13: topics by id (KIP-516)
//!
//! The append happens at once, in the order of the connection; only the wait for acks=all is concurrent.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::context::WaitingGuard;
use super::leaders::CurrentLeaders;
use super::{Outcome, RequestContext};
use crate::error::ErrorCode;
use crate::ids::{Offset, TopicId};
use crate::log::append::Appended;
use crate::log::errors::AppendError;
use crate::protocol::batch::{BatchHeader, Compression, MAGIC_V2};
use crate::protocol::wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use crate::protocol::wire::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, TopicProduceResponse,
};
use crate::protocol::wire::messages::{self, ProduceRequest, ProduceResponse};
use crate::protocol::wire::protocol::StrBytes;
use crate::quota::QuotaKind;
use crate::replication::{Acks, HighWatermarkWait, HostedTopic, Partition, PartitionError};
use crate::time::TimestampMs;

/// From this version on zstd may be sent, and clients below could not read it back (KIP-110).
const ZSTD_SINCE: i16 = 7;
/// From this version on topics go by id.
const TOPIC_IDS_SINCE: i16 = 13;

/// Internal topics are written by the broker, and by admin clients that know what they do.
const ADMIN_CLIENT_ID: &str = "__admin_client";

pub(super) fn handle(cx: RequestContext, request: ProduceRequest) -> Outcome {
    let acks = match request.acks {
        0 => Some(Acks::None),
        1 => Some(Acks::Leader),
        -1 => Some(Acks::All),
        _ => None,
    };
    let mut produced = Produced::default();
    let now_ms = cx.services().clock.now_ms();
    let is_transactional = request.transactional_id.is_some();
    for (at, topic) in request.topic_data.into_iter().enumerate() {
        produced.topics.push(append_topic(&cx, topic, acks, is_transactional, now_ms, at, &mut produced.waits));
    }
    // Over one of its quotas a producer is served and then not read for a while.
    produced.throttle_time_ms = cx.charge(QuotaKind::Produce, cx.frame_bytes as f64).max(cx.charge_time());
    let throttle_time_ms = produced.throttle_time_ms;
    if acks == Some(Acks::None) {
        // The one sign of failure that such a producer gets, and makes it look for new leaders.
        let has_failed = produced.topics.iter().any(ProducedTopic::has_failed);
        let quiet = Outcome::NoReply { mute: Duration::ZERO };
        return if has_failed { Outcome::Close } else { quiet.muting(throttle_time_ms) };
    }
    if produced.waits.is_empty() {
        return cx.reply(produced.into_response(&cx)).muting(throttle_time_ms);
    }
    let timeout = Duration::from_millis(request.timeout_ms.max(0) as u64);
    let reply_context = cx.clone();
    cx.reply_later(async move {
        let waiting = WaitingGuard::enter(&reply_context.services().waiting.produce);
        produced.wait(timeout).await;
        drop(waiting);
        produced.into_response(&reply_context)
    })
    .muting(throttle_time_ms)
}

/// What became of a request so far.
#[derive(Default)]
struct Produced {
    topics: Vec<ProducedTopic>,
    /// With acks=all: what is not committed yet.
    waits: Vec<PendingAck>,
    throttle_time_ms: i32,
}

/// One partition that waits for acks=all.
struct PendingAck {
    topic: usize,
    partition: usize,
    committed: HighWatermarkWait,
}

struct ProducedTopic {
    name: messages::TopicName,
    id: TopicId,
    partitions: Vec<ProducedPartition>,
}

struct ProducedPartition {
    index: i32,
    replica: Option<Arc<Partition>>,
    result: Result<Appended, Failure>,
}

/// Why the records of one partition were not taken, or not in time.
struct Failure {
    code: ErrorCode,
    message: Option<String>,
    record_errors: Vec<BatchIndexAndErrorMessage>,
}

impl From<ErrorCode> for Failure {
    fn from(code: ErrorCode) -> Self {
        Self { code, message: None, record_errors: Vec::new() }
    }
}

impl From<PartitionError> for Failure {
    fn from(error: PartitionError) -> Self {
        let record_errors = match &error {
            PartitionError::Append(refused) => refused.record_errors(),
            _ => &[],
        };
        let record_errors = record_errors
            .iter()
            .map(|record| {
                let mut on_wire = BatchIndexAndErrorMessage::default();
                on_wire.batch_index = record.batch_index;
                on_wire.batch_index_error_message = Some(StrBytes::from_string(record.message.clone()));
                on_wire
            })
            .collect();
        Self { code: error.code(), message: Some(error.to_string()), record_errors }
    }
}

fn invalid_record(message: impl Into<String>) -> Failure {
    Failure { code: ErrorCode::InvalidRecord, message: Some(message.into()), record_errors: Vec::new() }
}

fn append_topic(
    cx: &RequestContext,
    topic: TopicProduceData,
    acks: Option<Acks>,
    is_transactional: bool,
    now_ms: TimestampMs,
    topic_index: usize,
    waits: &mut Vec<PendingAck>,
) -> ProducedTopic {
    let by_id = cx.version >= TOPIC_IDS_SINCE;
    let id = TopicId(topic.topic_id);
    let replicas = &cx.services().replicas;
    let hosted = if by_id { replicas.topic_by_id(id) } else { replicas.topic(&topic.name) };
    let mut produced =
        ProducedTopic { name: topic.name, id, partitions: Vec::with_capacity(topic.partition_data.len()) };
    for data in topic.partition_data {
        let index = data.index;
        let place = match &hosted {
            Some(hosted) => hosted.partition(index).map(|replica| (hosted, replica)),
            None if by_id => Err(ErrorCode::UnknownTopicId),
            None => Err(ErrorCode::UnknownTopicOrPartition),
        };
        let result = match (acks, place) {
            (None, _) => Err(ErrorCode::InvalidRequiredAcks.into()),
            (_, Err(code)) => Err(code.into()),
            (Some(acks), Ok((hosted, replica))) => append(cx, hosted, replica, data, acks, is_transactional, now_ms),
        };
        let replica = place.ok().map(|(_, replica)| Arc::clone(replica));
        if let (Ok(appended), Some(replica), Some(Acks::All)) = (&result, &replica, acks) {
            let committed = replica.wait_for_high_watermark(appended.last_offset.next());
            if !committed.is_reached() {
                waits.push(PendingAck { topic: topic_index, partition: produced.partitions.len(), committed });
            }
        }
        produced.partitions.push(ProducedPartition { index, replica, result });
    }
    let counters = hosted.as_ref().map_or(&cx.services().metrics.topics.without_topic, |hosted| &hosted.metrics);
    counters.total_produce_requests.add(1);
    counters.failed_produce_requests.add(u64::from(produced.has_failed()));
    produced
}

fn append(
    cx: &RequestContext,
    topic: &HostedTopic,
    replica: &Partition,
    data: PartitionProduceData,
    acks: Acks,
    is_transactional: bool,
    now_ms: TimestampMs,
) -> Result<Appended, Failure> {
    let records = check_records(cx.version, data.records, is_transactional)?;
    if topic.is_internal() && cx.client_id.as_deref() != Some(ADMIN_CLIENT_ID) {
        let message = format!("Cannot append to internal topic {}", topic.name);
        return Err(Failure { message: Some(message), ..ErrorCode::InvalidTopicException.into() });
    }
    let appended =
        replica.append(&records, acks, now_ms).inspect_err(|error| count_refusal(cx, topic, records.len(), error))?;
    if !appended.is_duplicate {
        topic.metrics.bytes_in.add(records.len() as u64);
        topic.metrics.messages_in.add(appended.record_count.max(0) as u64);
    }
    Ok(appended)
}

/// Counts what validation refused, under Kafka's reasons.
fn count_refusal(cx: &RequestContext, topic: &HostedTopic, bytes: usize, error: &PartitionError) {
    let PartitionError::Append(error) = error else { return };
    let events = &cx.services().metrics.events;
    match error {
        AppendError::BatchTooLarge { .. } | AppendError::LargerThanSegment { .. } => {
            topic.metrics.bytes_rejected.add(bytes as u64);
        }
        AppendError::OldFormat(_) => events.invalid_magic.increment(1),
        AppendError::Corrupt(_) => events.invalid_crc.increment(1),
        AppendError::InvalidRecords { .. } => events.no_key_in_compacted_topic.increment(1),
        AppendError::UnexpectedOffset { .. } | AppendError::Producer(_) => {
            events.invalid_offset_or_sequence.increment(1);
        }
        _ => {}
    }
}

/// What Kafka checks of a request's records before any log sees them: one batch, of message format v2.
fn check_records(version: i16, records: Option<Bytes>, is_transactional: bool) -> Result<Bytes, Failure> {
    let Some(records) = records.filter(|records| !records.is_empty()) else {
        return Err(invalid_record(format!(
            "Produce requests with version {version} must have at least one record batch per partition"
        )));
    };
    // What is no header the log refuses, with the code that goes with it.
    let Ok(header) = BatchHeader::read(&records) else { return Ok(records) };
    if header.magic != MAGIC_V2 || header.size_bytes() < records.len() {
        return Err(invalid_record(format!(
            "Produce requests with version {version} are only allowed to contain exactly one record batch per partition"
        )));
    }
    if header.compression() == Ok(Compression::Zstd) && version < ZSTD_SINCE {
        let message = format!("Produce requests with version {version} are not allowed to use ZStandard compression");
        return Err(Failure { message: Some(message), ..ErrorCode::UnsupportedCompressionType.into() });
    }
    if header.is_transactional() || is_transactional {
        // Fatal for every client, so that none waits for what is not served.
        let message = "transactions are not served".to_owned();
        return Err(Failure { message: Some(message), ..ErrorCode::TransactionalIdAuthorizationFailed.into() });
    }
    Ok(records)
}

impl ProducedTopic {
    fn has_failed(&self) -> bool {
        self.partitions.iter().any(|partition| partition.result.is_err())
    }
}

impl Produced {
    /// Waits until everything is committed, at most `timeout`; what is not by then has timed out.
    async fn wait(&mut self, timeout: Duration) {
        let deadline = tokio::time::Instant::now() + timeout;
        for PendingAck { topic, partition, committed } in std::mem::take(&mut self.waits) {
            let code = match tokio::time::timeout_at(deadline, committed.done()).await {
                Ok(Ok(())) => continue,
                Ok(Err(code)) => code,
                Err(_elapsed) => ErrorCode::RequestTimedOut,
            };
            self.topics[topic].partitions[partition].result = Err(code.into());
        }
    }

    fn into_response(self, cx: &RequestContext) -> ProduceResponse {
        let mut leaders = CurrentLeaders::new(cx);
        let mut response = ProduceResponse::default();
        response.throttle_time_ms = self.throttle_time_ms;
        response.responses = self.topics.into_iter().map(|topic| topic_response(cx, topic, &mut leaders)).collect();
        response.node_endpoints = leaders
            .into_endpoints()
            .map(|endpoint| {
                let mut on_wire = NodeEndpoint::default();
                on_wire.node_id = endpoint.id.0.into();
                on_wire.host = StrBytes::from_string(endpoint.host);
                on_wire.port = i32::from(endpoint.port);
                on_wire.rack = endpoint.rack.map(StrBytes::from_string);
                on_wire
            })
            .collect();
        response
    }
}

fn topic_response(
    cx: &RequestContext,
    topic: ProducedTopic,
    leaders: &mut CurrentLeaders<'_>,
) -> TopicProduceResponse {
    let mut response = TopicProduceResponse::default();
    if cx.version >= TOPIC_IDS_SINCE {
        response.topic_id = topic.id.0;
    } else {
        response.name = topic.name;
    }
    response.partition_responses =
        topic.partitions.into_iter().map(|partition| partition_response(cx, partition, leaders)).collect();
    response
}

fn partition_response(
    cx: &RequestContext,
    partition: ProducedPartition,
    leaders: &mut CurrentLeaders<'_>,
) -> PartitionProduceResponse {
    let mut response = PartitionProduceResponse::default();
    response.index = partition.index;
    match partition.result {
        Ok(appended) => {
            response.base_offset = appended.base_offset.0;
            response.log_append_time_ms = appended.log_append_time_ms;
            response.log_start_offset = appended.log_start_offset.0;
        }
        Err(failure) => {
            cx.count_error(failure.code);
            response.error_code = failure.code.code();
            response.base_offset = Offset::NONE.0;
            response.log_append_time_ms = -1;
            response.log_start_offset = Offset::NONE.0;
            response.record_errors = failure.record_errors;
            response.error_message = failure.message.map(StrBytes::from_string);
            if let Some((leader, epoch)) = leaders.hint(failure.code, partition.replica.as_deref()) {
                let mut current = LeaderIdAndEpoch::default();
                current.leader_id = leader.0.into();
                current.leader_epoch = epoch.0;
                response.current_leader = current;
            }
        }
    }
    response
}
