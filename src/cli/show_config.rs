//! `ottla config`: every key, its value, where it comes from, what it means.

use std::io::Write;

use super::args::ConfigOptions;
use crate::config;

pub(super) fn run(options: &ConfigOptions) -> anyhow::Result<()> {
    let loaded = config::load(&options.sources()?)?;
    let mut stdout = std::io::stdout().lock();
    for line in config::show(&loaded.config) {
        if writeln!(stdout, "{line}").is_err() {
            // The reader has seen enough (`ottla config | head`).
            break;
        }
    }
    Ok(())
}
