//! Keeps the metadata's record of which log directory holds a replica true to the disk.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::controller::{Controller, DirectoryAssignment};
use crate::ids::{BrokerId, DirectoryId};
use crate::log::log_manager::LogManager;
use crate::metadata::MetadataImage;
use crate::replication::ReplicaManager;

const RETRY: Duration = Duration::from_secs(1);

/// The replicas whose logs do not lie where the metadata has them: moved right before a crash, or by hand.
pub(super) fn misplaced(logs: &LogManager, image: &MetadataImage, broker: BrokerId) -> Vec<DirectoryAssignment> {
    let found = logs.partitions().into_iter().filter_map(|(partition, id)| {
        let topic = image.topic(&partition.topic).filter(|topic| id.is_none_or(|id| id == topic.id))?;
        let recorded = topic.partition(partition.partition)?.directory_of(broker);
        let directory = logs.directory_of(&partition)?;
        let is_misplaced = recorded != DirectoryId::default() && recorded != directory;
        is_misplaced.then_some(DirectoryAssignment { topic: topic.id, partition: partition.partition, directory })
    });
    found.collect()
}

/// Writes down the places that the replicas note, until shutdown.
pub(super) fn follow_places(
    replicas: &Arc<ReplicaManager>,
    controller: &Arc<Controller>,
    tasks: &TaskTracker,
    shutdown: &CancellationToken,
) {
    let (replicas, controller, shutdown) = (Arc::clone(replicas), Arc::clone(controller), shutdown.clone());
    let follow = async move {
        loop {
            let noted = replicas.noted_places().await;
            let assignments: Vec<_> = noted
                .into_iter()
                .map(|((topic, partition), directory)| DirectoryAssignment { topic, partition, directory })
                .collect();
            while let Err(error) = controller.assign_directories(&assignments).await {
                warn!(%error, "can't write down which log directories hold replicas");
                tokio::time::sleep(RETRY).await;
            }
        }
    };
    tasks.spawn(async move {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = follow => {}
        }
    });
}
