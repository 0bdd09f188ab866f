//! librdkafka, driven record by record: what was acknowledged at which offset, and what is there to read.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};

use crate::wait::DEADLINE;

/// What became of one record.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub key: String,
    pub partition: i32,
    /// The offset it was acknowledged at, or why it was not.
    pub result: Result<i64, RDKafkaErrorCode>,
}

/// Remembers every delivery report.
#[derive(Clone, Default)]
pub struct Reports(Arc<Mutex<Vec<Delivery>>>);

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let (message, result) = match result {
            Ok(message) => (message, Ok(message.offset())),
            Err((error, message)) => (message, Err(error.rdkafka_error_code().expect("a code"))),
        };
        let key = String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned();
        self.0.lock().expect("no panic in a report").push(Delivery { key, partition: message.partition(), result });
    }
}

impl Reports {
    /// How many records were acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.0.lock().expect("no panic in a report").iter().filter(|delivery| delivery.result.is_ok()).count()
    }

    pub fn all(&self) -> Vec<Delivery> {
        self.0.lock().expect("no panic in a report").clone()
    }
}

/// A producer whose deliveries are remembered.
pub struct Sender {
    producer: ThreadedProducer<Reports>,
    reports: Reports,
}

impl Sender {
    /// acks=all, and a minute for each record, so that it outlives a restart of the broker.
    pub fn new(bootstrap: &str, settings: &[(&str, &str)]) -> Self {
        let mut config = client(bootstrap);
        config.set("acks", "all").set("message.timeout.ms", "60000").set("linger.ms", "1");
        for (key, value) in settings {
            config.set(*key, *value);
        }
        let reports = Reports::default();
        let producer = config.create_with_context(reports.clone()).expect("a producer");
        Self { producer, reports }
    }

    /// Queues a record; waits while the queue is full.
    pub fn send(&self, topic: &str, partition: Option<i32>, key: &str, value: &[u8]) {
        let mut record = BaseRecord::to(topic).key(key).payload(value);
        record.partition = partition;
        self.send_record(record);
    }

    /// Queues a record with everything that belongs to one.
    pub fn send_record(&self, mut record: BaseRecord<'_, str, [u8]>) {
        let begin = Instant::now();
        loop {
            match self.producer.send(record) {
                Ok(()) => return,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => record = back,
                Err((error, _)) => panic!("{error}"),
            }
            assert!(begin.elapsed() < DEADLINE, "the queue of the producer stays full");
            self.producer.poll(Duration::from_millis(10));
        }
    }

    pub fn reports(&self) -> &Reports {
        &self.reports
    }

    /// Waits until every record has its report.
    pub fn finish(self) -> Vec<Delivery> {
        self.producer.flush(DEADLINE * 2).expect("everything was delivered or given up");
        self.reports.all()
    }

    /// Waits for every report, all of which must be acknowledgements.
    #[track_caller]
    pub fn finish_ok(self) -> Vec<Delivery> {
        let deliveries = self.finish();
        let failed: Vec<_> = deliveries.iter().filter(|delivery| delivery.result.is_err()).collect();
        assert!(failed.is_empty(), "{} of {} failed: {:?}", failed.len(), deliveries.len(), failed[0]);
        deliveries
    }
}

/// A record that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub timestamp_ms: Option<i64>,
}

impl Read {
    pub fn of(message: &BorrowedMessage<'_>) -> Self {
        let [key, value] = [message.key(), message.payload()].map(|bytes| bytes.map(<[u8]>::to_vec));
        Self { offset: message.offset(), key, value, timestamp_ms: message.timestamp().to_millis() }
    }

    /// The key as text.
    pub fn key_text(&self) -> String {
        String::from_utf8(self.key.clone().expect("a key")).expect("text")
    }
}

/// A consumer that reads by assignment: no group is involved.
pub fn consumer(bootstrap: &str, settings: &[(&str, &str)]) -> BaseConsumer {
    let mut config = client(bootstrap);
    config.set("group.id", "unused").set("enable.auto.commit", "false").set("check.crcs", "true");
    config.set("auto.offset.reset", "error").set("fetch.wait.max.ms", "100");
    for (key, value) in settings {
        config.set(*key, *value);
    }
    config.create().expect("a consumer")
}

/// Assigns one partition from an offset on.
pub fn assign(consumer: &BaseConsumer, topic: &str, partition: i32, from: Offset) {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, from).expect("an offset");
    consumer.assign(&list).expect("an assignment");
}

/// The next record; fails when none comes.
#[track_caller]
pub fn next(consumer: &BaseConsumer) -> Read {
    let begin = Instant::now();
    loop {
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => return Read::of(&message),
            // The broker may be away for a moment: librdkafka comes back by itself.
            Some(Err(KafkaError::MessageConsumption(code))) if is_passing(code) => {}
            Some(Err(error)) => panic!("{error}"),
            None => {}
        }
        assert!(begin.elapsed() < DEADLINE, "no further record");
    }
}

/// Everything between the watermarks of one partition.
#[track_caller]
pub fn read_all(bootstrap: &str, topic: &str, partition: i32) -> Vec<Read> {
    let consumer = consumer(bootstrap, &[]);
    let (start, end) = consumer.fetch_watermarks(topic, partition, DEADLINE).expect("watermarks");
    assign(&consumer, topic, partition, Offset::Beginning);
    let mut all: Vec<Read> = Vec::new();
    while all.last().map_or(start, |last| last.offset + 1) < end {
        all.push(next(&consumer));
    }
    all
}

pub(crate) fn is_passing(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{AllBrokersDown, BrokerTransportFailure, NotLeaderForPartition, OperationTimedOut};
    matches!(code, AllBrokersDown | BrokerTransportFailure | NotLeaderForPartition | OperationTimedOut)
}

/// What every client is given.
pub fn client(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    config.set("reconnect.backoff.ms", "50").set("reconnect.backoff.max.ms", "500");
    config.set("broker.address.family", "v4").set("log_level", "3");
    config
}
