use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::metadata::keys::{Key, Keys};
use crate::metadata::store::{Event, EventBatch, KeyValue};

fn keys() -> Keys {
    Keys::new("test")
}

fn topic_id(number: u128) -> TopicId {
    TopicId(uuid::Uuid::from_u128(number))
}

fn put(key: &Key, json: &str, revision: i64) -> Event {
    Event::Put(KeyValue {
        key: keys().encode(key),
        value: Bytes::copy_from_slice(json.as_bytes()),
        create_revision: Revision(revision),
        mod_revision: Revision(revision),
        version: 1,
        lease: None,
    })
}

fn batch(revision: i64, events: Vec<Event>) -> EventBatch {
    EventBatch { revision: Revision(revision), events }
}

fn topic_json(id: TopicId, partitions: i32) -> String {
    format!(r#"{{"id":"{id}","partitions":{partitions}}}"#)
}

const PARTITION: &str = r#"{"replicas":[1],"isr":[1],"leader":1,"leader_epoch":5}"#;

#[test]
fn a_topic_appears_with_its_commit_point() {
    let id = topic_id(7);
    let (image, problems) = MetadataImage::default().apply(
        &keys(),
        [batch(2, vec![put(&Key::Partition(id, 0), PARTITION, 2), put(&Key::Partition(id, 1), PARTITION, 2)])],
    );
    assert!(problems.is_empty());
    assert_eq!((image.topics().len(), image.loose_partitions().count()), (0, 2));

    let (image, _) = image.apply(&keys(), [batch(3, vec![put(&Key::Topic("t".into()), &topic_json(id, 2), 3)])]);
    let topic = image.topic_by_id(id).unwrap();
    assert_eq!((&*topic.name, topic.partitions.len(), image.loose_partitions().count()), ("t", 2, 0));
    assert_eq!(topic.partitions[1].leader_epoch, LeaderEpoch(5));
    assert_eq!(topic.partitions[1].partition_epoch, Revision(2));
    assert_eq!(image.revision, Revision(3));
}

#[test]
fn an_update_shares_all_topics_but_its_own() {
    let mut events = Vec::new();
    for (number, name) in ["a", "b"].into_iter().enumerate() {
        let id = topic_id(number as u128 + 1);
        events.push(put(&Key::Partition(id, 0), PARTITION, 2));
        events.push(put(&Key::Topic(name.into()), &topic_json(id, 1), 2));
    }
    let (old, _) = MetadataImage::default().apply(&keys(), [batch(2, events)]);
    let (new, _) = old.apply(&keys(), [batch(3, vec![put(&Key::Partition(topic_id(1), 0), PARTITION, 3)])]);
    let changed: Vec<&str> = new.changed_topics(&old).map(|topic| &*topic.name).collect();
    assert_eq!(changed, ["a"]);
    assert!(Arc::ptr_eq(old.topic("b").unwrap(), new.topic("b").unwrap()));
}

#[test]
fn a_bad_value_is_named_and_changes_nothing() {
    let id = topic_id(7);
    let good = [batch(2, vec![put(&Key::Topic("t".into()), &topic_json(id, 1), 2)])];
    let (image, _) = MetadataImage::default().apply(&keys(), good);
    for (key, json, problem) in [
        (Key::Topic("t".into()), "{", "EOF"),
        (Key::Topic("t".into()), r#"{"id":"x","partitions":1}"#, "'x' is not a base64 UUID"),
        (Key::Topic("t".into()), &topic_json(id, 0), "0 partitions"),
        (Key::Topic("t".into()), &topic_json(id, i32::MAX), "2147483647 partitions"),
        (Key::Topic("u".into()), &topic_json(id, 1), "belongs to topic 't'"),
        (Key::Partition(id, 0), r#"{"replicas":[1],"isr":[1]}"#, "missing field `leader_epoch`"),
        (Key::Partition(id, 0), r#"{"replicas":[99999999999],"isr":[],"leader_epoch":0}"#, "99999999999"),
        (Key::Broker(BrokerId(1)), "[]", "invalid"),
        (Key::Config(ConfigResource::ClusterDefault), r#"{"a":1}"#, "expected a string"),
        (Key::Features, r#"{"a":70000}"#, "expected i16"),
        (Key::ClusterId, "\u{1}", "expected value"),
    ] {
        let (next, problems) = image.apply(&keys(), [batch(2, vec![put(&key, json, 3)])]);
        assert_eq!(next, image, "{key:?}");
        assert_eq!(problems.len(), 1, "{key:?}");
        let text = problems[0].to_string();
        let name = String::from_utf8(keys().encode(&key).to_vec()).unwrap();
        assert!(text.contains(&name) && text.contains(problem), "{text}");
    }
    let bad = vec![KeyValue {
        key: keys().encode(&Key::Topic("t".into())),
        value: Bytes::from_static(b"nonsense"),
        create_revision: Revision(2),
        mod_revision: Revision(2),
        version: 1,
        lease: None,
    }];
    assert!(MetadataImage::build(&keys(), Revision(2), bad).is_err());
}

#[test]
fn a_topic_created_anew_is_another() {
    let (old, new) = (topic_id(1), topic_id(2));
    let (first, _) = MetadataImage::default()
        .apply(&keys(), [batch(2, vec![put(&Key::Topic("t".into()), &topic_json(old, 1), 2)])]);
    let (second, _) = first.apply(&keys(), [batch(3, vec![put(&Key::Topic("t".into()), &topic_json(new, 1), 3)])]);
    assert_eq!(second.deleted_topics(&first).map(|topic| topic.id).collect::<Vec<_>>(), [old]);
    assert!(second.topic_by_id(old).is_none());
    assert_eq!(second.changed_topics(&first).count(), 1);
}

/// One change of a small world, so that keys meet often.
fn change() -> impl Strategy<Value = (Key, Option<String>)> {
    let topic = 0..3_u128;
    prop_oneof![
        (topic.clone(), 0..4_i32, 0..9_i32).prop_map(|(topic, partition, epoch)| {
            let json = format!(r#"{{"replicas":[1,2],"isr":[1],"leader":1,"leader_epoch":{epoch}}}"#);
            (Key::Partition(topic_id(topic), partition), Some(json))
        }),
        (topic.clone(), 0..4_i32).prop_map(|(topic, partition)| (Key::Partition(topic_id(topic), partition), None)),
        (topic.clone(), 1..4_i32).prop_map(|(topic, partitions)| {
            (Key::Topic(format!("t{topic}").into()), Some(topic_json(topic_id(topic), partitions)))
        }),
        topic.clone().prop_map(|topic| (Key::Topic(format!("t{topic}").into()), None)),
        (topic.clone(), any::<bool>()).prop_map(|(topic, there)| {
            let resource = ConfigResource::Topic(format!("t{topic}").into());
            (Key::Config(resource), there.then(|| r#"{"retention.ms":"5"}"#.to_owned()))
        }),
        (1..3_i32, any::<bool>()).prop_map(|(id, there)| {
            (Key::Broker(BrokerId(id)), there.then(|| r#"{"endpoints":[],"rack":"r"}"#.to_owned()))
        }),
        any::<bool>().prop_map(|there| (Key::Controller, there.then(|| r#"{"broker":1}"#.to_owned()))),
        any::<bool>().prop_map(|there| (Key::Features, there.then(|| r#"{"f":1}"#.to_owned()))),
        any::<bool>().prop_map(|there| (Key::ClusterId, there.then(|| r#"{"id":"x"}"#.to_owned()))),
    ]
}

proptest! {
    #[test]
    fn event_by_event_equals_the_full_range(
        changes in proptest::collection::vec(change(), 0..80),
        together in 1..5_usize,
    ) {
        let mut stored: BTreeMap<Bytes, KeyValue> = BTreeMap::new();
        let mut batches = Vec::new();
        for (revision, (key, json)) in (2..).zip(changes) {
            let key = keys().encode(&key);
            let event = if let Some(json) = json {
                let before = stored.get(&key);
                let kv = KeyValue {
                    key: key.clone(),
                    value: json.into(),
                    create_revision: before.map_or(Revision(revision), |kv| kv.create_revision),
                    mod_revision: Revision(revision),
                    version: before.map_or(1, |kv| kv.version + 1),
                    lease: None,
                };
                stored.insert(key, kv.clone());
                Event::Put(kv)
            } else {
                stored.remove(&key);
                Event::Delete { key, mod_revision: Revision(revision) }
            };
            batches.push(batch(revision, vec![event]));
        }
        let mut image = MetadataImage { revision: Revision(1), ..MetadataImage::default() };
        for some in batches.chunks(together) {
            let (next, problems) = image.apply(&keys(), some.to_vec());
            prop_assert!(problems.is_empty());
            image = next;
        }
        let full = MetadataImage::build(&keys(), image.revision, stored.into_values().collect()).unwrap();
        prop_assert_eq!(image, full);
    }
}
