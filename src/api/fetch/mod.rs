//! Fetch (key 1), versions 4-18.
//!
//! - 4: isolation level, last stable offset, aborted transactions (KIP-98)
//! - 5: log start offset
//! - 7: fetch sessions (KIP-227)
//! - 9: the reader's leader epoch (KIP-320)
//! - 11: rack and preferred replica (KIP-392)
//! - 12: flexible; truncation by diverging epoch (KIP-595)
//! - 13: topics by id (KIP-516)
//! - 15: the replica's id and epoch in a tagged field (KIP-903)
//! - 16: where the current leaders are (KIP-951)
//! - 17: the replica's directory id (KIP-853)
//! - 18: the replica's high watermark
//!
//! The partitions are looked at once, at once; if that is not enough, the fetch waits for partitions with news and
//! looks at those only, until it is enough or `max_wait_ms` is over.

mod session;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

pub use session::FetchSessionCache;
use session::{FetchKey, FetchPosition, FetchSession, SessionMetadata, Told};

use super::context::WaitingGuard;
use super::leaders::CurrentLeaders;
use super::reply::{Reply, ResponseBody};
use super::{Outcome, RequestContext};
use crate::error::ErrorCode;
use crate::ids::{BrokerId, LeaderEpoch, Offset, TopicId};
use crate::log::txn_index::AbortedTxn;
use crate::metrics::TopicMetrics;
use crate::protocol::fetch_response::{
    AbortedTransaction, EpochEndOffset, FetchResponse, FetchableTopic, FetchedPartition, LeaderIdAndEpoch,
    NodeEndpoint,
};
use crate::protocol::piece::Piece;
use crate::protocol::wire::messages::FetchRequest;
use crate::quota::{Meter, QuotaKind};
use crate::replication::{FetchRead, FetchedData, Partition, Visibility};

/// Since then the replica's id is in `replica_state`.
const REPLICA_STATE_SINCE: i16 = 15;
const TOPIC_IDS_SINCE: i16 = 13;
/// Partitions of one session that is kept between fetches; a fetch of more goes without.
const MAX_SESSION_PARTITIONS: usize = 100_000;
const FLEXIBLE_SINCE: i16 = 12;

/// What a consumer sends for its replica id.
const CONSUMER_REPLICA_ID: i32 = -1;
const READ_COMMITTED: i8 = 1;

pub(super) fn handle(cx: RequestContext, request: FetchRequest) -> Outcome {
    let metadata = SessionMetadata { id: request.session_id, epoch: request.session_epoch };
    let max_wait = Duration::from_millis(request.max_wait_ms.max(0) as u64);
    let mut fetch = match Fetch::begin(&cx, metadata, request) {
        Ok(fetch) => fetch,
        Err(code) => {
            cx.count_error(code);
            return cx.reply(empty_response(code));
        }
    };
    fetch.look();
    // Where too many partitions are watched already, memory is worth more than the client's patience.
    if max_wait.is_zero() || fetch.is_enough() || cx.services().fetch_sessions.is_full() {
        return cx.reply(fetch.finish());
    }
    let deadline = Instant::now() + max_wait;
    cx.reply_later_without_request(async move {
        let ready = Arc::clone(&fetch.session.lock().ready);
        let connection = Arc::clone(&fetch.cx.connection);
        let stopping = &connection.services.stopping;
        let _waiting = WaitingGuard::enter(&connection.services.waiting.fetch);
        while !fetch.is_enough() {
            tokio::select! {
                () = ready.wait() => fetch.look(),
                () = tokio::time::sleep_until(deadline) => break,
                () = stopping.cancelled() => break,
            }
        }
        fetch.finish()
    })
}

/// A fetch under way.
struct Fetch {
    cx: RequestContext,
    session: Arc<Mutex<FetchSession>>,
    /// What the response says of the session.
    session_id: i32,
    /// Only what is new goes into the response.
    is_incremental: bool,
    /// Slots are looked at only where they are candidates; the first look of a full fetch takes them all.
    looked_at_all: bool,
    visibility: Visibility,
    /// The broker that fetches for its replica.
    replica: Option<BrokerId>,
    /// What limits the bytes; never a replica's.
    quota: Option<Arc<Meter>>,
    min_bytes: usize,
    max_bytes: usize,
    /// By slot.
    found: BTreeMap<usize, Found>,
    found_bytes: usize,
    /// An error or a divergence: the client should hear of it now.
    is_urgent: bool,
}

/// What a look at one partition found.
struct Found {
    key: FetchKey,
    topic: Option<Arc<TopicMetrics>>,
    replica: Option<Arc<Partition>>,
    result: Result<FetchedData, ErrorCode>,
    /// There are records, and others have used up the response's limit.
    is_left_out: bool,
}

impl Found {
    fn bytes(&self) -> usize {
        let records = self.result.as_ref().ok().and_then(|data| data.records.as_ref());
        records.map_or(0, |slice| slice.size_bytes)
    }

    fn told(&self) -> Option<Told> {
        let data = self.result.as_ref().ok()?;
        Some(Told { high_watermark: data.high_watermark, log_start_offset: data.log_start_offset })
    }

    fn is_urgent(&self) -> bool {
        self.result.as_ref().map_or(true, |data| data.diverging.is_some())
    }
}

impl Fetch {
    /// Finds or makes the session and applies what the request changes in it.
    fn begin(cx: &RequestContext, metadata: SessionMetadata, request: FetchRequest) -> Result<Self, ErrorCode> {
        let by_id = cx.version >= TOPIC_IDS_SINCE;
        let now = cx.services().clock.monotonic();
        let cache = &cx.services().fetch_sessions;
        let replica_id =
            if cx.version >= REPLICA_STATE_SINCE { request.replica_state.replica_id } else { request.replica_id };
        let replica = (*replica_id >= 0).then_some(BrokerId(*replica_id));
        let quota = cx.quotas().filter(|_| replica.is_none());
        let quota = quota.and_then(|quotas| quotas.meter(QuotaKind::Fetch).map(Arc::clone));
        let max_bytes = cx.services().config.fetch_max_bytes.min(request.max_bytes.max(0) as u32) as usize;
        // More would be over the quota at once, and never be answered.
        let max_bytes = quota.as_ref().map_or(max_bytes, |quota| max_bytes.min(quota.max_at_once() as usize));
        let (session, session_id) = if metadata.is_full() {
            cache.end(metadata.id);
            let session = Arc::new(Mutex::new(cache.new_session(by_id)));
            update_session(&mut session.lock(), request.topics, request.forgotten_topics_data, by_id);
            let is_too_large = session.lock().len() > MAX_SESSION_PARTITIONS || cache.is_full();
            let may_keep = metadata.wants_session() && !is_too_large;
            let id = if may_keep { cache.keep(&session, by_id, now) } else { 0 };
            (session, id)
        } else {
            let session = cache.resume(metadata, by_id, now)?;
            let mut locked = session.lock();
            let grows = !request.topics.is_empty();
            update_session(&mut locked, request.topics, request.forgotten_topics_data, by_id);
            let is_empty = locked.len() == 0;
            let is_too_large = locked.len() > MAX_SESSION_PARTITIONS || (grows && cache.is_full());
            drop(locked);
            if is_too_large {
                cache.end(metadata.id);
                return Err(ErrorCode::FetchSessionIdNotFound);
            }
            if is_empty {
                // Nothing left to fetch: the client ends its session this way.
                cache.end(metadata.id);
            }
            (session, if is_empty { 0 } else { metadata.id })
        };
        Ok(Self {
            cx: cx.clone(),
            session,
            session_id,
            is_incremental: !metadata.is_full(),
            looked_at_all: !metadata.is_full(),
            visibility: match (*replica_id, request.isolation_level) {
                (CONSUMER_REPLICA_ID, READ_COMMITTED) => Visibility::Stable,
                (CONSUMER_REPLICA_ID, _) => Visibility::Committed,
                _ => Visibility::LogEnd,
            },
            replica,
            quota,
            min_bytes: (request.min_bytes.max(0) as usize).min(max_bytes),
            max_bytes,
            found: BTreeMap::new(),
            found_bytes: 0,
            is_urgent: false,
        })
    }

    /// Looks at every partition that may have something new.
    fn look(&mut self) {
        let session = Arc::clone(&self.session);
        let mut session = session.lock();
        let mut slots = session.take_candidates();
        if !std::mem::replace(&mut self.looked_at_all, true) {
            slots = session.all_slots();
        }
        for slot in slots {
            if let Some(before) = self.found.remove(&slot) {
                self.found_bytes -= before.bytes();
            }
            if let Some(found) = self.look_at(&mut session, slot) {
                self.found_bytes += found.bytes();
                self.is_urgent |= found.is_urgent();
                self.found.insert(slot, found);
            }
        }
    }

    fn look_at(&self, session: &mut FetchSession, slot: usize) -> Option<Found> {
        let by_id = session.uses_topic_ids;
        let partition = session.get_mut(slot)?;
        let (key, position) = (partition.key.clone(), partition.position);
        let replicas = &self.cx.services().replicas;
        let topic = if by_id { replicas.topic_by_id(key.topic_id) } else { replicas.topic(&key.topic) };
        let replica = match &topic {
            Some(topic) => topic.partition(key.partition).cloned(),
            None if by_id => Err(ErrorCode::UnknownTopicId),
            None => Err(ErrorCode::UnknownTopicOrPartition),
        };
        // Watched before it is read: news between the two is not lost.
        session.watch(slot, replica.as_ref().ok());
        let result = replica.as_ref().map_err(|&code| code).and_then(|replica| self.read(replica, &position));
        let is_left_out = match (&result, &replica) {
            (Ok(data), Ok(replica)) => {
                let is_empty = data.records.is_none() && data.diverging.is_none();
                is_empty && replica.visible_end(self.visibility) > position.offset
            }
            _ => false,
        };
        let topic = topic.map(|topic| Arc::clone(&topic.metrics));
        Some(Found { key, topic, replica: replica.ok(), result, is_left_out })
    }

    fn read(&self, replica: &Partition, position: &FetchPosition) -> Result<FetchedData, ErrorCode> {
        let left = self.max_bytes.saturating_sub(self.found_bytes);
        let read = FetchRead {
            offset: position.offset,
            max_bytes: left.min(position.max_bytes.max(0) as usize),
            // A consumer must always get on, however small its limits (KIP-74).
            at_least_one_batch: self.found_bytes == 0,
            visibility: self.visibility,
            replica: self.replica,
            current_leader_epoch: position.current_leader_epoch,
            last_fetched_epoch: position.last_fetched_epoch,
        };
        replica.read(&read).map_err(|error| error.code())
    }

    fn is_enough(&self) -> bool {
        self.is_urgent || self.found_bytes >= self.min_bytes || self.session.lock().len() == 0
    }

    /// The time for which the client is throttled; the bytes that it then does not get are not counted.
    fn throttle_time_ms(&self) -> i32 {
        let Some(quota) = &self.quota else { return 0 };
        let now = self.cx.services().quotas.now();
        // A single batch may be more than the quota ever allows at once: who was quiet gets it, or never would.
        let was_idle = quota.is_idle(now);
        let throttle = quota.record(now, self.found_bytes as f64);
        if was_idle || throttle.is_zero() {
            return 0;
        }
        quota.take_back(now, self.found_bytes as f64);
        i32::try_from(throttle.as_millis()).unwrap_or(i32::MAX)
    }

    /// An answer without partitions: whatever was found is found again in the next fetch.
    fn finish_throttled(self, throttle_time_ms: i32) -> FetchResponse {
        let session_id = if self.is_incremental {
            let mut session = self.session.lock();
            self.found.keys().for_each(|&slot| session.look_at(slot));
            self.session_id
        } else {
            // The client has not been told of any partition: it begins anew.
            self.cx.services().fetch_sessions.end(self.session_id);
            0
        };
        FetchResponse { throttle_time_ms, session_id, ..empty_response(ErrorCode::None) }
    }

    /// The response; the session remembers what the client is told with it.
    fn finish(self) -> FetchResponse {
        match self.throttle_time_ms() {
            0 => self.finish_in_time(),
            throttle_time_ms => self.finish_throttled(throttle_time_ms),
        }
    }

    fn finish_in_time(self) -> FetchResponse {
        let mut response = FetchResponse { session_id: self.session_id, ..empty_response(ErrorCode::None) };
        let mut leaders = CurrentLeaders::new(&self.cx);
        let mut session = self.session.lock();
        // Those that were left out come first in the next fetch, before those that are served now, so that none
        // starves behind partitions that fill every response.
        for (&slot, _) in self.found.iter().filter(|(_, found)| found.is_left_out) {
            session.look_at(slot);
        }
        for (slot, found) in self.found {
            let Some(partition) = session.get_mut(slot) else { continue };
            let told = found.told();
            let has_records = found.bytes() > 0;
            let is_new = has_records || found.is_urgent() || partition.told != told;
            partition.told = told;
            if has_records || found.is_urgent() {
                session.look_at(slot);
            }
            count(&self.cx, &found);
            if is_new || !self.is_incremental {
                add_partition(&mut response, found, &mut leaders);
            }
        }
        response.node_endpoints = leaders
            .into_endpoints()
            .map(|endpoint| NodeEndpoint {
                node_id: endpoint.id,
                host: endpoint.host,
                port: i32::from(endpoint.port),
                rack: endpoint.rack,
            })
            .collect();
        response
    }
}

fn update_session(
    session: &mut FetchSession,
    topics: Vec<crate::protocol::wire::messages::fetch_request::FetchTopic>,
    forgotten: Vec<crate::protocol::wire::messages::fetch_request::ForgottenTopic>,
    by_id: bool,
) {
    for topic in forgotten {
        let name: Arc<str> = if by_id { Arc::default() } else { Arc::from(topic.topic.as_str()) };
        for partition in topic.partitions {
            session.remove(&FetchKey { topic_id: TopicId(topic.topic_id), topic: Arc::clone(&name), partition });
        }
    }
    session.forget_removed();
    for topic in topics {
        let name: Arc<str> = if by_id { Arc::default() } else { Arc::from(topic.topic.as_str()) };
        for partition in topic.partitions {
            let key = FetchKey {
                topic_id: TopicId(topic.topic_id),
                topic: Arc::clone(&name),
                partition: partition.partition,
            };
            let position = FetchPosition {
                offset: Offset(partition.fetch_offset),
                max_bytes: partition.partition_max_bytes,
                current_leader_epoch: LeaderEpoch(partition.current_leader_epoch),
                last_fetched_epoch: LeaderEpoch(partition.last_fetched_epoch),
            };
            session.put(key, position);
        }
    }
}

fn count(cx: &RequestContext, found: &Found) {
    let counters = match &found.topic {
        Some(topic) => topic,
        None => &cx.services().metrics.topics.without_topic,
    };
    counters.total_fetch_requests.add(1);
    counters.bytes_out.add(found.bytes() as u64);
    if let Err(code) = found.result {
        counters.failed_fetch_requests.add(1);
        cx.count_error(code);
    }
}

fn add_partition(response: &mut FetchResponse, found: Found, leaders: &mut CurrentLeaders<'_>) {
    let Found { key, replica, result, .. } = found;
    let current_leader = match &result {
        Err(code) => leaders.hint(*code, replica.as_deref()),
        Ok(_) => None,
    };
    let mut fetched = match result {
        Ok(data) => fetched_partition(key.partition, data),
        Err(code) => FetchedPartition::failed(key.partition, code),
    };
    fetched.current_leader =
        current_leader.map(|(leader_id, leader_epoch)| LeaderIdAndEpoch { leader_id, leader_epoch });
    // Partitions of one topic stand side by side in most requests; otherwise the topic comes twice, as in Kafka.
    match response.responses.last_mut() {
        Some(topic) if topic.topic_id == key.topic_id && topic.topic == key.topic => topic.partitions.push(fetched),
        _ => response.responses.push(FetchableTopic {
            topic: key.topic,
            topic_id: key.topic_id,
            partitions: vec![fetched],
        }),
    }
}

fn fetched_partition(partition_index: i32, data: FetchedData) -> FetchedPartition {
    let aborted = data.aborted_transactions.map(|aborted| {
        let on_wire =
            |txn: AbortedTxn| AbortedTransaction { producer_id: txn.producer_id, first_offset: txn.first_offset };
        aborted.into_iter().map(on_wire).collect()
    });
    FetchedPartition {
        partition_index,
        error_code: ErrorCode::None,
        high_watermark: data.high_watermark,
        last_stable_offset: data.last_stable_offset,
        log_start_offset: data.log_start_offset,
        diverging_epoch: data.diverging.map(|(epoch, end_offset)| EpochEndOffset { epoch, end_offset }),
        current_leader: None,
        aborted_transactions: aborted,
        preferred_read_replica: BrokerId::NONE,
        records: data.records.map(Piece::File).into_iter().collect(),
    }
}

fn empty_response(error_code: ErrorCode) -> FetchResponse {
    FetchResponse {
        throttle_time_ms: 0,
        error_code,
        session_id: 0,
        responses: Vec::new(),
        node_endpoints: Vec::new(),
    }
}

impl ResponseBody for FetchResponse {
    fn into_reply(self, version: i16, correlation_id: i32) -> Reply {
        Reply::from_pieces(self.encode(version), correlation_id, version >= FLEXIBLE_SINCE)
    }
}
