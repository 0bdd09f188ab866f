use std::path::Path;

use super::*;
use crate::config::{Sources, load};
use crate::controller::{NewPartitions, NewTopic, Reassignment, TopicRef};
use crate::ids::{BrokerEpoch, DirectoryId, LeaderEpoch, TopicPartition};
use crate::io::RealDisk;
use crate::metadata::image::ConfigOverrides;
use crate::metadata::keys::ConfigResource;
use crate::metadata::store::{KeyRange, range_all};
use crate::metadata::{EmbeddedStore, Endpoint, MemoryStore, PartitionImage};
use crate::time::ManualClock;

/// A broker's view of a store.
struct World {
    store: Arc<dyn MetadataStore>,
    controller: Arc<Controller>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

const BROKER: BrokerId = BrokerId(1);
/// Short, because signs of life come by the real clock; leases lapse by the store's.
const SESSION_TIMEOUT: Duration = Duration::from_millis(300);

fn directory() -> DirectoryId {
    DirectoryId(uuid::Uuid::from_u128(7))
}

fn registration() -> BrokerRegistration {
    let endpoint = Endpoint {
        listener: "PLAINTEXT".to_owned(),
        host: "localhost".to_owned(),
        port: 9092,
        security_protocol: "PLAINTEXT".to_owned(),
    };
    BrokerRegistration { rack: None, endpoints: vec![endpoint], directories: vec![directory()] }
}

fn memory() -> Arc<dyn MetadataStore> {
    Arc::new(MemoryStore::new(ManualClock::at(0)))
}

fn embedded(path: &Path) -> Arc<dyn MetadataStore> {
    Arc::new(EmbeddedStore::open(RealDisk::new(1).unwrap(), path, ManualClock::at(0)).unwrap())
}

impl World {
    /// A broker that is up, registered.
    async fn start(store: Arc<dyn MetadataStore>) -> Self {
        let world = Self::unregistered(store, BROKER).await;
        world.controller.register_broker(registration()).await.unwrap();
        world
    }

    async fn unregistered(store: Arc<dyn MetadataStore>, broker_id: BrokerId) -> Self {
        let keys = Keys::new("test");
        bootstrap(&*store, &keys, None, "cluster", &BTreeMap::new()).await.unwrap();
        let (tasks, shutdown) = (TaskTracker::new(), CancellationToken::new());
        let publisher =
            ImagePublisher::start(Arc::clone(&store), keys.clone(), &tasks, shutdown.clone()).await.unwrap();
        let controller = Controller::new(ControllerParts {
            store: Arc::clone(&store),
            keys,
            publisher,
            broker_id,
            defaults: TopicDefaults { partitions: 2, replication_factor: 1 },
            session_timeout: SESSION_TIMEOUT,
            seed: 42,
            tasks: tasks.clone(),
            shutdown: shutdown.clone(),
        });
        Self { store, controller, tasks, shutdown }
    }

    /// Ends without a word, as by kill -9: the registration stays.
    async fn stop(self) {
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// What this broker knows, without asking the store.
    fn image(&self) -> Arc<MetadataImage> {
        self.controller.parts.publisher.current()
    }

    async fn create(&self, name: &str, partitions: i32) -> Result<TopicId, AdminError> {
        let results = self.controller.create_topics(vec![new_topic(name, partitions)], false).await;
        results.into_iter().next().unwrap().map(|created| created.id)
    }

    async fn delete(&self, name: &str) -> Result<TopicId, AdminError> {
        let results = self.controller.delete_topics(vec![TopicRef::Name(name.to_owned())]).await;
        results.into_iter().next().unwrap().map(|deleted| deleted.id)
    }

    async fn enlarge(&self, name: &str, count: i32) -> Result<(), AdminError> {
        let new = NewPartitions { topic: name.to_owned(), count, assignments: None };
        self.controller.create_partitions(&new, false).await
    }

    async fn stored_partitions(&self) -> usize {
        range_all(&*self.store, KeyRange::prefix("/ottla/test/partitions/")).await.unwrap().1.len()
    }
}

fn new_topic(name: &str, partitions: i32) -> NewTopic {
    NewTopic { name: name.to_owned(), partitions, replication_factor: -1, ..NewTopic::default() }
}

fn code<T: fmt::Debug>(result: Result<T, AdminError>) -> ErrorCode {
    result.unwrap_err().code
}

fn overrides(pairs: &[(&str, &str)]) -> ConfigOverrides {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn a_topic_lives_and_dies() {
    let world = World::start(memory()).await;
    let id = world.create("t", 300).await.unwrap();
    let topic = Arc::clone(world.image().topic("t").unwrap());
    assert_eq!((topic.id, topic.partitions.len()), (id, 300));
    assert!(topic.partitions.iter().all(|partition| partition.leader == Some(BROKER)));
    assert!(topic.partitions.iter().all(|partition| partition.directories == [directory()]));
    assert_eq!(code(world.create("t", 1).await), ErrorCode::TopicAlreadyExists);

    assert_eq!(world.delete("t").await, Ok(id));
    assert!(world.image().topic("t").is_none());
    assert_eq!(world.stored_partitions().await, 0);
    assert_eq!(code(world.delete("t").await), ErrorCode::UnknownTopicOrPartition);

    let anew = world.create("t", -1).await.unwrap();
    assert_ne!(anew, id);
    assert_eq!(world.image().topic_by_id(anew).unwrap().partitions.len(), 2);
}

/// As the broker was started: the topic and the cluster's dynamic settings say nothing.
#[tokio::test]
async fn a_cancelled_reassignment_elects_uncleanly_where_the_broker_may() {
    let world = World::start(memory()).await;
    let id = world.create("t", 1).await.unwrap();
    let here = world.image().topic("t").unwrap().partitions[0].clone();
    let moving = PartitionImage {
        replicas: vec![BrokerId(2), BROKER],
        directories: vec![DirectoryId(uuid::Uuid::from_u128(8)), directory()],
        isr: vec![BrokerId(2)],
        leader: Some(BrokerId(2)),
        adding: vec![BrokerId(2)],
        removing: vec![BROKER],
        ..here
    };
    let written = world.controller.put_partition(id, 0, &moving);
    let response = world.controller.txn(Txn::when(Vec::new(), vec![written])).await.unwrap();
    world.controller.shown(response.revision).await;
    let cancelled = [Reassignment {
        partition: TopicPartition::new("t", 0),
        replicas: None,
        may_change_replication_factor: true,
    }];
    let started_with = |file: &str| {
        let file = Some(("server.properties".into(), file.to_owned()));
        load(&Sources { file, ..Sources::default() }).unwrap().config
    };
    let results = world.controller.alter_reassignments(&cancelled, &started_with("")).await;
    assert_eq!(results[0].as_ref().unwrap_err().code, ErrorCode::InvalidReplicaAssignment);
    let unclean = started_with("unclean.leader.election.enable=TRUE");
    assert_eq!(world.controller.alter_reassignments(&cancelled, &unclean).await, [Ok(())]);
    let after = world.image().topic("t").unwrap().partitions[0].clone();
    assert_eq!((after.replicas, after.leader), (vec![BROKER], Some(BROKER)));
}

#[tokio::test]
async fn results_are_in_the_order_of_requests() {
    let world = World::start(memory()).await;
    world.create("there", 1).await.unwrap();
    let names = ["a", "there", "b", "twice", "bad name", "twice", "c"];
    let results = world.controller.create_topics(names.map(|name| new_topic(name, 1)).to_vec(), false).await;
    let codes: Vec<Option<ErrorCode>> = results.iter().map(|result| result.as_ref().err().map(|e| e.code)).collect();
    assert_eq!(
        codes,
        [
            None,
            Some(ErrorCode::TopicAlreadyExists),
            None,
            Some(ErrorCode::InvalidRequest),
            Some(ErrorCode::InvalidTopicException),
            Some(ErrorCode::InvalidRequest),
            None
        ]
    );
    assert_eq!(results[2].as_ref().unwrap().name, "b");
    let by_id = TopicRef::Id(results[6].as_ref().unwrap().id);
    let unknown = TopicRef::Id(TopicId(uuid::Uuid::from_u128(1)));
    let doomed = vec![TopicRef::Name("a".to_owned()), unknown, by_id.clone(), by_id, TopicRef::Name("b".to_owned())];
    let results = world.controller.delete_topics(doomed).await;
    assert_eq!(&*results[0].as_ref().unwrap().name, "a");
    assert_eq!(results[1].as_ref().unwrap_err().code, ErrorCode::UnknownTopicId);
    assert_eq!(&*results[2].as_ref().unwrap().name, "c");
    assert_eq!(results[3].as_ref().unwrap_err().code, ErrorCode::UnknownTopicOrPartition);
    assert_eq!(&*results[4].as_ref().unwrap().name, "b");
}

#[tokio::test]
async fn validation_writes_nothing() {
    let world = World::start(memory()).await;
    world.create("t", 1).await.unwrap();
    let before = world.image().revision;
    let results = world.controller.create_topics(vec![new_topic("u", 5), new_topic("t", 1)], true).await;
    assert_eq!(results[0].as_ref().unwrap().partitions, 5);
    assert!(results[1].is_err());
    let new = NewPartitions { topic: "t".to_owned(), count: 9, assignments: None };
    world.controller.create_partitions(&new, true).await.unwrap();
    let resource = ConfigResource::Topic("t".into());
    world.controller.alter_configs(&resource, true, |_| Ok(overrides(&[("retention.ms", "1")]))).await.unwrap();
    let after = world.controller.image().await.unwrap();
    assert_eq!(after.revision, before);
}

#[tokio::test]
async fn a_request_is_bounded() {
    let world = World::start(memory()).await;
    let many = |count| vec![new_topic("a", 5_000), new_topic("b", 5_000), new_topic("c", count)];
    let results = world.controller.create_topics(many(1), false).await;
    let refused = AdminError::new(ErrorCode::PolicyViolation, "Excessively large number of partitions per request.");
    assert!(results.iter().all(|result| *result == Err(refused.clone())), "{results:?}");
    // A topic that is refused for itself does not count.
    let results = world.controller.create_topics(many(0), true).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 2);
}

#[tokio::test]
async fn topics_are_enlarged() {
    let world = World::start(memory()).await;
    world.create("t", 2).await.unwrap();
    world.enlarge("t", 300).await.unwrap();
    let image = world.image();
    assert_eq!(image.topic("t").unwrap().partitions.len(), 300);
    assert_eq!(image.loose_partitions().count(), 0);
    assert!(image.topic("t").unwrap().partitions.iter().all(|partition| partition.leader == Some(BROKER)));
    assert_eq!(code(world.enlarge("t", 300).await), ErrorCode::InvalidPartitions);
    assert_eq!(code(world.enlarge("none", 3).await), ErrorCode::UnknownTopicOrPartition);
}

#[tokio::test]
async fn many_create_one_topic_at_once() {
    let world = World::start(memory()).await;
    let results = futures_util::future::join_all((0..20).map(|_| world.create("t", 3))).await;
    let created: Vec<TopicId> = results.iter().filter_map(|result| result.clone().ok()).collect();
    assert_eq!(created.len(), 1);
    assert!(
        results.iter().filter_map(|result| result.as_ref().err()).all(|e| e.code == ErrorCode::TopicAlreadyExists)
    );
    assert_eq!(world.image().topic("t").unwrap().id, created[0]);
    assert_eq!(world.stored_partitions().await, 3, "the others leave nothing behind");
}

#[tokio::test]
async fn many_enlarge_one_topic_at_once() {
    let world = World::start(memory()).await;
    world.create("t", 1).await.unwrap();
    let results = futures_util::future::join_all((2..8).map(|count| world.enlarge("t", count))).await;
    let image = world.controller.image().await.unwrap();
    assert_eq!(image.topic("t").unwrap().partitions.len(), 7, "{results:?}");
    assert!(image.topic("t").unwrap().partitions.iter().all(|partition| !partition.is_hole()));
}

#[tokio::test]
async fn configs_change_by_compare_and_swap() {
    let world = World::start(memory()).await;
    world.create("t", 1).await.unwrap();
    let resource = ConfigResource::Topic("t".into());
    let add = |key: String| {
        let (controller, resource) = (&world.controller, &resource);
        async move {
            let with_key = move |before: &ConfigOverrides| {
                let mut after = before.clone();
                after.insert(key.clone(), "1".to_owned());
                Ok(after)
            };
            controller.alter_configs(resource, false, with_key).await
        }
    };
    let results = futures_util::future::join_all((0..5).map(|number| add(number.to_string()))).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!(world.image().topic("t").unwrap().configs.len(), 5, "no change is lost");

    world.controller.alter_configs(&resource, false, |_| Ok(ConfigOverrides::new())).await.unwrap();
    assert_eq!(world.image().configs_revision(&resource), None);
    let refused = || AdminError::new(ErrorCode::InvalidConfig, "no");
    let result = world.controller.alter_configs(&resource, false, |_| Err(refused())).await;
    assert_eq!(result, Err(refused()));

    let default = ConfigResource::ClusterDefault;
    world.controller.alter_configs(&default, false, |_| Ok(overrides(&[("a", "1")]))).await.unwrap();
    assert_eq!(world.image().cluster_default_configs().len(), 1);
    for (unknown, expected) in [
        (ConfigResource::Topic("none".into()), ErrorCode::UnknownTopicOrPartition),
        (ConfigResource::Topic("no name".into()), ErrorCode::InvalidTopicException),
        (ConfigResource::Broker(BrokerId(9)), ErrorCode::BrokerIdNotRegistered),
    ] {
        assert_eq!(code(world.controller.alter_configs(&unknown, false, |_| Ok(overrides(&[]))).await), expected);
    }
}

#[tokio::test]
async fn a_topics_configs_go_with_it() {
    let world = World::start(memory()).await;
    let configs = overrides(&[("retention.ms", "5")]);
    let new = NewTopic { configs: configs.clone(), ..new_topic("t", 1) };
    let created = world.controller.create_topics(vec![new], false).await.remove(0).unwrap();
    assert_eq!((&created.configs, &world.image().topic("t").unwrap().configs), (&configs, &configs));
    world.delete("t").await.unwrap();
    world.create("t", 1).await.unwrap();
    assert!(world.image().topic("t").unwrap().configs.is_empty());
}

#[tokio::test]
async fn producer_ids_are_never_given_twice() {
    let world = World::start(memory()).await;
    assert_eq!(world.controller.allocate_producer_ids().await.unwrap(), 0..1000);
    let blocks = futures_util::future::join_all((0..8).map(|_| world.controller.allocate_producer_ids())).await;
    let mut firsts: Vec<i64> = blocks.into_iter().map(|block| block.unwrap().start).collect();
    firsts.sort_unstable();
    assert_eq!(firsts, (1..9).map(|number| number * 1000).collect::<Vec<_>>());

    let key = world.controller.key(&Key::ProducerIds);
    for bad in [r#"{"next":9223372036854775807}"#, r#"{"next":-5}"#, "x"] {
        world.store.txn(Txn::of(vec![Operation::put(key.clone(), bad)])).await.unwrap();
        assert_eq!(code(world.controller.allocate_producer_ids().await), ErrorCode::UnknownServerError);
    }
}

#[tokio::test]
async fn everything_survives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ottla.redb");
    let world = World::start(embedded(&path)).await;
    let id = world.create("t", 200).await.unwrap();
    world.controller.allocate_producer_ids().await.unwrap();
    let resource = ConfigResource::Broker(BROKER);
    world.controller.alter_configs(&resource, false, |_| Ok(overrides(&[("a", "1")]))).await.unwrap();
    let first_epoch = world.controller.broker_epoch().unwrap();
    world.stop().await;

    let world = World::unregistered(embedded(&path), BROKER).await;
    let image = world.image();
    assert_eq!((&*image.cluster_id, image.topic("t").unwrap().id), ("cluster", id));
    assert_eq!(image.broker_configs(BROKER).len(), 1);
    assert!(image.brokers.is_empty() && image.controller.is_none(), "the registration ended with the process");
    let second_epoch = world.controller.register_broker(registration()).await.unwrap();
    assert!(second_epoch > first_epoch);
    assert_eq!(world.image().controller, Some(BROKER));
    assert_eq!(world.controller.renew_leader_epochs().await, Ok(200));
    let topic = Arc::clone(world.image().topic("t").unwrap());
    assert!(topic.partitions.iter().all(|partition| partition.leader_epoch == LeaderEpoch(1)));
    assert_eq!(world.controller.allocate_producer_ids().await.unwrap(), 1000..2000);
}

#[tokio::test]
async fn an_earlier_run_makes_way() {
    let store = memory();
    let first = World::start(Arc::clone(&store)).await;
    first.create("t", 1).await.unwrap();
    let epoch = first.controller.broker_epoch().unwrap();
    first.stop().await;
    // The store, unlike the embedded one, goes on: the lease has not lapsed yet.
    let second = World::start(Arc::clone(&store)).await;
    assert!(second.controller.broker_epoch().unwrap() > epoch);
    assert_eq!(second.image().broker(BROKER).unwrap().epoch, second.controller.broker_epoch().unwrap());
    assert_eq!(second.image().controller, Some(BROKER));

    let stranger = World::unregistered(store, BROKER).await;
    let elsewhere = DirectoryId(uuid::Uuid::from_u128(8));
    let registration = BrokerRegistration { directories: vec![elsewhere], ..registration() };
    let refused = stranger.controller.register_broker(registration).await;
    assert_eq!(code(refused), ErrorCode::DuplicateBrokerRegistration);
}

#[tokio::test]
async fn a_graceful_stop_withdraws_the_registration() {
    let world = World::start(memory()).await;
    world.controller.deregister().await.unwrap();
    let image = world.controller.image().await.unwrap();
    assert!(image.brokers.is_empty() && image.controller.is_none());
    assert_eq!(world.controller.broker_epoch(), None);
    let nobody = world.create("t", 1).await.unwrap_err();
    assert_eq!(nobody.code, ErrorCode::InvalidReplicationFactor);
    assert!(nobody.message.ends_with("All brokers are currently fenced."), "{nobody}");
}

#[tokio::test]
async fn a_lost_registration_is_made_good() {
    let clock = ManualClock::at(0);
    let world = World::start(Arc::new(MemoryStore::new(clock.clone()))).await;
    world.create("t", 1).await.unwrap();
    let first = world.controller.broker_epoch().unwrap();
    // As if the process had stood still.
    clock.advance_ms(60_000);
    let renewed = async {
        while world.image().topic("t").unwrap().partitions[0].leader_epoch != LeaderEpoch(1) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), renewed).await.unwrap();
    let second = world.controller.broker_epoch().unwrap();
    assert!(second > first);
    assert_eq!(world.image().broker(BROKER).unwrap().epoch, second);
}

#[tokio::test]
async fn a_fenced_broker_takes_no_epochs() {
    let world = World::start(memory()).await;
    world.create("t", 3).await.unwrap();
    let epoch = world.controller.broker_epoch().unwrap();
    let mut stale = world.controller.session.lock().clone().unwrap();
    stale.epoch = BrokerEpoch(epoch.0 - 1);
    *world.controller.session.lock() = Some(stale);
    assert_eq!(code(world.controller.renew_leader_epochs().await), ErrorCode::StaleBrokerEpoch);
    assert_eq!(world.image().topic("t").unwrap().partitions[0].leader_epoch, LeaderEpoch(0));
}

#[tokio::test]
async fn some_epochs_are_renewed_lazily() {
    let world = World::start(memory()).await;
    let id = world.create("t", 3).await.unwrap();
    assert_eq!(world.controller.renew_leader_epochs_of(&[(id, 1), (id, 9)]).await, Ok(1));
    let image = world.image();
    let epochs: Vec<i32> = image.topic("t").unwrap().partitions.iter().map(|p| p.leader_epoch.0).collect();
    assert_eq!(epochs, [0, 1, 0]);
}

#[tokio::test]
async fn orphans_are_collected() {
    let world = World::start(memory()).await;
    let kept = world.create("kept", 2).await.unwrap();
    let lost = TopicId(uuid::Uuid::from_u128(99));
    let image = world.image();
    let partition = &image.topic("kept").unwrap().partitions[0];
    for (topic, number) in [(lost, 0), (lost, 1), (kept, 2)] {
        let put = world.controller.put_partition(topic, number, partition);
        world.store.txn(Txn::of(vec![put])).await.unwrap();
    }
    assert_eq!(world.controller.collect_orphans().await, Ok(3));
    assert_eq!(world.stored_partitions().await, 2);
    assert_eq!(world.controller.collect_orphans().await, Ok(0));
}

#[tokio::test]
async fn a_cluster_has_one_id() {
    let (store, keys) = (memory(), Keys::new("test"));
    let features = BTreeMap::from([("metadata.version".to_owned(), 30)]);
    let id = |formatted_for, new_id| bootstrap(&*store, &keys, formatted_for, new_id, &features);
    assert_eq!(id(Some("formatted"), "new").await.unwrap(), "formatted");
    assert_eq!(id(Some("formatted"), "new").await.unwrap(), "formatted");
    assert_eq!(id(None, "new").await.unwrap(), "formatted");
    let error = id(Some("other"), "new").await.unwrap_err();
    assert_eq!(error.code, ErrorCode::InconsistentClusterId);
    assert!(error.message.contains("other") && error.message.contains("formatted"));
    let world = World::start(Arc::clone(&store)).await;
    assert_eq!(world.image().features, features);
    store.txn(Txn::of(vec![Operation::put(keys.encode(&Key::ClusterId), "x")])).await.unwrap();
    assert!(id(None, "new").await.unwrap_err().message.contains("/ottla/test/cluster_id"));
}

#[tokio::test]
async fn the_same_seed_makes_the_same_ids() {
    let (one, other) = (World::start(memory()).await, World::start(memory()).await);
    assert_eq!(one.create("t", 1).await, other.create("t", 1).await);
    assert_ne!(one.create("u", 1).await, one.create("v", 1).await);
}
