//! Why a broker does not start: one line for each problem, all problems at once.

use std::fmt;

use super::sources::Origin;

/// One problem, in one line that begins with its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

impl ConfigError {
    /// A problem at a place in a source.
    pub(super) fn at(origin: &Origin, problem: impl fmt::Display) -> Self {
        Self(one_line(&format!("{origin}: {problem}")))
    }

    /// A problem that lies between several settings, or in a default.
    pub(super) fn general(problem: impl Into<String>) -> Self {
        Self(one_line(&problem.into()))
    }
}

/// The text with control characters written out: a value with line breaks in it must not look like several messages.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

/// Everything that is wrong with a configuration; displayed as one line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let line_end = if index == 0 { "" } else { "\n" };
            write!(f, "{line_end}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
