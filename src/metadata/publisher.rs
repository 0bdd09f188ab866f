//! Follows the store, and tells the broker what has become of it.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::StreamExt;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use super::image::{ImageError, MetadataImage};
use super::keys::{Key, Keys};
use super::store::{EventBatch, MetadataStore, RangeRequest, Revision, StoreError, range_all};

/// Revisions that one new image may take in at once, if they are there already.
const MAX_REVISIONS_AT_ONCE: usize = 256;
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_secs(5);

/// Called with the image before and the image now; may block on files.
pub type ImageListener = Box<dyn Fn(&Arc<MetadataImage>, &Arc<MetadataImage>) + Send + Sync>;

/// Why there is no first image.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Image(#[from] ImageError),
}

/// The publisher has been shut down: the revision waited for will not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("metadata is not followed any more")]
pub struct Stopped;

/// Holds the current [`MetadataImage`].
///
/// A new image goes to the listeners first, one after the other, then to whoever asks for the current one, then
/// to those who wait for its revision. So whoever sees a topic here finds this broker's replicas of it.
pub struct ImagePublisher {
    store: Arc<dyn MetadataStore>,
    keys: Keys,
    current: ArcSwap<MetadataImage>,
    /// Held while an image is published, so that a new listener misses none.
    listeners: Mutex<Vec<ImageListener>>,
    published: watch::Sender<Published>,
}

#[derive(Clone, Copy, Debug)]
struct Published {
    revision: Revision,
    stopped: bool,
}

impl ImagePublisher {
    /// Reads the first image and follows the store from there until `shutdown`, in a task of `tasks`.
    pub async fn start(
        store: Arc<dyn MetadataStore>,
        keys: Keys,
        tasks: &TaskTracker,
        shutdown: CancellationToken,
    ) -> Result<Arc<Self>, StartError> {
        let (revision, kvs) = range_all(&*store, keys.all()).await?;
        let image = MetadataImage::build(&keys, revision, kvs)?;
        let publisher = Arc::new(Self {
            store,
            keys,
            current: ArcSwap::from_pointee(image),
            listeners: Mutex::default(),
            published: watch::Sender::new(Published { revision, stopped: false }),
        });
        let follower = Arc::clone(&publisher);
        let own_tasks = tasks.clone();
        tasks.spawn(async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = follower.follow(&own_tasks) => {}
            }
            follower.published.send_modify(|published| published.stopped = true);
        });
        Ok(publisher)
    }

    /// The image as of the last revision published.
    pub fn current(&self) -> Arc<MetadataImage> {
        self.current.load_full()
    }

    /// Adds a listener; its first call is with an empty image and the current one, before this returns.
    pub fn listen(&self, listener: ImageListener) {
        let mut listeners = self.listeners.lock();
        listener(&Arc::default(), &self.current());
        listeners.push(listener);
    }

    /// The image once it is of `revision` or later.
    pub async fn wait_for(&self, revision: Revision) -> Result<Arc<MetadataImage>, Stopped> {
        let mut published = self.published.subscribe();
        let state = published.wait_for(|now| now.stopped || now.revision >= revision).await.map_err(|_| Stopped)?;
        if state.revision < revision {
            return Err(Stopped);
        }
        drop(state);
        Ok(self.current())
    }

    /// The first image for which `holds` is true.
    pub async fn wait_until(&self, holds: impl Fn(&MetadataImage) -> bool) -> Result<Arc<MetadataImage>, Stopped> {
        let mut published = self.published.subscribe();
        loop {
            let stopped = published.borrow_and_update().stopped;
            let image = self.current();
            if holds(&image) {
                return Ok(image);
            }
            if stopped || published.changed().await.is_err() {
                return Err(Stopped);
            }
        }
    }

    /// The image once it has everything that any broker had written when this was called.
    pub async fn sync(&self) -> Result<Arc<MetadataImage>, StoreError> {
        let response = self.store.range(RangeRequest::key(self.keys.encode(&Key::ClusterId))).await?;
        self.wait_for(response.revision).await.map_err(|stopped| StoreError::Unavailable(stopped.to_string()))
    }

    async fn follow(self: &Arc<Self>, tasks: &TaskTracker) {
        let mut retry = FIRST_RETRY;
        loop {
            let error = self.watch(tasks, &mut retry).await;
            if let Some(StoreError::Compacted { compact_revision }) = error {
                info!(%compact_revision, "metadata history is compacted: reading all of it again");
                match self.read_again(tasks).await {
                    Ok(()) => continue,
                    Err(error) => warn!(%error, "metadata can't be read"),
                }
            } else {
                let error = error.map_or_else(|| "the watch ended".to_owned(), |error| error.to_string());
                warn!(%error, "metadata watch broke off");
            }
            tokio::time::sleep(retry).await;
            retry = (retry * 2).min(LAST_RETRY);
        }
    }

    /// Publishes what the store reports, until the watch fails or ends.
    async fn watch(self: &Arc<Self>, tasks: &TaskTracker, retry: &mut Duration) -> Option<StoreError> {
        let from = self.current.load().revision.next();
        let mut batches = self.store.watch(self.keys.all(), from).ready_chunks(MAX_REVISIONS_AT_ONCE);
        while let Some(chunk) = batches.next().await {
            let mut ready = Vec::with_capacity(chunk.len());
            let mut error = None;
            for batch in chunk {
                match batch {
                    Ok(batch) => ready.push(batch),
                    Err(failed) => error = Some(failed),
                }
            }
            if !ready.is_empty() {
                *retry = FIRST_RETRY;
                self.take_in(tasks, ready).await;
            }
            if error.is_some() {
                return error;
            }
        }
        None
    }

    async fn take_in(self: &Arc<Self>, tasks: &TaskTracker, batches: Vec<EventBatch>) {
        let changed = batches.iter().any(|batch| !batch.events.is_empty());
        let (image, problems) = self.current.load().apply(&self.keys, batches);
        report(&problems);
        self.publish(tasks, image, changed).await;
    }

    /// Makes up for lost history: the whole range at one revision, compared with what is known.
    async fn read_again(self: &Arc<Self>, tasks: &TaskTracker) -> Result<(), StoreError> {
        let (revision, kvs) = range_all(&*self.store, self.keys.all()).await?;
        let (image, problems) = MetadataImage::build_leniently(&self.keys, revision, kvs);
        report(&problems);
        let image = image.sharing_with(&self.current.load());
        self.publish(tasks, image, true).await;
        Ok(())
    }

    /// Listeners run on a thread that may block. The task waits for them, so images are published in order.
    async fn publish(self: &Arc<Self>, tasks: &TaskTracker, image: MetadataImage, changed: bool) {
        if !changed {
            return self.show(Arc::new(image));
        }
        let publisher = Arc::clone(self);
        let done = tasks.spawn_blocking(move || {
            let image = Arc::new(image);
            let listeners = publisher.listeners.lock();
            let old = publisher.current();
            for listener in &*listeners {
                listener(&old, &image);
            }
            publisher.show(image);
        });
        if let Err(error) = done.await {
            error!(%error, "a metadata listener failed");
        }
    }

    fn show(&self, image: Arc<MetadataImage>) {
        let revision = image.revision;
        self.current.store(image);
        self.published.send_modify(|published| published.revision = revision);
    }
}

impl fmt::Debug for ImagePublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImagePublisher").field("published", &*self.published.borrow()).finish_non_exhaustive()
    }
}

fn report(problems: &[ImageError]) {
    for problem in problems {
        error!(key = problem.key, problem = problem.problem, "metadata value ignored");
    }
}
