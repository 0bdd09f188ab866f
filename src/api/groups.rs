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

/// What a classic group answers, once it may be told.
pub(super) async fn classic_answer<R>(asked: Result<Pending<R>, CoordinatorError>) -> Result<R, CoordinatorError> {
    asked?.done().await
}
