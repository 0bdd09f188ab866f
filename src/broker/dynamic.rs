//! Broker settings that change while it runs: what the metadata says is put in force at once.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::api::Services;
use crate::config::{DynamicBrokerConfig, ListenerLimits};
use crate::metadata::MetadataImage;
use crate::net::{ConnectionLimits, LimitSettings};
use crate::quota::{HostLimits, addresses_of};

/// The limits on connections, of the broker and of each listener.
#[derive(Clone, Debug)]
pub(super) struct DynamicLimits {
    pub broker: Arc<ConnectionLimits>,
    listeners: BTreeMap<String, Arc<ConnectionLimits>>,
}

/// The settings that hold; none before the first image.
#[derive(Debug, Default)]
struct InForce {
    config: Option<DynamicBrokerConfig>,
    hosts: HostLimits<usize>,
}

impl DynamicLimits {
    /// Limits that follow the metadata.
    pub(super) fn follow<'a>(services: &Arc<Services>, listeners: impl Iterator<Item = &'a str>) -> Self {
        let unlimited = || ConnectionLimits::new(listener_settings(None));
        let limits =
            Self { broker: unlimited(), listeners: listeners.map(|name| (name.to_owned(), unlimited())).collect() };
        let (followed, followers) = (limits.clone(), Arc::downgrade(services));
        let in_force: Mutex<InForce> = Mutex::default();
        services.metadata.listen(Box::new(move |old, new| {
            let Some(services) = followers.upgrade() else { return };
            let mut in_force = in_force.lock();
            if in_force.config.is_some() && new.same_configs(old) {
                return;
            }
            let config = current(&services, new);
            // Most changes are of topics, groups and other keys.
            if in_force.config.as_ref() == Some(&config) {
                return;
            }
            in_force.hosts = in_force.hosts.renewed(per_host(&config), addresses_of);
            followed.put_in_force(&config, in_force.hosts.by_address());
            services.logs.set_producer_expiration_ms(config.producer_id_expiration_ms as i64);
            if let Some(cleaner) = &services.cleaner {
                cleaner.reconfigure(config.cleaner);
            }
            services.replicas.set_move_bytes_per_second(config.replica_alter_log_dirs_io_max_bytes_per_second);
            services.logs.scrubbing().set_bytes_per_second(config.log_scrub_bytes_per_second);
            in_force.config = Some(config);
        }));
        limits
    }

    pub(super) fn of_listener(&self, name: &str) -> &Arc<ConnectionLimits> {
        self.listeners.get(name).unwrap_or(&self.broker)
    }

    fn put_in_force(&self, config: &DynamicBrokerConfig, overrides: HashMap<IpAddr, usize>) {
        self.broker.set(LimitSettings {
            max_connections: config.max_connections as usize,
            max_connections_per_ip: config.max_connections_per_ip as usize,
            max_connections_per_ip_overrides: overrides,
            max_connection_creation_rate: config.max_connection_creation_rate as usize,
        });
        for (name, limits) in &self.listeners {
            limits.set(listener_settings(config.listener_limits.get(name)));
        }
    }
}

fn current(services: &Services, image: &MetadataImage) -> DynamicBrokerConfig {
    services.config.dynamic_config(image.cluster_default_configs(), image.broker_configs(services.broker_id))
}

fn listener_settings(limits: Option<&ListenerLimits>) -> LimitSettings {
    let or_none = |limit: Option<u32>| limit.map_or(usize::MAX, |limit| limit as usize);
    LimitSettings {
        max_connections: or_none(limits.and_then(|limits| limits.max_connections)),
        max_connections_per_ip: usize::MAX,
        max_connections_per_ip_overrides: HashMap::new(),
        max_connection_creation_rate: or_none(limits.and_then(|limits| limits.max_connection_creation_rate)),
    }
}

/// Kafka takes host names in `max.connections.per.ip.overrides` too; each stands for its addresses.
fn per_host(config: &DynamicBrokerConfig) -> impl Iterator<Item = (&str, usize)> {
    config.max_connections_per_ip_overrides.iter().map(|(host, &limit)| (host.as_str(), limit as usize))
}
