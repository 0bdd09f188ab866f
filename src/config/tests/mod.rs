//! Tests of the configuration as a whole.

mod layers;
mod listeners;
mod loading;
mod table;

use super::{BrokerConfig, Loaded, Sources, load};

/// A file called `f`, and nothing else.
fn file(text: &str) -> Sources {
    Sources { file: Some(("f".into(), text.to_owned())), ..Sources::default() }
}

#[track_caller]
fn loaded(text: &str) -> Loaded {
    load(&file(text)).unwrap_or_else(|errors| panic!("{text}\n{errors}"))
}

#[track_caller]
fn started_with(text: &str) -> BrokerConfig {
    loaded(text).config
}

/// The file must be refused with this text, whole.
#[track_caller]
fn check_refused(text: &str, expected: &str) {
    match load(&file(text)) {
        Ok(_) => panic!("accepted: {text}"),
        Err(errors) => assert_eq!(errors.to_string(), expected, "{text}"),
    }
}

/// The file must be refused with this somewhere in the text.
#[track_caller]
fn check_refused_for(text: &str, part: &str) {
    match load(&file(text)) {
        Ok(_) => panic!("accepted: {text}"),
        Err(errors) => assert!(errors.to_string().contains(part), "{text}\n{errors}"),
    }
}
