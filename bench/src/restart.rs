//! From the start of the process to the first served client, after a stop in good order and after kill -9 under load.
//!
//! Ready is a broker that answers ApiVersions, names a leader for every partition, takes a record and hands it out again.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use ottla_compat_tests::{Node, Peer};

use crate::contender::Contender;
use crate::cpu::Cpu;
use crate::fill::{batch_of, fill};
use crate::report::Report;
use crate::scale::Scale;
use crate::spread::Spread;
use crate::tally::median;

const PARTITIONS: i32 = 4;
const GB: u64 = 1_000_000_000;
/// What a partition gets under load, a batch a turn.
const BATCH_RECORDS: usize = 10;
const BATCH_RECORD_BYTES: usize = 100;
/// Turns over all partitions a second.
const TURN: Duration = Duration::from_secs(1);
/// Load before the kill: beyond a checkpoint, and not right behind the next.
const LOAD_TIME: Duration = Duration::from_millis(12_500);
const LIMIT: Duration = Duration::from_secs(600);
const RETRY: Duration = Duration::from_millis(2);

/// Few partitions with little and with much in them.
pub fn by_size(scale: &Scale, report: &mut Report) -> Result<()> {
    let sizes = [scale.gigabytes.div_ceil(10), scale.gigabytes];
    let mut found = Vec::new();
    for peer in [Peer::Ottla, Peer::Kafka] {
        let mut broker = Contender::start(peer);
        broker.create_topic("big", PARTITIONS, false, &[])?;
        let topics = Spread::of_topic("big", PARTITIONS);
        let mut filled = 0;
        let mut of_broker = Vec::new();
        for size in sizes {
            fill(&mut broker.node.wire(), "big", PARTITIONS, (size - filled) * GB)?;
            filled = size;
            of_broker.extend(restarts(&mut broker, &topics, scale.rounds)?);
        }
        found.push(of_broker);
    }
    let labels = sizes.iter().flat_map(|size| FIGURES.map(|figure| format!("{size} GB, {figure}")));
    for (at, label) in labels.enumerate() {
        report.row("restart-size", "wire", &label, [found[0][at], found[1][at]]);
    }
    Ok(())
}

/// Many partitions with a few records each.
pub fn by_partitions(scale: &Scale, report: &mut Report) -> Result<()> {
    let mut found = Vec::new();
    for peer in [Peer::Ottla, Peer::Kafka] {
        let mut broker = Contender::start(peer);
        let topics = Spread::create(&broker, scale.partitions, false)?;
        found.push(restarts(&mut broker, &topics, scale.rounds)?);
    }
    for (at, figure) in FIGURES.iter().enumerate() {
        let label = format!("{} partitions, {figure}", scale.partitions);
        report.row("restart-partitions", "wire", &label, [found[0][at], found[1][at]]);
    }
    Ok(())
}

const FIGURES: [&str; 4] =
    ["clean stop to ready, ms", "its CPU, ms", "kill -9 under load to ready, ms", "its CPU until then, ms"];

/// The medians, as [`FIGURES`] names them.
fn restarts(broker: &mut Contender, topics: &Spread, rounds: usize) -> Result<[f64; 4]> {
    let mut samples: [Vec<f64>; 4] = Default::default();
    for _ in 0..rounds {
        end_under_load(broker, topics, |node| {
            node.terminate_within(LIMIT);
        });
        let (took, cpu) = start(broker, topics)?;
        samples[0].push(took);
        samples[1].push(cpu);
        end_under_load(broker, topics, Node::kill);
        let (took, cpu) = start(broker, topics)?;
        samples[2].push(took);
        samples[3].push(cpu);
        let last = samples.each_ref().map(|all| all.last().copied().unwrap_or_default().round());
        eprintln!("restart {}, {} partitions: {last:?} ms", broker.name(), topics.partitions());
    }
    Ok(samples.map(|samples| median(samples.into_iter())))
}

/// Ends the process while a client produces to all partitions, turn after turn.
fn end_under_load(broker: &mut Contender, topics: &Spread, end: impl FnOnce(&mut Node)) {
    let batch = batch_of(BATCH_RECORDS, BATCH_RECORD_BYTES);
    let mut wire = broker.node.wire();
    thread::scope(|scope| {
        scope.spawn(move || {
            loop {
                let begin = Instant::now();
                if topics.produce(&mut wire, &batch).is_err() {
                    // The broker has gone, as it was meant to.
                    return;
                }
                thread::sleep(TURN.saturating_sub(begin.elapsed()));
            }
        });
        thread::sleep(LOAD_TIME);
        end(&mut broker.node);
    });
}

/// Milliseconds until the broker is ready, and of CPU until then.
fn start(broker: &mut Contender, topics: &Spread) -> Result<(f64, f64)> {
    let batch = batch_of(1, BATCH_RECORD_BYTES);
    let begin = Instant::now();
    broker.node.run_within(LIMIT);
    loop {
        let mut wire = broker.node.wire();
        match topics.check_ready(&mut wire, &batch) {
            Ok(()) => break,
            Err(error) if begin.elapsed() > LIMIT => return Err(error),
            Err(_) => thread::sleep(RETRY),
        }
    }
    let took = begin.elapsed().as_secs_f64() * 1e3;
    Ok((took, Cpu::of_process(broker.node.pid())?.total() * 1e3))
}
