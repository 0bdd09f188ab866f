//! How much is measured, as the command line says.

use clap::Args;

#[derive(Args, Clone, Copy, Debug)]
pub struct Scale {
    /// Recorded rounds of each load, client and broker
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Unrecorded rounds before them
    #[arg(long, default_value_t = 3)]
    pub warm_up: usize,
    /// The log in restart-size, cold-reads and check, in GB
    #[arg(long, default_value_t = 5)]
    pub gigabytes: u64,
    /// What a round of compaction cleans, in MB
    #[arg(long, default_value_t = 1000)]
    pub megabytes: u64,
    /// Partitions in restart-partitions and partitions
    #[arg(long, default_value_t = 10_000)]
    pub partitions: i32,
}
