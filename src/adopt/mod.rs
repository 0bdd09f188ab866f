//! Taking over the data directory of a Kafka that was stopped.
//!
//! Owns: reading what Kafka left (its metadata log; before KRaft, the directories themselves), deciding what of it this
//! node takes over, saying so, and writing it into the metadata store.
//! Never does: touch a record. Logs are served as they lie; [`crate::log`] opens them.
//!
//! ```text
//!   __cluster_metadata-0 ─▶ metadata_log ─▶ KafkaMetadata* ─┐
//!   topic folders ────────▶ survey ─────────────────────────┼─▶ Plan* ─▶ report
//!   --adopt-configs ──────▶ topic_configs* ─▶ zookeeper* ───┘     └────▶ takeover ─▶ MetadataStore
//! ```
//! **Going back.** Until the first append, commit or change of metadata nothing of Kafka's is written or removed, and a
//! note says so ([`note`]): Kafka may be started on the directories again. Every start that finds the note takes over
//! anew. The first write takes Kafka's clean markers away, then the note ([`crate::log::first_write`]); from then on the
//! metadata store is in charge, and Kafka's metadata log lies there unread.

pub mod adopted_store;
pub mod kafka_metadata;
pub mod metadata_log;
pub mod metadata_records;
pub mod note;
pub mod plan;
pub mod report;
pub mod survey;
pub mod takeover;
pub mod topic_configs;
pub mod transactions;
pub mod zookeeper;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{BrokerConfig, MetadataKind};
use crate::ids::{TopicId, random_uuid};
use crate::io::Disk;
use crate::log::log_directory::LogDirectories;
use kafka_metadata::KafkaMetadata;
use metadata_log::{MetadataLog, MetadataLogError};
use note::Wishes;
use plan::{Plan, PlanError};
use survey::{Survey, SurveyError};

/// Why nothing is taken over: names what is in the way.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    #[error("Kafka's metadata can't be read: {0}")]
    MetadataLog(#[from] MetadataLogError),
    #[error(transparent)]
    Survey(#[from] SurveyError),
    #[error("Kafka's directory can't be taken over: {0}")]
    Plan(#[from] PlanError),
    #[error("{}: {source}", path.display())]
    Note { path: PathBuf, source: io::Error },
    #[error("{} and {} both hold a metadata log: name the right one in metadata.log.dir", first.display(), second.display())]
    TwoMetadataLogs { first: PathBuf, second: PathBuf },
    #[error(
        "{0} restrict who may do what, and Ottla has no security yet: everybody could do everything. Start with \
         --adopt-open to take the directory over all the same; what restricts is kept for later"
    )]
    Secured(String),
}

/// What a start takes over.
#[derive(Debug)]
pub struct Adoption {
    pub plan: Plan,
    /// Where the metadata is from, in words.
    pub source: String,
    pub cluster_id: String,
    pub wishes: Wishes,
}

impl Adoption {
    /// Looks for another broker's data that a start with this configuration is to take over; `None`: there is none, or
    /// the directories are this broker's own. Reads only.
    pub fn find(
        disk: &Arc<dyn Disk>,
        config: &BrokerConfig,
        directories: &LogDirectories,
        store_file: &Path,
        wishes: Wishes,
    ) -> Result<Option<Self>, AdoptError> {
        let Some(first) = config.log_dirs.first() else { return Ok(None) };
        let before =
            note::read(&**disk, first).map_err(|source| AdoptError::Note { path: note::path(first), source })?;
        let is_ours = before.is_none() && disk.exists(store_file);
        if config.metadata != MetadataKind::Embedded || is_ours {
            return Ok(None);
        }
        let wishes = wishes.or_before(before.unwrap_or_default());
        let survey = Survey::take(directories)?;
        let Some((kafka, source, notes)) = find_metadata(disk, config, directories, &survey, &wishes)? else {
            return Ok(None);
        };
        let mut plan = Plan::decide(config, kafka, &survey)?;
        plan.notes.splice(0..0, notes);
        let cluster_id = directories.cluster_id().unwrap_or_default().to_owned();
        Ok(Some(Self { plan, source, cluster_id, wishes }))
    }

    /// Why it must not happen, if it must not.
    pub fn refusal(&self) -> Option<AdoptError> {
        self.plan.security().filter(|_| !self.wishes.open).map(AdoptError::Secured)
    }

    /// Leaves the note in the first log directory: the store may come to be now.
    pub fn begin(&self, disk: &dyn Disk, first_log_dir: &Path) -> Result<(), AdoptError> {
        let noted = |source| AdoptError::Note { path: note::path(first_log_dir), source };
        note::write(disk, first_log_dir, &self.wishes).map_err(noted)
    }
}

type Found = (KafkaMetadata, String, Vec<String>);

fn find_metadata(
    disk: &Arc<dyn Disk>,
    config: &BrokerConfig,
    directories: &LogDirectories,
    survey: &Survey,
    wishes: &Wishes,
) -> Result<Option<Found>, AdoptError> {
    let mut found: Option<(PathBuf, MetadataLog)> = None;
    for path in metadata_dirs(config, directories) {
        let Some(log) = metadata_log::read(&**disk, &path)? else { continue };
        if let Some((first, _)) = found {
            return Err(AdoptError::TwoMetadataLogs { first, second: path });
        }
        found = Some((path, log));
    }
    if let Some((path, log)) = found {
        let mut notes = Vec::new();
        if log.torn_bytes > 0 {
            notes.push(format!(
                "{} bytes at the end of the metadata log are no whole batch and do not count",
                log.torn_bytes
            ));
        }
        if log.voters.len() > 1 {
            notes.push(format!("the metadata is as this node had it: its quorum had the voters {:?}", log.voters));
        }
        if wishes.topic_configs.is_some() {
            notes.push("--adopt-configs is not needed: the metadata log has the configurations".to_owned());
        }
        let source = format!("KRaft metadata up to offset {} in {}", log.end_offset, path.display());
        return Ok(Some((log.metadata, source, notes)));
    }
    let is_zookeepers = directories.online().iter().any(crate::log::log_directory::LogDirectory::is_zookeepers);
    if !is_zookeepers || survey.logs.is_empty() {
        return Ok(None);
    }
    let none = topic_configs::TopicConfigs::new();
    let configs = wishes.topic_configs.as_ref().unwrap_or(&none);
    let metadata = zookeeper::metadata(config.node_id, survey, configs, || TopicId(random_uuid()));
    let mut notes = vec![
        "ZooKeeper is not asked: that this node was in sync is taken for granted".to_owned(),
        "ZooKeeper had ACLs, SCRAM users, delegation tokens, quotas and settings of brokers: none is taken over"
            .to_owned(),
    ];
    if directories.cluster_id().is_none() {
        notes.push(
            "ZooKeeper had the cluster's id, which before Kafka 2.4 is on no disk: it gets a new one".to_owned(),
        );
    }
    if wishes.topic_configs.is_none() {
        notes.push(
            "ZooKeeper had the topics' configurations: all topics have the defaults unless --adopt-configs names a file"
                .to_owned(),
        );
    }
    Ok(Some((metadata, "the directories of a broker with ZooKeeper".to_owned(), notes)))
}

/// Where a metadata log may be: `metadata.log.dir`, or else any log directory.
fn metadata_dirs(config: &BrokerConfig, directories: &LogDirectories) -> Vec<PathBuf> {
    match config.value("metadata.log.dir").map(str::trim).filter(|path| !path.is_empty()) {
        Some(path) => vec![path.into()],
        None => directories.online().iter().map(|directory| directory.path().to_owned()).collect(),
    }
}
