//! A start on the directories of a Kafka that was stopped.

use std::io;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use super::cluster::Cluster;
use super::{StartError, cluster};
use crate::adopt::Adoption;
use crate::adopt::note::{self, Wishes};
use crate::adopt::report::Report;
use crate::adopt::transactions;
use crate::api::Services;
use crate::config::BrokerConfig;
use crate::io::{Disk, relieving_worker};
use crate::log::first_write::FirstWrite;
use crate::log::log_directory::LogDirectories;
use crate::metadata::StoreError;

/// What stays behind is told line by line up to here, and counted from here on.
const MAX_TOLD: usize = 20;

/// What this start takes over.
pub(super) struct Adopted {
    pub adoption: Adoption,
    pub first_write: Arc<FirstWrite>,
}

/// Looks for what is to be taken over, says so, and leaves the note; nothing else is written before the first write.
pub(super) fn begin(
    config: &Arc<BrokerConfig>,
    disk: &Arc<dyn Disk>,
    directories: &LogDirectories,
    wishes: Wishes,
) -> Result<Option<Adopted>, StartError> {
    let adoption =
        relieving_worker(|| Adoption::find(disk, config, directories, &cluster::store_file(config), wishes))?;
    let (Some(adoption), Some(first)) = (adoption, config.log_dirs.first()) else { return Ok(None) };
    if let Some(refusal) = adoption.refusal() {
        return Err(refusal.into());
    }
    tell(&adoption);
    adoption.begin(&**disk, first)?;
    let none = || io::Error::other("no log directory is online");
    let first_write = directories.await_first_write(note::path(first)).ok_or_else(none)?;
    Ok(Some(Adopted { adoption, first_write }))
}

/// Ends the transactions that Kafka left open, as soon as something may be written; once they have ended, never again.
pub(super) async fn end_open_transactions(
    cluster: &Cluster,
    services: &Services,
    first_write: Option<Arc<FirstWrite>>,
    tasks: &TaskTracker,
    shutdown: &CancellationToken,
) -> Result<(), StoreError> {
    let (store, keys) = (Arc::clone(&cluster.store), cluster.keys.clone());
    if !transactions::are_open(&*store, &keys).await? {
        return Ok(());
    }
    let (replicas, clock) = (Arc::clone(&services.replicas), Arc::clone(&services.clock));
    let shutdown = shutdown.clone();
    tasks.spawn(async move {
        if let Some(first_write) = first_write {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = first_write.begun() => {}
            }
        }
        let ending = tokio::task::spawn_blocking(move || transactions::end_open(&replicas, clock.now_ms()));
        match ending.await {
            Ok(true) => {
                if let Err(error) = transactions::have_ended(&*store, &keys).await {
                    warn!(%error, "open transactions have ended, and are looked for again at the next start");
                }
            }
            Ok(false) => {}
            Err(error) => warn!(%error, "open transactions stay open until the next start"),
        }
    });
    Ok(())
}

fn tell(adoption: &Adoption) {
    let report = Report(adoption);
    info!("taking over {}; Kafka may be started here again until something is written", report.line());
    let plan = &adoption.plan;
    for note in plan.notes.iter().take(MAX_TOLD) {
        warn!("taken over: {note}");
    }
    for left in plan.left_out.iter().take(MAX_TOLD) {
        warn!(reason = left.reason, "not taken over: {}", left.what);
    }
    let more = plan.left_out.len().saturating_sub(MAX_TOLD);
    if more > 0 {
        warn!(more, "not taken over: see `ottla adopt --dry-run`");
    }
}
