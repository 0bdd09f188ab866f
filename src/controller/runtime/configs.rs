//! Changing configurations.

use super::{Controller, MAX_ATTEMPTS, too_contended};
use crate::controller::AdminError;
use crate::controller::machine::validate_topic_name;
use crate::error::ErrorCode;
use crate::metadata::MetadataImage;
use crate::metadata::image::ConfigOverrides;
use crate::metadata::keys::{ConfigResource, Key};
use crate::metadata::store::{Compare, Operation, Txn};
use crate::metadata::values;

impl Controller {
    /// Replaces what is overridden for a resource by what `change` makes of it; `change` is asked again if
    /// somebody else was faster. With `validate_only` nothing is written.
    pub async fn alter_configs(
        &self,
        resource: &ConfigResource,
        validate_only: bool,
        change: impl Fn(&ConfigOverrides) -> Result<ConfigOverrides, AdminError> + Send + Sync,
    ) -> Result<(), AdminError> {
        for _ in 0..MAX_ATTEMPTS {
            let image = self.image().await?;
            check_exists(&image, resource)?;
            let before = image.configs(resource);
            let after = change(before)?;
            if validate_only || after == *before {
                return Ok(());
            }
            let response = self.txn(self.replace_configs(&image, resource, &after)).await?;
            if response.succeeded {
                self.shown(response.revision).await;
                return Ok(());
            }
        }
        Err(too_contended())
    }

    fn replace_configs(&self, image: &MetadataImage, resource: &ConfigResource, after: &ConfigOverrides) -> Txn {
        let key = self.key(&Key::Config(resource.clone()));
        let mut compares = vec![match image.configs_revision(resource) {
            Some(revision) => Compare::ModRevision(key.clone(), revision),
            None => Compare::Absent(key.clone()),
        }];
        if let ConfigResource::Topic(name) = resource
            && let Some(topic) = image.topic(name)
        {
            compares.push(Compare::ModRevision(self.key(&Key::Topic(name.clone())), topic.mod_revision));
        }
        let operation =
            if after.is_empty() { Operation::delete(key) } else { Operation::put(key, values::encode(after)) };
        Txn::when(compares, vec![operation])
    }
}

fn check_exists(image: &MetadataImage, resource: &ConfigResource) -> Result<(), AdminError> {
    match resource {
        ConfigResource::Topic(name) if image.topic(name).is_none() => {
            validate_topic_name(name)?;
            let message = format!("The topic '{name}' does not exist.");
            Err(AdminError::new(ErrorCode::UnknownTopicOrPartition, message))
        }
        ConfigResource::Broker(id) if image.broker(*id).is_none() => {
            let message = format!("No node with id {id} found.");
            Err(AdminError::new(ErrorCode::BrokerIdNotRegistered, message))
        }
        _ => Ok(()),
    }
}
