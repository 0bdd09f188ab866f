//! This broker's registration: how the cluster knows that it is there, and that it is this run of it.

use std::sync::Arc;
use std::time::Duration;

use tracing::{error, info, warn};

use super::{Controller, MAX_ATTEMPTS, too_contended};
use crate::controller::AdminError;
use crate::controller::machine::renew_leader_epoch;
use crate::controller::steps::{Outcome, Step};
use crate::error::ErrorCode;
use crate::ids::{BrokerEpoch, BrokerId, DirectoryId, PartitionIndex, TopicId};
use crate::metadata::keys::Key;
use crate::metadata::store::{
    Compare, KeyValue, LeaseId, Operation, OperationResponse, RangeRequest, Revision, StoreError, Txn,
};
use crate::metadata::values::{self, BrokerValue, ControllerValue, EndpointValue, PartitionValue};
use crate::metadata::{Endpoint, MetadataImage, PartitionImage};

const RETRY: Duration = Duration::from_millis(500);
/// Partitions whose new leader epochs are under way at once: bounds what a restart takes in memory.
const MAX_RENEWED_AT_ONCE: usize = 2000;

/// What a broker says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerRegistration {
    pub rack: Option<String>,
    pub endpoints: Vec<Endpoint>,
    /// The ids of the log directories that this process holds the locks of.
    pub directories: Vec<DirectoryId>,
}

/// A registration that lasts as long as its lease.
#[derive(Clone, Debug)]
pub(super) struct Session {
    lease: LeaseId,
    pub(super) epoch: BrokerEpoch,
}

impl Controller {
    /// Registers this broker and keeps the registration alive until shutdown. If it is lost, because the process
    /// stood still for too long, the broker registers again and takes new leader epochs by itself.
    pub async fn register_broker(
        self: &Arc<Self>,
        registration: BrokerRegistration,
    ) -> Result<BrokerEpoch, AdminError> {
        let epoch = self.register(&registration).await?;
        let controller = Arc::clone(self);
        let shutdown = self.parts.shutdown.clone();
        self.parts.tasks.spawn(async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = controller.keep_registered(registration) => {}
            }
        });
        Ok(epoch)
    }

    /// The current registration of this broker.
    pub fn broker_epoch(&self) -> Option<BrokerEpoch> {
        self.session.lock().as_ref().map(|session| session.epoch)
    }

    /// Withdraws the registration: the last act of a graceful stop, behind the shutdown of the keeping task.
    pub async fn deregister(&self) -> Result<(), AdminError> {
        let session = self.session.lock().take();
        if let Some(session) = session {
            self.parts.store.revoke_lease(session.lease).await?;
        }
        Ok(())
    }

    async fn register(&self, registration: &BrokerRegistration) -> Result<BrokerEpoch, AdminError> {
        let lease = self.parts.store.grant_lease(self.parts.session_timeout).await?;
        let key = self.key(&Key::Broker(self.parts.broker_id));
        let value = values::encode(&broker_value(registration));
        for _ in 0..MAX_ATTEMPTS {
            let register = self.txn(Txn {
                compares: vec![Compare::Absent(key.clone())],
                then: vec![Operation::Put { key: key.clone(), value: value.clone(), lease: Some(lease) }],
                otherwise: vec![Operation::Range(RangeRequest::key(key.clone()))],
            });
            let claim = self.claim_controller(lease);
            let (response, claimed) = tokio::try_join!(register, claim)?;
            if response.succeeded {
                let epoch = BrokerEpoch(response.revision.0);
                *self.session.lock() = Some(Session { lease, epoch });
                self.shown(response.revision.max(claimed)).await;
                info!(broker = %self.parts.broker_id, epoch = epoch.0, "registered");
                return Ok(epoch);
            }
            if let Some(OperationResponse::Range(range)) = response.responses.into_iter().next()
                && let Some(existing) = range.kvs.first()
            {
                self.remove_own_remains(registration, existing).await?;
            }
        }
        Err(too_contended())
    }

    /// Becomes controller, if there is none; the revision at which it is known who is.
    async fn claim_controller(&self, lease: LeaseId) -> Result<Revision, AdminError> {
        let key = self.key(&Key::Controller);
        let value = values::encode(&ControllerValue { broker: self.parts.broker_id.0 });
        let put = Operation::Put { key: key.clone(), value, lease: Some(lease) };
        Ok(self.txn(Txn::when(vec![Compare::Absent(key)], vec![put])).await?.revision)
    }

    /// Removes what an earlier run of this broker left: a run that had the same directories, whose locks this
    /// process now holds, is over. Anybody else under this id is alive, or its lease will lapse.
    async fn remove_own_remains(
        &self,
        registration: &BrokerRegistration,
        existing: &KeyValue,
    ) -> Result<(), AdminError> {
        let id = self.parts.broker_id;
        let other: Option<BrokerValue> = values::decode(&existing.value).ok();
        let own: Vec<String> = registration.directories.iter().map(DirectoryId::to_string).collect();
        if !other.is_some_and(|other| other.directories.iter().any(|directory| own.contains(directory))) {
            let message = format!("Another broker is registered with broker id {id}.");
            return Err(AdminError::new(ErrorCode::DuplicateBrokerRegistration, message));
        }
        let Some(lease) = existing.lease else {
            let unchanged = Compare::ModRevision(existing.key.clone(), existing.mod_revision);
            self.txn(Txn::when(vec![unchanged], vec![Operation::delete(existing.key.clone())])).await?;
            return Ok(());
        };
        // With all else that hangs on it: it may be controller.
        match self.parts.store.revoke_lease(lease).await {
            Ok(()) | Err(StoreError::LeaseNotFound(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes a broker's registration. A broker that runs, this one too, registers again as soon as it learns of it.
    pub async fn unregister_broker(&self, id: BrokerId) -> Result<(), AdminError> {
        for _ in 0..MAX_ATTEMPTS {
            let image = self.image().await?;
            let broker = image.broker(id).ok_or_else(|| {
                let message = format!("Broker ID {id} is not currently registered");
                AdminError::new(ErrorCode::BrokerIdNotRegistered, message)
            })?;
            let key = self.key(&Key::Broker(id));
            let unchanged = Compare::CreateRevision(key.clone(), Revision(broker.epoch.0));
            let response = self.txn(Txn::when(vec![unchanged], vec![Operation::delete(key)])).await?;
            if response.succeeded {
                info!(broker = %id, epoch = broker.epoch.0, "unregistered");
                self.shown(response.revision).await;
                return Ok(());
            }
        }
        Err(too_contended())
    }

    /// Signs of life, three to a session timeout.
    async fn keep_registered(&self, registration: BrokerRegistration) {
        let id = self.parts.broker_id;
        loop {
            let Some(session) = self.session.lock().clone() else { return };
            let is_gone = |image: &MetadataImage| image.broker(id).is_none_or(|broker| broker.epoch != session.epoch);
            tokio::select! {
                () = tokio::time::sleep(self.parts.session_timeout / 3) => {}
                gone = self.parts.publisher.wait_until(is_gone) => {
                    if gone.is_err() {
                        return;
                    }
                    warn!(epoch = session.epoch.0, "the broker's registration was removed");
                    self.drop_lease(session.lease).await;
                    self.register_again(&registration).await;
                    continue;
                }
            }
            match self.parts.store.keep_lease_alive(session.lease).await {
                Ok(_) => {}
                Err(StoreError::LeaseNotFound(_)) => {
                    warn!(epoch = session.epoch.0, "the broker's registration has lapsed");
                    self.register_again(&registration).await;
                }
                Err(error) => warn!(%error, "no sign of life could be given"),
            }
        }
    }

    /// With what else hangs on it: the controller's role is free again.
    async fn drop_lease(&self, lease: LeaseId) {
        loop {
            match self.parts.store.revoke_lease(lease).await {
                Ok(()) | Err(StoreError::LeaseNotFound(_)) => return,
                Err(error) => warn!(%error, "an old lease can't be dropped"),
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn register_again(&self, registration: &BrokerRegistration) {
        loop {
            let result = match self.register(registration).await {
                Ok(_) => self.renew_leader_epochs().await.map(|_| ()),
                Err(error) => Err(error),
            };
            match result {
                Ok(()) => return,
                Err(error) => error!(%error, "can't register again"),
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Takes a new leader epoch for every partition that this broker leads or, there being no leader, may lead;
    /// how many. Every registration needs this before the first append: a leader that lost its unsynced tail and
    /// came back in time would otherwise give the same offsets to other records within one epoch.
    pub async fn renew_leader_epochs(&self) -> Result<usize, AdminError> {
        self.renew(|image| {
            let topics = image.topics();
            topics.flat_map(|topic| (0..topic.partitions.len() as i32).map(|n| (topic.id, n))).collect()
        })
        .await
    }

    /// As [`Controller::renew_leader_epochs`], for some partitions only: after a clean stop it is enough to do so
    /// before the first append.
    pub async fn renew_leader_epochs_of(
        &self,
        partitions: &[(TopicId, PartitionIndex)],
    ) -> Result<usize, AdminError> {
        self.renew(|_| partitions.to_vec()).await
    }

    async fn renew(
        &self,
        select: impl Fn(&MetadataImage) -> Vec<(TopicId, PartitionIndex)>,
    ) -> Result<usize, AdminError> {
        let epoch = self
            .broker_epoch()
            .ok_or_else(|| AdminError::new(ErrorCode::BrokerNotAvailable, "The broker is not registered."))?;
        let partitions = select(&*self.image().await?);
        let mut renewed = 0;
        for some in partitions.chunks(MAX_RENEWED_AT_ONCE) {
            renewed += self.renew_some(epoch, some.to_vec()).await?;
        }
        Ok(renewed)
    }

    async fn renew_some(
        &self,
        epoch: BrokerEpoch,
        mut open: Vec<(TopicId, PartitionIndex)>,
    ) -> Result<usize, AdminError> {
        let mut renewed = 0;
        for _ in 0..MAX_ATTEMPTS {
            let image = self.image().await?;
            if image.broker(self.parts.broker_id).is_none_or(|broker| broker.epoch != epoch) {
                return Err(AdminError::new(ErrorCode::StaleBrokerEpoch, "The broker's registration has lapsed."));
            }
            let (mut steps, mut stepped) = (Vec::new(), Vec::new());
            for (topic, number) in std::mem::take(&mut open) {
                let partition = image.topic_by_id(topic).and_then(|topic| topic.partition(number));
                let step = partition.and_then(|found| self.renew_step(&image, topic, number, found, epoch));
                if let Some(step) = step {
                    steps.push(step);
                    stepped.push((topic, number));
                }
            }
            let mut last_written = Revision(0);
            for (partition, outcome) in stepped.into_iter().zip(self.run(steps).await) {
                match outcome {
                    Outcome::Done(revision) => {
                        renewed += 1;
                        last_written = last_written.max(revision);
                    }
                    Outcome::Conflict => open.push(partition),
                    Outcome::Failed(error) => return Err(error.into()),
                }
            }
            self.shown(last_written).await;
            if open.is_empty() {
                return Ok(renewed);
            }
        }
        Err(too_contended())
    }

    fn renew_step(
        &self,
        image: &MetadataImage,
        topic: TopicId,
        number: PartitionIndex,
        partition: &PartitionImage,
        epoch: BrokerEpoch,
    ) -> Option<Step> {
        let broker = self.parts.broker_id;
        let directories = image.broker(broker).map_or(&[][..], |broker| &broker.directories);
        let renewed = renew_leader_epoch(partition, broker, directories)?;
        if renewed.leader.is_none() {
            error!(%topic, partition = number, "the log directory of this partition is not here");
        }
        let key = self.key(&Key::Partition(topic, number));
        Some(Step {
            compares: vec![
                Compare::CreateRevision(self.key(&Key::Broker(broker)), Revision(epoch.0)),
                Compare::ModRevision(key.clone(), partition.partition_epoch),
            ],
            operations: vec![Operation::put(key, values::encode(&PartitionValue::from(&renewed)))],
        })
    }
}

fn broker_value(registration: &BrokerRegistration) -> BrokerValue {
    let endpoints = registration.endpoints.iter().map(|endpoint| EndpointValue {
        listener: endpoint.listener.clone(),
        host: endpoint.host.clone(),
        port: endpoint.port,
        security_protocol: endpoint.security_protocol.clone(),
    });
    BrokerValue {
        rack: registration.rack.clone(),
        endpoints: endpoints.collect(),
        directories: registration.directories.iter().map(DirectoryId::to_string).collect(),
    }
}
