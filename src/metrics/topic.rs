//! Traffic per topic and in total (Kafka's `BrokerTopicMetrics`).
//!
//! A topic's series live as long as somebody holds its [`TopicMetrics`], which is as long as the topic has a replica
//! here: the number of series is bounded by the topics that exist, and a deleted topic's disappear. The total is what
//! the live topics sum up to plus what the gone ones left behind, so the hot path adds once and not twice.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::exposition::Exposition;
use super::names::{self, Family};
use crate::ids::TopicName;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What is counted for each topic.
#[derive(Debug, Default)]
pub struct TopicCounters {
    pub messages_in: Count,
    pub bytes_in: Count,
    pub bytes_out: Count,
    pub bytes_rejected: Count,
    pub total_produce_requests: Count,
    pub total_fetch_requests: Count,
    pub failed_produce_requests: Count,
    pub failed_fetch_requests: Count,
}

type Field = fn(&TopicCounters) -> &Count;

static FIELDS: [(&Family, Field); 8] = [
    (&names::MESSAGES_IN, |counters| &counters.messages_in),
    (&names::BYTES_IN, |counters| &counters.bytes_in),
    (&names::BYTES_OUT, |counters| &counters.bytes_out),
    (&names::BYTES_REJECTED, |counters| &counters.bytes_rejected),
    (&names::TOTAL_PRODUCE_REQUESTS, |counters| &counters.total_produce_requests),
    (&names::TOTAL_FETCH_REQUESTS, |counters| &counters.total_fetch_requests),
    (&names::FAILED_PRODUCE_REQUESTS, |counters| &counters.failed_produce_requests),
    (&names::FAILED_FETCH_REQUESTS, |counters| &counters.failed_fetch_requests),
];

/// The traffic of all topics.
#[derive(Debug, Default)]
pub struct BrokerTopicMetrics {
    /// What can't be booked to a topic of this broker (an unknown topic, say): seen in the totals only, so that
    /// names from the wire never become series.
    pub without_topic: TopicCounters,
    pub replication_bytes_in: Count,
    pub replication_bytes_out: Count,
    live: Arc<Mutex<Live>>,
}

#[derive(Debug, Default)]
struct Live {
    topics: BTreeMap<TopicName, Entry>,
    /// What topics that are gone had counted.
    retired: TopicCounters,
}

#[derive(Debug)]
struct Entry {
    handle: Weak<TopicMetrics>,
    counters: Arc<TopicCounters>,
}

/// The counters of one topic. Dropping the last handle removes the topic's series.
#[derive(Debug)]
pub struct TopicMetrics {
    name: TopicName,
    counters: Arc<TopicCounters>,
    live: Arc<Mutex<Live>>,
}

impl BrokerTopicMetrics {
    /// The handle of one topic: the one that exists, or a new one from zero. To be kept, not looked up per request.
    pub fn topic(&self, name: &TopicName) -> Arc<TopicMetrics> {
        let mut live = self.live.lock();
        if let Some(handle) = live.topics.get(name).and_then(|entry| entry.handle.upgrade()) {
            return handle;
        }
        // An entry whose last handle is just being dropped, in a thread that waits for our lock.
        live.retire(name);
        let counters = Arc::new(TopicCounters::default());
        let handle = Arc::new(TopicMetrics {
            name: Arc::clone(name),
            counters: Arc::clone(&counters),
            live: Arc::clone(&self.live),
        });
        live.topics.insert(Arc::clone(name), Entry { handle: Arc::downgrade(&handle), counters });
        handle
    }

    pub(crate) fn render(&self, out: &mut Exposition) {
        let live = self.live.lock();
        for (family, field) in &FIELDS {
            let of_topics: u64 = live.topics.values().map(|entry| field(&entry.counters).get()).sum();
            let total = of_topics + field(&live.retired).get() + field(&self.without_topic).get();
            out.single(family, total);
            for (topic, entry) in &live.topics {
                out.sample(family, &[("topic", topic)], field(&entry.counters).get());
            }
        }
        out.single(&names::REPLICATION_BYTES_IN, self.replication_bytes_in.get());
        out.single(&names::REPLICATION_BYTES_OUT, self.replication_bytes_out.get());
        out.single(&names::PRODUCE_CONVERSIONS, 0);
        out.single(&names::FETCH_CONVERSIONS, 0);
    }
}

impl Live {
    fn retire(&mut self, name: &TopicName) {
        if let Some(entry) = self.topics.remove(name) {
            for (_, field) in &FIELDS {
                field(&self.retired).add(field(&entry.counters).get());
            }
        }
    }
}

impl Deref for TopicMetrics {
    type Target = TopicCounters;
    fn deref(&self) -> &TopicCounters {
        &self.counters
    }
}

impl Drop for TopicMetrics {
    fn drop(&mut self) {
        let mut live = self.live.lock();
        let is_own = live.topics.get(&self.name).is_some_and(|entry| Arc::ptr_eq(&entry.counters, &self.counters));
        if is_own {
            live.retire(&self.name);
        }
    }
}
