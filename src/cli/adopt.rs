//! `ottla adopt`: what would be taken over from a Kafka that was stopped.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};

use super::args::{AdoptOptions, ConfigOptions};
use crate::adopt::Adoption;
use crate::adopt::report::Report;
use crate::broker::store_file;
use crate::config;
use crate::io::{Disk, RealDisk};
use crate::log::log_directory::LogDirectories;

pub(super) fn run(options: &ConfigOptions, adopt: &AdoptOptions, dry_run: bool, as_json: bool) -> anyhow::Result<()> {
    let config = config::load(&options.sources()?)?.config;
    let disk: Arc<dyn Disk> = RealDisk::new(1).context("cannot start a thread")?;
    for path in &config.log_dirs {
        if !disk.exists(path) {
            bail!("log directory {} is not there", path.display());
        }
    }
    let offline = |_: &Path, _: &str| {};
    let directories = LogDirectories::open(&disk, &config.log_dirs, config.node_id, offline)?;
    let found = Adoption::find(&disk, &config, &directories, &store_file(&config), adopt.wishes()?)?;
    let (Some(adoption), Some(first)) = (found, config.log_dirs.first()) else {
        bail!("there is nothing to take over: the log directories hold no Kafka's data, or are Ottla's already");
    };
    let report = Report(&adoption);
    let text = if as_json { format!("{:#}\n", report.json()) } else { report.to_string() };
    // The reader may have seen enough (`ottla adopt | head`).
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    if let Some(refusal) = adoption.refusal() {
        return Err(refusal.into());
    }
    if !dry_run {
        adoption.begin(&*disk, first)?;
    }
    Ok(())
}
