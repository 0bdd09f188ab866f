//! Whether a consumer that reads gigabytes of old data stalls those who live at the log's end.
//!
//! A record each millisecond is produced, acknowledged and consumed, alone at first; then while another consumer reads a
//! topic whose pages were thrown out of the page cache (`posix_fadvise`, `POSIX_FADV_DONTNEED`).

use std::fs::{self, File};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Result, ensure};
use ottla_compat_tests::Peer;
use rustix::fs::{Advice, fadvise};

use crate::contender::Contender;
use crate::fill::fill;
use crate::librdkafka;
use crate::load::{Done, Order, Percentiles, SMALL_RECORD_BYTES};
use crate::report::Report;
use crate::scale::Scale;
use crate::spread::Spread;
use crate::tally::median;

const GB: u64 = 1_000_000_000;
const PARTITIONS: i32 = 4;
const RATE: u64 = 1000;
const SECONDS: u64 = 15;
/// Less than this part of what was read from the device: then it was not cold.
const COLD_SHARE: f64 = 0.8;

pub fn unflushed(scale: &Scale, report: &mut Report) -> Result<()> {
    run("cold-reads", false, scale, report)
}

pub fn flushed(scale: &Scale, report: &mut Report) -> Result<()> {
    run("cold-reads-flush", true, scale, report)
}

fn run(row: &str, flush_before_ack: bool, scale: &Scale, report: &mut Report) -> Result<()> {
    let pair = [Peer::Ottla, Peer::Kafka].map(Contender::start);
    for broker in &pair {
        broker.create_topic("old", PARTITIONS, false, &[])?;
        fill(&mut broker.node.wire(), "old", PARTITIONS, scale.gigabytes * GB)?;
    }
    rustix::fs::sync();
    let mut rounds: [Vec<Round>; 2] = Default::default();
    for round in 0..scale.warm_up + scale.rounds {
        for (broker, rounds) in pair.iter().zip(&mut rounds) {
            // Each consumer begins with an empty topic.
            let topics = ["quiet", "beside"].map(|name| format!("{name}{round}"));
            for topic in &topics {
                broker.create_topic(topic, PARTITIONS, flush_before_ack, &[])?;
            }
            let done = Round::run(broker, &topics)?;
            eprintln!("{row} {}: {done}", broker.name());
            if round >= scale.warm_up {
                rounds.push(done);
            }
        }
    }
    let mut line = |figure: &str, of: &dyn Fn(&Round) -> f64| {
        report.row(row, "librdkafka", figure, rounds.each_ref().map(|rounds| median(rounds.iter().map(of))));
    };
    let p99 = |of: fn(&Done) -> Option<Percentiles>, done: &Done| millis(of(done));
    line("acknowledged p99 quiet, ms", &|round| p99(ACKNOWLEDGED, &round.quiet));
    line("acknowledged p99 beside cold reads, ms", &|round| p99(ACKNOWLEDGED, &round.beside));
    line("that over quiet", &|round| p99(ACKNOWLEDGED, &round.beside) / p99(ACKNOWLEDGED, &round.quiet));
    line("received p99 quiet, ms", &|round| p99(RECEIVED, &round.quiet));
    line("received p99 beside cold reads, ms", &|round| p99(RECEIVED, &round.beside));
    line("that over quiet", &|round| p99(RECEIVED, &round.beside) / p99(RECEIVED, &round.quiet));
    line("cold MB/s (more is better)", &|round| round.cold_bytes as f64 / 1e6 / round.cold_seconds);
    Ok(())
}

const ACKNOWLEDGED: fn(&Done) -> Option<Percentiles> = |done| done.acknowledged;
const RECEIVED: fn(&Done) -> Option<Percentiles> = |done| done.received;

fn millis(percentiles: Option<Percentiles>) -> f64 {
    percentiles.map_or(f64::NAN, |all| all.p99.as_secs_f64() * 1e3)
}

struct Round {
    quiet: Done,
    beside: Done,
    cold_bytes: u64,
    cold_seconds: f64,
}

impl Round {
    fn run(broker: &Contender, [quiet, beside]: &[String; 2]) -> Result<Self> {
        let quiet = librdkafka::paced(&order(broker, quiet))?;
        forget_pages(broker)?;
        let before = device_reads(broker)?;
        let is_over = AtomicBool::new(false);
        let begin = Instant::now();
        let (beside, read) = thread::scope(|scope| {
            let reading = scope.spawn(|| read_cold(broker, &is_over));
            let beside = librdkafka::paced(&order(broker, beside));
            is_over.store(true, Ordering::Relaxed);
            (beside, reading.join().expect("a reader's thread"))
        });
        let cold_bytes = read?;
        let from_device = device_reads(broker)? - before;
        ensure!(
            from_device as f64 > cold_bytes as f64 * COLD_SHARE,
            "{from_device} of {cold_bytes} bytes came from the device: the page cache had the rest"
        );
        Ok(Self { quiet, beside: beside?, cold_bytes, cold_seconds: begin.elapsed().as_secs_f64() })
    }
}

impl std::fmt::Display for Round {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let p99 = |done: &Done| (millis(done.acknowledged), millis(done.received));
        let (quiet, beside) = (p99(&self.quiet), p99(&self.beside));
        let mb_per_second = self.cold_bytes as f64 / 1e6 / self.cold_seconds;
        write!(f, "p99 (acknowledged, received) {quiet:.2?} ms, beside {mb_per_second:.0} MB/s {beside:.2?} ms")
    }
}

/// The hot pair, as in `paced-1000`.
fn order(broker: &Contender, topic: &str) -> Order {
    Order {
        bootstrap: broker.node.bootstrap(),
        topic: topic.to_owned(),
        partitions: PARTITIONS,
        records: RATE * SECONDS,
        record_bytes: SMALL_RECORD_BYTES,
        batch_bytes: 16 << 10,
        rate: RATE,
    }
}

/// Reads the old topic as fast as it comes, over and over; says how many bytes that were.
fn read_cold(broker: &Contender, is_over: &AtomicBool) -> Result<u64> {
    let mut bytes = 0;
    for (mut wire, mut reader) in Spread::of_topic("old", PARTITIONS).readers(broker, PARTITIONS) {
        while !is_over.load(Ordering::Relaxed) {
            let read = reader.read(&mut wire)?;
            if read == 0 {
                forget_pages(broker)?;
                reader.rewind();
            }
            bytes += read;
        }
    }
    Ok(bytes)
}

/// The old topic's logs leave the page cache. All of them are on the device.
fn forget_pages(broker: &Contender) -> Result<()> {
    for partition in 0..PARTITIONS {
        for entry in fs::read_dir(broker.node.partition_dir("old", partition))?.flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "log") {
                fadvise(File::open(entry.path())?, 0, None, Advice::DontNeed)?;
            }
        }
    }
    Ok(())
}

/// Bytes that the process made the device read so far (proc(5), `io`).
fn device_reads(broker: &Contender) -> Result<u64> {
    let io = fs::read_to_string(format!("/proc/{}/io", broker.node.pid()))?;
    let line = io.lines().find_map(|line| line.strip_prefix("read_bytes: "));
    Ok(line.map(str::parse).transpose()?.unwrap_or_default())
}
