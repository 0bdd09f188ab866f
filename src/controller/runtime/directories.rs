//! Where this broker's replicas lie: written down when a log turns out to be in another directory (KIP-858).

use tracing::info;

use super::{Controller, MAX_ATTEMPTS, too_contended};
use crate::controller::AdminError;
use crate::controller::steps::{Outcome, Step};
use crate::ids::{DirectoryId, PartitionIndex, TopicId};
use crate::metadata::PartitionImage;
use crate::metadata::keys::Key;
use crate::metadata::store::{Compare, Revision};

/// The log directory of this broker's replica of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectoryAssignment {
    pub topic: TopicId,
    pub partition: PartitionIndex,
    pub directory: DirectoryId,
}

impl Controller {
    /// Writes down where replicas of this broker lie. What is known already, and partitions that are gone, are passed
    /// over; says how many changed.
    pub async fn assign_directories(&self, places: &[DirectoryAssignment]) -> Result<usize, AdminError> {
        let mut open = places.to_vec();
        let (mut assigned, mut last_written) = (0, Revision(0));
        for _ in 0..MAX_ATTEMPTS {
            if open.is_empty() {
                break;
            }
            let image = self.image().await?;
            let (mut steps, mut stepped) = (Vec::new(), Vec::new());
            for place in std::mem::take(&mut open) {
                let topic = image.topic_by_id(place.topic);
                let partition = topic.and_then(|topic| topic.partition(place.partition));
                if let Some(moved) = partition.and_then(|partition| self.placed(partition, place.directory)) {
                    let key = self.key(&Key::Partition(place.topic, place.partition));
                    steps.push(Step {
                        compares: vec![Compare::ModRevision(key, moved.partition_epoch)],
                        operations: vec![self.put_partition(place.topic, place.partition, &moved)],
                    });
                    stepped.push(place);
                }
            }
            for (place, outcome) in stepped.into_iter().zip(self.run(steps).await) {
                match outcome {
                    Outcome::Done(revision) => {
                        last_written = last_written.max(revision);
                        assigned += 1;
                    }
                    Outcome::Conflict => open.push(place),
                    Outcome::Failed(error) => return Err(error.into()),
                }
            }
        }
        if !open.is_empty() {
            return Err(too_contended());
        }
        if assigned > 0 {
            info!(partitions = assigned, "wrote down which log directories hold replicas");
        }
        self.shown(last_written).await;
        Ok(assigned)
    }

    /// The partition with this broker's replica in `directory`; `None`: it is so already, or there is no replica.
    fn placed(&self, partition: &PartitionImage, directory: DirectoryId) -> Option<PartitionImage> {
        let at = partition.replicas.iter().position(|&replica| replica == self.parts.broker_id)?;
        if partition.directory_of(self.parts.broker_id) == directory {
            return None;
        }
        let mut moved = partition.clone();
        moved.directories.resize(moved.replicas.len(), DirectoryId::default());
        moved.directories[at] = directory;
        Some(moved)
    }
}
