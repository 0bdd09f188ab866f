//! Finalizing feature levels.

use std::collections::BTreeMap;

use tracing::info;

use super::{Controller, MAX_ATTEMPTS, too_contended};
use crate::controller::AdminError;
use crate::controller::machine::{FeatureUpdate, plan_features};
use crate::error::ErrorCode;
use crate::metadata::keys::Key;
use crate::metadata::store::{Compare, Operation, RangeRequest, Txn, printable};
use crate::metadata::values::{self, FeaturesValue};

impl Controller {
    /// Finalizes feature levels, all of them or none. With `validate_only` nothing is written.
    pub async fn update_features(&self, updates: &[FeatureUpdate], validate_only: bool) -> Result<(), AdminError> {
        let key = self.key(&Key::Features);
        for _ in 0..MAX_ATTEMPTS {
            let found = self.parts.store.range(RangeRequest::key(key.clone())).await?.kvs.pop();
            let (unchanged, before) = match &found {
                None => (Compare::Absent(key.clone()), BTreeMap::new()),
                Some(kv) => {
                    let value: Result<FeaturesValue, String> = values::decode(&kv.value);
                    let before = value.map_err(|problem| {
                        let message = format!("metadata key '{}': {problem}", printable(&key));
                        AdminError::new(ErrorCode::FeatureUpdateFailed, message)
                    })?;
                    (Compare::ModRevision(key.clone(), kv.mod_revision), before)
                }
            };
            let after = plan_features(&before, updates, self.parts.broker_id)?;
            if validate_only || after == before {
                return Ok(());
            }
            let put = Operation::put(key.clone(), values::encode(&after));
            let response = self.txn(Txn::when(vec![unchanged], vec![put])).await?;
            if response.succeeded {
                info!(features = ?after, "feature levels are finalized");
                self.shown(response.revision).await;
                return Ok(());
            }
        }
        Err(too_contended())
    }
}
