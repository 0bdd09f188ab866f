//! `ottla check`: are the files of a stopped node what they should be?

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};

use super::args::{CheckOptions, ConfigOptions};
use crate::check::{Check, CheckError, Progress, Report, Verdict};
use crate::config;
use crate::io::RealDisk;
use crate::time::{Clock, SystemClock};

const DAMAGED: u8 = 1;
const NOT_CHECKED: u8 = 2;
/// How often the bar moves.
const BAR_INTERVAL: Duration = Duration::from_millis(200);
/// A device that is to be kept busy wants a few readers.
const MIN_THREADS: usize = 4;

pub(super) fn run(options: &ConfigOptions, check: &CheckOptions) -> ExitCode {
    match try_run(options, check) {
        Ok(Verdict::Clean) => ExitCode::SUCCESS,
        Ok(Verdict::Damaged) => DAMAGED.into(),
        Err(error) => {
            eprintln!("ottla: {error:#}");
            NOT_CHECKED.into()
        }
    }
}

fn try_run(options: &ConfigOptions, arguments: &CheckOptions) -> anyhow::Result<Verdict> {
    let loaded = config::load(&options.sources()?)?;
    let clock = SystemClock::new();
    let directories = if arguments.directories.is_empty() { &loaded.config.log_dirs } else { &arguments.directories };
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let check = Check {
        disk: RealDisk::new(1).context("cannot start a thread")?,
        directories,
        config: &loaded.config,
        threads: arguments.threads.unwrap_or_else(|| processors.max(MIN_THREADS)),
        now_ms: clock.now_ms(),
    };
    let begin = clock.monotonic();
    let report = if arguments.repair {
        repair(&check, &clock, arguments.json)?
    } else {
        let mut report = watched(|progress| check.run(progress))?;
        report.set_elapsed(clock.monotonic().saturating_sub(begin));
        report
    };
    if arguments.json {
        print(&serde_json::to_string(&report)?);
    } else if !arguments.repair {
        print(&report.to_string());
    }
    Ok(report.result)
}

/// Says what was found and what is to be done, does it, looks again.
fn repair(check: &Check<'_>, clock: &SystemClock, is_json: bool) -> anyhow::Result<Report> {
    let say = |text: String| {
        if !is_json {
            print(&text);
        }
    };
    let begin = clock.monotonic();
    let repair = watched(|progress| check.plan_repair(progress))?;
    let mut report = repair.report();
    report.set_elapsed(clock.monotonic().saturating_sub(begin));
    say(report.to_string());
    if report.result == Verdict::Clean {
        return Ok(report);
    }
    repair.steps().into_iter().for_each(|step| say(format!("to do   {step}")));
    report.repairs = repair.carry_out().context("the repair is not complete; it can be run again")?;
    report.repairs.iter().for_each(|step| say(format!("done    {step}")));
    let begin = clock.monotonic();
    let mut after = watched(|progress| check.run(progress))?;
    after.set_elapsed(clock.monotonic().saturating_sub(begin));
    say(format!("after the repair:\n{after}"));
    report.result = after.result;
    report.remaining = after.findings;
    Ok(report)
}

/// Shows on a terminal how far it has come.
fn watched<T>(work: impl FnOnce(&Progress) -> Result<T, CheckError>) -> Result<T, CheckError> {
    let progress = Progress::default();
    if !std::io::stderr().is_terminal() {
        return work(&progress);
    }
    let bar = ProgressBar::new(0);
    let style = "{bar:40} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
    bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
    let result = thread::scope(|scope| {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        scope.spawn({
            let (bar, progress) = (&bar, &progress);
            move || {
                while stopped.recv_timeout(BAR_INTERVAL) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                    bar.set_length(progress.total_bytes.load(Ordering::Relaxed));
                    bar.set_position(progress.read_bytes.load(Ordering::Relaxed));
                }
            }
        });
        let result = work(&progress);
        drop(stop);
        result
    });
    bar.finish_and_clear();
    result
}

/// To stdout; a reader that has seen enough (`| head`) is no error.
fn print(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}
