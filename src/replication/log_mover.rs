//! Moves logs between the log directories of this broker while they serve (KIP-113): a thread that copies batches as
//! they are, until log and copy end at the same offset and change places.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use tracing::{error, warn};

use super::replica_manager::ReplicaManager;
use crate::ids::TopicPartition;
use crate::log::errors::{AppendError, ReadError, StorageError};
use crate::log::log_manager::{LogManager, LogManagerError, Move};
use crate::log::partition_log::PartitionLog;
use crate::protocol::batch::{BatchError, BatchHeader};
use crate::time::Clock;

/// How often the thread looks for something to do.
const TICK: Duration = Duration::from_millis(100);
/// What one log gets before it is another one's turn.
const CHUNK_BYTES: usize = 1 << 20;
/// What a copy may still lack when it takes its log's place: so much is copied while appends wait, some milliseconds.
const LAST_BYTES: u64 = 8 << 20;
/// How long a move that failed rests.
const RETRY: Duration = Duration::from_secs(5);

/// Runs until it is stopped.
#[derive(Debug)]
pub struct LogMover {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

/// Why a move does not go on for now.
#[derive(Debug, thiserror::Error)]
enum MoveError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Place(#[from] LogManagerError),
    #[error(transparent)]
    Batch(#[from] BatchError),
}

impl LogMover {
    /// Starts the thread. Moves that were under way when the broker stopped go on.
    pub fn start(replicas: Arc<ReplicaManager>, logs: Arc<LogManager>, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let worker = Worker { replicas, logs, clock, resting: HashMap::new() };
        let thread = std::thread::Builder::new()
            .name("log-mover".to_owned())
            .spawn(move || worker.run_until_stopped(&stopped))?;
        Ok(Self { stop, thread })
    }

    /// Ends the thread and waits for it. Blocks for as long as one chunk takes.
    pub fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            error!("the thread that moves logs had failed");
        }
    }
}

struct Worker {
    replicas: Arc<ReplicaManager>,
    logs: Arc<LogManager>,
    clock: Arc<dyn Clock>,
    /// Moves that failed, and until when they rest.
    resting: HashMap<TopicPartition, Duration>,
}

impl Worker {
    fn run_until_stopped(mut self, stopped: &mpsc::Receiver<()>) {
        // What is to be waited for yet, by the rate as it is at every look: a rate that was raised holds at once.
        let (mut ahead_bytes, mut pause) = (0.0, TICK);
        while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(pause) {
            let rate = self.replicas.move_bytes_per_second() as f64;
            if ahead_bytes <= 0.0 {
                ahead_bytes = self.turn() as f64;
            }
            let due = Duration::from_secs_f64(ahead_bytes / rate);
            pause = if ahead_bytes > 0.0 { due.min(TICK) } else { TICK };
            ahead_bytes = if due > TICK { ahead_bytes - TICK.as_secs_f64() * rate } else { 0.0 };
        }
    }

    /// A chunk for each move; how many bytes that was.
    fn turn(&mut self) -> usize {
        let moves = self.logs.moves();
        let now = self.clock.monotonic();
        self.resting.retain(|partition, until| *until > now && moves.iter().any(|one| one.partition == *partition));
        let mut copied = 0;
        for one in moves.iter().filter(|one| !self.resting.contains_key(&one.partition)).collect::<Vec<_>>() {
            match self.advance(one) {
                Ok(bytes) => copied += bytes,
                Err(error) => {
                    warn!(partition = %one.partition, %error, "the move of a log rests");
                    self.resting.insert(one.partition.clone(), now + RETRY);
                }
            }
        }
        copied
    }

    /// Brings one move forward; how many bytes were copied.
    fn advance(&self, one: &Move) -> Result<usize, MoveError> {
        if one.future.health().is_offline() {
            self.logs.cancel_move(&one.partition);
            return Ok(0);
        }
        let hosted = self.replicas.topic(&one.partition.topic);
        let Some(replica) = hosted.and_then(|topic| topic.partition(one.partition.partition).ok().cloned()) else {
            return Ok(0);
        };
        let current = replica.log();
        if current.health().is_offline() {
            return Ok(0);
        }
        let rate = self.replicas.move_bytes_per_second();
        let chunk_bytes = usize::try_from(rate).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        let copied = copy_chunk(&current, &one.future, chunk_bytes, self.clock.now_ms())?;
        let lacks_little = || {
            let lacks = current.bytes_between(one.future.log_end_offset(), current.log_end_offset())?;
            Ok::<_, MoveError>(lacks <= LAST_BYTES.min(rate))
        };
        if !lacks_little()? {
            return Ok(copied);
        }
        // Most of what is to be brought to the device goes there while appends go on.
        one.future.checkpoint(self.clock.now_ms())?;
        let mut place = None;
        let catch_up = || {
            let mut goes_on = lacks_little()?;
            while goes_on {
                goes_on = copy_chunk(&current, &one.future, CHUNK_BYTES, self.clock.now_ms())? > 0;
            }
            Ok(())
        };
        let change_places = || {
            place = Some(self.logs.finish_move(&one.partition)?);
            Ok::<_, MoveError>(())
        };
        replica.replace_log(&one.future, catch_up, change_places)?;
        if let Some(directory) = place {
            self.replicas.note_place(replica.topic_id, one.partition.partition, directory);
        }
        Ok(copied)
    }
}

/// Copies what comes next, about `max_bytes` of it; how many bytes that was. The copy's history is the log's first.
fn copy_chunk(
    current: &PartitionLog,
    future: &Arc<PartitionLog>,
    max_bytes: usize,
    now_ms: i64,
) -> Result<usize, MoveError> {
    if let Some(latest) = future.latest_epoch() {
        let (_, agreed_end) = current.epoch_end_offset(latest);
        if agreed_end < future.log_end_offset() {
            future.truncate_to(agreed_end.max(future.log_start_offset()), now_ms)?;
        }
    }
    let log_start_offset = current.log_start_offset();
    if future.log_end_offset() < log_start_offset {
        future.truncate_fully_and_start_at(log_start_offset, log_start_offset, now_ms)?;
    }
    let read = current.read(future.log_end_offset(), max_bytes, true, current.log_end_offset())?;
    let Some(slice) = read.slice else { return Ok(0) };
    let mut chunk = vec![0; slice.size_bytes];
    let filled = slice.file.read_at(&mut chunk, slice.position)?;
    chunk.truncate(filled);
    let first = BatchHeader::read(&chunk)?;
    if first.base_offset < future.log_end_offset() {
        // The log begins in the midst of a batch, and the copy with that batch.
        future.truncate_fully_and_start_at(first.base_offset, first.base_offset, now_ms)?;
    }
    future.append_as_follower(&Bytes::from(chunk), now_ms)?;
    future.increment_log_start_offset(log_start_offset);
    Ok(filled)
}
