//! What can be said on the command line.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};

use super::telemetry::LogOptions;
use crate::adopt::note::Wishes;
use crate::adopt::topic_configs;
use crate::config::Sources;

const AFTER_HELP: &str = "\
With nothing given, one node listens on localhost:9092 and keeps its data in ./ottla-data.

Settings are Kafka's keys. A later source wins over an earlier one: defaults, --config, environment, --set.
In the environment log.retention.ms is OTTLA_LOG_RETENTION_MS (or KAFKA_LOG_RETENTION_MS, as in Kafka's image): _ stands
for a dot, __ for an underscore, ___ for a dash.";

/// A Kafka-wire-compatible broker.
#[derive(Debug, Parser)]
#[command(name = "ottla", version, about, after_help = AFTER_HELP)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub options: ConfigOptions,

    #[command(flatten)]
    pub adopt: AdoptOptions,

    #[command(flatten)]
    pub log: LogOptions,

    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print every key with its value, its source and what it means, and exit.
    Config,

    /// Say what would be taken over from the Kafka that was stopped on these log directories, and what would not.
    ///
    /// Without --dry-run, --adopt-configs and --adopt-open are remembered: the next start takes over with them.
    Adopt {
        /// Leave everything as it is.
        #[arg(long)]
        dry_run: bool,

        /// For programs.
        #[arg(long)]
        json: bool,
    },

    /// Verify the log directories of a node that is stopped: 0 is sound, 1 is damaged, 2 is not to be checked.
    Check(CheckOptions),
}

/// How a Kafka's directory is taken over.
#[derive(Args, Debug)]
pub(super) struct AdoptOptions {
    /// What the topics of a Kafka with ZooKeeper are configured to: the output of `kafka-topics.sh --describe` or of
    /// `kafka-configs.sh --describe --entity-type topics`.
    #[arg(long, value_name = "FILE", global = true)]
    adopt_configs: Option<PathBuf>,

    /// Take a Kafka's directory over although its ACLs, users and tokens will restrict nobody.
    #[arg(long, global = true)]
    adopt_open: bool,
}

impl AdoptOptions {
    /// Reads the file.
    pub(super) fn wishes(&self) -> anyhow::Result<Wishes> {
        let read = |path: &PathBuf| -> anyhow::Result<_> {
            let text = crate::io::read_text(path).with_context(|| format!("cannot read {}", path.display()))?;
            topic_configs::parse(&text).with_context(|| path.display().to_string())
        };
        Ok(Wishes { topic_configs: self.adopt_configs.as_ref().map(read).transpose()?, open: self.adopt_open })
    }
}

/// What is verified, and what is done about it.
#[derive(Args, Debug)]
pub(super) struct CheckOptions {
    /// Log directories; without any, those of log.dirs.
    #[arg(value_name = "DIR")]
    pub directories: Vec<PathBuf>,

    /// Cut damaged logs as recovery would, and build anew what follows from the logs: indexes, snapshots, checkpoints.
    #[arg(long)]
    pub repair: bool,

    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,

    /// Partitions that are read at the same time; default: as many as there are processors, at least 4.
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
}

/// Where the configuration comes from.
#[derive(Args, Debug)]
pub(super) struct ConfigOptions {
    /// A server.properties file, Kafka's own or one like it.
    #[arg(long, value_name = "FILE", env = "OTTLA_CONFIG", global = true)]
    config: Option<PathBuf>,

    /// One setting; may be given several times.
    #[arg(long, value_name = "KEY=VALUE", global = true)]
    set: Vec<String>,
}

impl ConfigOptions {
    /// Reads the file and the environment.
    pub(super) fn sources(&self) -> anyhow::Result<Sources> {
        let file = match &self.config {
            Some(path) => {
                let text = crate::io::read_text(path)
                    .with_context(|| format!("cannot read configuration file {}", path.display()))?;
                Some((path.clone(), text))
            }
            None => None,
        };
        // A name or value that is no text can be no setting.
        let env = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Ok(Sources { file, env, set: self.set.clone() })
    }
}
