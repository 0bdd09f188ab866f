//! Ten thousand partitions that are all in use: a batch of small records to each of them, turn after turn, and consumers
//! that follow.

use anyhow::{Result, ensure};
use ottla_compat_tests::Peer;
use ottla_compat_tests::wire::Wire;

use crate::contender::Contender;
use crate::cpu::Cpu;
use crate::fill::batch_of;
use crate::report::Report;
use crate::scale::Scale;
use crate::spread::{Reader, Spread};

const BATCH_RECORDS: usize = 10;
const RECORD_BYTES: usize = 100;
const PARTITIONS_PER_CONSUMER: i32 = 250;
/// Turns over all partitions.
const TURNS_PER_ROUND: usize = 5;
const MIB: f64 = (1 << 20) as f64;

/// One broker under this load.
struct Field {
    broker: Contender,
    topics: Spread,
    producer: Wire,
    consumers: Vec<(Wire, Reader)>,
    produced: Cpu,
    consumed: Cpu,
}

pub fn run(scale: &Scale, report: &mut Report) -> Result<()> {
    let mut fields = Vec::new();
    for peer in [Peer::Ottla, Peer::Kafka] {
        fields.push(Field::prepare(peer, scale.partitions)?);
    }
    for field in &mut fields {
        field.turns(scale.warm_up * TURNS_PER_ROUND)?;
        (field.produced, field.consumed) = (Cpu::default(), Cpu::default());
    }
    for round in 0..scale.rounds {
        for field in &mut fields {
            field.turns(TURNS_PER_ROUND)?;
            let Field { broker, produced, consumed, .. } = field;
            eprintln!("partitions {} round {round}: {produced:?} {consumed:?} so far", broker.name());
        }
    }
    let records = (scale.rounds * TURNS_PER_ROUND * BATCH_RECORDS) as f64 * f64::from(scale.partitions);
    let mut row = |figure: &str, of: fn(&Field) -> f64, per: f64| {
        report.row("partitions", "wire", figure, [of(&fields[0]) / per, of(&fields[1]) / per]);
    };
    row("produce: user CPU, s/million records", |field| field.produced.user, records / 1e6);
    row("produce: total CPU, s/million records", |field| field.produced.total(), records / 1e6);
    row("produce: total CPU, s/GB", |field| field.produced.total(), records * RECORD_BYTES as f64 / 1e9);
    row("consume: user CPU, s/million records", |field| field.consumed.user, records / 1e6);
    row("consume: total CPU, s/million records", |field| field.consumed.total(), records / 1e6);
    row("consume: total CPU, s/GB", |field| field.consumed.total(), records * RECORD_BYTES as f64 / 1e9);
    row("resident memory, MiB", |field| field.broker.node.rss_bytes() as f64, MIB);
    row("largest resident memory, MiB", |field| field.broker.node.peak_rss_bytes() as f64, MIB);
    row("open files", |field| field.broker.node.open_files() as f64, 1.0);
    Ok(())
}

impl Field {
    fn prepare(peer: Peer, partitions: i32) -> Result<Self> {
        let broker = Contender::start(peer);
        let topics = Spread::create(&broker, partitions, false)?;
        let (producer, consumers) = (broker.node.wire(), topics.readers(&broker, PARTITIONS_PER_CONSUMER));
        Ok(Self { broker, topics, producer, consumers, produced: Cpu::default(), consumed: Cpu::default() })
    }

    /// A batch to each partition, then all of it consumed; so many times.
    fn turns(&mut self, count: usize) -> Result<()> {
        let batch = batch_of(BATCH_RECORDS, RECORD_BYTES);
        let spent = |broker: &Contender| Cpu::of_process(broker.node.pid());
        for _ in 0..count {
            let before = spent(&self.broker)?;
            self.topics.produce(&mut self.producer, &batch)?;
            let between = spent(&self.broker)?;
            for (wire, reader) in &mut self.consumers {
                let target = reader.position() + reader.partitions() as i64 * BATCH_RECORDS as i64;
                while reader.position() < target {
                    reader.read(wire)?;
                }
                ensure!(reader.position() == target, "more records than were produced");
            }
            self.produced = self.produced + (between - before);
            self.consumed = self.consumed + (spent(&self.broker)? - between);
        }
        Ok(())
    }
}
