//! Topics with thousands of partitions in all, and small records over every one of them.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};
use bytes::{Buf, Bytes};
use kafka_protocol::messages::fetch_request::FetchTopic;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{ApiVersionsRequest, FetchRequest, MetadataRequest, ProduceRequest};
use ottla_compat_tests::wire::{Wire, fetch_partition, name};

use crate::contender::Contender;
use crate::fill::{ACKS, send_all};

/// A creation of all at once is more than Kafka takes.
const PARTITIONS_PER_TOPIC: i32 = 1000;
const PARTITIONS_PER_REQUEST: i32 = 100;
const METADATA_VERSION: i16 = 11;
const FETCH_VERSION: i16 = 12;
const FETCH_WAIT_MS: i32 = 500;
const LAST_OFFSET_DELTA_AT: usize = 23;
const BATCH_HEADER_BYTES: usize = 61;

/// The topics.
#[derive(Clone, Debug)]
pub struct Spread {
    topics: Vec<(String, i32)>,
}

impl Spread {
    /// Topics of a thousand partitions at most, all served when this returns.
    pub fn create(broker: &Contender, partitions: i32, flush_before_ack: bool) -> Result<Self> {
        let full = partitions / PARTITIONS_PER_TOPIC;
        let sizes = (0..full).map(|_| PARTITIONS_PER_TOPIC).chain([partitions % PARTITIONS_PER_TOPIC]);
        let sizes = sizes.filter(|size| *size > 0).enumerate();
        let topics: Vec<_> = sizes.map(|(number, size)| (format!("spread{number}"), size)).collect();
        for (topic, size) in &topics {
            broker.create_topic(topic, *size, flush_before_ack, &[])?;
        }
        Ok(Self { topics })
    }

    /// One topic that exists already.
    pub fn of_topic(topic: &str, partitions: i32) -> Self {
        Self { topics: vec![(topic.to_owned(), partitions)] }
    }

    pub fn partitions(&self) -> i32 {
        self.topics.iter().map(|(_, size)| size).sum()
    }

    /// One batch to each partition, a hundred partitions a request.
    pub fn produce(&self, wire: &mut Wire, batch: &Bytes) -> Result<()> {
        let requests = self.topics.iter().flat_map(|(topic, size)| {
            let firsts = (0..*size).step_by(PARTITIONS_PER_REQUEST as usize);
            firsts.map(move |first| request(topic, first..(first + PARTITIONS_PER_REQUEST).min(*size), batch))
        });
        send_all(wire, requests)
    }

    /// Asks for all that a client asks for before its first record; an error as long as the broker is not there yet.
    pub fn check_ready(&self, wire: &mut Wire, batch: &Bytes) -> Result<()> {
        let versions = wire.call(0, &ApiVersionsRequest::default())?;
        ensure!(versions.error_code == 0, "ApiVersions: error {}", versions.error_code);
        let topics =
            self.topics.iter().map(|(topic, _)| MetadataRequestTopic::default().with_name(Some(name(topic))));
        let request = MetadataRequest::default().with_topics(Some(topics.collect()));
        let metadata = wire.call(METADATA_VERSION, &request)?;
        let partitions = metadata.topics.iter().flat_map(|topic| &topic.partitions);
        let led = partitions.filter(|partition| partition.error_code == 0 && partition.leader_id.0 >= 0).count();
        ensure!(led as i32 == self.partitions(), "{led} leaders");
        let (topic, size) = self.topics.last().context("a topic")?;
        let last = size - 1;
        let produced = wire.produce(topic, last, ACKS, batch)?;
        ensure!(produced.error_code == 0, "produce: error {}", produced.error_code);
        let mut reader = Reader::of(topic, last..*size, produced.base_offset);
        while reader.read(wire)? == 0 {}
        Ok(())
    }

    /// Readers of so many partitions each.
    pub fn readers(&self, broker: &Contender, partitions_each: i32) -> Vec<(Wire, Reader)> {
        let parts = self.topics.iter().flat_map(|(topic, size)| {
            let firsts = (0..*size).step_by(partitions_each as usize);
            firsts.map(move |first| Reader::of(topic, first..(first + partitions_each).min(*size), 0))
        });
        parts.map(|reader| (broker.node.wire(), reader)).collect()
    }
}

fn request(topic: &str, partitions: std::ops::Range<i32>, batch: &Bytes) -> ProduceRequest {
    let data = partitions.map(|at| PartitionProduceData::default().with_index(at).with_records(Some(batch.clone())));
    let topic = TopicProduceData::default().with_name(name(topic)).with_partition_data(data.collect());
    ProduceRequest::default().with_acks(ACKS).with_timeout_ms(30_000).with_topic_data(vec![topic])
}

/// A consumer's place in some partitions of a topic: a fetch session that names only what has moved.
pub struct Reader {
    topic: String,
    next_offsets: HashMap<i32, i64>,
    /// Partitions whose offsets the broker does not know yet.
    moved: Vec<i32>,
    session_id: i32,
    epoch: i32,
}

impl Reader {
    fn of(topic: &str, partitions: std::ops::Range<i32>, from: i64) -> Self {
        Self {
            topic: topic.to_owned(),
            moved: partitions.clone().collect(),
            next_offsets: partitions.map(|partition| (partition, from)).collect(),
            session_id: 0,
            epoch: 0,
        }
    }

    /// From the beginning again, in a new session.
    pub fn rewind(&mut self) {
        self.next_offsets.values_mut().for_each(|offset| *offset = 0);
        self.moved = self.next_offsets.keys().copied().collect();
        (self.session_id, self.epoch) = (0, 0);
    }

    /// One fetch: says how many bytes came.
    pub fn read(&mut self, wire: &mut Wire) -> Result<u64> {
        let moved = std::mem::take(&mut self.moved);
        let partitions: Vec<_> =
            moved.into_iter().map(|partition| fetch_partition(partition, self.next_offsets[&partition])).collect();
        let topic = FetchTopic::default().with_topic(name(&self.topic)).with_partitions(partitions);
        let request = FetchRequest::default()
            .with_max_wait_ms(FETCH_WAIT_MS)
            .with_min_bytes(1)
            .with_session_id(self.session_id)
            .with_session_epoch(self.epoch)
            .with_topics(if topic.partitions.is_empty() { Vec::new() } else { vec![topic] });
        let answer = wire.call(FETCH_VERSION, &request)?;
        ensure!(answer.error_code == 0, "fetch: error {}", answer.error_code);
        (self.session_id, self.epoch) = (answer.session_id, self.epoch + 1);
        let mut bytes = 0;
        for partition in answer.responses.iter().flat_map(|topic| &topic.partitions) {
            ensure!(partition.error_code == 0, "fetch: error {}", partition.error_code);
            let records = partition.records.as_deref().unwrap_or_default();
            if let Some(next) = next_offset(records) {
                self.next_offsets.insert(partition.partition_index, next);
                self.moved.push(partition.partition_index);
                bytes += records.len() as u64;
            }
        }
        Ok(bytes)
    }

    pub fn partitions(&self) -> usize {
        self.next_offsets.len()
    }

    /// Sum of the offsets, which is the number of records read where the partitions were read from 0.
    pub fn position(&self) -> i64 {
        self.next_offsets.values().sum()
    }
}

/// Behind the last whole batch.
fn next_offset(mut records: &[u8]) -> Option<i64> {
    let mut next = None;
    while records.len() >= BATCH_HEADER_BYTES {
        let size = (&records[8..]).get_i32() as usize + 12;
        if records.len() < size {
            break;
        }
        let (base_offset, last_delta) = ((&records[..]).get_i64(), (&records[LAST_OFFSET_DELTA_AT..]).get_i32());
        next = Some(base_offset + i64::from(last_delta) + 1);
        records = &records[size..];
    }
    next
}
