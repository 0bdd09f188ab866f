//! The JSON values in the store: plain enough to read, and to mend, with `etcdctl`.
//!
//! A field that a newer version adds is ignored by an older one; lists that are empty are not written.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::image::{BrokerImage, Endpoint, LeaderRecoveryState, PartitionImage};
use super::store::{KeyValue, Revision};
use crate::ids::{BrokerEpoch, BrokerId, DirectoryId, LeaderEpoch, TopicId};

/// `cluster_id`: Kafka's cluster id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterIdValue {
    pub id: String,
}

/// `controller`: which broker acts as controller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControllerValue {
    pub broker: i32,
}

/// `topics/<name>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicValue {
    pub id: String,
    /// Partition keys from this number on are not part of the topic (yet).
    pub partitions: i32,
}

/// `producer_ids`: the first id that no block handed out has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProducerIdsValue {
    pub next: i64,
}

/// `open_transactions`: that it is there says all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenTransactionsValue {}

/// `acls/<id>`: an access control entry in the numbers of Kafka's protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AclValue {
    pub resource_type: i8,
    pub resource_name: String,
    pub pattern_type: i8,
    pub principal: String,
    pub host: String,
    pub operation: i8,
    pub permission_type: i8,
}

/// `users/<name>/<mechanism>`: a SCRAM credential; bytes are hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScramValue {
    pub salt: String,
    pub stored_key: String,
    pub server_key: String,
    pub iterations: i32,
}

/// `tokens/<id>`: a delegation token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenValue {
    pub owner: String,
    pub requester: String,
    pub renewers: Vec<String>,
    pub issue_timestamp: i64,
    pub max_timestamp: i64,
    pub expiration_timestamp: i64,
}

/// `features`: finalized feature levels.
pub type FeaturesValue = BTreeMap<String, i16>;

/// `configs/<kind>/<name>`: overrides, as text.
pub type ConfigValue = crate::config::ConfigOverrides;

/// `brokers/<id>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerValue {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rack: Option<String>,
    pub endpoints: Vec<EndpointValue>,
    /// Ids of its log directories.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub directories: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointValue {
    pub listener: String,
    pub host: String,
    pub port: u16,
    pub security_protocol: String,
}

/// `partitions/<topic-id>/<n>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionValue {
    pub replicas: Vec<i32>,
    /// Where each replica lies, in the order of `replicas`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub directories: Vec<String>,
    pub isr: Vec<i32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub elr: Vec<i32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last_known_elr: Vec<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<i32>,
    pub leader_epoch: i32,
    #[serde(default, skip_serializing_if = "is_recovered")]
    pub leader_recovery_state: RecoveryStateValue,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adding: Vec<i32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removing: Vec<i32>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecoveryStateValue {
    #[default]
    Recovered,
    Recovering,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_recovered(state: &RecoveryStateValue) -> bool {
    *state == RecoveryStateValue::Recovered
}

/// The JSON of a value.
pub fn encode<T: Serialize>(value: &T) -> Bytes {
    // Maps with text keys, lists, numbers and text have no way to fail.
    Bytes::from(serde_json::to_vec(value).unwrap_or_default())
}

/// The value of some JSON; the error says what is wrong with it.
pub fn decode<T: DeserializeOwned>(json: &[u8]) -> Result<T, String> {
    serde_json::from_slice(json).map_err(|error| error.to_string())
}

impl TopicValue {
    pub fn id(&self) -> Result<TopicId, String> {
        self.id.parse().map_err(|error: crate::ids::BadUuid| error.to_string())
    }
}

impl From<&PartitionImage> for PartitionValue {
    fn from(image: &PartitionImage) -> Self {
        let numbers = |ids: &[BrokerId]| ids.iter().map(|id| id.0).collect();
        Self {
            replicas: numbers(&image.replicas),
            directories: image.directories.iter().map(DirectoryId::to_string).collect(),
            isr: numbers(&image.isr),
            elr: numbers(&image.elr),
            last_known_elr: numbers(&image.last_known_elr),
            leader: image.leader.map(|id| id.0),
            leader_epoch: image.leader_epoch.0,
            leader_recovery_state: match image.leader_recovery_state {
                LeaderRecoveryState::Recovered => RecoveryStateValue::Recovered,
                LeaderRecoveryState::Recovering => RecoveryStateValue::Recovering,
            },
            adding: numbers(&image.adding),
            removing: numbers(&image.removing),
        }
    }
}

impl PartitionValue {
    /// The partition as changed last at `mod_revision`.
    pub fn into_image(self, mod_revision: Revision) -> Result<PartitionImage, String> {
        let brokers = |ids: Vec<i32>| ids.into_iter().map(BrokerId).collect();
        Ok(PartitionImage {
            directories: directories(&self.directories)?,
            replicas: brokers(self.replicas),
            isr: brokers(self.isr),
            elr: brokers(self.elr),
            last_known_elr: brokers(self.last_known_elr),
            leader: self.leader.map(BrokerId),
            leader_epoch: LeaderEpoch(self.leader_epoch),
            partition_epoch: mod_revision,
            leader_recovery_state: match self.leader_recovery_state {
                RecoveryStateValue::Recovered => LeaderRecoveryState::Recovered,
                RecoveryStateValue::Recovering => LeaderRecoveryState::Recovering,
            },
            adding: brokers(self.adding),
            removing: brokers(self.removing),
        })
    }
}

impl BrokerValue {
    /// The registration in a key-value pair of the broker `id`.
    pub fn into_image(self, id: BrokerId, kv: &KeyValue) -> Result<BrokerImage, String> {
        let endpoints = self.endpoints.into_iter().map(|endpoint| Endpoint {
            listener: endpoint.listener,
            host: endpoint.host,
            port: endpoint.port,
            security_protocol: endpoint.security_protocol,
        });
        Ok(BrokerImage {
            id,
            epoch: BrokerEpoch(kv.create_revision.0),
            rack: self.rack,
            endpoints: endpoints.collect(),
            directories: directories(&self.directories)?,
        })
    }
}

fn directories(texts: &[String]) -> Result<Vec<DirectoryId>, String> {
    texts.iter().map(|text| text.parse().map_err(|error: crate::ids::BadUuid| error.to_string())).collect()
}
