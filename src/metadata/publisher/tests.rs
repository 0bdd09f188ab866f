use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::metadata::store::{Operation, Txn};
use crate::metadata::{HistoryLimits, MemoryStore};
use crate::time::ManualClock;

struct World {
    store: Arc<MemoryStore>,
    keys: Keys,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl World {
    fn new(limits: HistoryLimits) -> Self {
        Self {
            store: Arc::new(MemoryStore::with_limits(ManualClock::at(0), limits)),
            keys: Keys::new("test"),
            tasks: TaskTracker::new(),
            shutdown: CancellationToken::new(),
        }
    }

    async fn start(&self) -> Arc<ImagePublisher> {
        let store = Arc::clone(&self.store) as Arc<dyn MetadataStore>;
        ImagePublisher::start(store, self.keys.clone(), &self.tasks, self.shutdown.clone()).await.unwrap()
    }

    async fn put(&self, key: &Key, json: &str) -> Revision {
        let put = Operation::put(self.keys.encode(key), json.to_owned());
        self.store.txn(Txn::of(vec![put])).await.unwrap().revision
    }

    async fn put_cluster_id(&self, id: &str) -> Revision {
        self.put(&Key::ClusterId, &format!(r#"{{"id":"{id}"}}"#)).await
    }
}

#[tokio::test]
async fn waiters_wake_behind_the_listeners() {
    let world = World::new(HistoryLimits::default());
    world.put_cluster_id("before").await;
    let publisher = world.start().await;
    assert_eq!(&*publisher.current().cluster_id, "before");

    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let seen = Arc::clone(&publisher);
    publisher.listen(Box::new(move |old, new| {
        counted.fetch_add(1, Ordering::SeqCst);
        assert!(old.revision < new.revision);
        // The first call shows the image that is current already.
        assert!(old.cluster_id.is_empty() || *old == seen.current());
    }));
    assert_eq!(calls.load(Ordering::SeqCst), 1);

    let revision = world.put_cluster_id("after").await;
    let image = publisher.wait_for(revision).await.unwrap();
    assert_eq!((&*image.cluster_id, image.revision), ("after", revision));
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_revision_of_somebody_elses_keys_is_reached_as_well() {
    let world = World::new(HistoryLimits::default());
    let publisher = world.start().await;
    let elsewhere = world.store.txn(Txn::of(vec![Operation::put("/elsewhere", "x")])).await.unwrap().revision;
    assert_eq!(publisher.wait_for(elsewhere).await.unwrap().revision, elsewhere);
    let revision = world.put_cluster_id("x").await;
    assert_eq!(publisher.sync().await.unwrap().revision, revision);
}

#[tokio::test]
async fn compacted_history_is_made_up_for() {
    // So little history that the watch cannot keep up with what is written before it runs.
    let world = World::new(HistoryLimits { revisions: 1, size_bytes: 1 << 20 });
    world.put(&Key::Topic("kept".into()), r#"{"id":"AAAAAAAAAAAAAAAAAAAAAg","partitions":1}"#).await;
    let publisher = world.start().await;
    let first = publisher.current();
    let mut last = Revision(0);
    for number in 0..10 {
        last = world.put_cluster_id(&number.to_string()).await;
    }
    let image = publisher.wait_for(last).await.unwrap();
    assert_eq!(&*image.cluster_id, "9");
    assert!(Arc::ptr_eq(first.topic("kept").unwrap(), image.topic("kept").unwrap()));
}

#[tokio::test]
async fn a_bad_value_stops_the_start_but_not_the_run() {
    let world = World::new(HistoryLimits::default());
    let publisher = world.start().await;
    world.put_cluster_id("good").await;
    let revision = world.put(&Key::ClusterId, "bad").await;
    assert_eq!(&*publisher.wait_for(revision).await.unwrap().cluster_id, "good");
    let store = Arc::clone(&world.store) as Arc<dyn MetadataStore>;
    let error = ImagePublisher::start(store, world.keys.clone(), &world.tasks, world.shutdown.clone()).await;
    assert!(error.unwrap_err().to_string().contains("/ottla/test/cluster_id"));
}

#[tokio::test]
async fn nobody_waits_beyond_the_end() {
    let world = World::new(HistoryLimits::default());
    let publisher = world.start().await;
    let revision = publisher.current().revision;
    world.shutdown.cancel();
    assert_eq!(publisher.wait_for(revision.next()).await, Err(Stopped));
    world.tasks.close();
    world.tasks.wait().await;
}
