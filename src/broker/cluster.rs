//! The metadata side of a broker: store, image, controller.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::StartError;
use crate::config::{BrokerConfig, MetadataKind};
use crate::controller::{Controller, ControllerParts, TopicDefaults, bootstrap};
use crate::ids::{random_uuid, uuid_to_base64};
use crate::io::Disk;
use crate::metadata::features::levels_of_new_cluster;
use crate::metadata::{EmbeddedStore, ImagePublisher, Keys, MemoryStore, MetadataStore};
use crate::time::Clock;

/// The file of the embedded store, in the first log directory.
const EMBEDDED_FILE: &str = "ottla.redb";
/// The part of the keys that tells clusters in one store apart; the embedded one holds a single cluster.
const CLUSTER_NAME: &str = "default";

#[derive(Debug)]
pub(super) struct Cluster {
    pub id: String,
    /// For the banner.
    pub kind: &'static str,
    /// The metadata began with this start.
    pub is_new: bool,
    pub publisher: Arc<ImagePublisher>,
    pub controller: Arc<Controller>,
}

impl Cluster {
    /// Opens the store and reads the first image. `formatted_for`: the cluster that the log directories belong to.
    pub(super) async fn open(
        config: &BrokerConfig,
        disk: Arc<dyn Disk>,
        clock: &Arc<dyn Clock>,
        formatted_for: Option<&str>,
        tasks: &TaskTracker,
        shutdown: &CancellationToken,
    ) -> Result<Self, StartError> {
        let (store, kind, is_new) = open_store(config, disk, clock).await?;
        let keys = Keys::new(CLUSTER_NAME);
        let features = levels_of_new_cluster();
        let new_id = uuid_to_base64(random_uuid());
        let id = bootstrap(&*store, &keys, formatted_for, &new_id, &features).await?;
        let publisher = ImagePublisher::start(Arc::clone(&store), keys.clone(), tasks, shutdown.clone()).await?;
        let controller = Controller::new(ControllerParts {
            store,
            keys,
            publisher: Arc::clone(&publisher),
            broker_id: config.node_id,
            defaults: TopicDefaults {
                partitions: config.num_partitions,
                replication_factor: i16::try_from(config.default_replication_factor).unwrap_or(i16::MAX),
            },
            session_timeout: Duration::from_millis(config.broker_session_timeout_ms),
            seed: rand::rng().random(),
            tasks: tasks.clone(),
            shutdown: shutdown.clone(),
        });
        Ok(Self { id, kind, is_new, publisher, controller })
    }
}

async fn open_store(
    config: &BrokerConfig,
    disk: Arc<dyn Disk>,
    clock: &Arc<dyn Clock>,
) -> Result<(Arc<dyn MetadataStore>, &'static str, bool), StartError> {
    match config.metadata {
        MetadataKind::Memory => Ok((Arc::new(MemoryStore::new(Arc::clone(clock))), "memory", true)),
        MetadataKind::Embedded => {
            let path = config.log_dirs.first().cloned().unwrap_or_default().join(EMBEDDED_FILE);
            let is_new = !disk.exists(&path);
            let clock = Arc::clone(clock);
            let opening = tokio::task::spawn_blocking(move || EmbeddedStore::open(disk, &path, clock));
            let store = opening.await.map_err(std::io::Error::from)??;
            Ok((Arc::new(store), "embedded", is_new))
        }
    }
}
