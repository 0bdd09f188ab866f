//! What topics may be called.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::controller::AdminError;
use crate::error::ErrorCode;
use crate::metadata::MetadataImage;

/// A folder name is at most 255 bytes long, and takes the partition's number besides.
const MAX_NAME_LENGTH: usize = 249;
const METADATA_TOPIC: &str = "__cluster_metadata";

/// Refuses what can't be a topic's name.
pub fn validate_topic_name(name: &str) -> Result<(), AdminError> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let reason = if name.is_empty() {
        "the empty string is not allowed".to_owned()
    } else if matches!(name, "." | "..") {
        format!("'{name}' is not allowed")
    } else if name.encode_utf16().count() > MAX_NAME_LENGTH {
        format!("the length of '{name}' is longer than the max allowed length {MAX_NAME_LENGTH}")
    } else if !name.bytes().all(legal) {
        format!("'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'")
    } else {
        return Ok(());
    };
    Err(AdminError::new(ErrorCode::InvalidTopicException, format!("Topic name is invalid: {reason}")))
}

/// The names in use, to compare new ones with. Names of metrics have no dots, so topics whose names differ only in
/// `.` and `_` would share their metrics.
pub struct TopicNames<'a> {
    image: &'a MetadataImage,
    /// By name with `_` for `.`; only names that have either.
    unified: HashMap<Cow<'a, str>, &'a str>,
}

impl<'a> TopicNames<'a> {
    pub fn of(image: &'a MetadataImage) -> Self {
        let names = image.topics().map(|topic| &*topic.name).filter(|name| can_collide(name));
        Self { image, unified: names.map(|name| (unify(name), name)).collect() }
    }

    /// Refuses a name that is no name, is taken, or collides.
    pub fn check_new(&self, name: &str) -> Result<(), AdminError> {
        if name == METADATA_TOPIC {
            let message = format!("Creation of internal topic {METADATA_TOPIC} is prohibited.");
            return Err(AdminError::new(ErrorCode::InvalidRequest, message));
        }
        if self.image.topic(name).is_some() {
            let message = format!("Topic '{name}' already exists.");
            return Err(AdminError::new(ErrorCode::TopicAlreadyExists, message));
        }
        validate_topic_name(name)?;
        if can_collide(name)
            && let Some(existing) = self.unified.get(&unify(name))
        {
            let message = format!("Topic '{name}' collides with existing topic: {existing}");
            return Err(AdminError::new(ErrorCode::InvalidTopicException, message));
        }
        Ok(())
    }
}

fn can_collide(name: &str) -> bool {
    name.contains(['.', '_'])
}

fn unify(name: &str) -> Cow<'_, str> {
    if name.contains('.') { Cow::Owned(name.replace('.', "_")) } else { Cow::Borrowed(name) }
}
