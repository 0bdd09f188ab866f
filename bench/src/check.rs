//! How fast `ottla check` reads what it verifies, beside `cat` of the same files: both from the device.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use ottla_compat_tests::{Peer, ottla};
use rustix::fs::{Advice, fadvise};

use crate::contender::Contender;
use crate::fill::fill;
use crate::report::Report;
use crate::scale::Scale;
use crate::tally::median;

const GB: u64 = 1_000_000_000;
const PARTITIONS: i32 = 4;

/// The second column is `cat`'s, and no broker's.
pub fn run(scale: &Scale, report: &mut Report) -> Result<()> {
    let mut broker = Contender::start(Peer::Ottla);
    broker.create_topic("old", PARTITIONS, false, &[])?;
    fill(&mut broker.node.wire(), "old", PARTITIONS, scale.gigabytes * GB)?;
    broker.node.terminate();
    let mut files = Vec::new();
    for partition in 0..PARTITIONS {
        for entry in fs::read_dir(broker.node.partition_dir("old", partition))? {
            files.push(entry?.path());
        }
    }
    let mut rates: [Vec<f64>; 2] = Default::default();
    for _ in 0..scale.rounds {
        let mut check = ottla();
        check.arg("check").arg(broker.node.log_dir());
        let mut cat = Command::new("cat");
        cat.args(&files);
        for (command, rates) in [&mut check, &mut cat].into_iter().zip(&mut rates) {
            let rate = megabytes_per_second(command, &files)?;
            eprintln!("check {:?}: {rate:.0} MB/s", Path::new(command.get_program()).file_name());
            rates.push(rate);
        }
    }
    let medians = rates.map(|rates| median(rates.into_iter()));
    report.row("check", "", "MB/s from the device, beside cat's (more is better)", medians);
    Ok(())
}

fn megabytes_per_second(command: &mut Command, files: &[PathBuf]) -> Result<f64> {
    let mut bytes = 0;
    for path in files {
        let file = File::open(path)?;
        bytes += file.metadata()?.len();
        fadvise(&file, 0, None, Advice::DontNeed)?;
    }
    let begin = Instant::now();
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let took = begin.elapsed();
    ensure!(status.context("a command that runs")?.success(), "{command:?} failed");
    Ok(bytes as f64 / 1e6 / took.as_secs_f64())
}
