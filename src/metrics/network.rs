//! Connections per listener (Kafka's `socket-server-metrics`).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::exposition::{Exposition, Label};
use super::names::{self, Family};
use super::topic::Count;

/// Names of client software come from the wire: so many are told apart, the others count as `other`.
const SOFTWARE_MAX: usize = 100;
const SOFTWARE_NAME_CHARACTERS_MAX: usize = 64;
/// Kafka labels a connection with the thread that serves it; here any worker does.
const PROCESSOR: Label<'static> = ("networkProcessor", "0");
/// With one sample at every upkeep: rates over half a minute.
const RATE_SAMPLES: usize = 7;

/// The listeners' connections.
#[derive(Debug, Default)]
pub struct NetworkMetrics {
    listeners: Mutex<BTreeMap<String, Arc<ListenerMetrics>>>,
}

/// The connections of one listener.
#[derive(Debug, Default)]
pub struct ListenerMetrics {
    opened: Count,
    closed: Count,
    rejected: Count,
    software: Mutex<BTreeMap<Software, u64>>,
    history: Mutex<VecDeque<(Duration, u64, u64)>>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Software {
    name: String,
    version: String,
}

/// Counts one open connection for as long as it lives.
#[derive(Debug)]
pub struct ConnectionMetrics {
    listener: Arc<ListenerMetrics>,
    software: Option<Software>,
}

impl NetworkMetrics {
    /// The handle of a listener, by its name in upper case.
    pub fn listener(&self, name: &str) -> Arc<ListenerMetrics> {
        Arc::clone(self.listeners.lock().entry(name.to_owned()).or_default())
    }

    pub(crate) fn upkeep(&self, now: Duration) {
        for listener in self.listeners.lock().values() {
            let mut history = listener.history.lock();
            history.push_back((now, listener.opened.get(), listener.closed.get()));
            while history.len() > RATE_SAMPLES {
                history.pop_front();
            }
        }
    }

    pub(crate) fn render(&self, out: &mut Exposition) {
        let listeners = self.listeners.lock();
        let mut write = |family: &'static Family, value: fn(&ListenerMetrics) -> f64| {
            out.family(family);
            for (name, listener) in listeners.iter() {
                out.sample(family, &[("listener", name), PROCESSOR], value(listener));
            }
        };
        write(&names::CONNECTION_COUNT, |listener| listener.open() as f64);
        write(&names::CONNECTION_CREATION_TOTAL, |listener| listener.opened.get() as f64);
        write(&names::CONNECTION_CREATION_RATE, |listener| listener.rates().0);
        write(&names::CONNECTION_CLOSE_TOTAL, |listener| listener.closed.get() as f64);
        write(&names::CONNECTION_CLOSE_RATE, |listener| listener.rates().1);

        out.family(&names::CONNECTIONS_SOFTWARE);
        for (name, listener) in listeners.iter() {
            for (Software { name: software, version }, connections) in listener.software.lock().iter() {
                let labels = [
                    ("clientSoftwareName", software.as_str()),
                    ("clientSoftwareVersion", version),
                    ("listener", name),
                    PROCESSOR,
                ];
                out.sample(&names::CONNECTIONS_SOFTWARE, &labels, connections);
            }
        }
        out.family(&names::CONNECTIONS_REJECTED);
        for (name, listener) in listeners.iter() {
            out.sample(&names::CONNECTIONS_REJECTED, &[("listener", name)], listener.rejected.get());
        }
    }
}

impl ListenerMetrics {
    /// Counts a connection until what is returned is dropped.
    pub fn connection(self: &Arc<Self>) -> ConnectionMetrics {
        self.opened.add(1);
        ConnectionMetrics { listener: Arc::clone(self), software: None }
    }

    /// Counts a connection that was closed on arrival. The other limits make connections wait instead.
    pub fn rejected(&self) {
        self.rejected.add(1);
    }

    /// Connections open now.
    pub fn open(&self) -> u64 {
        // Read in this order, a connection that closes in between is not seen as one below zero.
        let closed = self.closed.get();
        self.opened.get().saturating_sub(closed)
    }

    /// Connections opened and closed per second.
    fn rates(&self) -> (f64, f64) {
        let history = self.history.lock();
        let (Some(first), Some(last)) = (history.front(), history.back()) else { return (0.0, 0.0) };
        let seconds = last.0.saturating_sub(first.0).as_secs_f64();
        if seconds <= 0.0 {
            return (0.0, 0.0);
        }
        ((last.1 - first.1) as f64 / seconds, (last.2 - first.2) as f64 / seconds)
    }

    fn add_software(&self, software: Software) -> Software {
        let mut connections = self.software.lock();
        let known = connections.contains_key(&software);
        let software = if known || connections.len() < SOFTWARE_MAX { software } else { Software::other() };
        *connections.entry(software.clone()).or_default() += 1;
        software
    }

    fn remove_software(&self, software: &Software) {
        let mut connections = self.software.lock();
        if let Some(count) = connections.get_mut(software) {
            *count -= 1;
            if *count == 0 {
                connections.remove(software);
            }
        }
    }
}

impl ConnectionMetrics {
    /// Notes what the client said it is (ApiVersions from version 3 on); a second call replaces the first.
    pub fn set_software(&mut self, name: &str, version: &str) {
        let cut = |text: &str| text.chars().take(SOFTWARE_NAME_CHARACTERS_MAX).collect();
        let software = Software { name: cut(name), version: cut(version) };
        if let Some(former) = self.software.take() {
            self.listener.remove_software(&former);
        }
        self.software = Some(self.listener.add_software(software));
    }
}

impl Drop for ConnectionMetrics {
    fn drop(&mut self) {
        self.listener.closed.add(1);
        if let Some(software) = self.software.take() {
            self.listener.remove_software(&software);
        }
    }
}

impl Software {
    fn other() -> Self {
        Self { name: "other".to_owned(), version: "other".to_owned() }
    }
}
