//! The topics that coordinators keep their state in: created on first use, and which partition a key belongs to.

use tracing::warn;

use crate::config::ConfigOverrides;
use crate::controller::{AdminError, Controller, NewTopic};
use crate::error::ErrorCode;
use crate::ids::{BrokerId, PartitionIndex};
use crate::metadata::{ImagePublisher, MetadataImage};

/// How an internal topic is created.
#[derive(Clone, Debug)]
pub struct InternalTopic {
    pub name: &'static str,
    pub partitions: i32,
    pub replication_factor: i16,
    pub configs: ConfigOverrides,
}

impl InternalTopic {
    /// The broker that coordinates `key`. The topic is created on first use.
    pub async fn find(
        &self,
        key: &str,
        metadata: &ImagePublisher,
        controller: &Controller,
    ) -> Result<BrokerId, ErrorCode> {
        self.ensure(metadata, controller).await?;
        self.coordinator_of(key, &metadata.current()).ok_or(ErrorCode::CoordinatorNotAvailable)
    }

    /// Creates the topic where it is not there.
    pub async fn ensure(&self, metadata: &ImagePublisher, controller: &Controller) -> Result<(), ErrorCode> {
        if metadata.current().topic(self.name).is_some() {
            return Ok(());
        }
        self.create(controller).await.map_err(|error| {
            warn!(topic = self.name, error = %error.message, "the topic cannot be created");
            ErrorCode::CoordinatorNotAvailable
        })
    }

    /// That somebody else created the topic first is as good.
    async fn create(&self, controller: &Controller) -> Result<(), AdminError> {
        let topic = NewTopic {
            name: self.name.to_owned(),
            partitions: self.partitions,
            replication_factor: self.replication_factor,
            configs: self.configs.clone(),
            ..NewTopic::default()
        };
        match controller.create_topics(vec![topic], false).await.pop() {
            Some(Err(error)) if error.code != ErrorCode::TopicAlreadyExists => Err(error),
            _ => Ok(()),
        }
    }

    /// The partition that holds what belongs to `key`: as in Kafka, by Java's hash of the text.
    pub fn partition_of(&self, key: &str, image: &MetadataImage) -> PartitionIndex {
        let partitions = image.topic(self.name).map_or(self.partitions, |topic| topic.partitions.len() as i32);
        java_hash(key).checked_abs().unwrap_or(0) % partitions.max(1)
    }

    /// The broker that coordinates `key`, if the topic is there and the partition has a leader.
    fn coordinator_of(&self, key: &str, image: &MetadataImage) -> Option<BrokerId> {
        image.topic(self.name)?.partition(self.partition_of(key, image))?.leader
    }
}

/// `String.hashCode` of the Java language: over UTF-16 units.
fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_hash_as_in_java() {
        assert_eq!(java_hash(""), 0);
        assert_eq!(java_hash("hello"), 99_162_322);
        assert_eq!(java_hash("polygenelubricants"), i32::MIN);
        assert_eq!(java_hash("größe𝄞"), 423_020_859);
        let topic =
            InternalTopic { name: "t", partitions: 50, replication_factor: 1, configs: ConfigOverrides::new() };
        assert_eq!(topic.partition_of("polygenelubricants", &MetadataImage::default()), 0);
        assert_eq!(topic.partition_of("hello", &MetadataImage::default()), 22);
    }
}
