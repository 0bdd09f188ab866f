//! Creating, enlarging and deleting topics.
//!
//! Partitions are written first, in batches; a topic comes to be with its own key, and only then do partitions
//! count that it claims. Deletion goes the other way round. What a crash leaves half done is partitions that no
//! topic claims: they are collected at the next start.

use std::collections::{BTreeSet, HashMap, HashSet};

use tracing::{info, warn};

use super::{Controller, MAX_ATTEMPTS, too_contended};
use crate::controller::AdminError;
use crate::controller::machine::{
    CreatedTopic, NewPartitions, NewTopic, TopicNames, TopicPlan, TopicRef, check_request, plan_partitions,
    plan_topic,
};
use crate::controller::steps::{Outcome, Step};
use crate::error::ErrorCode;
use crate::ids::{PartitionIndex, TopicId, TopicName};
use crate::metadata::keys::{ConfigResource, Key};
use crate::metadata::store::{Compare, Operation, Revision, Txn};
use crate::metadata::values::{self, PartitionValue, TopicValue};
use crate::metadata::{MetadataImage, PartitionImage, TopicImage};

/// A topic that was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedTopic {
    pub name: TopicName,
    pub id: TopicId,
}

impl Controller {
    /// Creates topics, each as a whole or not at all; one result for each, in order. With `validate_only` only
    /// says what would be.
    pub async fn create_topics(
        &self,
        topics: Vec<NewTopic>,
        validate_only: bool,
    ) -> Vec<Result<CreatedTopic, AdminError>> {
        if let Err(error) = check_request(&topics, self.parts.defaults) {
            return topics.iter().map(|_| Err(error.clone())).collect();
        }
        let mut results: Vec<Result<CreatedTopic, AdminError>> =
            topics.iter().map(|_| Err(too_contended())).collect();
        let mut open: Vec<usize> = refuse_duplicates(&topics, &mut results);
        let mut last_written = Revision(0);
        for _ in 0..MAX_ATTEMPTS {
            if open.is_empty() {
                break;
            }
            let Some(image) = self.image_for(&open, &mut results).await else { break };
            let plans = self.plan_topics(&image, &topics, &open, &mut results);
            if validate_only {
                for (number, plan) in plans {
                    results[number] = Ok(plan.describe());
                }
                break;
            }
            open = self.write_topics(&image, plans, &mut results, &mut last_written).await;
        }
        self.shown(last_written).await;
        results
    }

    fn plan_topics(
        &self,
        image: &MetadataImage,
        topics: &[NewTopic],
        open: &[usize],
        results: &mut [Result<CreatedTopic, AdminError>],
    ) -> Vec<(usize, TopicPlan)> {
        let names = TopicNames::of(image);
        let mut plans = Vec::with_capacity(open.len());
        for &number in open {
            let id = self.new_topic_id();
            let mut random = self.random.lock();
            match plan_topic(image, &names, &topics[number], id, self.parts.defaults, &mut *random) {
                Ok(plan) => plans.push((number, plan)),
                Err(error) => results[number] = Err(error),
            }
        }
        plans
    }

    /// Writes what is planned; the numbers of the topics that have to be planned anew.
    async fn write_topics(
        &self,
        image: &MetadataImage,
        mut plans: Vec<(usize, TopicPlan)>,
        results: &mut [Result<CreatedTopic, AdminError>],
        last_written: &mut Revision,
    ) -> Vec<usize> {
        let mut steps = Vec::new();
        let mut owners = Vec::new();
        for (position, (_, plan)) in plans.iter().enumerate() {
            for (partition, image) in (0..).zip(&plan.partitions) {
                steps
                    .push(Step { compares: vec![], operations: vec![self.put_partition(plan.id, partition, image)] });
                owners.push(position);
            }
        }
        let mut failed = HashMap::new();
        for (position, outcome) in owners.into_iter().zip(self.run(steps).await) {
            if let Outcome::Failed(error) = outcome {
                failed.insert(position, error);
            }
        }
        for (position, error) in &failed {
            let (number, _) = plans[*position];
            results[number] = Err(error.clone().into());
        }
        let mut position = 0..;
        plans.retain(|_| position.next().is_none_or(|position| !failed.contains_key(&position)));

        let commits = plans.iter().map(|(_, plan)| self.commit_topic(image, plan)).collect();
        let mut again = Vec::new();
        let mut abandoned = Vec::new();
        for ((number, plan), outcome) in plans.into_iter().zip(self.run(commits).await) {
            match outcome {
                Outcome::Done(revision) => {
                    *last_written = (*last_written).max(revision);
                    info!(topic = plan.name, id = %plan.id, partitions = plan.partitions.len(), "topic created");
                    results[number] = Ok(plan.describe());
                }
                Outcome::Conflict => {
                    again.push(number);
                    abandoned.push((plan.id, plan.partitions.len() as i32));
                }
                Outcome::Failed(error) => results[number] = Err(error.into()),
            }
        }
        self.delete_partitions(abandoned).await;
        again
    }

    pub(super) fn put_partition(
        &self,
        topic: TopicId,
        partition: PartitionIndex,
        image: &PartitionImage,
    ) -> Operation {
        let key = self.key(&Key::Partition(topic, partition));
        Operation::put(key, values::encode(&PartitionValue::from(image)))
    }

    /// The step that makes a topic of partitions. It holds if the name is free and each broker that is to have a
    /// replica is still the one that was planned with.
    fn commit_topic(&self, image: &MetadataImage, plan: &TopicPlan) -> Step {
        let topic_key = self.key(&Key::Topic(plan.name.as_str().into()));
        let mut compares = self.compare_registrations(image, &plan.partitions);
        compares.push(Compare::Absent(topic_key.clone()));
        let topic = TopicValue { id: plan.id.to_string(), partitions: plan.partitions.len() as i32 };
        let configs_key = self.key(&Key::Config(ConfigResource::Topic(plan.name.as_str().into())));
        let configs = if plan.configs.is_empty() {
            Operation::delete(configs_key)
        } else {
            Operation::put(configs_key, values::encode(&plan.configs))
        };
        Step { compares, operations: vec![Operation::put(topic_key, values::encode(&topic)), configs] }
    }

    pub(super) fn compare_registrations(&self, image: &MetadataImage, partitions: &[PartitionImage]) -> Vec<Compare> {
        let replicas: BTreeSet<_> = partitions.iter().flat_map(|partition| &partition.replicas).collect();
        let registered = replicas.into_iter().filter_map(|&id| image.broker(id));
        let compare = |broker: &crate::metadata::BrokerImage| {
            Compare::CreateRevision(self.key(&Key::Broker(broker.id)), Revision(broker.epoch.0))
        };
        registered.map(|broker| compare(broker)).collect()
    }

    /// Enlarges a topic.
    pub async fn create_partitions(&self, new: &NewPartitions, validate_only: bool) -> Result<(), AdminError> {
        for _ in 0..MAX_ATTEMPTS {
            let image = self.image().await?;
            let topic = image.topic(&new.topic);
            let topic = topic.ok_or_else(|| AdminError::wordless(ErrorCode::UnknownTopicOrPartition))?;
            let partitions = plan_partitions(&image, topic, new, &mut *self.random.lock())?;
            if validate_only {
                return Ok(());
            }
            if let Some(revision) = self.write_partitions(&image, topic, &partitions).await? {
                info!(topic = new.topic, partitions = new.count, "partitions created");
                self.shown(revision).await;
                return Ok(());
            }
        }
        Err(too_contended())
    }

    /// `None`: the topic is not what was planned with. Every write compares it: a late one must not touch
    /// partitions that live already.
    async fn write_partitions(
        &self,
        image: &MetadataImage,
        topic: &TopicImage,
        partitions: &[PartitionImage],
    ) -> Result<Option<Revision>, AdminError> {
        let key = self.key(&Key::Topic(topic.name.clone()));
        let unchanged = Compare::ModRevision(key.clone(), topic.mod_revision);
        let first = topic.partitions.len() as i32;
        let steps = (first..).zip(partitions).map(|(partition, image)| Step {
            compares: vec![unchanged.clone()],
            operations: vec![self.put_partition(topic.id, partition, image)],
        });
        for outcome in self.run(steps.collect()).await {
            match outcome {
                Outcome::Done(_) => {}
                Outcome::Conflict => return Ok(None),
                Outcome::Failed(error) => return Err(error.into()),
            }
        }
        let mut compares = self.compare_registrations(image, partitions);
        compares.push(unchanged);
        let larger = TopicValue { id: topic.id.to_string(), partitions: first + partitions.len() as i32 };
        let response = self.txn(Txn::when(compares, vec![Operation::put(key, values::encode(&larger))])).await?;
        Ok(response.succeeded.then_some(response.revision))
    }

    /// Deletes topics; one result for each, in order.
    pub async fn delete_topics(&self, topics: Vec<TopicRef>) -> Vec<Result<DeletedTopic, AdminError>> {
        let mut results: Vec<Result<DeletedTopic, AdminError>> =
            topics.iter().map(|_| Err(too_contended())).collect();
        let mut open: Vec<usize> = (0..topics.len()).collect();
        let mut last_written = Revision(0);
        for _ in 0..MAX_ATTEMPTS {
            if open.is_empty() {
                break;
            }
            let Some(image) = self.image_for(&open, &mut results).await else { break };
            let mut doomed = Vec::new();
            // A topic may be named twice, by its name and its id.
            let mut seen = HashMap::new();
            for number in std::mem::take(&mut open) {
                match find(&image, &topics[number]) {
                    Ok(topic) => match seen.get(&topic.id) {
                        None => {
                            seen.insert(topic.id, number);
                            doomed.push((number, topic));
                        }
                        Some(_) => results[number] = Err(unknown_topic()),
                    },
                    Err(error) => results[number] = Err(error),
                }
            }
            let steps = doomed.iter().map(|(_, topic)| self.forget_topic(topic)).collect();
            let mut orphaned = Vec::new();
            for ((number, topic), outcome) in doomed.into_iter().zip(self.run(steps).await) {
                match outcome {
                    Outcome::Done(revision) => {
                        last_written = last_written.max(revision);
                        info!(topic = %topic.name, id = %topic.id, "topic deleted");
                        orphaned.push((topic.id, topic.partitions.len() as i32));
                        results[number] = Ok(DeletedTopic { name: topic.name.clone(), id: topic.id });
                    }
                    Outcome::Conflict => open.push(number),
                    Outcome::Failed(error) => results[number] = Err(error.into()),
                }
            }
            self.delete_partitions(orphaned).await;
        }
        self.shown(last_written).await;
        results
    }

    fn forget_topic(&self, topic: &TopicImage) -> Step {
        let key = self.key(&Key::Topic(topic.name.clone()));
        let configs_key = self.key(&Key::Config(ConfigResource::Topic(topic.name.clone())));
        Step {
            compares: vec![Compare::ModRevision(key.clone(), topic.mod_revision)],
            operations: vec![Operation::delete(key), Operation::delete(configs_key)],
        }
    }

    /// Deletes partitions that no topic claims. If it fails they are collected at the next start.
    async fn delete_partitions(&self, topics: Vec<(TopicId, PartitionIndex)>) {
        let keys = topics.into_iter().flat_map(|(id, count)| (0..count).map(move |n| Key::Partition(id, n)));
        let delete = |key| Step { compares: vec![], operations: vec![Operation::delete(self.key(&key))] };
        let outcomes = self.run(keys.map(delete).collect()).await;
        if let Some(Outcome::Failed(error)) = outcomes.iter().find(|outcome| matches!(outcome, Outcome::Failed(_))) {
            warn!(%error, "partitions of a deleted topic are left in the metadata store");
        }
    }

    /// Deletes the partitions that no topic claims; how many. Only while no topic is being created or enlarged: at
    /// the start, before requests are served.
    pub async fn collect_orphans(&self) -> Result<usize, AdminError> {
        let image = self.image().await?;
        let steps = image.loose_partitions().map(|(topic, partition, image)| {
            let key = self.key(&Key::Partition(topic, partition));
            Step {
                compares: vec![Compare::ModRevision(key.clone(), image.partition_epoch)],
                operations: vec![Operation::delete(key)],
            }
        });
        let mut collected = 0;
        for outcome in self.run(steps.collect()).await {
            match outcome {
                Outcome::Done(_) => collected += 1,
                Outcome::Conflict => {}
                Outcome::Failed(error) => return Err(error.into()),
            }
        }
        if collected > 0 {
            info!(partitions = collected, "collected partitions that no topic claims");
        }
        Ok(collected)
    }
}

/// All topics whose names are there but once; the others are refused, each of them.
fn refuse_duplicates(topics: &[NewTopic], results: &mut [Result<CreatedTopic, AdminError>]) -> Vec<usize> {
    let mut seen = HashSet::new();
    let twice: HashSet<&str> = topics.iter().map(|topic| &*topic.name).filter(|name| !seen.insert(*name)).collect();
    let mut open = Vec::with_capacity(topics.len());
    for (number, topic) in topics.iter().enumerate() {
        if twice.contains(&*topic.name) {
            results[number] = Err(AdminError::new(ErrorCode::InvalidRequest, "Duplicate topic name."));
        } else {
            open.push(number);
        }
    }
    open
}

fn find<'a>(image: &'a MetadataImage, topic: &TopicRef) -> Result<&'a TopicImage, AdminError> {
    match topic {
        TopicRef::Name(name) => image.topic(name).map(|topic| &**topic).ok_or_else(unknown_topic),
        TopicRef::Id(id) => image
            .topic_by_id(*id)
            .map(|topic| &**topic)
            .ok_or_else(|| AdminError::new(ErrorCode::UnknownTopicId, "This server does not host this topic ID.")),
    }
}

fn unknown_topic() -> AdminError {
    let message = "This server does not host this topic-partition.";
    AdminError::new(ErrorCode::UnknownTopicOrPartition, message)
}
