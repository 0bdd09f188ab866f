//! What happens to the logs, chosen by a seed before anything happens: the same can then be done again with the power cut
//! at another step.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::protocol::batch::Compression;
use crate::protocol::records::TransactionOutcome;
use crate::time::TimestampMs;

/// The last one is compacted.
pub(super) const PARTITIONS: usize = 3;
/// Ids from [`FIRST_TRANSACTIONAL`] on write in transactions.
const PRODUCERS: i64 = 5;
pub(super) const FIRST_TRANSACTIONAL: i64 = 3;
const KEYS: u8 = 7;
const LIVES: usize = 3;
const CODECS: [Compression; 6] = [
    Compression::None,
    Compression::None,
    Compression::None,
    Compression::None,
    Compression::Lz4,
    Compression::Snappy,
];

/// One thing that a broker does with its logs.
#[derive(Clone, Debug)]
pub(super) enum Action {
    /// The next batch of a producer; of none, where its id is -1.
    Append {
        partition: usize,
        producer: i64,
        records: Vec<Draft>,
        codec: Compression,
    },
    /// A producer has not heard of its last batch, and sends it again.
    Resend {
        partition: usize,
        producer: i64,
    },
    /// With the next epoch of the producer, where it is fenced.
    EndTransaction {
        partition: usize,
        producer: i64,
        outcome: TransactionOutcome,
        is_fencing: bool,
    },
    Flush {
        partition: usize,
    },
    /// The device has done what was submitted at this place.
    RunSync {
        place: usize,
    },
    RunSyncs,
    AdvanceHighWatermark {
        partition: usize,
    },
    Roll {
        partition: usize,
    },
    Checkpoint,
    CheckpointHighWatermarks,
    /// Up to so many thousandths of what consumers see.
    DeleteRecords {
        partition: usize,
        per_mille: i64,
    },
    Retention,
    RemoveFiles,
    NewEpoch {
        partition: usize,
    },
    /// Back by so many thousandths of what nobody sees yet.
    Truncate {
        partition: usize,
        per_mille: i64,
    },
    /// With a map that has room for so many keys.
    Clean {
        keys: u64,
    },
    DeleteTopic {
        partition: usize,
    },
    Wait {
        ms: i64,
    },
}

/// A record that is to be; its value is made up when it is appended.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) key: u8,
    /// `None`: a tombstone.
    pub(super) value_bytes: Option<usize>,
    pub(super) later_ms: TimestampMs,
}

/// How a life ends that nothing interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// In good order; then the machine may lose its power as well.
    Shutdown { is_crash: bool },
    /// The process dies.
    Kill,
    /// The machine dies.
    Crash,
}

/// From a start of the broker to its end.
#[derive(Clone, Debug)]
pub(super) struct Life {
    pub(super) actions: Vec<Action>,
    pub(super) end: End,
}

/// The lives of one broker, of so many actions at most.
pub(super) fn lives(seed: u64, actions: usize) -> Vec<Life> {
    let mut rng = StdRng::seed_from_u64(seed);
    let life = |_| Life {
        actions: (0..rng.random_range(1..=actions)).map(|_| action(&mut rng)).collect(),
        end: end(&mut rng),
    };
    (0..LIVES).map(life).collect()
}

fn end(rng: &mut StdRng) -> End {
    match rng.random_range(0..10) {
        0..2 => End::Shutdown { is_crash: false },
        2 => End::Shutdown { is_crash: true },
        3..5 => End::Kill,
        _ => End::Crash,
    }
}

fn action(rng: &mut StdRng) -> Action {
    let partition = rng.random_range(0..PARTITIONS);
    match rng.random_range(0..200) {
        0..90 => append(rng, partition),
        90..94 => Action::Resend { partition, producer: rng.random_range(0..PRODUCERS) },
        94..108 => Action::EndTransaction {
            partition,
            producer: rng.random_range(FIRST_TRANSACTIONAL..PRODUCERS),
            outcome: [TransactionOutcome::Abort, TransactionOutcome::Commit][rng.random_range(0..2)],
            is_fencing: rng.random_range(0..4) == 0,
        },
        108..122 => Action::Flush { partition },
        122..128 => Action::RunSync { place: rng.random_range(0..3) },
        128..142 => Action::RunSyncs,
        142..154 => Action::AdvanceHighWatermark { partition },
        154..158 => Action::Roll { partition },
        158..166 => Action::Checkpoint,
        166..168 => Action::CheckpointHighWatermarks,
        168..172 => Action::DeleteRecords { partition, per_mille: rng.random_range(0..=1000) },
        172..175 => Action::Retention,
        175..178 => Action::RemoveFiles,
        178..180 => Action::NewEpoch { partition },
        180..184 => Action::Truncate { partition, per_mille: rng.random_range(0..=1000) },
        184..192 => Action::Clean { keys: rng.random_range(2..20) },
        192..194 => Action::DeleteTopic { partition },
        _ => Action::Wait { ms: rng.random_range(0..8_000) },
    }
}

fn append(rng: &mut StdRng, partition: usize) -> Action {
    let mut draft = |_| Draft {
        key: rng.random_range(0..KEYS),
        value_bytes: (rng.random_range(0..4) > 0).then(|| rng.random_range(0..90)),
        later_ms: rng.random_range(-1000..1000),
    };
    let records = (0..5).map(&mut draft).collect::<Vec<_>>();
    Action::Append {
        partition,
        producer: rng.random_range(-1..PRODUCERS),
        records: records[..rng.random_range(1..=5)].to_vec(),
        codec: CODECS[rng.random_range(0..CODECS.len())],
    }
}
