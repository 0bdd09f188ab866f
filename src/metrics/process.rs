//! What the operating system says about this process.

use metrics_process::collector;

use super::exposition::Exposition;
use super::names;

pub(crate) fn render(out: &mut Exposition) {
    let process = collector::collect();
    if let Some(seconds) = process.cpu_seconds_total {
        out.single(&names::CPU_SECONDS, seconds);
    }
    for (family, value) in [
        (&names::OPEN_FDS, process.open_fds),
        (&names::MAX_FDS, process.max_fds),
        (&names::VIRTUAL_MEMORY, process.virtual_memory_bytes),
        (&names::RESIDENT_MEMORY, process.resident_memory_bytes),
        (&names::START_TIME, process.start_time_seconds),
        (&names::THREADS, process.threads),
    ] {
        if let Some(value) = value {
            out.single(family, value);
        }
    }
    out.family(&names::BUILD_INFO);
    out.sample(&names::BUILD_INFO, &[("version", env!("CARGO_PKG_VERSION"))], 1);
}
