//! What the APIs of groups have in common.

use std::sync::Arc;

use crate::coordinator::{CoordinatorError, Pending};
use crate::protocol::wire::protocol::StrBytes;

/// A text that outlives its frame.
pub(super) fn own(text: &str) -> Arc<str> {
    text.into()
}

pub(super) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// Members need a group with a name; offsets may be committed without (to the group that old simple consumers share).
pub(super) fn has_no_id(group_id: &str) -> bool {
    group_id.is_empty()
}

/// What a classic group answers, once it may be told.
pub(super) async fn classic_answer<R>(asked: Result<Pending<R>, CoordinatorError>) -> Result<R, CoordinatorError> {
    asked?.done().await
}
