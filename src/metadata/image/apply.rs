//! How an image follows the store.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::{
    ConfigImage, ConfigOverrides, ImageError, MAX_TOPIC_PARTITIONS, MetadataImage, PartitionImage, TopicImage,
};
use crate::ids::{BrokerId, PartitionIndex, TopicId, TopicName};
use crate::metadata::keys::{ConfigResource, Key, Keys};
use crate::metadata::quotas::QuotaImage;
use crate::metadata::store::{Event, EventBatch, KeyValue, Revision, printable};
use crate::metadata::values::{
    self, BrokerValue, ClusterIdValue, ConfigValue, ControllerValue, FeaturesValue, PartitionValue, TopicValue,
};

impl MetadataImage {
    /// The image of all keys under the prefix, as of `revision`; or the first value that makes no sense.
    pub fn build(keys: &Keys, revision: Revision, kvs: Vec<KeyValue>) -> Result<Self, ImageError> {
        let (image, problems) = Self::build_leniently(keys, revision, kvs);
        problems.into_iter().next().map_or(Ok(image), Err)
    }

    /// As [`MetadataImage::build`], but values that make no sense are left out and reported.
    pub fn build_leniently(keys: &Keys, revision: Revision, kvs: Vec<KeyValue>) -> (Self, Vec<ImageError>) {
        let events = kvs.into_iter().map(Event::Put).collect();
        Self::default().apply(keys, [EventBatch { revision, events }])
    }

    /// The image after some changes. A value that makes no sense is reported, and the one before it stays.
    pub fn apply(&self, keys: &Keys, batches: impl IntoIterator<Item = EventBatch>) -> (Self, Vec<ImageError>) {
        let mut next = self.clone();
        let mut problems = Vec::new();
        for batch in batches {
            for event in &batch.events {
                // Unknown keys belong to a newer version.
                let Some(key) = keys.decode(event.key()) else { continue };
                let result = match event {
                    Event::Put(kv) => next.put(key, kv),
                    Event::Delete { .. } => {
                        next.delete(key);
                        Ok(())
                    }
                };
                if let Err(problem) = result {
                    problems.push(ImageError { key: printable(event.key()), problem });
                }
            }
            next.revision = next.revision.max(batch.revision);
        }
        (next, problems)
    }

    fn put(&mut self, key: Key, kv: &KeyValue) -> Result<(), String> {
        match key {
            Key::ClusterId => self.cluster_id = parse::<ClusterIdValue>(kv)?.id.into(),
            Key::Broker(id) => {
                let broker = parse::<BrokerValue>(kv)?.into_image(id, kv)?;
                self.brokers.insert(id, Arc::new(broker));
            }
            Key::Controller => {
                self.controller = Some(BrokerId(parse::<ControllerValue>(kv)?.broker));
                self.controller_epoch = kv.create_revision;
            }
            Key::Topic(name) => self.put_topic(name, &parse(kv)?, kv.mod_revision)?,
            Key::Partition(topic, partition) => {
                let image = parse::<PartitionValue>(kv)?.into_image(kv.mod_revision)?;
                self.put_partition(topic, partition, image);
            }
            Key::Config(resource) => {
                let overrides: ConfigValue = parse(kv)?;
                self.show_topic_configs(&resource, &overrides);
                let config = ConfigImage { overrides, revision: kv.mod_revision };
                Arc::make_mut(&mut self.configs).insert(resource, config);
            }
            Key::Quota(entity) => {
                let quotas = QuotaImage { values: parse(kv)?, revision: kv.mod_revision };
                Arc::make_mut(&mut self.quotas).insert(entity, quotas);
            }
            Key::Features => self.features = parse::<FeaturesValue>(kv)?,
            // Blocks of ids are handed out by transactions alone, and what Kafka left open is looked for once; the others
            // are kept for later.
            Key::ProducerIds | Key::OpenTransactions | Key::Acl(_) | Key::User(..) | Key::Token(_) => {}
        }
        Ok(())
    }

    fn delete(&mut self, key: Key) {
        match key {
            Key::ClusterId => self.cluster_id = Arc::default(),
            Key::Broker(id) => {
                self.brokers.remove(&id);
            }
            Key::Controller => {
                self.controller = None;
                self.controller_epoch = Revision(0);
            }
            Key::Topic(name) => self.delete_topic(&name),
            Key::Partition(topic, partition) => self.delete_partition(topic, partition),
            Key::Config(resource) => {
                self.show_topic_configs(&resource, &ConfigOverrides::new());
                Arc::make_mut(&mut self.configs).remove(&resource);
            }
            Key::Quota(entity) => {
                Arc::make_mut(&mut self.quotas).remove(&entity);
            }
            Key::Features => self.features = FeaturesValue::new(),
            Key::ProducerIds | Key::OpenTransactions | Key::Acl(_) | Key::User(..) | Key::Token(_) => {}
        }
    }

    fn put_topic(&mut self, name: TopicName, value: &TopicValue, mod_revision: Revision) -> Result<(), String> {
        let id = value.id()?;
        if value.partitions < 1 || value.partitions > MAX_TOPIC_PARTITIONS {
            return Err(format!("{} partitions, where 1 to {MAX_TOPIC_PARTITIONS} may be", value.partitions));
        }
        if let Some(other) = self.topic_names.get(&id).filter(|other| **other != name) {
            return Err(format!("its id belongs to topic '{other}'"));
        }
        // The partitions are laid loose and picked up again: the same for a new topic and for a larger one.
        self.delete_topic(&name);
        let mut partitions = Vec::with_capacity(value.partitions as usize);
        self.change_loose(id, |loose| {
            let claimed = (0..value.partitions).map(|index| loose.remove(&index));
            partitions.extend(claimed.map(|found| found.unwrap_or_else(PartitionImage::hole)));
        });
        let configs = self.configs(&ConfigResource::Topic(name.clone())).clone();
        let topic = TopicImage { name: name.clone(), id, mod_revision, partitions, configs };
        Arc::make_mut(&mut self.topic_names).insert(id, name.clone());
        Arc::make_mut(&mut self.topics).insert(name, Arc::new(topic));
        Ok(())
    }

    fn delete_topic(&mut self, name: &TopicName) {
        if !self.topics.contains_key(name) {
            return;
        }
        let Some(topic) = Arc::make_mut(&mut self.topics).remove(name) else { return };
        Arc::make_mut(&mut self.topic_names).remove(&topic.id);
        self.change_loose(topic.id, |loose| {
            let left = topic.partitions().filter(|(_, image)| !image.is_hole());
            loose.extend(left.map(|(index, image)| (index, image.clone())));
        });
    }

    /// Lets `change` work on the loose partitions of one topic.
    fn change_loose(&mut self, topic: TopicId, change: impl FnOnce(&mut BTreeMap<PartitionIndex, PartitionImage>)) {
        let loose = Arc::make_mut(&mut self.loose);
        let mut partitions = loose.remove(&topic).unwrap_or_default();
        change(&mut partitions);
        if !partitions.is_empty() {
            loose.insert(topic, partitions);
        }
    }

    /// The place of a partition that its topic claims.
    fn claimed(&mut self, topic: TopicId, partition: PartitionIndex) -> Option<&mut PartitionImage> {
        let name = self.topic_names.get(&topic)?;
        let index = usize::try_from(partition).ok()?;
        if index >= self.topics.get(name)?.partitions.len() {
            return None;
        }
        let topic = Arc::make_mut(&mut self.topics).get_mut(name)?;
        Arc::make_mut(topic).partitions.get_mut(index)
    }

    fn put_partition(&mut self, topic: TopicId, partition: PartitionIndex, image: PartitionImage) {
        match self.claimed(topic, partition) {
            Some(place) => *place = image,
            None => self.change_loose(topic, |loose| {
                loose.insert(partition, image);
            }),
        }
    }

    fn delete_partition(&mut self, topic: TopicId, partition: PartitionIndex) {
        match self.claimed(topic, partition) {
            Some(place) => *place = PartitionImage::hole(),
            None => self.change_loose(topic, |loose| {
                loose.remove(&partition);
            }),
        }
    }

    fn show_topic_configs(&mut self, resource: &ConfigResource, overrides: &ConfigOverrides) {
        let ConfigResource::Topic(name) = resource else { return };
        if self.topics.contains_key(name)
            && let Some(topic) = Arc::make_mut(&mut self.topics).get_mut(name)
        {
            Arc::make_mut(topic).configs = overrides.clone();
        }
    }
}

fn parse<T: DeserializeOwned>(kv: &KeyValue) -> Result<T, String> {
    values::decode(&kv.value)
}
