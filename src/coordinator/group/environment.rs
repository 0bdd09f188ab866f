//! What decisions about groups depend on, beside the groups.

use std::sync::Arc;
use std::time::Duration;

use super::assignor::Assignor;
use super::classic::ClassicSettings;
use super::consumer::Settings;
use super::share::ShareSettings;
use crate::config::BrokerConfig;
use crate::metadata::{GroupConfigs, ImagePublisher, MetadataImage};

/// The broker's configuration and the cluster's metadata, as they are at the moment.
#[derive(Clone, Debug)]
pub struct GroupEnvironment {
    pub config: Arc<BrokerConfig>,
    pub metadata: Arc<ImagePublisher>,
    /// What is set for groups, else the broker's; resolved when it changes and not at each heartbeat.
    pub groups: Arc<GroupConfigs>,
}

impl GroupEnvironment {
    pub fn image(&self) -> Arc<MetadataImage> {
        self.metadata.current()
    }

    pub fn classic_settings(&self) -> ClassicSettings {
        let groups = &self.config.groups;
        ClassicSettings {
            max_size: groups.max_size,
            initial_rebalance_delay: Duration::from_millis(groups.initial_rebalance_delay_ms.into()),
            new_member_join_timeout: ClassicSettings::NEW_MEMBER_JOIN_TIMEOUT,
        }
    }

    /// The assignors that members of consumer groups may ask for, the default first.
    pub fn consumer_assignors(&self) -> Vec<Assignor> {
        self.config.groups.consumer_assignors.iter().filter_map(|name| Assignor::from_name(name)).collect()
    }

    /// What a share group goes by.
    pub fn share_settings(&self, group_id: &str) -> ShareSettings {
        let (groups, group) = (&self.config.groups, self.groups.of(group_id));
        ShareSettings {
            session_timeout: Duration::from_millis(group.share_session_timeout_ms.max(0) as u64),
            heartbeat_interval_ms: group.share_heartbeat_interval_ms,
            max_size: groups.share_max_size,
            assignment_interval_ms: group.share_assignment_interval_ms.into(),
            initialize_retry_interval: Duration::from_millis(groups.share_initialize_retry_interval_ms),
        }
    }

    /// What a group of the consumer protocol goes by.
    pub fn consumer_settings(&self, group_id: &str) -> Settings {
        let (groups, group) = (&self.config.groups, self.groups.of(group_id));
        Settings {
            session_timeout: Duration::from_millis(group.consumer_session_timeout_ms.max(0) as u64),
            heartbeat_interval_ms: group.consumer_heartbeat_interval_ms,
            assignment_interval_ms: group.consumer_assignment_interval_ms.into(),
            regex_refresh_interval_ms: groups.consumer_regex_refresh_interval_ms as i64,
            max_size: groups.consumer_max_size,
            classic_max_size: groups.max_size,
            assignors: self.consumer_assignors(),
            migration_policy: groups.consumer_migration_policy,
        }
    }
}
