//! Logs on a disk that fails: random lives of a broker, with the power cut and a fault put at every step of the disk.
//!
//! ```text
//!  seed ──▶ script: lives of actions ──▶ runner ──────▶ LogManager, cleaner ──▶ SimDisk
//!  case ──▶ trouble: a power cut, or steps that fail ──────────────────────────────┘
//!                                           │ after every start
//!                                           ▼
//!                          model ◀── checks ── reading, `ottla check`, a second start
//! ```
//! The broker's code runs as it is. A run without trouble says how many steps there are; then the same is done again once
//! for each of them. What is checked:
//!
//! - What was acknowledged as flushed is there, nothing was made up, offsets go on without a hole.
//! - A consumer sees what was committed and nothing that was aborted; of a compacted log, the last value of every key, and
//!   nothing that a completed round has taken away.
//! - Indexes, producers, transactions and leader epochs agree with the log; `ottla check` finds nothing.
//! - A second recovery changes no byte; one that is interrupted is as good as any other.
//! - The beginning of a log does not go back behind what was written down, and not beyond what was deleted.

mod case;
mod checks;
mod machine;
mod model;
mod reading;
mod runner;
mod script;

use std::env;
use std::panic::{self, AssertUnwindSafe};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::time::{Clock, SystemClock};
use case::{Case, FAULTS, Trouble};
use runner::{Outcome, Simulation};

/// In each life at most.
const ACTIONS: usize = 40;
/// Seeds that `make sim` runs.
const SEEDS: u64 = 300;

/// Runs a case; where it fails, says how to see it.
fn run(case: &Case) -> Outcome {
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| Simulation::new(case).run()));
    outcome.unwrap_or_else(|panic| {
        eprintln!("\nto see every step: {case}\n");
        panic::resume_unwind(panic)
    })
}

/// A seed without trouble, and with trouble at every `stride`th step: says how many runs and steps that were.
fn run_seed(seed: u64, actions: usize, stride: u64) -> (u64, u64) {
    let case = |trouble| Case { seed, actions, trouble };
    let quiet = run(&case(Trouble::None));
    let (mut runs, mut steps) = (1, quiet.steps);
    for step in (seed % stride..quiet.steps).step_by(stride as usize) {
        let fault = FAULTS[(step % 3) as usize];
        let fault = Trouble::Fault { step, steps: [1, 2, 5, 30][(step / 3 % 4) as usize], fault };
        for trouble in [Trouble::PowerCut { step }, fault] {
            steps += run(&case(trouble)).steps;
            runs += 1;
        }
    }
    (runs, steps)
}

#[test]
fn the_same_seed_twice_is_the_same_run() {
    for seed in 0..3 {
        for trouble in [Trouble::None, Trouble::PowerCut { step: 70 }, "enospc@50+4".parse().unwrap()] {
            let case = Case { seed, actions: ACTIONS, trouble };
            assert_eq!(run(&case), run(&case), "{case}");
        }
    }
    let trace_of = |seed| run(&Case { seed, actions: ACTIONS, trouble: Trouble::None }).trace;
    assert_ne!(trace_of(1), trace_of(2));
}

#[test]
fn troubles_are_told_as_they_are_read() {
    for text in ["none", "cut@17", "eio@0+3", "enospc@17+1", "erofs@5+30"] {
        assert_eq!(text.parse::<Trouble>().unwrap().to_string(), text);
    }
    assert!("cut".parse::<Trouble>().is_err() && "eio@3".parse::<Trouble>().is_err());
}

/// The fixed part.
#[test]
fn no_promise_is_broken() {
    for seed in 0..4 {
        run_seed(seed, ACTIONS, 29);
    }
}

fn chosen<T: FromStr>(name: &str) -> Option<T> {
    let text = env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} makes no sense")))
}

/// `make sim`: all steps of many seeds, or of one, or one case with its journal.
#[test]
#[ignore = "runs for minutes: make sim"]
fn many_seeds() {
    let actions = chosen("ACTIONS").unwrap_or(ACTIONS);
    let seed: Option<u64> = chosen("SEED");
    if let (Some(seed), Some(trouble)) = (seed, chosen("TROUBLE")) {
        return show(&Case { seed, actions, trouble });
    }
    let (first, count) = seed.map_or_else(|| (0, chosen("SEEDS").unwrap_or(SEEDS)), |seed| (seed, 1));
    let seeds = first..first + count;
    let (next, runs, steps) = (AtomicU64::new(seeds.start), AtomicU64::new(0), AtomicU64::new(0));
    let (failed, stride) = (AtomicU64::new(0), chosen("STRIDE").unwrap_or(1));
    let clock = SystemClock::new();
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if !seeds.contains(&seed) {
                return;
            }
            let Ok((seed_runs, seed_steps)) = panic::catch_unwind(|| run_seed(seed, actions, stride)) else {
                failed.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            runs.fetch_add(seed_runs, Ordering::Relaxed);
            steps.fetch_add(seed_steps, Ordering::Relaxed);
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let (runs, steps, seconds) = (runs.into_inner(), steps.into_inner(), clock.monotonic().as_secs_f64());
    println!(
        "{count} seeds, {runs} runs, {steps} steps in {seconds:.0} s: {:.0} steps a second",
        steps as f64 / seconds
    );
    assert_eq!(failed.into_inner(), 0, "seeds that failed");
}

/// One case with every step of the disk.
fn show(case: &Case) {
    let mut simulation = Simulation::new(case);
    simulation.keep_journal();
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| simulation.run()));
    for line in simulation.take_journal() {
        println!("{line}");
    }
    match outcome {
        Ok(outcome) => println!("{case}: {} steps, trace {:016x}", outcome.steps, outcome.trace),
        Err(panic) => panic::resume_unwind(panic),
    }
}
