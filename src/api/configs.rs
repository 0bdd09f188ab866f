//! What the configuration APIs share: resources by name, the layers of settings as of one image.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::alter::{AlterError, BrokerTarget, Target, broker_target, logger_broker};
use crate::config::{ConfigOverrides, Layers};
use crate::controller::AdminError;
use crate::error::ErrorCode;
use crate::ids::TopicName;
use crate::metadata::MetadataImage;
use crate::metadata::keys::ConfigResource;

use super::RequestContext;

pub(super) const TOPIC: i8 = 2;
pub(super) const BROKER: i8 = 4;
pub(super) const BROKER_LOGGER: i8 = 8;
pub(super) const CLIENT_METRICS: i8 = 16;
pub(super) const GROUP: i8 = 32;

/// What a request configures or describes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Resource {
    Topic(TopicName),
    Broker(BrokerTarget),
    /// The levels of this process' own loggers, which are kept nowhere.
    BrokerLogger,
    Group(Arc<str>),
    ClientMetrics(Arc<str>),
}

impl Resource {
    pub(super) fn from_wire(cx: &RequestContext, resource_type: i8, name: &str) -> Result<Self, AdminError> {
        match resource_type {
            TOPIC => Ok(Self::Topic(name.into())),
            BROKER => Ok(Self::Broker(broker_target(name, cx.services().broker_id).map_err(refused)?)),
            BROKER_LOGGER => {
                logger_broker(name, cx.services().broker_id).map(|()| Self::BrokerLogger).map_err(refused)
            }
            GROUP if name.is_empty() => Err(invalid("Default group resources are not allowed.")),
            GROUP => Ok(Self::Group(name.into())),
            CLIENT_METRICS if name.is_empty() => Err(invalid("Subscription name can't be empty")),
            CLIENT_METRICS => Ok(Self::ClientMetrics(name.into())),
            _ => Err(unknown_type(resource_type)),
        }
    }

    /// Where the metadata keeps what is set for it, and the rules for that.
    fn stored(self, cx: &RequestContext) -> Result<(ConfigResource, Target), AdminError> {
        Ok(match self {
            Self::Topic(name) => (ConfigResource::Topic(name), Target::Topic),
            Self::Broker(target) => {
                let resource = match target {
                    BrokerTarget::ThisBroker => ConfigResource::Broker(cx.services().broker_id),
                    BrokerTarget::AllBrokers => ConfigResource::ClusterDefault,
                };
                (resource, Target::Broker(target))
            }
            // Only IncrementalAlterConfigs changes loggers.
            Self::BrokerLogger => return Err(unknown_type(BROKER_LOGGER)),
            Self::Group(id) => (ConfigResource::Group(id), Target::Group),
            Self::ClientMetrics(name) => (ConfigResource::ClientMetrics(name), Target::ClientMetrics),
        })
    }
}

pub(super) fn invalid(message: impl Into<String>) -> AdminError {
    AdminError::new(ErrorCode::InvalidRequest, message)
}

fn unknown_type(resource_type: i8) -> AdminError {
    invalid(format!("Unknown resource type {resource_type}"))
}

/// The broker's settings as `image` has them.
pub(super) fn layers<'a>(cx: &'a RequestContext, image: &'a MetadataImage) -> Layers<'a> {
    Layers {
        config: &cx.services().config,
        cluster_default: image.cluster_default_configs(),
        broker: image.broker_configs(cx.services().broker_id),
    }
}

/// The broker's settings with `current` for those of `target`.
pub(super) fn layers_with<'a>(layers: Layers<'a>, target: BrokerTarget, current: &'a ConfigOverrides) -> Layers<'a> {
    match target {
        BrokerTarget::ThisBroker => Layers { broker: current, ..layers },
        BrokerTarget::AllBrokers => Layers { cluster_default: current, ..layers },
    }
}

pub(super) fn refused(error: AlterError) -> AdminError {
    AdminError::new(error.code(), error.to_string())
}

/// The resources of a request; one that is named twice is refused each time.
pub(super) fn each_once(cx: &RequestContext, named: &[(i8, &str)]) -> Vec<Result<Resource, AdminError>> {
    let mut times_named: HashMap<(i8, &str), usize> = HashMap::new();
    for &resource in named {
        *times_named.entry(resource).or_default() += 1;
    }
    let resolve = |&(resource_type, name): &(i8, &str)| {
        if times_named.get(&(resource_type, name)).is_some_and(|&times| times > 1) {
            return Err(invalid("Each resource must appear at most once."));
        }
        Resource::from_wire(cx, resource_type, name)
    };
    named.iter().map(resolve).collect()
}

/// Changes what is set for one resource: `change` makes the new settings from the old.
pub(super) async fn alter(
    cx: &RequestContext,
    resource: Resource,
    validate_only: bool,
    change: impl Fn(&Layers<'_>, Target, &ConfigOverrides) -> Result<ConfigOverrides, AlterError> + Send + Sync,
) -> Result<(), AdminError> {
    let services = cx.services();
    let (stored, target) = resource.stored(cx)?;
    let change = |current: &ConfigOverrides| {
        let image = services.metadata.current();
        let layers = match target {
            Target::Broker(target) => layers_with(layers(cx, &image), target, current),
            _ => layers(cx, &image),
        };
        change(&layers, target, current).map_err(refused)
    };
    services.controller.alter_configs(&stored, validate_only, change).await
}
