//! ShareFetch (key 78), versions 1-2: records for a member of a share group (KIP-932).
//!
//! - 2: how records are acquired (KIP-1206); acknowledgements may renew locks (KIP-1222)
//!
//! The acknowledgements that ride along are taken first. Then the partitions of the session are looked at, once at once,
//! and again when they have news: records that were appended or given back. The answer waits for the acknowledgements
//! to be written.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::context::WaitingGuard;
use super::leaders::CurrentLeaders;
use super::reply::{Reply, ResponseBody};
use super::share_request::{self, Acknowledgements, UnderWay};
use super::{Outcome, RequestContext};
use crate::coordinator::share::share_partition::AcquireMode;
use crate::coordinator::share::{
    FINAL_EPOCH, INITIAL_EPOCH, LedSharePartition, SessionKey, ShareFetched, ShareRead, SharedTopicPartition,
};
use crate::error::ErrorCode;
use crate::ids::TopicId;
use crate::io::relieving_worker;
use crate::protocol::fetch_response::{LeaderIdAndEpoch, NodeEndpoint};
use crate::protocol::messages::ShareFetchRequest;
use crate::protocol::piece::Piece;
use crate::protocol::share_fetch_response::{
    ShareError, ShareFetchResponse, ShareFetchedPartition, ShareFetchedTopic,
};
use crate::quota::QuotaKind;
use crate::replication::watch::ReadySet;

const RENEW_SINCE: i16 = 2;
const RECORD_LIMIT: i8 = 1;

pub(super) fn handle(cx: RequestContext, request: ShareFetchRequest) -> Outcome {
    match ShareFetch::begin(&cx, request) {
        Ok((fetch, under_way)) => cx.reply_later_without_request(fetch.run(under_way)),
        Err(error) => {
            cx.count_error(error.code);
            cx.reply(ShareFetchResponse { error, ..ShareFetchResponse::default() })
        }
    }
}

/// A share fetch under way.
struct ShareFetch {
    cx: RequestContext,
    session: SessionKey,
    /// Whose turn it is first comes first.
    partitions: Vec<SharedTopicPartition>,
    mode: AcquireMode,
    batch_size: i64,
    max_records: i64,
    max_bytes: usize,
    min_bytes: u64,
    max_wait: Duration,
    found_bytes: usize,
    answers: BTreeMap<SharedTopicPartition, Answer>,
}

/// What is said of one partition.
#[derive(Default)]
struct Answer {
    error: ShareError,
    acknowledge_error: ShareError,
    fetched: ShareFetched,
}

impl ShareFetch {
    /// Checks the request, moves its session on and takes its acknowledgements.
    fn begin(cx: &RequestContext, request: ShareFetchRequest) -> Result<(Self, UnderWay), ShareError> {
        let ShareFetchRequest { base, share_acquire_mode, is_renew_ack } = request;
        let session =
            share_request::session_key(base.group_id.as_ref().map(|id| id.as_str()), base.member_id.as_ref())?;
        let fetches = base.max_bytes > 0 && base.max_records > 0;
        if is_renew_ack && (fetches || base.max_wait_ms > 0 || base.min_bytes > 0) {
            let text = "MaxRecords, MaxWaitMs, MinBytes and MaxBytes must be zero where acknowledgements renew";
            return Err(ShareError::new(ErrorCode::InvalidRequest, text));
        }
        let mut acknowledgements: Acknowledgements = Vec::new();
        let mut named: Vec<SharedTopicPartition> = Vec::new();
        for topic in base.topics {
            for partition in topic.partitions {
                let shared = (TopicId(topic.topic_id), partition.partition_index);
                named.push(shared);
                if !partition.acknowledgement_batches.is_empty() {
                    let batches = partition.acknowledgement_batches.into_iter();
                    let batches =
                        batches.map(|batch| (batch.first_offset, batch.last_offset, batch.acknowledge_types));
                    acknowledgements.push((shared, batches.collect()));
                }
            }
        }
        let epoch = base.share_session_epoch;
        let forgotten = base.forgotten_topics_data.into_iter().flat_map(|topic| {
            let id = TopicId(topic.topic_id);
            topic.partitions.into_iter().map(move |partition| (id, partition))
        });
        let sessions = &cx.services().shares.sessions;
        let partitions = match epoch {
            INITIAL_EPOCH if !acknowledgements.is_empty() => {
                let text = "Acknowledgements can't come with the request that opens a share session";
                return Err(ShareError::new(ErrorCode::InvalidRequest, text));
            }
            INITIAL_EPOCH => cx.connection.share_sessions.open(&session, named)?,
            FINAL_EPOCH => sessions.check(&session).map(|()| Vec::new())?,
            epoch => sessions.resume(&session, epoch, named, forgotten)?,
        };
        let max_bytes = cx.services().config.fetch_max_bytes.min(base.max_bytes.max(0) as u32) as usize;
        let quotas = cx.quotas();
        let quota = quotas.as_ref().and_then(|quotas| quotas.meter(QuotaKind::Fetch));
        let allows_renew = is_renew_ack && cx.version >= RENEW_SINCE;
        let under_way = share_request::acknowledge(cx, &session, epoch, acknowledgements, allows_renew);
        let fetch = Self {
            cx: cx.clone(),
            session,
            partitions: if fetches { partitions } else { Vec::new() },
            mode: if share_acquire_mode == RECORD_LIMIT {
                AcquireMode::RecordLimit
            } else {
                AcquireMode::BatchOptimized
            },
            batch_size: base.batch_size.max(1).into(),
            max_records: base.max_records.max(0).into(),
            max_bytes: quota.map_or(max_bytes, |quota| max_bytes.min(quota.max_at_once() as usize)),
            min_bytes: base.min_bytes.max(0) as u64,
            max_wait: Duration::from_millis(base.max_wait_ms.max(0) as u64),
            found_bytes: 0,
            answers: BTreeMap::new(),
        };
        Ok((fetch, under_way))
    }

    async fn run(mut self, under_way: UnderWay) -> ShareFetchResponse {
        self.fetch().await;
        for (shared, acknowledging) in under_way {
            let result = acknowledging.done().await;
            let answer = self.answers.entry(shared).or_default();
            if let Err(error) = result {
                answer.acknowledge_error = error;
            }
        }
        self.finish()
    }

    /// Fetches until there is something, or the time is over.
    async fn fetch(&mut self) {
        let deadline = Instant::now() + self.max_wait;
        let ready = Arc::new(ReadySet::default());
        let leds = self.load(&ready).await;
        if leds.is_empty() || !self.answers.is_empty() {
            // An error: the client should hear of it now.
            self.look(&leds, &(0..leds.len()).collect::<Vec<_>>(), true);
            return;
        }
        let connection = Arc::clone(&self.cx.connection);
        let stopping = &connection.services.stopping;
        let _waiting = WaitingGuard::enter(&connection.services.waiting.fetch);
        let mut slots: Vec<usize> = (0..leds.len()).collect();
        while !self.look(&leds, &slots, false) {
            tokio::select! {
                () = ready.wait() => slots = ready.take(),
                () = tokio::time::sleep_until(deadline) => {
                    self.look(&leds, &(0..leds.len()).collect::<Vec<_>>(), true);
                    break;
                }
                () = stopping.cancelled() => break,
            }
        }
    }

    /// The share partitions of the session, watched.
    async fn load(&mut self, ready: &Arc<ReadySet>) -> Vec<Arc<LedSharePartition>> {
        let shares = Arc::clone(&self.cx.services().shares);
        let mut leds = Vec::with_capacity(self.partitions.len());
        for &partition in &self.partitions {
            match shares.get(&self.session.group_id, partition).await {
                Ok(led) => {
                    led.watchers().add(ready, leds.len());
                    led.replica().watchers().add(ready, leds.len());
                    leds.push(led);
                }
                Err(code) => self.answers.entry(partition).or_default().error = code.into(),
            }
        }
        leds
    }

    /// Acquires what there is in the partitions of `slots`. True where there is something to tell; with `is_last`, what
    /// there is need not be enough.
    fn look(&mut self, leds: &[Arc<LedSharePartition>], slots: &[usize], is_last: bool) -> bool {
        let shares = Arc::clone(&self.cx.services().shares);
        if !is_last && self.min_bytes > 1 {
            let config = shares.config(&self.session.group_id);
            let available = leds.iter().fold(0, |sum: u64, led| sum.saturating_add(led.available_bytes(&config)));
            if available < self.min_bytes {
                return false;
            }
        }
        let (mut records_left, mut bytes_left) = (self.max_records, self.max_bytes);
        let mut found = false;
        for led in slots.iter().filter_map(|&slot| leds.get(slot)) {
            if records_left <= 0 || (found && bytes_left == 0) {
                break;
            }
            let read = ShareRead {
                member_id: Arc::clone(&self.session.member_id),
                mode: self.mode,
                batch_size: self.batch_size,
                max_records: records_left,
                max_bytes: bytes_left,
            };
            // The batches' headers may be on a disk that is slow.
            match relieving_worker(|| shares.fetch(led, &read)) {
                Ok(fetched) if fetched.acquired.is_empty() => {}
                Ok(fetched) => {
                    found = true;
                    let acquired = fetched.acquired.iter();
                    records_left -= acquired.map(|one| one.last_offset - one.first_offset + 1).sum::<i64>();
                    let bytes = fetched.records.as_ref().map_or(0, |slice| slice.size_bytes);
                    bytes_left = bytes_left.saturating_sub(bytes);
                    self.found_bytes += bytes;
                    self.count_bytes(led.shared(), bytes);
                    self.answers.entry(led.shared()).or_default().fetched = fetched;
                }
                Err(code) => {
                    found = true;
                    self.answers.entry(led.shared()).or_default().error = code.into();
                }
            }
        }
        found
    }

    fn count_bytes(&self, (topic_id, _): SharedTopicPartition, bytes: usize) {
        if let Some(topic) = self.cx.services().replicas.topic_by_id(topic_id) {
            topic.metrics.bytes_out.add(bytes as u64);
        }
    }

    fn finish(self) -> ShareFetchResponse {
        let shares = &self.cx.services().shares;
        // The records are the member's: it gets them even if they are too many, and waits with its next request.
        let throttle_time_ms = self.cx.charge(QuotaKind::Fetch, self.found_bytes as f64);
        let mut leaders = CurrentLeaders::new(&self.cx);
        let mut responses: Vec<ShareFetchedTopic> = Vec::new();
        for ((topic_id, partition_index), answer) in self.answers {
            let Answer { error, acknowledge_error, fetched } = answer;
            let wrong_place = if error.code.is_error() { error.code } else { acknowledge_error.code };
            self.cx.count_error(wrong_place);
            let replica = shares.replica((topic_id, partition_index)).ok();
            let leader = leaders.hint(wrong_place, replica.as_deref());
            let partition = ShareFetchedPartition {
                partition_index,
                error,
                acknowledge_error,
                current_leader: leader.map(|(leader_id, leader_epoch)| LeaderIdAndEpoch { leader_id, leader_epoch }),
                records: fetched.records.map(Piece::File).into_iter().collect(),
                acquired: fetched.acquired,
            };
            match responses.last_mut() {
                Some(topic) if topic.topic_id == topic_id => topic.partitions.push(partition),
                _ => responses.push(ShareFetchedTopic { topic_id, partitions: vec![partition] }),
            }
        }
        let endpoints = leaders.into_endpoints().map(|endpoint| NodeEndpoint {
            node_id: endpoint.id,
            host: endpoint.host,
            port: i32::from(endpoint.port),
            rack: endpoint.rack,
        });
        ShareFetchResponse {
            throttle_time_ms,
            error: ShareError::NONE,
            acquisition_lock_timeout_ms: shares.config(&self.session.group_id).share_record_lock_duration_ms,
            responses,
            node_endpoints: endpoints.collect(),
        }
    }
}

impl ResponseBody for ShareFetchResponse {
    fn into_reply(self, _version: i16, correlation_id: i32) -> Reply {
        Reply::from_pieces(self.encode(), correlation_id, true)
    }
}
