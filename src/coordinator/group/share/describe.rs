//! A share group as the tools show it.

use std::sync::Arc;

use super::group::{ShareGroup, ShareGroupState, ShareMember};
use crate::coordinator::group::assignor::simple;

/// A share group, described.
#[derive(Clone, Debug)]
pub struct DescribedShareGroup {
    pub group_id: Arc<str>,
    pub state: ShareGroupState,
    pub group_epoch: i32,
    pub assignment_epoch: i32,
    pub assignor: &'static str,
    pub members: Vec<DescribedShareMember>,
}

/// A member of it.
pub type DescribedShareMember = Arc<ShareMember>;

impl ShareGroup {
    pub fn describe(&self) -> DescribedShareGroup {
        DescribedShareGroup {
            group_id: Arc::clone(&self.group_id),
            state: self.state(),
            group_epoch: self.group_epoch,
            assignment_epoch: self.assignment_epoch,
            assignor: simple::NAME,
            members: self.members().cloned().collect(),
        }
    }
}
