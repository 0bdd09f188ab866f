//! What the log cleaner is like at the moment of a scrape.

use super::exposition::Exposition;
use super::names;

/// The log cleaner; of rounds, the last one of each thread.
#[derive(Clone, Debug, Default)]
pub struct CleanerSnapshot {
    pub max_buffer_utilization_percent: f64,
    pub recopy_percent: f64,
    pub max_clean_time_secs: f64,
    pub max_compaction_delay_secs: f64,
    pub dead_threads: usize,
    pub max_dirty_percent: f64,
    pub time_since_last_run_ms: u64,
    pub uncleanable: Vec<UncleanableSnapshot>,
}

/// Logs of one directory that are no longer cleaned.
#[derive(Clone, Debug, Default)]
pub struct UncleanableSnapshot {
    pub log_directory: String,
    pub partitions: usize,
    pub bytes: u64,
}

impl CleanerSnapshot {
    /// As Kafka shows them, in whole numbers.
    pub(crate) fn render(&self, out: &mut Exposition) {
        out.single(&names::CLEANER_BUFFER_UTILIZATION, self.max_buffer_utilization_percent as i64);
        out.single(&names::CLEANER_RECOPY, self.recopy_percent as i64);
        out.single(&names::CLEANER_MAX_TIME, self.max_clean_time_secs as i64);
        out.single(&names::CLEANER_MAX_DELAY, self.max_compaction_delay_secs as i64);
        out.single(&names::CLEANER_DEAD_THREADS, self.dead_threads);
        out.single(&names::CLEANER_MAX_DIRTY, self.max_dirty_percent as i64);
        out.single(&names::CLEANER_TIME_SINCE_LAST_RUN, self.time_since_last_run_ms);
        out.family(&names::CLEANER_UNCLEANABLE_PARTITIONS);
        for one in &self.uncleanable {
            out.sample(
                &names::CLEANER_UNCLEANABLE_PARTITIONS,
                &[("logDirectory", &one.log_directory)],
                one.partitions,
            );
        }
        out.family(&names::CLEANER_UNCLEANABLE_BYTES);
        for one in &self.uncleanable {
            out.sample(&names::CLEANER_UNCLEANABLE_BYTES, &[("logDirectory", &one.log_directory)], one.bytes);
        }
    }
}
