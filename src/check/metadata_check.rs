//! What the metadata says of the topics, and what several directories and partitions must agree on.

use std::collections::BTreeMap;
use std::io;

use super::Compaction;
use super::directory_check::DirectoryFacts;
use super::finding::{Finding, Kind, Level};
use super::partition_check::PartitionFacts;
use crate::config::{BrokerConfig, ConfigOverrides, LogConfig};
use crate::ids::{BrokerId, DirectoryId, TopicId, TopicPartition};
use crate::io::Disk;
use crate::log::meta_properties::META_PROPERTIES_FILE;
use crate::log::partition_metadata::PARTITION_METADATA_FILE;
use crate::metadata::{EmbeddedStore, Keys, MetadataImage, OpenError};

/// The embedded store's file, and the name of its one cluster.
const EMBEDDED_FILE: &str = "ottla.redb";
const CLUSTER_NAME: &str = "default";
/// Topics that are compacted whatever the configuration says.
const COMPACTED_TOPICS: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__share_group_state"];

/// The metadata of an embedded store.
pub(super) struct Metadata {
    image: MetadataImage,
    /// Whose directories these are, where that can be read.
    node_id: Option<BrokerId>,
}

/// What it says of a partition's topic.
#[derive(Clone, Copy, Debug)]
pub(super) struct TopicFacts {
    /// `None`: it does not know the topic.
    pub(super) id: Option<TopicId>,
    pub(super) compaction: Compaction,
    /// This node has a replica of the partition.
    pub(super) is_served: bool,
}

impl Metadata {
    /// The store of the first directory that has one.
    pub(super) fn read(disk: &dyn Disk, directories: &mut [DirectoryFacts]) -> io::Result<Option<Self>> {
        let node_id = directories.iter().find_map(|directory| directory.meta.as_ref()?.node_id);
        for directory in directories {
            let path = directory.path.join(EMBEDDED_FILE);
            if !disk.exists(&path) {
                continue;
            }
            match EmbeddedStore::inspect(disk, &path) {
                Ok((revision, kvs)) => {
                    let (image, errors) = MetadataImage::build_leniently(&Keys::new(CLUSTER_NAME), revision, kvs);
                    for error in errors {
                        let finding = Finding::damage(Kind::MetadataStore, &path, error.to_string());
                        directory.findings.push(finding);
                    }
                    return Ok(Some(Self { image, node_id }));
                }
                Err(OpenError::Io { source, .. }) => return Err(source),
                Err(error) => {
                    directory.findings.push(Finding::damage(Kind::MetadataStore, &path, error.to_string()));
                }
            }
        }
        Ok(None)
    }

    pub(super) fn topic(&self, partition: &TopicPartition, config: &BrokerConfig) -> TopicFacts {
        let Some(topic) = self.image.topic(&partition.topic) else {
            return TopicFacts { id: None, compaction: by_name(&partition.topic), is_served: false };
        };
        let is_compacted = self.log_config(partition, config).cleanup_policy.compact
            || by_name(&partition.topic) == Compaction::Applied;
        TopicFacts {
            id: Some(topic.id),
            compaction: if is_compacted { Compaction::Applied } else { Compaction::Never },
            is_served: self.is_served(partition),
        }
    }

    fn is_served(&self, partition: &TopicPartition) -> bool {
        let Some(node_id) = self.node_id else { return true };
        self.image.partition(partition).is_some_and(|partition| partition.replicas.contains(&node_id))
    }

    /// What the partition's log goes by.
    pub(super) fn log_config(&self, partition: &TopicPartition, config: &BrokerConfig) -> LogConfig {
        let none = ConfigOverrides::new();
        let topic = self.image.topic(&partition.topic).map_or(&none, |topic| &topic.configs);
        let broker = self.node_id.map_or(&none, |node_id| self.image.broker_configs(node_id));
        config.log_config(self.image.cluster_default_configs(), broker, topic)
    }

    /// Where this node's replica of a partition is said to lie.
    fn directory_of(&self, partition: &TopicPartition) -> Option<DirectoryId> {
        let placed = self.image.partition(partition)?.directory_of(self.node_id?);
        (placed != DirectoryId::default()).then_some(placed)
    }
}

/// What a topic's name alone tells.
pub(super) fn by_name(topic: &str) -> Compaction {
    if COMPACTED_TOPICS.contains(&topic) { Compaction::Applied } else { Compaction::Unknown }
}

/// All directories are of one node and one cluster, and each is another.
pub(super) fn compare_directories(directories: &mut [DirectoryFacts], metadata: Option<&Metadata>) {
    let first = directories.iter().find_map(|directory| directory.meta.clone());
    let cluster = metadata.map(|metadata| metadata.image.cluster_id.to_string()).filter(|id| !id.is_empty());
    let mut seen: Vec<DirectoryId> = Vec::new();
    for directory in directories {
        let (Some(meta), Some(first)) = (directory.meta.clone(), &first) else { continue };
        let path = directory.path.join(META_PROPERTIES_FILE);
        let mut tell = |what: String| directory.findings.push(Finding::damage(Kind::MetaProperties, &path, what));
        let expected = cluster.as_ref().or(first.cluster_id.as_ref());
        if let (Some(found), Some(expected)) = (&meta.cluster_id, expected)
            && found != expected
        {
            tell(format!("cluster.id {found}, where the metadata or another directory has {expected}"));
        }
        if meta.node_id != first.node_id {
            tell("node.id is not that of another directory".to_owned());
        }
        let Some(id) = meta.directory_id else { continue };
        if seen.contains(&id) {
            tell(format!("directory.id {id} is that of another directory"));
        }
        seen.push(id);
        let placed = |(partition, _, is_future): &(TopicPartition, _, bool)| {
            if *is_future { None } else { metadata?.directory_of(partition) }
        };
        let placed: Vec<_> = directory.folders.iter().filter_map(placed).collect();
        if let Some(expected) = placed.first()
            && !placed.contains(&id)
        {
            tell(format!("directory.id {id}, where the metadata has the partitions here in {expected}"));
        }
    }
}

/// All partitions of a topic have its id. Where the metadata knows none, the most count.
pub(super) fn compare_topic_ids(partitions: &mut [Vec<PartitionFacts>]) {
    let mut votes: BTreeMap<String, BTreeMap<TopicId, usize>> = BTreeMap::new();
    for facts in partitions.iter().flatten().filter(|facts| facts.place.topic_id.is_none()) {
        if let Some(id) = facts.topic_id {
            *votes.entry(facts.place.partition.topic.to_string()).or_default().entry(id).or_default() += 1;
        }
    }
    for facts in partitions.iter_mut().flatten() {
        let Some(ids) = votes.get(&*facts.place.partition.topic) else { continue };
        let most = ids.iter().max_by_key(|(_, count)| **count).map(|(id, _)| *id);
        if facts.place.topic_id.is_none() {
            facts.place.topic_id = most;
        }
        let (Some(found), Some(expected)) = (facts.topic_id, facts.place.topic_id) else { continue };
        if found != expected && ids.contains_key(&found) {
            let path = facts.place.folder.join(PARTITION_METADATA_FILE);
            let what = format!("topic id {found}, where other partitions of the topic have {expected}");
            let finding = Finding::damage(Kind::PartitionMetadata, &path, what);
            facts.findings.push(finding.of(&facts.place.partition));
        }
    }
}

/// A partition lies in one directory only.
pub(super) fn find_twins(directories: &mut [DirectoryFacts]) {
    let mut seen = BTreeMap::new();
    for directory in directories {
        for (partition, folder, _) in directory.folders.iter().filter(|(_, _, is_future)| !is_future) {
            if let Some(first) = seen.insert(partition.clone(), folder.clone()) {
                let what = format!("it lies in {} too: one of them has to go", first.display());
                let finding = Finding::new(Level::Damage, Kind::Partition, folder, what).of(partition);
                directory.findings.push(finding);
            }
        }
    }
}
