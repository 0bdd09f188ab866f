//! What the keys under `/ottla/<cluster>/` are called.
//!
//! ```text
//!  /ottla/<cluster>/cluster_id                     ClusterIdValue
//!                   brokers/<id>                   BrokerValue, leased: the registration
//!                   controller                     ControllerValue, leased
//!                   topics/<name>                  TopicValue: the commit point of a topic
//!                   partitions/<topic-id>/<n>      PartitionValue
//!                   configs/topics/<name>          overrides: { "retention.ms": "1000" }
//!                   configs/brokers/<id>           overrides of one broker
//!                   configs/brokers/default        overrides of all brokers
//!                   configs/groups/<id>            overrides of one group
//!                   configs/client-metrics/<name>  a subscription to clients' metrics
//!                   quotas/...                     limits of some clients: { "producer_byte_rate": 1024.0 } (see `quotas`)
//!                   acls/<id>                      AclValue: kept for the day that it is honoured
//!                   users/<name>/<mechanism>       ScramValue: likewise
//!                   tokens/<id>                    TokenValue: likewise
//!                   producer_ids                   ProducerIdsValue
//!                   features                       finalized levels: { "metadata.version": 30 }
//!                   open_transactions              {}: those that Kafka left open are to be ended (see `adopt::transactions`)
//! ```

use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::key_text::{escape, unescape};
use super::quotas::QuotaEntity;
use super::store::KeyRange;
use crate::ids::{BrokerId, PartitionIndex, TopicId, TopicName, uuid_from_base64, uuid_to_base64};

const DEFAULT_BROKER: &str = "default";

/// Whose configuration a key holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConfigResource {
    Topic(TopicName),
    Broker(BrokerId),
    /// All brokers: `--entity-default`.
    ClusterDefault,
    Group(Arc<str>),
    /// A subscription to clients' metrics (KIP-714).
    ClientMetrics(Arc<str>),
}

/// What a key names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    ClusterId,
    Broker(BrokerId),
    Controller,
    Topic(TopicName),
    Partition(TopicId, PartitionIndex),
    Config(ConfigResource),
    Quota(QuotaEntity),
    Acl(Uuid),
    /// A user's credential for one mechanism, as SASL names it.
    User(Arc<str>, Arc<str>),
    Token(Arc<str>),
    ProducerIds,
    Features,
    OpenTransactions,
}

/// The keys of one cluster.
#[derive(Clone, Debug)]
pub struct Keys {
    prefix: String,
}

impl Keys {
    /// `cluster` sets clusters apart that share a store; it is not Kafka's cluster id.
    pub fn new(cluster: &str) -> Self {
        Self { prefix: format!("/ottla/{cluster}/") }
    }

    /// All of them.
    pub fn all(&self) -> KeyRange {
        KeyRange::prefix(self.prefix.clone())
    }

    pub fn encode(&self, key: &Key) -> Bytes {
        let prefix = &self.prefix;
        Bytes::from(match key {
            Key::ClusterId => format!("{prefix}cluster_id"),
            Key::Broker(id) => format!("{prefix}brokers/{id}"),
            Key::Controller => format!("{prefix}controller"),
            Key::Topic(name) => format!("{prefix}topics/{name}"),
            Key::Partition(topic, partition) => format!("{prefix}partitions/{topic}/{partition}"),
            Key::Config(ConfigResource::Topic(name)) => format!("{prefix}configs/topics/{name}"),
            Key::Config(ConfigResource::Broker(id)) => format!("{prefix}configs/brokers/{id}"),
            Key::Config(ConfigResource::ClusterDefault) => format!("{prefix}configs/brokers/{DEFAULT_BROKER}"),
            Key::Config(ConfigResource::Group(id)) => format!("{prefix}configs/groups/{}", escape(id)),
            Key::Config(ConfigResource::ClientMetrics(name)) => {
                format!("{prefix}configs/client-metrics/{}", escape(name))
            }
            Key::Quota(entity) => format!("{prefix}quotas/{}", entity.key_path()),
            Key::Acl(id) => format!("{prefix}acls/{}", uuid_to_base64(*id)),
            Key::User(name, mechanism) => format!("{prefix}users/{}/{}", escape(name), escape(mechanism)),
            Key::Token(id) => format!("{prefix}tokens/{}", escape(id)),
            Key::ProducerIds => format!("{prefix}producer_ids"),
            Key::Features => format!("{prefix}features"),
            Key::OpenTransactions => format!("{prefix}open_transactions"),
        })
    }

    /// `None`: not a key that this version knows. Only canonical spellings are known, so that no two keys mean the
    /// same.
    pub fn decode(&self, key: &[u8]) -> Option<Key> {
        let path = std::str::from_utf8(key).ok()?.strip_prefix(&self.prefix)?;
        let Some((kind, rest)) = path.split_once('/') else {
            return match path {
                "cluster_id" => Some(Key::ClusterId),
                "controller" => Some(Key::Controller),
                "producer_ids" => Some(Key::ProducerIds),
                "features" => Some(Key::Features),
                "open_transactions" => Some(Key::OpenTransactions),
                _ => None,
            };
        };
        match kind {
            "brokers" => Some(Key::Broker(BrokerId(number(rest)?))),
            "topics" => Some(Key::Topic(topic_name(rest)?)),
            "partitions" => {
                let (topic, partition) = rest.split_once('/')?;
                let topic_id: TopicId = topic.parse().ok()?;
                (topic_id.to_string() == topic).then_some(Key::Partition(topic_id, number(partition)?))
            }
            "acls" => {
                let id = uuid_from_base64(rest)?;
                (uuid_to_base64(id) == rest).then_some(Key::Acl(id))
            }
            "users" => {
                let (name, mechanism) = rest.split_once('/')?;
                Some(Key::User(unescape(name)?.into(), unescape(mechanism)?.into()))
            }
            "tokens" => Some(Key::Token(unescape(rest)?.into())),
            "quotas" => Some(Key::Quota(QuotaEntity::from_key_path(rest)?)),
            "configs" => match rest.split_once('/')? {
                ("topics", name) => Some(Key::Config(ConfigResource::Topic(topic_name(name)?))),
                ("brokers", DEFAULT_BROKER) => Some(Key::Config(ConfigResource::ClusterDefault)),
                ("brokers", id) => Some(Key::Config(ConfigResource::Broker(BrokerId(number(id)?)))),
                ("groups", id) => Some(Key::Config(ConfigResource::Group(unescape(id)?.into()))),
                ("client-metrics", name) => Some(Key::Config(ConfigResource::ClientMetrics(unescape(name)?.into()))),
                _ => None,
            },
            _ => None,
        }
    }
}

fn topic_name(text: &str) -> Option<TopicName> {
    (!text.is_empty() && !text.contains('/')).then(|| text.into())
}

/// A number from 0 without sign or leading zeros.
fn number(text: &str) -> Option<i32> {
    let canonical = text == "0" || (!text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit()));
    if canonical { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::random_uuid;
    use crate::metadata::quotas::EntityName;

    #[test]
    fn keys_survive_a_round_trip() {
        let keys = Keys::new("test");
        let id = TopicId(random_uuid());
        for key in [
            Key::ClusterId,
            Key::Broker(BrokerId(0)),
            Key::Controller,
            Key::Topic("a.b_c-d".into()),
            Key::Partition(id, 120),
            Key::Config(ConfigResource::Topic("default".into())),
            Key::Config(ConfigResource::Broker(BrokerId(7))),
            Key::Config(ConfigResource::ClusterDefault),
            Key::Config(ConfigResource::Group("a/b <c>".into())),
            Key::Config(ConfigResource::ClientMetrics("all".into())),
            Key::Quota(QuotaEntity::Client(EntityName::Default)),
            Key::Acl(random_uuid()),
            Key::User("a/b".into(), "SCRAM-SHA-256".into()),
            Key::Token("t".into()),
            Key::ProducerIds,
            Key::Features,
            Key::OpenTransactions,
        ] {
            let encoded = keys.encode(&key);
            assert!(keys.all().contains(&encoded));
            assert_eq!(keys.decode(&encoded), Some(key));
        }
        assert_eq!(keys.encode(&Key::Partition(id, 3)), format!("/ottla/test/partitions/{id}/3"));
    }

    #[test]
    fn foreign_keys_are_not_known() {
        let keys = Keys::new("test");
        for foreign in [
            "/ottla/other/cluster_id",
            "/ottla/test/brokers/01",
            "/ottla/test/brokers/-1",
            "/ottla/test/brokers/+1",
            "/ottla/test/brokers/",
            "/ottla/test/brokers/99999999999",
            "/ottla/test/topics/",
            "/ottla/test/topics/a/b",
            "/ottla/test/partitions/short/0",
            "/ottla/test/partitions/AAAAAAAAAAAAAAAAAAAAAR/0",
            "/ottla/test/partitions/AAAAAAAAAAAAAAAAAAAAAQ==/0",
            "/ottla/test/acls/1",
            "/ottla/test/configs/groups/a/b",
            "/ottla/test/configs/groups/%61",
            "",
        ] {
            assert_eq!(keys.decode(foreign.as_bytes()), None, "{foreign}");
        }
        assert_eq!(keys.decode(b"/ottla/test/topics/\xff"), None);
    }
}
