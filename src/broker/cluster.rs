//! The metadata side of a broker: store, image, controller.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::StartError;
use super::adoption::Adopted;
use crate::adopt::adopted_store::AdoptedStore;
use crate::adopt::takeover;
use crate::config::{BrokerConfig, MetadataKind};
use crate::controller::{AdminError, Controller, ControllerParts, TopicDefaults, bootstrap};
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
    pub store: Arc<dyn MetadataStore>,
    pub keys: Keys,
    pub publisher: Arc<ImagePublisher>,
    pub controller: Arc<Controller>,
    adopted: Option<Arc<AdoptedStore>>,
}

/// An open store that may be empty yet.
pub(super) struct OpenStore {
    store: Arc<dyn MetadataStore>,
    kind: &'static str,
    is_new: bool,
    adopted: Option<Arc<AdoptedStore>>,
}

impl Cluster {
    /// Gives a new store its first content and reads the first image. `formatted_for`: the cluster that the log directories belong to.
    pub(super) async fn open(
        config: &BrokerConfig,
        store: OpenStore,
        formatted_for: Option<&str>,
        tasks: &TaskTracker,
        shutdown: &CancellationToken,
    ) -> Result<Self, StartError> {
        let OpenStore { store, kind, is_new, adopted } = store;
        let keys = Keys::new(CLUSTER_NAME);
        let features = levels_of_new_cluster();
        let new_id = uuid_to_base64(random_uuid());
        let id = bootstrap(&*store, &keys, formatted_for, &new_id, &features).await?;
        let publisher = ImagePublisher::start(Arc::clone(&store), keys.clone(), tasks, shutdown.clone()).await?;
        let controller = Controller::new(ControllerParts {
            store: Arc::clone(&store),
            keys: keys.clone(),
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
        Ok(Self { id, kind, is_new, store, keys, publisher, controller, adopted })
    }

    /// From now on a change of the metadata is a first write to directories that were taken over.
    pub(super) fn count_changes(&self) {
        if let Some(adopted) = &self.adopted {
            adopted.start();
        }
    }
}

/// The file of the embedded store.
pub(crate) fn store_file(config: &BrokerConfig) -> PathBuf {
    config.log_dirs.first().cloned().unwrap_or_default().join(EMBEDDED_FILE)
}

/// Opens the store, and fills it with what is taken over from another broker.
pub(super) async fn open_store(
    config: &BrokerConfig,
    disk: Arc<dyn Disk>,
    clock: &Arc<dyn Clock>,
    adopted: Option<&Adopted>,
) -> Result<OpenStore, StartError> {
    let (store, kind, is_new) = open_kind(config, disk, clock).await?;
    let Some(Adopted { adoption, first_write }) = adopted else {
        return Ok(OpenStore { store, kind, is_new, adopted: None });
    };
    let keys = Keys::new(CLUSTER_NAME);
    takeover::write(&*store, &keys, config.node_id, &adoption.plan).await.map_err(AdminError::from)?;
    let store = AdoptedStore::new(store, Arc::clone(first_write));
    Ok(OpenStore { store: Arc::clone(&store) as _, kind, is_new: true, adopted: Some(store) })
}

async fn open_kind(
    config: &BrokerConfig,
    disk: Arc<dyn Disk>,
    clock: &Arc<dyn Clock>,
) -> Result<(Arc<dyn MetadataStore>, &'static str, bool), StartError> {
    match config.metadata {
        MetadataKind::Memory => Ok((Arc::new(MemoryStore::new(Arc::clone(clock))), "memory", true)),
        MetadataKind::Embedded => {
            let path = store_file(config);
            let is_new = !disk.exists(&path);
            let clock = Arc::clone(clock);
            let opening = tokio::task::spawn_blocking(move || EmbeddedStore::open(disk, &path, clock));
            let store = opening.await.map_err(std::io::Error::from)??;
            Ok((Arc::new(store), "embedded", is_new))
        }
    }
}
