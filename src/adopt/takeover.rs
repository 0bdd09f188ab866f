//! Writing a plan into the metadata store.
//!
//! Everything goes in transactions of a bounded size, in any order. What makes it count comes last and elsewhere: the
//! cluster's id, without which a store is empty. A crash in between leaves the note that another broker's directory is
//! being taken over, and the next start begins anew.

use std::fmt::Write;

use bytes::Bytes;

use super::metadata_records::{AclRecord, ScramRecord, TokenRecord};
use super::plan::{Plan, PlannedTopic};
use super::transactions::TRANSACTION_STATE_TOPIC;
use crate::ids::BrokerId;
use crate::metadata::keys::{Key, Keys};
use crate::metadata::store::{
    MAX_TXN_BYTES, MAX_TXN_OPERATIONS, MetadataStore, Operation, Revision, StoreError, Txn,
};
use crate::metadata::values::{
    self, AclValue, OpenTransactionsValue, PartitionValue, ProducerIdsValue, ScramValue, TokenValue, TopicValue,
};
use crate::metadata::{LeaderRecoveryState, PartitionImage};

/// Empties the store and fills it with what the plan says; how many keys.
pub async fn write(store: &dyn MetadataStore, keys: &Keys, node: BrokerId, plan: &Plan) -> Result<usize, StoreError> {
    store.txn(Txn::of(vec![Operation::Delete(keys.all())])).await?;
    let mut batch = Vec::new();
    let (mut size_bytes, mut count) = (0, 0);
    for (key, value) in entries(node, plan) {
        let put = Operation::put(keys.encode(&key), value);
        let put_bytes = Txn::of(vec![put.clone()]).size_bytes();
        if batch.len() == MAX_TXN_OPERATIONS || size_bytes + put_bytes > MAX_TXN_BYTES {
            store.txn(Txn::of(std::mem::take(&mut batch))).await?;
            size_bytes = 0;
        }
        size_bytes += put_bytes;
        batch.push(put);
        count += 1;
    }
    if !batch.is_empty() {
        store.txn(Txn::of(batch)).await?;
    }
    Ok(count)
}

/// Every key and its value, made one at a time.
fn entries(node: BrokerId, plan: &Plan) -> impl Iterator<Item = (Key, Bytes)> {
    let partitions = plan.topics.iter().flat_map(move |topic| partitions(node, topic));
    let topics = plan.topics.iter().map(|topic| {
        let value = TopicValue { id: topic.id.to_string(), partitions: topic.partition_count };
        (Key::Topic(topic.name.as_str().into()), values::encode(&value))
    });
    let configs =
        plan.configs.iter().map(|(resource, settings)| (Key::Config(resource.clone()), values::encode(settings)));
    let quotas = plan.quotas.iter().map(|(entity, limits)| (Key::Quota(entity.clone()), values::encode(limits)));
    let producer_ids = ProducerIdsValue { next: plan.next_producer_id };
    let had_transactions = plan.topics.iter().any(|topic| topic.name == TRANSACTION_STATE_TOPIC);
    let open = had_transactions.then(|| (Key::OpenTransactions, values::encode(&OpenTransactionsValue {})));
    partitions
        .chain(topics)
        .chain(configs)
        .chain(quotas)
        .chain(plan.scram.iter().map(scram))
        .chain(plan.acls.iter().map(acl))
        .chain(plan.tokens.iter().map(token))
        .chain(std::iter::once((Key::ProducerIds, values::encode(&producer_ids))))
        .chain(open)
}

fn partitions(node: BrokerId, topic: &PlannedTopic) -> impl Iterator<Item = (Key, Bytes)> {
    topic.partitions.iter().map(move |planned| {
        let image = PartitionImage {
            replicas: vec![node],
            directories: vec![planned.directory],
            isr: vec![node],
            elr: Vec::new(),
            last_known_elr: Vec::new(),
            leader: Some(node),
            // The registration of this start takes the next one before it leads.
            leader_epoch: planned.leader_epoch,
            partition_epoch: Revision(0),
            leader_recovery_state: LeaderRecoveryState::Recovered,
            adding: Vec::new(),
            removing: Vec::new(),
        };
        (Key::Partition(topic.id, planned.partition), values::encode(&PartitionValue::from(&image)))
    })
}

fn scram(record: &ScramRecord) -> (Key, Bytes) {
    let mechanism = match record.mechanism {
        1 => "SCRAM-SHA-256".to_owned(),
        2 => "SCRAM-SHA-512".to_owned(),
        other => other.to_string(),
    };
    let value = ScramValue {
        salt: hexadecimal(&record.salt),
        stored_key: hexadecimal(&record.stored_key),
        server_key: hexadecimal(&record.server_key),
        iterations: record.iterations,
    };
    (Key::User(record.user.as_str().into(), mechanism.into()), values::encode(&value))
}

fn acl(record: &AclRecord) -> (Key, Bytes) {
    let value = AclValue {
        resource_type: record.resource_type,
        resource_name: record.resource_name.clone(),
        pattern_type: record.pattern_type,
        principal: record.principal.clone(),
        host: record.host.clone(),
        operation: record.operation,
        permission_type: record.permission_type,
    };
    (Key::Acl(record.id), values::encode(&value))
}

fn token(record: &TokenRecord) -> (Key, Bytes) {
    let value = TokenValue {
        owner: record.owner.clone(),
        requester: record.requester.clone(),
        renewers: record.renewers.clone(),
        issue_timestamp: record.issue_timestamp,
        max_timestamp: record.max_timestamp,
        expiration_timestamp: record.expiration_timestamp,
    };
    (Key::Token(record.id.as_str().into()), values::encode(&value))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::adopt::plan::PlannedPartition;
    use crate::adopt::transactions;
    use crate::ids::{DirectoryId, LeaderEpoch, TopicId};
    use crate::metadata::store::range_all;
    use crate::metadata::{MemoryStore, MetadataImage};
    use crate::time::ManualClock;

    fn plan() -> Plan {
        let partition = |partition| PlannedPartition {
            partition,
            directory: DirectoryId(Uuid::from_u128(500)),
            leader_epoch: LeaderEpoch(7),
        };
        let topic = |number: u128| PlannedTopic {
            name: format!("topic-{number}"),
            id: TopicId(Uuid::from_u128(1000 + number)),
            partition_count: 12,
            // The last one stays behind.
            partitions: (0..11).map(partition).collect(),
        };
        let acl = AclRecord {
            id: Uuid::from_u128(9),
            resource_type: 2,
            resource_name: "orders".to_owned(),
            pattern_type: 3,
            principal: "User:alice".to_owned(),
            host: "*".to_owned(),
            operation: 3,
            permission_type: 3,
        };
        Plan { topics: (0..40).map(topic).collect(), next_producer_id: 5000, acls: vec![acl], ..Plan::default() }
    }

    async fn image(store: &MemoryStore, keys: &Keys) -> MetadataImage {
        let (revision, kvs) = range_all(store, keys.all()).await.unwrap();
        MetadataImage::build(keys, revision, kvs).unwrap()
    }

    #[tokio::test]
    async fn a_store_holds_what_the_plan_says_and_nothing_else() {
        let store = MemoryStore::new(ManualClock::at(0));
        let keys = Keys::new("test");
        let remains = Operation::put(keys.encode(&Key::Topic("half".into())), "{");
        store.txn(Txn::of(vec![remains])).await.unwrap();
        for _ in 0..2 {
            let count = write(&store, &keys, BrokerId(1), &plan()).await.unwrap();
            assert_eq!(count, 40 * 12 + 2, "40 topics with 11 partitions, producer ids, an ACL");
            let image = image(&store, &keys).await;
            assert_eq!(image.topics().len(), 40);
            let topic = image.topic("topic-3").unwrap();
            assert_eq!((topic.partitions.len(), topic.id), (12, TopicId(Uuid::from_u128(1003))));
            let served = topic.partition(0).unwrap();
            assert_eq!((&served.isr[..], served.leader_epoch), (&[BrokerId(1)][..], LeaderEpoch(7)));
            assert!(topic.partition(11).unwrap().replicas.is_empty(), "known by number only");
            assert!(image.topic("half").is_none());
        }
    }

    #[tokio::test]
    async fn open_transactions_are_to_be_ended_until_they_are() {
        let (store, keys) = (MemoryStore::new(ManualClock::at(0)), Keys::new("test"));
        write(&store, &keys, BrokerId(1), &plan()).await.unwrap();
        assert!(!transactions::are_open(&store, &keys).await.unwrap(), "there were no transactions");
        let mut plan = plan();
        plan.topics[0].name = TRANSACTION_STATE_TOPIC.to_owned();
        write(&store, &keys, BrokerId(1), &plan).await.unwrap();
        assert!(transactions::are_open(&store, &keys).await.unwrap());
        transactions::have_ended(&store, &keys).await.unwrap();
        assert!(!transactions::are_open(&store, &keys).await.unwrap());
    }
}
