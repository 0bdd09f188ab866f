//! The scrubber: a thread of its own that reads what is durable of all logs, again and again, no faster than it may,
//! and compares every checksum.
//!
//! ```text
//!  logs, one after the other ─ closed segments, flushed part of the active one ─ 1 MiB, pause, 1 MiB, pause ...
//!                                                             └─ no sound batch ──▶ looked at once more
//!                                                                              └──▶ noted in the log: never served
//! ```
//! `log.scrub.bytes.per.second` is the pace, and 0 (the default) stops it where it is. A page that the page cache holds
//! is read from there: what the device holds of it shows once it has left the cache.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use tracing::{error, info, warn};

use super::batch_walk::{BatchWalk, Step};
use crate::ids::Offset;
use crate::io::lower_thread_priority;
use crate::log::batch_scan::PlacedBatch;
use crate::log::directory::FileKind;
use crate::log::known_damage::{DamagedBatch, DurablePart};
use crate::log::log_manager::LogManager;
use crate::log::partition_log::PartitionLog;
use crate::time::Clock;

/// How often the thread looks whether it is wanted.
const IDLE: Duration = Duration::from_secs(1);
/// What is read before the pace is looked at.
const CHUNK_BYTES: u64 = 1 << 20;
/// After a change of the pace it is not kept waiting for longer.
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// Runs until it is stopped.
#[derive(Debug)]
pub struct Scrubber {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

impl Scrubber {
    pub fn start(logs: Arc<LogManager>, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let worker = Worker { logs, clock, stopped };
        let thread = std::thread::Builder::new().name("log-scrubber".to_owned()).spawn(move || {
            lower_thread_priority();
            worker.run_until_stopped();
        })?;
        Ok(Self { stop, thread })
    }

    /// Ends the thread and waits for it. Blocks for as long as one chunk takes.
    pub fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            error!("the scrubber's thread had failed");
        }
    }
}

/// The broker stops.
struct Stopped;

struct Worker {
    logs: Arc<LogManager>,
    clock: Arc<dyn Clock>,
    stopped: mpsc::Receiver<()>,
}

impl Worker {
    fn run_until_stopped(&self) {
        while self.wait(IDLE).is_ok() {
            if self.logs.scrubbing().bytes_per_second() > 0 && self.round().is_err() {
                return;
            }
        }
    }

    /// All logs once.
    fn round(&self) -> Result<(), Stopped> {
        for log in self.logs.logs().into_iter().filter(|log| !log.health().is_offline()) {
            for part in log.durable_parts() {
                self.scrub(&log, &part)?;
            }
        }
        self.logs.scrubbing().round_done(self.clock.now_ms());
        info!(read_bytes = self.logs.scrubbing().read_bytes(), "all logs are scrubbed once more");
        Ok(())
    }

    fn scrub(&self, log: &PartitionLog, part: &DurablePart) -> Result<(), Stopped> {
        let mut walk = BatchWalk::new(&*part.file, part.segment, part.end_position);
        let (mut expected, mut told) = (part.segment, 0);
        let mut pending: Option<DamagedBatch> = None;
        loop {
            let step = match walk.next(expected) {
                Ok(step) => step,
                Err(error) => {
                    let (partition, segment) = (log.topic_partition(), part.segment);
                    error!(%partition, %segment, position = walk.position(), %error, "the scrubber can't read a log");
                    break;
                }
            };
            match step {
                None => break,
                Some(Step::Damaged(stretch)) => {
                    pending = Some(DamagedBatch {
                        segment: part.segment,
                        position: stretch.position,
                        end_position: stretch.end,
                        offset: expected,
                        next_offset: expected.next(),
                        reason: stretch.error.to_string(),
                    });
                }
                // A log that is served begins with batches; none of these can be.
                Some(Step::Old(message)) => {
                    let stretch = pending.get_or_insert_with(|| DamagedBatch {
                        segment: part.segment,
                        position: message.position,
                        end_position: message.position,
                        offset: expected,
                        next_offset: expected.next(),
                        reason: format!("a message of format v{}", message.magic),
                    });
                    stretch.end_position = message.end_position();
                }
                Some(Step::Sound(batch)) => {
                    if let Some(damaged) = pending.take() {
                        note(log, part, DamagedBatch { next_offset: batch.header.base_offset, ..damaged });
                    } else if batch.header.base_offset < expected {
                        // Its offset is not covered by its checksum: whoever asked for what follows would get this.
                        note(log, part, misplaced(part, &batch, expected));
                    }
                    expected = expected.max(batch.header.next_offset());
                }
            }
            if walk.position() - told >= CHUNK_BYTES {
                self.pace(walk.position() - told)?;
                told = walk.position();
            }
        }
        if let Some(damaged) = pending {
            let next_offset = log.flushed_offset().max(damaged.next_offset);
            note(log, part, DamagedBatch { next_offset, ..damaged });
        }
        self.pace(walk.position() - told)
    }

    /// Waits for as long as reading so many bytes may take, and for as long as the pace is 0.
    fn pace(&self, bytes: u64) -> Result<(), Stopped> {
        let scrubbing = self.logs.scrubbing();
        scrubbing.add_read_bytes(bytes);
        loop {
            match scrubbing.bytes_per_second() {
                0 => self.wait(IDLE)?,
                pace => {
                    let due = Duration::from_secs_f64(bytes as f64 / pace as f64);
                    return self.wait(due.min(MAX_PAUSE));
                }
            }
        }
    }

    fn wait(&self, pause: Duration) -> Result<(), Stopped> {
        match self.stopped.recv_timeout(pause) {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            _ => Err(Stopped),
        }
    }
}

fn misplaced(part: &DurablePart, batch: &PlacedBatch, expected: Offset) -> DamagedBatch {
    DamagedBatch {
        segment: part.segment,
        position: batch.position,
        end_position: batch.end_position(),
        offset: expected,
        next_offset: expected.next(),
        reason: format!(
            "a batch of offset {}, where {expected} or a later one should follow",
            batch.header.base_offset
        ),
    }
}

/// Looked at once more, since the log may have been cut and written anew meanwhile; then it is not served any more.
fn note(log: &PartitionLog, part: &DurablePart, damaged: DamagedBatch) {
    let (partition, offset, position) = (log.topic_partition(), damaged.offset, damaged.position);
    let path = log.directory().file(FileKind::Log, part.segment);
    let reason = damaged.reason.clone();
    if log.note_damage(damaged) {
        error!(
            %partition, %offset, file = %path.display(), position, %reason,
            "a batch is damaged, and is not served any more; 'ottla check' tells what can be done"
        );
    } else {
        warn!(%partition, %offset, position, "a damaged batch that is known, or gone");
    }
}
