//! Topics filled as fast as the broker takes it: batches made once and sent again and again, some requests ahead, so that
//! gigabytes cost the client little.

use anyhow::{Result, ensure};
use bytes::Bytes;
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};
use ottla_compat_tests::batch::{Batch, Record};
use ottla_compat_tests::wire::{Wire, produce_request};

pub const PRODUCE_VERSION: i16 = 9;
/// Answered from the page cache, by both brokers.
pub const ACKS: i16 = 1;
/// Requests without an answer yet.
const IN_FLIGHT: usize = 4;
/// A request of the largest batch that topics take by default, nearly.
const LARGE_BATCH_RECORDS: usize = 900;
const LARGE_RECORD_BYTES: usize = 1000;

/// A batch of about 900 kB.
pub fn large_batch() -> Bytes {
    batch_of(LARGE_BATCH_RECORDS, LARGE_RECORD_BYTES)
}

/// A batch of records without keys.
pub fn batch_of(records: usize, record_bytes: usize) -> Bytes {
    Batch::of((0..records).map(|_| Record::of(vec![b'x'; record_bytes])).collect()).encode()
}

/// Fills the partitions of a topic in turn with large batches, so many bytes in all.
pub fn fill(wire: &mut Wire, topic: &str, partitions: i32, bytes: u64) -> Result<()> {
    let batch = large_batch();
    let count = bytes.div_ceil(batch.len() as u64);
    let requests = (0..count).map(|at| produce_request(topic, (at % partitions as u64) as i32, ACKS, batch.clone()));
    send_all(wire, requests)
}

/// Sends requests, some ahead, and takes all their answers.
pub fn send_all(wire: &mut Wire, requests: impl Iterator<Item = ProduceRequest>) -> Result<()> {
    let mut in_flight = 0;
    for request in requests {
        if in_flight == IN_FLIGHT {
            take_answer(wire)?;
            in_flight -= 1;
        }
        wire.send(PRODUCE_VERSION, &request)?;
        in_flight += 1;
    }
    (0..in_flight).try_for_each(|_| take_answer(wire))
}

fn take_answer(wire: &mut Wire) -> Result<()> {
    let answer: ProduceResponse = wire.receive::<ProduceRequest>(PRODUCE_VERSION)?;
    for partition in answer.responses.iter().flat_map(|topic| &topic.partition_responses) {
        ensure!(partition.error_code == 0, "produce to {}: error {}", partition.index, partition.error_code);
    }
    Ok(())
}
