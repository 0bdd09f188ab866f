//! What is asked of a client, and what it says of it.

use std::time::Duration;

/// Partitions of every topic under throughput.
pub const PARTITIONS: i32 = 4;

/// One thing to measure.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub name: &'static str,
    pub kind: Kind,
    /// Ottla's `flush.before.ack` of the topic. Kafka never syncs before it answers.
    pub flush_before_ack: bool,
}

#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// As fast as it goes, acks=all, in full batches of this size.
    Produce { batch_bytes: usize, total_bytes: u64 },
    /// One record a request, five requests in flight, acks=all.
    ProduceSingly { records: u64 },
    /// By assignment, from the beginning, what was produced in batches of this size; so many times over.
    Consume { batch_bytes: usize, total_bytes: u64, passes: u64 },
    /// A record each 1/rate s, acks=all, and a consumer that waits for them.
    Paced { rate: u64, seconds: u64 },
}

/// Bytes of a record's value where throughput is measured.
pub const RECORD_BYTES: usize = 1000;
/// And where single requests are.
pub const SMALL_RECORD_BYTES: usize = 100;

const MIB: u64 = 1 << 20;

/// Everything that is measured, in this order.
pub const LOADS: [Load; 9] = [
    Load {
        name: "produce-16k",
        kind: Kind::Produce { batch_bytes: 16 << 10, total_bytes: 384 * MIB },
        flush_before_ack: false,
    },
    Load {
        name: "produce-1m",
        kind: Kind::Produce { batch_bytes: 1 << 20, total_bytes: 512 * MIB },
        flush_before_ack: false,
    },
    Load {
        name: "produce-16k-flush",
        kind: Kind::Produce { batch_bytes: 16 << 10, total_bytes: 384 * MIB },
        flush_before_ack: true,
    },
    Load { name: "produce-singly", kind: Kind::ProduceSingly { records: 40_000 }, flush_before_ack: false },
    Load {
        name: "consume-16k",
        kind: Kind::Consume { batch_bytes: 16 << 10, total_bytes: 256 * MIB, passes: 4 },
        flush_before_ack: false,
    },
    Load {
        name: "consume-1m",
        kind: Kind::Consume { batch_bytes: 1 << 20, total_bytes: 256 * MIB, passes: 4 },
        flush_before_ack: false,
    },
    Load { name: "paced-1000", kind: Kind::Paced { rate: 1000, seconds: 8 }, flush_before_ack: false },
    Load { name: "paced-1000-flush", kind: Kind::Paced { rate: 1000, seconds: 8 }, flush_before_ack: true },
    Load { name: "paced-10000-flush", kind: Kind::Paced { rate: 10_000, seconds: 5 }, flush_before_ack: true },
];

/// One round of a load against one broker, as a client is told it.
#[derive(Clone, Debug)]
pub struct Order {
    pub bootstrap: String,
    pub topic: String,
    pub partitions: i32,
    pub records: u64,
    pub record_bytes: usize,
    /// Full batches of this size; 1: each record is a batch.
    pub batch_bytes: usize,
    /// Records a second; 0: as fast as it goes.
    pub rate: u64,
}

impl Order {
    /// Records that fill a batch: a record costs a few bytes beside its value.
    pub fn records_per_batch(&self) -> u64 {
        (self.batch_bytes / (self.record_bytes + 10)).max(1) as u64
    }

    /// Records that go to one partition before the next has its turn: a batch, or one at a time where they are paced.
    pub fn records_per_turn(&self) -> u64 {
        if self.rate == 0 { self.records_per_batch() } else { 1 }
    }

    pub fn partition_of(&self, record: u64) -> i32 {
        (record / self.records_per_turn() % self.partitions as u64) as i32
    }
}

/// What a client did in one round.
#[derive(Clone, Debug, Default)]
pub struct Done {
    pub records: u64,
    pub elapsed: Duration,
    /// Requests that the client sent, of all kinds.
    pub requests: u64,
    /// Of paced rounds: from when a record was due until it was acknowledged.
    pub acknowledged: Option<Percentiles>,
    /// And until the consumer had it.
    pub received: Option<Percentiles>,
}

/// Latencies.
#[derive(Clone, Copy, Debug, Default)]
pub struct Percentiles {
    pub p50: Duration,
    pub p99: Duration,
    pub p999: Duration,
}

impl Percentiles {
    pub fn of(mut samples: Vec<Duration>) -> Self {
        samples.sort_unstable();
        let at = |share: f64| {
            let index = (samples.len() as f64 * share).ceil() as usize;
            samples.get(index.saturating_sub(1)).copied().unwrap_or_default()
        };
        Self { p50: at(0.5), p99: at(0.99), p999: at(0.999) }
    }
}
