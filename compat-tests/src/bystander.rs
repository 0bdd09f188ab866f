//! A client that minds its own business while others attack: librdkafka produces and consumes one partition without a
//! pause, and what it waits for is noted.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientContext, Offset};

use crate::librdkafka::{assign, client, consumer, is_passing};
use crate::node::Node;
use crate::wait::{DEADLINE, eventually};

const TOPIC: &str = "bystander";
/// Between two records.
const PACE: Duration = Duration::from_millis(4);
/// Every so many records one is so large that the broker charges its request to the memory of all.
const LARGE_EVERY: usize = 25;
const LARGE_BYTES: usize = 100_000;
const SMALL_BYTES: usize = 200;
/// A client that gets nothing through for this long is harmed.
const PATIENCE: &str = "60000";

/// A producer and a consumer at work.
pub struct Bystander {
    shared: Arc<Shared>,
    producer: JoinHandle<usize>,
    consumer: JoinHandle<()>,
}

/// How long the client waited, with and without the attack.
#[derive(Debug, Default)]
pub struct Waits {
    /// For the acknowledgement of a record (acks=all).
    pub ack: Latencies,
    /// From the record's sending until the consumer had it.
    pub read: Latencies,
}

#[derive(Debug, Default)]
pub struct Latencies(Vec<Duration>);

impl Latencies {
    fn of(mut all: Vec<Duration>) -> Self {
        all.sort_unstable();
        Self(all)
    }

    fn at(&self, share: f64) -> f64 {
        let index = ((self.0.len() as f64 * share) as usize).min(self.0.len().saturating_sub(1));
        self.0.get(index).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1000.0)
    }
}

impl std::fmt::Display for Latencies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1} / {:.1} / {:.1}", self.at(0.5), self.at(0.99), self.at(1.0))
    }
}

struct Shared {
    epoch: Instant,
    stop: AtomicBool,
    first_steady: AtomicUsize,
    attacked: AtomicBool,
    /// Records of the attack begin here; those before were sent in peace.
    first_attacked: AtomicUsize,
    /// Records that were sent, once no more are.
    total: AtomicUsize,
    acked: Mutex<Vec<(usize, Duration)>>,
    read: Mutex<Vec<(usize, Duration)>>,
    failures: Mutex<Vec<String>>,
}

#[derive(Clone)]
struct Acks(Arc<Shared>);

impl ClientContext for Acks {}

impl ProducerContext for Acks {
    type DeliveryOpaque = Box<(usize, Instant)>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Box<(usize, Instant)>) {
        match result {
            Ok(message) if message.offset() == sent.0 as i64 => {
                self.0.acked.lock().expect("no panic").push((sent.0, sent.1.elapsed()));
            }
            Ok(message) => self.0.fail(format!("record {} is at offset {}", sent.0, message.offset())),
            Err((error, _)) => self.0.fail(format!("record {}: {error}", sent.0)),
        }
    }
}

impl Shared {
    fn fail(&self, what: String) {
        self.failures.lock().expect("no panic").push(what);
    }

    fn read_count(&self) -> usize {
        self.read.lock().expect("no panic").len()
    }
}

impl Bystander {
    /// Begins, and returns once records go round.
    pub fn start(node: &Node) -> Self {
        node.wire().create_topic(TOPIC, 1, &[]).expect("a topic");
        let shared = Arc::new(Shared {
            epoch: Instant::now(),
            stop: AtomicBool::new(false),
            first_steady: AtomicUsize::new(0),
            attacked: AtomicBool::new(false),
            first_attacked: AtomicUsize::new(usize::MAX),
            total: AtomicUsize::new(usize::MAX),
            acked: Mutex::default(),
            read: Mutex::default(),
            failures: Mutex::default(),
        });
        let (bootstrap, state) = (node.bootstrap(), Arc::clone(&shared));
        let producer = std::thread::spawn(move || produce(&bootstrap, &state));
        let (bootstrap, state) = (node.bootstrap(), Arc::clone(&shared));
        let consumer = std::thread::spawn(move || consume(&bootstrap, &state));
        let bystander = Self { shared, producer, consumer };
        // The first records wait for connections and ids.
        bystander.wait_for(200);
        bystander.shared.first_steady.store(bystander.shared.read_count(), Ordering::SeqCst);
        bystander.wait_for(500);
        bystander
    }

    /// What is sent from now on is sent under attack.
    pub fn attack_begins(&self) {
        self.shared.attacked.store(true, Ordering::SeqCst);
    }

    /// Waits until `records` more went all the way.
    #[track_caller]
    pub fn wait_for(&self, records: usize) {
        let target = self.shared.read_count() + records;
        eventually("the bystander's records go round", || (self.shared.read_count() >= target).then_some(()));
    }

    /// Ends; every record must have been acknowledged at its offset and read once, in order.
    #[track_caller]
    pub fn finish(self) -> (Waits, Waits) {
        self.shared.stop.store(true, Ordering::SeqCst);
        let sent = self.producer.join().expect("the bystander's producer");
        self.consumer.join().expect("the bystander's consumer");
        let failures = self.shared.failures.lock().expect("no panic").clone();
        assert!(failures.is_empty(), "{} failures: {:?}", failures.len(), &failures[..failures.len().min(3)]);
        assert_eq!(self.shared.acked.lock().expect("no panic").len(), sent, "acknowledged");
        assert_eq!(self.shared.read_count(), sent, "read");
        let steady = self.shared.first_steady.load(Ordering::SeqCst);
        let first = self.shared.first_attacked.load(Ordering::SeqCst);
        let split = |all: &Mutex<Vec<(usize, Duration)>>| {
            let all = all.lock().expect("no panic");
            let (before, during): (Vec<_>, Vec<_>) =
                all.iter().filter(|(number, _)| *number >= steady).partition(|(number, _)| *number < first);
            let latencies =
                |part: Vec<(usize, Duration)>| Latencies::of(part.into_iter().map(|(_, took)| took).collect());
            (latencies(before), latencies(during))
        };
        let ((ack, attacked_ack), (read, attacked_read)) = (split(&self.shared.acked), split(&self.shared.read));
        (Waits { ack, read }, Waits { ack: attacked_ack, read: attacked_read })
    }
}

fn produce(bootstrap: &str, shared: &Arc<Shared>) -> usize {
    let mut config = client(bootstrap);
    config.set("acks", "all").set("linger.ms", "0").set("enable.idempotence", "true");
    config.set("message.timeout.ms", PATIENCE);
    let producer: ThreadedProducer<Acks> = config.create_with_context(Acks(Arc::clone(shared))).expect("a producer");
    let mut number = 0;
    while !shared.stop.load(Ordering::SeqCst) {
        if shared.attacked.load(Ordering::SeqCst) {
            shared.first_attacked.fetch_min(number, Ordering::SeqCst);
        }
        let size = if number % LARGE_EVERY == 0 { LARGE_BYTES } else { SMALL_BYTES };
        let value = format!("{number} {} {}", shared.epoch.elapsed().as_micros(), "x".repeat(size));
        let mut record = BaseRecord::<str, str, _>::with_opaque_to(TOPIC, Box::new((number, Instant::now())))
            .payload(&value)
            .partition(0);
        while let Err((error, back)) = producer.send(record) {
            let is_full = matches!(error, KafkaError::MessageProduction(code) if code == RDKafkaErrorCode::QueueFull);
            assert!(is_full, "{error}");
            record = back;
            std::thread::sleep(PACE);
        }
        number += 1;
        std::thread::sleep(PACE);
    }
    producer.flush(DEADLINE * 2).expect("every record has its report");
    shared.total.store(number, Ordering::SeqCst);
    number
}

fn consume(bootstrap: &str, shared: &Arc<Shared>) {
    let consumer = consumer(bootstrap, &[]);
    assign(&consumer, TOPIC, 0, Offset::Beginning);
    let mut expected = 0;
    let mut last = Instant::now();
    while shared.total.load(Ordering::SeqCst) != expected {
        let message = match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => message,
            Some(Err(KafkaError::MessageConsumption(code))) if is_passing(code) => continue,
            Some(Err(error)) => return shared.fail(format!("consumer: {error}")),
            None if last.elapsed() > DEADLINE => return shared.fail(format!("record {expected} never comes")),
            None => continue,
        };
        last = Instant::now();
        let mut fields = std::str::from_utf8(message.payload().expect("a value")).expect("text").split(' ');
        let mut field = || fields.next().and_then(|field| field.parse::<u64>().ok()).expect("a number");
        let (number, sent_us) = (field() as usize, field());
        if number != expected || message.offset() != expected as i64 {
            return shared.fail(format!("record {number} at {} where {expected} should be", message.offset()));
        }
        let took = shared.epoch.elapsed().saturating_sub(Duration::from_micros(sent_us));
        shared.read.lock().expect("no panic").push((number, took));
        expected += 1;
    }
}
