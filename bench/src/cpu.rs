//! Processor time, as the kernel counts it.

use std::fs;
use std::ops::{Add, Sub};

use anyhow::{Context, Result};

/// Of one process, in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu {
    pub user: f64,
    pub system: f64,
}

impl Cpu {
    pub fn total(self) -> f64 {
        self.user + self.system
    }

    /// Of a process and its threads so far.
    pub fn of_process(pid: u32) -> Result<Self> {
        Self::of_stat(&fs::read_to_string(format!("/proc/{pid}/stat"))?)
    }

    /// Of those threads of a process whose names begin so; the kernel keeps 15 characters of a name.
    pub fn of_threads(pid: u32, name: &str) -> Result<Self> {
        let mut sum = Self::default();
        for thread in fs::read_dir(format!("/proc/{pid}/task"))?.flatten() {
            // A thread may end meanwhile.
            let Ok(stat) = fs::read_to_string(thread.path().join("stat")) else { continue };
            if stat.split_once('(').is_some_and(|(_, behind)| behind.starts_with(name)) {
                sum = sum + Self::of_stat(&stat)?;
            }
        }
        Ok(sum)
    }

    fn of_stat(stat: &str) -> Result<Self> {
        // The command may hold blanks; behind its bracket the fields are plain, the first being number 3.
        let (_, fields) = stat.rsplit_once(')').context("a command in brackets")?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let seconds = |number: usize| fields[number - 3].parse::<f64>().map(|ticks| ticks / TICKS_PER_SECOND);
        Ok(Self { user: seconds(14)?, system: seconds(15)? })
    }
}

impl Sub for Cpu {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self { user: self.user - before.user, system: self.system - before.system }
    }
}

impl Add for Cpu {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { user: self.user + other.user, system: self.system + other.system }
    }
}

/// What all processors were busy with so far, in seconds: processes, the kernel's own threads, interrupts.
pub fn machine_busy() -> Result<f64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().context("a first line")?;
    let ticks: Vec<f64> = line.split_whitespace().skip(1).map(str::parse).collect::<Result<_, _>>()?;
    let [user, nice, system, _idle, _iowait, irq, softirq, ..] = ticks[..] else {
        anyhow::bail!("/proc/stat says {line}");
    };
    Ok((user + nice + system + irq + softirq) / TICKS_PER_SECOND)
}

/// `USER_HZ`, the same on every Linux that Ottla runs on.
const TICKS_PER_SECOND: f64 = 100.0;
