//! The topics that coordinators keep their state in: created on first use, and which partition a key belongs to.

use crate::config::ConfigOverrides;
use crate::controller::{AdminError, Controller, NewTopic};
use crate::error::ErrorCode;
use crate::ids::{BrokerId, PartitionIndex};
use crate::metadata::MetadataImage;

/// How an internal topic is created.
#[derive(Clone, Debug)]
pub struct InternalTopic {
    pub name: &'static str,
    pub partitions: i32,
    pub replication_factor: i16,
    pub configs: ConfigOverrides,
}

impl InternalTopic {
    /// Creates the topic; that somebody else did so first is as good.
    pub async fn create(&self, controller: &Controller) -> Result<(), AdminError> {
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

    pub fn exists(&self, image: &MetadataImage) -> bool {
        image.topic(self.name).is_some()
    }

    /// The partition that holds what belongs to `key`: as in Kafka, by Java's hash of the text.
    pub fn partition_of(&self, key: &str, image: &MetadataImage) -> PartitionIndex {
        let partitions = image.topic(self.name).map_or(self.partitions, |topic| topic.partitions.len() as i32);
        java_hash(key).checked_abs().unwrap_or(0) % partitions.max(1)
    }

    /// The broker that coordinates `key`, if the topic is there and the partition has a leader.
    pub fn coordinator_of(&self, key: &str, image: &MetadataImage) -> Option<BrokerId> {
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
