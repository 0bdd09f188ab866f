//! librdkafka, in this process.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use ottla_compat_tests::librdkafka::client;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::statistics::Statistics;
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};

use crate::load::{Done, Order, Percentiles};

/// How long a round may take to end.
const LIMIT: Duration = Duration::from_secs(120);
/// How often the client counts its requests.
const STATISTICS_INTERVAL: Duration = Duration::from_millis(100);
/// When a record was due that only prepares the round.
const UNMEASURED: usize = 0;

pub fn produce(order: &Order) -> Result<Done> {
    let (producer, watch) = producer(order)?;
    let value = vec![0; order.record_bytes];
    let begin = Instant::now();
    for record in 0..order.records {
        send(&producer, order, record, &value, 0)?;
    }
    producer.flush(LIMIT)?;
    let elapsed = begin.elapsed();
    watch.check()?;
    Ok(Done { records: order.records, elapsed, requests: watch.requests(), ..Done::default() })
}

pub fn consume(order: &Order) -> Result<Done> {
    let watch = Watch::default();
    let consumer = consumer(order, &watch)?;
    let begin = Instant::now();
    for _ in 0..order.records {
        next(&consumer, begin)?;
    }
    let elapsed = begin.elapsed();
    // Statistics reach a consumer within its polls.
    let _ = consumer.poll(STATISTICS_INTERVAL * 2);
    Ok(Done { records: order.records, elapsed, requests: watch.requests(), ..Done::default() })
}

/// Each record carries when it was due; both latencies count from there.
pub fn paced(order: &Order) -> Result<Done> {
    let epoch = Instant::now();
    let (is_reading, reads) = channel();
    let reading = {
        let order = order.clone();
        thread::spawn(move || receive(&order, epoch, &is_reading))
    };
    let (producer, watch) = producer(order)?;
    watch.0.epoch.set(epoch).ok().context("a fresh watch")?;
    let mut value = vec![0; order.record_bytes];
    // One record to each partition, of which nothing is measured: connections are made, leaders found.
    for partition in 0..order.partitions as u64 {
        send(&producer, order, partition, &value, UNMEASURED)?;
    }
    producer.flush(LIMIT)?;
    reads.recv_timeout(LIMIT).context("the consumer reads")?;
    let begin = Instant::now();
    for record in 0..order.records {
        let due = begin + Duration::from_nanos(record * 1_000_000_000 / order.rate);
        if let Some(early) = due.checked_duration_since(Instant::now()) {
            thread::sleep(early);
        }
        let due_nanos = due.duration_since(epoch).as_nanos() as u64;
        value[..8].copy_from_slice(&due_nanos.to_be_bytes());
        send(&producer, order, record, &value, due_nanos as usize)?;
    }
    producer.flush(LIMIT)?;
    let elapsed = begin.elapsed();
    watch.check()?;
    let (received, consumer_requests) = reading.join().expect("no panic while reading")?;
    let acknowledged = std::mem::take(&mut *watch.0.latencies.lock().expect("no panic in a report"));
    Ok(Done {
        records: order.records,
        elapsed,
        requests: watch.requests() + consumer_requests,
        acknowledged: Some(Percentiles::of(acknowledged)),
        received: Some(Percentiles::of(received)),
    })
}

fn receive(order: &Order, epoch: Instant, is_reading: &Sender<()>) -> Result<(Vec<Duration>, u64)> {
    let watch = Watch::default();
    let consumer = consumer(order, &watch)?;
    let mut latencies = Vec::with_capacity(order.records as usize);
    let begin = Instant::now();
    for _ in 0..order.partitions {
        next(&consumer, begin)?;
    }
    let _ = is_reading.send(());
    while (latencies.len() as u64) < order.records {
        let due_nanos = next(&consumer, begin)?;
        latencies.push(epoch.elapsed().saturating_sub(Duration::from_nanos(due_nanos)));
    }
    let _ = consumer.poll(STATISTICS_INTERVAL * 2);
    Ok((latencies, watch.requests()))
}

/// What a client reports of itself.
#[derive(Clone, Default)]
struct Watch(Arc<Reports>);

#[derive(Default)]
struct Reports {
    requests: AtomicU64,
    failure: Mutex<Option<String>>,
    /// Set where latencies are wanted.
    epoch: std::sync::OnceLock<Instant>,
    latencies: Mutex<Vec<Duration>>,
}

impl Watch {
    fn check(&self) -> Result<()> {
        match self.0.failure.lock().expect("no panic in a report").take() {
            Some(failure) => bail!("a record was not delivered: {failure}"),
            None => Ok(()),
        }
    }

    /// Requests sent. Waits for the client's next count, which has all.
    fn requests(&self) -> u64 {
        thread::sleep(STATISTICS_INTERVAL * 2);
        self.0.requests.load(Ordering::Relaxed)
    }
}

impl ClientContext for Watch {
    fn stats(&self, statistics: Statistics) {
        let sent = statistics.brokers.values().map(|broker| broker.tx).sum();
        self.0.requests.fetch_max(sent, Ordering::Relaxed);
    }
}

impl ConsumerContext for Watch {}

impl ProducerContext for Watch {
    /// When the record was due, in nanoseconds of the epoch.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, due_nanos: usize) {
        if let Err((error, _)) = result {
            *self.0.failure.lock().expect("no panic in a report") = Some(error.to_string());
        }
        if let Some(epoch) = self.0.epoch.get().filter(|_| due_nanos != UNMEASURED) {
            let latency = epoch.elapsed().saturating_sub(Duration::from_nanos(due_nanos as u64));
            self.0.latencies.lock().expect("no panic in a report").push(latency);
        }
    }
}

fn producer(order: &Order) -> Result<(ThreadedProducer<Watch>, Watch)> {
    let mut config = measured_client(order);
    config.set("acks", "all").set("message.max.bytes", "2000000").set("queue.buffering.max.kbytes", "65536");
    if order.batch_bytes == 1 {
        config.set("batch.num.messages", "1").set("linger.ms", "0").set("max.in.flight.requests.per.connection", "5");
    } else {
        config
            .set("batch.size", order.batch_bytes.to_string())
            .set("linger.ms", if order.rate == 0 { "1000" } else { "0" });
        config.set("batch.num.messages", order.records_per_batch().to_string());
    }
    let watch = Watch::default();
    let producer: ThreadedProducer<Watch> = config.create_with_context(watch.clone())?;
    // The first record must not pay for finding the topic.
    producer.client().fetch_metadata(Some(&order.topic), LIMIT)?;
    Ok((producer, watch))
}

fn send(
    producer: &ThreadedProducer<Watch>,
    order: &Order,
    record: u64,
    value: &[u8],
    due_nanos: usize,
) -> Result<()> {
    let mut next = BaseRecord::<(), [u8], usize>::with_opaque_to(&order.topic, due_nanos)
        .payload(value)
        .partition(order.partition_of(record));
    loop {
        match producer.send(next) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => next = back,
            Err((error, _)) => return Err(error.into()),
        }
        thread::sleep(Duration::from_millis(1));
    }
}

fn consumer(order: &Order, watch: &Watch) -> Result<BaseConsumer<Watch>> {
    let mut config = measured_client(order);
    config.set("group.id", "unused").set("enable.auto.commit", "false").set("check.crcs", "true");
    config.set("fetch.message.max.bytes", "4194304").set("queued.max.messages.kbytes", "65536");
    let consumer: BaseConsumer<Watch> = config.create_with_context(watch.clone())?;
    let mut partitions = TopicPartitionList::new();
    for partition in 0..order.partitions {
        partitions.add_partition_offset(&order.topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&partitions)?;
    Ok(consumer)
}

/// The next record's first eight bytes.
fn next(consumer: &BaseConsumer<Watch>, begin: Instant) -> Result<u64> {
    loop {
        match consumer.poll(Duration::from_millis(500)) {
            Some(Ok(message)) => {
                let value = message.payload().and_then(|value| value.first_chunk());
                return Ok(u64::from_be_bytes(*value.context("a record of eight bytes or more")?));
            }
            Some(Err(error)) => return Err(error.into()),
            None if begin.elapsed() > LIMIT => bail!("no further record"),
            None => {}
        }
    }
}

fn measured_client(order: &Order) -> ClientConfig {
    let mut config = client(&order.bootstrap);
    config.set("statistics.interval.ms", STATISTICS_INTERVAL.as_millis().to_string());
    config
}
