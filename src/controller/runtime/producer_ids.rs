//! Producer ids: unique for ever, so they are handed out by blocks that are durable before their first use
//! (KIP-730).

use std::ops::Range;

use super::{Controller, MAX_ATTEMPTS, too_contended};
use crate::controller::AdminError;
use crate::error::ErrorCode;
use crate::metadata::keys::Key;
use crate::metadata::store::{Compare, Operation, RangeRequest, Txn, printable};
use crate::metadata::values::{self, ProducerIdsValue};

/// Ids in a block.
pub const PRODUCER_ID_BLOCK: i64 = 1000;

impl Controller {
    /// A block of producer ids that nobody else has or will have.
    pub async fn allocate_producer_ids(&self) -> Result<Range<i64>, AdminError> {
        let key = self.key(&Key::ProducerIds);
        for _ in 0..MAX_ATTEMPTS {
            let found = self.parts.store.range(RangeRequest::key(key.clone())).await?.kvs.pop();
            let (unchanged, first) = match found {
                None => (Compare::Absent(key.clone()), 0),
                Some(kv) => {
                    let value: Result<ProducerIdsValue, String> = values::decode(&kv.value);
                    let value =
                        value.map_err(|problem| bad(format!("metadata key '{}': {problem}", printable(&key))))?;
                    (Compare::ModRevision(key.clone(), kv.mod_revision), value.next)
                }
            };
            let next = first.checked_add(PRODUCER_ID_BLOCK).filter(|_| first >= 0);
            let next = next.ok_or_else(|| bad(format!("no producer ids are left behind {first}")))?;
            let put = Operation::put(key.clone(), values::encode(&ProducerIdsValue { next }));
            if self.txn(Txn::when(vec![unchanged], vec![put])).await?.succeeded {
                return Ok(first..next);
            }
        }
        Err(too_contended())
    }
}

fn bad(message: String) -> AdminError {
    AdminError::new(ErrorCode::UnknownServerError, message)
}
