//! The operations: machine and store brought together.

mod configs;
mod directories;
mod features;
mod partitions;
mod producer_ids;
mod quotas;
mod registration;
#[cfg(test)]
mod tests;
mod topics;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

pub use self::directories::DirectoryAssignment;
pub use self::partitions::Reassignment;
pub use self::producer_ids::PRODUCER_ID_BLOCK;
pub use self::registration::BrokerRegistration;
pub use self::topics::DeletedTopic;
use super::machine::TopicDefaults;
use super::{AdminError, steps};
use crate::error::ErrorCode;
use crate::ids::{BrokerId, TopicId, uuid_to_base64};
use crate::metadata::keys::Key;
use crate::metadata::store::{Compare, MetadataStore, Operation, OperationResponse, RangeRequest, Revision, Txn};
use crate::metadata::values::{self, ClusterIdValue};
use crate::metadata::{ImagePublisher, Keys, MetadataImage};

/// How often an operation decides anew because the store had changed.
const MAX_ATTEMPTS: usize = 10;

/// What a controller is made of.
#[derive(Debug)]
pub struct ControllerParts {
    pub store: Arc<dyn MetadataStore>,
    pub keys: Keys,
    pub publisher: Arc<ImagePublisher>,
    pub broker_id: BrokerId,
    pub defaults: TopicDefaults,
    /// How long this broker counts as alive without a sign of life: `broker.session.timeout.ms`.
    pub session_timeout: Duration,
    /// Topic ids and placement follow from it.
    pub seed: u64,
    /// Where the task lives that keeps the registration alive.
    pub tasks: TaskTracker,
    pub shutdown: CancellationToken,
}

/// Runs admin operations as transactions on the metadata store. A reply leaves when this broker's image has
/// reached what was written.
pub struct Controller {
    parts: ControllerParts,
    random: Mutex<StdRng>,
    session: Mutex<Option<registration::Session>>,
}

impl Controller {
    pub fn new(parts: ControllerParts) -> Arc<Self> {
        let random = Mutex::new(StdRng::seed_from_u64(parts.seed));
        Arc::new(Self { parts, random, session: Mutex::new(None) })
    }

    pub fn broker_id(&self) -> BrokerId {
        self.parts.broker_id
    }

    /// The image with everything that any broker had written when this was called.
    async fn image(&self) -> Result<Arc<MetadataImage>, AdminError> {
        Ok(self.parts.publisher.sync().await?)
    }

    /// The image for what is still `open`; without one, why not is the result of all of it.
    async fn image_for<T>(
        &self,
        open: &[usize],
        results: &mut [Result<T, AdminError>],
    ) -> Option<Arc<MetadataImage>> {
        match self.image().await {
            Ok(image) => Some(image),
            Err(error) => {
                for &number in open {
                    results[number] = Err(error.clone());
                }
                None
            }
        }
    }

    fn key(&self, key: &Key) -> Bytes {
        self.parts.keys.encode(key)
    }

    async fn txn(&self, txn: Txn) -> Result<crate::metadata::store::TxnResponse, AdminError> {
        Ok(self.parts.store.txn(txn).await?)
    }

    async fn run(&self, steps: Vec<steps::Step>) -> Vec<steps::Outcome> {
        steps::run(&*self.parts.store, steps).await
    }

    /// Waits until this broker knows of a change. At shutdown nobody learns of it here, but it has happened.
    async fn shown(&self, revision: Revision) {
        if let Err(stopped) = self.parts.publisher.wait_for(revision).await {
            warn!(%revision, %stopped, "a metadata change is not shown any more");
        }
    }

    fn new_topic_id(&self) -> TopicId {
        let mut random = self.random.lock();
        loop {
            let mut bytes = [0; 16];
            random.fill_bytes(&mut bytes);
            let uuid = uuid::Builder::from_random_bytes(bytes).into_uuid();
            // Tools would take a leading dash for an option.
            if !uuid_to_base64(uuid).starts_with('-') {
                return TopicId(uuid);
            }
        }
    }
}

impl fmt::Debug for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Controller").field("parts", &self.parts).finish_non_exhaustive()
    }
}

/// An operation that found the store changed each time.
fn too_contended() -> AdminError {
    let message = format!("Metadata changed {MAX_ATTEMPTS} times while the request was decided.");
    AdminError::new(ErrorCode::RequestTimedOut, message)
}

/// Gives a new cluster its id and feature levels; the id that the cluster has then.
///
/// `formatted_for` is the cluster that this broker's directories belong to already; `new_id` is taken when
/// neither they nor the store name one. Two different names are an error: the directories are another cluster's.
pub async fn bootstrap(
    store: &dyn MetadataStore,
    keys: &Keys,
    formatted_for: Option<&str>,
    new_id: &str,
    features: &BTreeMap<String, i16>,
) -> Result<String, AdminError> {
    let key = keys.encode(&Key::ClusterId);
    let id = formatted_for.unwrap_or(new_id);
    let response = store
        .txn(Txn {
            compares: vec![Compare::Absent(key.clone())],
            then: vec![
                Operation::put(key.clone(), values::encode(&ClusterIdValue { id: id.to_owned() })),
                Operation::put(keys.encode(&Key::Features), values::encode(features)),
            ],
            otherwise: vec![Operation::Range(RangeRequest::key(key.clone()))],
        })
        .await?;
    let Some(OperationResponse::Range(range)) = response.responses.into_iter().next() else {
        return Ok(id.to_owned());
    };
    let stored = range.kvs.first().map_or(&[][..], |kv| &kv.value);
    let stored: ClusterIdValue = values::decode(stored).map_err(|problem| {
        let message = format!("metadata key '{}': {problem}", crate::metadata::store::printable(&key));
        AdminError::new(ErrorCode::UnknownServerError, message)
    })?;
    match formatted_for {
        Some(formatted_for) if formatted_for != stored.id => {
            let message = format!(
                "the log directories belong to cluster {formatted_for}, the metadata store to cluster {}",
                stored.id
            );
            Err(AdminError::new(ErrorCode::InconsistentClusterId, message))
        }
        _ => Ok(stored.id),
    }
}
