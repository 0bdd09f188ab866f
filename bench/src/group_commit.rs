//! Which way of making appends durable costs least: a measurement of the device and its file system, without any broker.
//!
//! So many files each have one small append under way: written, synced, answered, and the next one at once, as clients do
//! that wait for their acknowledgement. A sync of the whole file system serves all that wait when it begins; a sync of a
//! file serves that file, on so many threads.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::cpu::Cpu;
use crate::load::Percentiles;
use crate::report::Report;
use crate::scale::Scale;

const ACTIVE: [usize; 3] = [1, 100, 1000];
const STRATEGIES: [Strategy; 6] = [
    Strategy::PerFile { threads: 1 },
    Strategy::PerFile { threads: 2 },
    Strategy::PerFile { threads: 4 },
    Strategy::PerFile { threads: 8 },
    Strategy::PerFile { threads: 16 },
    Strategy::FileSystem,
];
const APPEND_BYTES: usize = 1024;
const TIME: Duration = Duration::from_secs(3);
/// How long a thread without work waits before it looks at the clock.
const PAUSE: Duration = Duration::from_millis(10);

#[derive(Clone, Copy, Debug)]
enum Strategy {
    /// `fdatasync` of each file.
    PerFile { threads: usize },
    /// One thread, `syncfs`.
    FileSystem,
}

impl std::fmt::Display for Strategy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::PerFile { threads } => write!(f, "fdatasync, {threads} threads"),
            Self::FileSystem => write!(f, "syncfs, 1 thread"),
        }
    }
}

/// What one strategy gave in all rounds.
#[derive(Default)]
struct Sum {
    latencies: Vec<Duration>,
    elapsed: Duration,
    cpu_seconds: f64,
}

pub fn run(scale: &Scale, report: &mut Report) -> Result<()> {
    report.heading("| active files | strategy | acknowledged/s | p50, ms | p99, ms | CPU, µs each |\n|---:|---|---:|---:|---:|---:|");
    for active in ACTIVE {
        let mut sums: [Sum; STRATEGIES.len()] = Default::default();
        for _ in 0..scale.rounds {
            for (strategy, sum) in STRATEGIES.into_iter().zip(&mut sums) {
                measure(strategy, active, sum)?;
            }
        }
        for (strategy, sum) in STRATEGIES.into_iter().zip(sums) {
            let count = sum.latencies.len() as f64;
            let (rate, cpu) = (count / sum.elapsed.as_secs_f64(), sum.cpu_seconds / count * 1e6);
            let Percentiles { p50, p99, .. } = Percentiles::of(sum.latencies);
            let ms = |took: Duration| took.as_secs_f64() * 1e3;
            let line = format!("| {active} | {strategy} | {rate:.0} | {:.2} | {:.2} | {cpu:.0} |", ms(p50), ms(p99));
            eprintln!("group-commit {line}");
            report.line(&line);
        }
    }
    Ok(())
}

/// A file that waits for its append to become durable.
struct Waiting {
    file: usize,
    since: Instant,
}

struct Field {
    directory: File,
    files: Vec<File>,
    positions: Vec<AtomicUsize>,
    queue: Sender<Waiting>,
    latencies: Mutex<Vec<Duration>>,
}

/// What a sync thread does until it is time to stop.
type Serve = fn(&Field, &Mutex<Receiver<Waiting>>, Instant) -> Result<()>;

fn measure(strategy: Strategy, active: usize, sum: &mut Sum) -> Result<()> {
    let root = tempfile::Builder::new().prefix("ottla-bench-").tempdir()?;
    let create = |at| File::create(root.path().join(format!("{at}.log")));
    let files = (0..active).map(create).collect::<Result<Vec<_>, _>>()?;
    let (queue, waiting) = channel();
    let field = Field {
        directory: File::open(root.path())?,
        files,
        positions: (0..active).map(|_| AtomicUsize::new(0)).collect(),
        queue,
        latencies: Mutex::default(),
    };
    rustix::fs::syncfs(&field.directory)?;
    let before = Cpu::of_process(std::process::id())?;
    let begin = Instant::now();
    let waiting = Arc::new(Mutex::new(waiting));
    for file in 0..active {
        field.append(file)?;
    }
    let (threads, serve): (usize, Serve) = match strategy {
        Strategy::PerFile { threads } => (threads, Field::sync_files),
        Strategy::FileSystem => (1, Field::sync_file_system),
    };
    let served = thread::scope(|scope| {
        let serving: Vec<_> = (0..threads).map(|_| scope.spawn(|| serve(&field, &waiting, begin + TIME))).collect();
        serving.into_iter().try_for_each(|thread| thread.join().expect("a sync thread"))
    });
    served?;
    sum.elapsed += begin.elapsed();
    sum.cpu_seconds += (Cpu::of_process(std::process::id())? - before).total();
    sum.latencies.append(&mut field.latencies.lock().expect("no panic in a sync thread"));
    Ok(())
}

impl Field {
    fn append(&self, file: usize) -> Result<()> {
        let position = self.positions[file].fetch_add(APPEND_BYTES, Ordering::Relaxed);
        let since = Instant::now();
        self.files[file].write_all_at(&[b'x'; APPEND_BYTES], position as u64)?;
        self.queue.send(Waiting { file, since }).context("a queue")
    }

    fn acknowledge(&self, done: &Waiting) -> Result<()> {
        self.latencies.lock().expect("no panic in a sync thread").push(done.since.elapsed());
        self.append(done.file)
    }

    fn sync_files(&self, waiting: &Mutex<Receiver<Waiting>>, until: Instant) -> Result<()> {
        while Instant::now() < until {
            // The guard lives for this statement only: one thread waits, the others for their turn to wait.
            let next = waiting.lock().expect("no panic in a sync thread").recv_timeout(PAUSE);
            let Ok(next) = next else { continue };
            self.files[next.file].sync_data()?;
            self.acknowledge(&next)?;
        }
        Ok(())
    }

    fn sync_file_system(&self, waiting: &Mutex<Receiver<Waiting>>, until: Instant) -> Result<()> {
        let waiting = waiting.lock().expect("the only thread");
        while Instant::now() < until {
            let all: Vec<_> = waiting.try_iter().collect();
            rustix::fs::syncfs(&self.directory)?;
            all.iter().try_for_each(|done| self.acknowledge(done))?;
        }
        Ok(())
    }
}
