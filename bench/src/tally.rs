//! Rounds added up.

use std::fmt;
use std::time::Duration;

use crate::cpu::Cpu;
use crate::load::{Done, Percentiles};

/// One round.
#[derive(Clone, Debug)]
pub struct Round {
    pub done: Done,
    /// Bytes of record values.
    pub bytes: u64,
    /// What the broker's process spent.
    pub broker: Cpu,
    /// What the machine spent less the clients and the broker that was not asked: the kernel's own work too.
    pub machine: f64,
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { done, bytes, broker, machine } = self;
        write!(
            f,
            "{} records, {} MB, {} requests in {:.2} s; broker {:.2} s user {:.2} s system, machine {machine:.2} s",
            done.records,
            bytes / 1_000_000,
            done.requests,
            done.elapsed.as_secs_f64(),
            broker.user,
            broker.system,
        )
    }
}

/// All recorded rounds of one load, client and broker.
#[derive(Clone, Debug, Default)]
pub struct Tally(Vec<Round>);

impl Tally {
    pub fn add(&mut self, round: Round) {
        self.0.push(round);
    }

    pub fn records_per_second(&self) -> f64 {
        median(self.0.iter().map(|round| round.done.records as f64 / round.done.elapsed.as_secs_f64()))
    }

    /// Of all rounds together.
    pub fn broker(&self) -> Cpu {
        self.0.iter().fold(Cpu::default(), |sum, round| sum + round.broker)
    }

    pub fn machine(&self) -> f64 {
        self.0.iter().map(|round| round.machine).sum()
    }

    pub fn gigabytes(&self) -> f64 {
        self.0.iter().map(|round| round.bytes as f64).sum::<f64>() / 1e9
    }

    pub fn million_requests(&self) -> f64 {
        self.0.iter().map(|round| round.done.requests as f64).sum::<f64>() / 1e6
    }

    pub fn acknowledged(&self) -> Option<Percentiles> {
        self.percentiles(|done| done.acknowledged)
    }

    pub fn received(&self) -> Option<Percentiles> {
        self.percentiles(|done| done.received)
    }

    /// The median round, each percentile by itself.
    fn percentiles(&self, of: fn(&Done) -> Option<Percentiles>) -> Option<Percentiles> {
        let rounds: Vec<Percentiles> = self.0.iter().map(|round| of(&round.done)).collect::<Option<_>>()?;
        let at = |share: fn(&Percentiles) -> Duration| {
            Duration::from_secs_f64(median(rounds.iter().map(|round| share(round).as_secs_f64())))
        };
        Some(Percentiles { p50: at(|all| all.p50), p99: at(|all| all.p99), p999: at(|all| all.p999) })
    }
}

pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[odd / 2],
        even => f64::midpoint(values[even / 2 - 1], values[even / 2]),
    }
}
