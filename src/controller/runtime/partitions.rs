//! Elections and reassignments: changes of single partitions.

use std::collections::HashMap;

use tracing::info;

use super::{Controller, MAX_ATTEMPTS, too_contended};
use crate::config::BrokerConfig;
use crate::controller::AdminError;
use crate::controller::election::{ElectionType, elect};
use crate::controller::machine::{DirectoryLoad, assignment};
use crate::controller::reassignment::{cancel, reassign, replication_factor};
use crate::controller::steps::{Outcome, Step};
use crate::error::ErrorCode;
use crate::ids::{BrokerId, TopicId, TopicPartition};
use crate::metadata::keys::Key;
use crate::metadata::store::{Compare, Revision};
use crate::metadata::{MetadataImage, PartitionImage, TopicImage};

/// Where a partition shall go; no replicas: back, its reassignment is cancelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reassignment {
    pub partition: TopicPartition,
    pub replicas: Option<Vec<BrokerId>>,
    /// There may be more or fewer replicas than before.
    pub may_change_replication_factor: bool,
}

/// One result for each partition asked for, in order.
type Results = Vec<Result<(), AdminError>>;

/// What a partition becomes; none: it is so already.
type Decision = Result<Option<(TopicId, PartitionImage)>, AdminError>;

impl Controller {
    /// Elects leaders of these partitions, or of all that need one: those and what became of them.
    pub async fn elect_leaders(
        &self,
        kind: ElectionType,
        asked: Option<Vec<TopicPartition>>,
    ) -> Result<Vec<(TopicPartition, Result<(), AdminError>)>, AdminError> {
        let asked = match asked {
            Some(asked) => asked,
            None => in_need_of_leaders(&*self.image().await?, kind),
        };
        let decide = |image: &MetadataImage, number: usize| {
            let asked = &asked[number];
            let (topic, name) = (&asked.topic, &asked);
            let (topic, partition) = find(
                image,
                asked,
                || format!("No such topic as {topic}"),
                || format!("No such partition as {name}"),
            )?;
            let elected = elect(image, partition, kind).map_err(|code| AdminError::new(code, no_election(code)))?;
            info!(partition = %asked, leader = ?elected.leader, "leader elected");
            Ok(Some((topic.id, elected)))
        };
        let results = self.change_partitions(&asked, decide).await;
        Ok(asked.into_iter().zip(results).collect())
    }

    /// Begins, changes or cancels reassignments; one result for each, in order.
    /// `config` is what this broker was started with.
    pub async fn alter_reassignments(&self, asked: &[Reassignment], config: &BrokerConfig) -> Results {
        let partitions: Vec<TopicPartition> = asked.iter().map(|asked| asked.partition.clone()).collect();
        let may_elect_uncleanly = |image: &MetadataImage, topic: &TopicImage| {
            let broker = image.broker_configs(self.parts.broker_id);
            config.log_config(image.cluster_default_configs(), broker, &topic.configs).unclean_leader_election_enable
        };
        let decide =
            |image: &MetadataImage, number: usize| decide_reassignment(image, &asked[number], may_elect_uncleanly);
        self.change_partitions(&partitions, decide).await
    }

    /// Changes each partition to what `decide` makes of it; `decide` is asked again if somebody else was faster. A
    /// partition that is named again has the result of its first mention.
    async fn change_partitions(
        &self,
        asked: &[TopicPartition],
        decide: impl Fn(&MetadataImage, usize) -> Decision + Send + Sync,
    ) -> Results {
        let mut results: Results = asked.iter().map(|_| Err(too_contended())).collect();
        let mut first: HashMap<&TopicPartition, usize> = HashMap::with_capacity(asked.len());
        let mut open = Vec::with_capacity(asked.len());
        for (number, partition) in asked.iter().enumerate() {
            if *first.entry(partition).or_insert(number) == number {
                open.push(number);
            }
        }
        let mut last_written = Revision(0);
        for _ in 0..MAX_ATTEMPTS {
            if open.is_empty() {
                break;
            }
            let Some(image) = self.image_for(&open, &mut results).await else { break };
            let (mut steps, mut stepped) = (Vec::new(), Vec::new());
            for number in std::mem::take(&mut open) {
                match decide(&image, number) {
                    Ok(Some((topic, after))) => {
                        steps.push(self.change_step(&image, topic, &asked[number], &after));
                        stepped.push(number);
                    }
                    Ok(None) => results[number] = Ok(()),
                    Err(error) => results[number] = Err(error),
                }
            }
            for (number, outcome) in stepped.into_iter().zip(self.run(steps).await) {
                match outcome {
                    Outcome::Done(revision) => {
                        last_written = last_written.max(revision);
                        results[number] = Ok(());
                    }
                    Outcome::Conflict => open.push(number),
                    Outcome::Failed(error) => results[number] = Err(error.into()),
                }
            }
        }
        self.shown(last_written).await;
        asked.iter().map(|partition| results[first[partition]].clone()).collect()
    }

    fn change_step(
        &self,
        image: &MetadataImage,
        topic: TopicId,
        partition: &TopicPartition,
        after: &PartitionImage,
    ) -> Step {
        // The epoch that was decided on travels with the image that was changed.
        let unchanged =
            Compare::ModRevision(self.key(&Key::Partition(topic, partition.partition)), after.partition_epoch);
        let mut compares = self.compare_registrations(image, std::slice::from_ref(after));
        compares.push(unchanged);
        Step { compares, operations: vec![self.put_partition(topic, partition.partition, after)] }
    }
}

fn find<'a>(
    image: &'a MetadataImage,
    asked: &TopicPartition,
    no_topic: impl FnOnce() -> String,
    no_partition: impl FnOnce() -> String,
) -> Result<(&'a TopicImage, &'a PartitionImage), AdminError> {
    let unknown = |message| AdminError::new(ErrorCode::UnknownTopicOrPartition, message);
    let topic = image.topic(&asked.topic).ok_or_else(|| unknown(no_topic()))?;
    let partition = topic.partition(asked.partition).ok_or_else(|| unknown(no_partition()))?;
    Ok((topic, partition))
}

/// Kafka's words for why there is no election.
fn no_election(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::ElectionNotNeeded => "Leader election not needed for topic partition.",
        ErrorCode::PreferredLeaderNotAvailable => "The preferred leader was not available.",
        ErrorCode::EligibleLeadersNotAvailable => "Eligible topic partition leaders are not available.",
        _ => "The server experienced an unexpected error when processing the request.",
    }
}

fn in_need_of_leaders(image: &MetadataImage, kind: ElectionType) -> Vec<TopicPartition> {
    let all =
        image.topics().flat_map(|topic| topic.partitions().map(move |(index, partition)| (topic, index, partition)));
    let in_need = all.filter(|(_, _, partition)| elect(image, partition, kind) != Err(ErrorCode::ElectionNotNeeded));
    in_need.map(|(topic, index, _)| TopicPartition::new(std::sync::Arc::clone(&topic.name), index)).collect()
}

fn decide_reassignment(
    image: &MetadataImage,
    asked: &Reassignment,
    may_elect_uncleanly: impl Fn(&MetadataImage, &TopicImage) -> bool,
) -> Decision {
    let TopicPartition { topic: name, partition: number } = &asked.partition;
    let no_topic = || format!("Unable to find a topic named {name}.");
    let no_partition = || format!("Unable to find partition {name}:{number}.");
    let (topic, partition) = find(image, &asked.partition, no_topic, no_partition)?;
    let Some(target) = &asked.replicas else {
        let cancelled = cancel(image, partition, || may_elect_uncleanly(image, topic))?;
        info!(partition = %asked.partition, replicas = ?cancelled.replicas, "reassignment cancelled");
        return Ok(Some((topic.id, cancelled)));
    };
    assignment::check(image, target, None)?;
    let before = replication_factor(partition);
    if target.len() != before && !asked.may_change_replication_factor {
        let message = format!("The replication factor is changed from {before} to {}", target.len());
        return Err(AdminError::new(ErrorCode::InvalidReplicationFactor, message));
    }
    let mut directories = DirectoryLoad::of(image);
    let reassigned = reassign(image, partition, target, |broker| directories.least_loaded(image, broker));
    if reassigned.is_some() {
        info!(partition = %asked.partition, replicas = ?target, "partition is reassigned");
    }
    Ok(reassigned.map(|reassigned| (topic.id, reassigned)))
}
