//! Changing client quotas.

use super::{Controller, MAX_ATTEMPTS, too_contended};
use crate::controller::AdminError;
use crate::controller::machine::{QuotaOp, change_quotas};
use crate::metadata::keys::Key;
use crate::metadata::quotas::QuotaEntity;
use crate::metadata::store::{Compare, Operation, Txn};
use crate::metadata::values;

impl Controller {
    /// Changes the quotas of one entity. With `validate_only` nothing is written.
    pub async fn alter_quotas(
        &self,
        entity: &QuotaEntity,
        ops: &[QuotaOp<'_>],
        validate_only: bool,
    ) -> Result<(), AdminError> {
        for _ in 0..MAX_ATTEMPTS {
            let image = self.image().await?;
            let before = image.quota(entity).cloned().unwrap_or_default();
            let after = change_quotas(entity, &before.values, ops)?;
            if validate_only || after == before.values {
                return Ok(());
            }
            let key = self.key(&Key::Quota(entity.clone()));
            let compare = match image.quota(entity) {
                Some(quota) => Compare::ModRevision(key.clone(), quota.revision),
                None => Compare::Absent(key.clone()),
            };
            let operation =
                if after.is_empty() { Operation::delete(key) } else { Operation::put(key, values::encode(&after)) };
            let response = self.txn(Txn::when(vec![compare], vec![operation])).await?;
            if response.succeeded {
                self.shown(response.revision).await;
                return Ok(());
            }
        }
        Err(too_contended())
    }
}
