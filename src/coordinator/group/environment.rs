//! What decisions about groups depend on, beside the groups.

use std::sync::Arc;
use std::time::Duration;

use super::classic::ClassicSettings;
use crate::config::{BrokerConfig, GroupConfig};
use crate::metadata::keys::ConfigResource;
use crate::metadata::{ImagePublisher, MetadataImage};

/// The broker's configuration and the cluster's metadata, as they are at the moment.
#[derive(Clone, Debug)]
pub struct GroupEnvironment {
    pub config: Arc<BrokerConfig>,
    pub metadata: Arc<ImagePublisher>,
}

impl GroupEnvironment {
    pub fn image(&self) -> Arc<MetadataImage> {
        self.metadata.current()
    }

    /// What applies to one group: what is set for it, else the broker's.
    pub fn group_config(&self, group_id: &str) -> GroupConfig {
        let image = self.image();
        self.config.group_config(
            image.cluster_default_configs(),
            image.broker_configs(self.config.node_id),
            image.configs(&ConfigResource::Group(group_id.into())),
        )
    }

    pub fn classic_settings(&self) -> ClassicSettings {
        let groups = &self.config.groups;
        ClassicSettings {
            max_size: groups.max_size,
            initial_rebalance_delay: Duration::from_millis(groups.initial_rebalance_delay_ms.into()),
            new_member_join_timeout: ClassicSettings::NEW_MEMBER_JOIN_TIMEOUT,
        }
    }
}
