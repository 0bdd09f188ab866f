//! [`GroupConfigs`]: what every group is configured to do, resolved when the metadata changes and not at each
//! heartbeat.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::keys::ConfigResource;
use super::{ImagePublisher, MetadataImage};
use crate::config::{BrokerConfig, ConfigOverrides, GroupConfig};

/// The configurations of groups as the newest image has them.
#[derive(Debug)]
pub struct GroupConfigs {
    config: Arc<BrokerConfig>,
    resolved: ArcSwap<Resolved>,
}

#[derive(Debug, Default)]
struct Resolved {
    default: Arc<GroupConfig>,
    /// Groups with settings of their own.
    by_group: HashMap<Arc<str>, Arc<GroupConfig>>,
}

impl GroupConfigs {
    /// Configurations that follow the metadata of `publisher`.
    pub fn follow(config: Arc<BrokerConfig>, publisher: &ImagePublisher) -> Arc<Self> {
        let configs = Arc::new(Self { config, resolved: ArcSwap::default() });
        let follower = Arc::downgrade(&configs);
        publisher.listen(Box::new(move |old, new| {
            if let Some(configs) = follower.upgrade()
                && (old.cluster_id.is_empty() || !new.same_configs(old))
            {
                configs.show(new);
            }
        }));
        configs
    }

    /// What the group of this id is configured to do.
    pub fn of(&self, group_id: &str) -> Arc<GroupConfig> {
        let resolved = self.resolved.load();
        Arc::clone(resolved.by_group.get(group_id).unwrap_or(&resolved.default))
    }

    fn show(&self, image: &MetadataImage) {
        let (cluster_default, broker) = (image.cluster_default_configs(), image.broker_configs(self.config.node_id));
        let resolve = |group: &ConfigOverrides| Arc::new(self.config.group_config(cluster_default, broker, group));
        let by_group = image.config_resources().filter_map(|resource| match resource {
            ConfigResource::Group(name) => Some((Arc::clone(name), resolve(image.configs(resource)))),
            _ => None,
        });
        let resolved = Resolved { default: resolve(&ConfigOverrides::new()), by_group: by_group.collect() };
        self.resolved.store(Arc::new(resolved));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::keys::{Key, Keys};
    use crate::metadata::store::{Event, EventBatch, KeyValue, Revision};
    use crate::metadata::values;

    fn image(settings: &[(ConfigResource, &str, &str)]) -> MetadataImage {
        let keys = Keys::new("test");
        let put = |(resource, name, value): &(ConfigResource, &str, &str)| {
            let overrides = ConfigOverrides::from([((*name).to_owned(), (*value).to_owned())]);
            Event::Put(KeyValue {
                key: keys.encode(&Key::Config(resource.clone())),
                value: values::encode(&overrides),
                create_revision: Revision(1),
                mod_revision: Revision(1),
                version: 1,
                lease: None,
            })
        };
        let batch = EventBatch { revision: Revision(1), events: settings.iter().map(put).collect() };
        let (image, problems) = MetadataImage::default().apply(&keys, [batch]);
        assert_eq!(problems, []);
        image
    }

    #[test]
    fn groups_have_their_own_and_the_brokers_values() {
        let configs = GroupConfigs { config: Arc::default(), resolved: ArcSwap::default() };
        assert_eq!(*configs.of("g"), GroupConfig::default());
        configs.show(&image(&[
            (ConfigResource::Group("g/1".into()), "share.session.timeout.ms", "50000"),
            (ConfigResource::ClusterDefault, "group.consumer.assignment.interval.ms", "77"),
        ]));
        assert_eq!(configs.of("g/1").share_session_timeout_ms, 50_000);
        assert_eq!(configs.of("other").share_session_timeout_ms, 45_000);
        assert_eq!(configs.of("g/1").consumer_assignment_interval_ms, 77);
        configs.show(&image(&[]));
        assert_eq!(*configs.of("g/1"), GroupConfig::default());
    }
}
