//! The metadata image as consumer groups look at it.

use std::collections::BTreeMap;

use super::consumer::{Topics, topic_hash};
use crate::ids::{BrokerId, PartitionIndex, TopicId, TopicName};
use crate::metadata::MetadataImage;

/// The topics of one image.
pub(super) struct ImageTopics<'a>(pub(super) &'a MetadataImage);

impl ImageTopics<'_> {
    /// Brokers that say where they stand; most clusters have none.
    fn racks(&self) -> BTreeMap<BrokerId, &str> {
        let brokers = self.0.brokers.values();
        brokers.filter_map(|broker| Some((broker.id, broker.rack.as_deref()?))).collect()
    }
}

impl Topics for ImageTopics<'_> {
    fn id(&self, name: &str) -> Option<TopicId> {
        Some(self.0.topic(name)?.id)
    }

    fn name(&self, id: TopicId) -> Option<TopicName> {
        Some(self.0.topic_by_id(id)?.name.clone())
    }

    fn partition_count(&self, id: TopicId) -> Option<PartitionIndex> {
        Some(self.0.topic_by_id(id)?.partitions.len() as PartitionIndex)
    }

    fn hash(&self, name: &str) -> Option<i64> {
        let topic = self.0.topic(name)?;
        let racks = self.racks();
        let racks_of = |partition| {
            if racks.is_empty() {
                return Vec::new();
            }
            let replicas = topic.partition(partition).map_or(&[][..], |partition| &partition.replicas);
            replicas.iter().filter_map(|broker| racks.get(broker).copied()).collect()
        };
        Some(topic_hash(topic.id, name, topic.partitions.len() as PartitionIndex, racks_of))
    }

    fn names(&self) -> Box<dyn Iterator<Item = &TopicName> + '_> {
        Box::new(self.0.topics().map(|topic| &topic.name))
    }

    fn version(&self) -> i64 {
        self.0.revision.0
    }
}
