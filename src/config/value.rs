//! Values: text in, typed values out. Every rule and every sentence of complaint is Kafka's, because tools show them.

use std::collections::BTreeSet;
use std::fmt;

use super::key::{Key, Kind, Valid};
use super::offset_reset::ShareAutoOffsetReset;

/// A value that its key does not take. Displayed as Kafka's `ConfigException` is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidValue {
    pub key: &'static str,
    /// The value, or the part of it that is wrong; none where the reason says it all.
    pub shown: Option<String>,
    pub reason: String,
}

impl std::error::Error for InvalidValue {}

impl fmt::Display for InvalidValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, shown, reason } = self;
        match shown {
            Some(shown) => write!(f, "Invalid value {shown} for configuration {key}: {reason}"),
            None => f.write_str(reason),
        }
    }
}

/// Whether `text` is a value of `key`: of its type, and within its range.
pub fn check(key: &Key, text: &str) -> Result<(), InvalidValue> {
    let text = text.trim();
    let complain =
        |shown: &str, reason: String| InvalidValue { key: key.name, shown: Some(shown.to_owned()), reason };
    match key.kind {
        Kind::Boolean if parse_bool(text).is_none() => {
            Err(complain(text, "Expected value to be either true or false".to_owned()))
        }
        Kind::Boolean | Kind::Password | Kind::Class => Ok(()),
        Kind::Int | Kind::Short | Kind::Long => {
            let number = parse_integer(key.kind, text).ok_or_else(|| complain(text, not_a_number(key.kind)))?;
            check_integer(key.valid, number).map_err(|reason| complain(&number.to_string(), reason))
        }
        Kind::Double => {
            let number = parse_double(text).ok_or_else(|| complain(text, not_a_number(key.kind)))?;
            check_ratio(key.valid, number).map_err(|reason| complain(&format!("{number:?}"), reason))
        }
        Kind::String => check_word(key, text).map_err(|reason| complain(text, reason)),
        Kind::List => check_list(key, text),
    }
}

/// `true` or `false`, in any case.
pub fn parse_bool(text: &str) -> Option<bool> {
    let text = text.trim();
    match () {
        () if text.eq_ignore_ascii_case("true") => Some(true),
        () if text.eq_ignore_ascii_case("false") => Some(false),
        () => None,
    }
}

/// An integer of the kind's width.
pub fn parse_integer(kind: Kind, text: &str) -> Option<i64> {
    let number: i64 = text.trim().parse().ok()?;
    let fits = match kind {
        Kind::Int => i32::try_from(number).is_ok(),
        Kind::Short => i16::try_from(number).is_ok(),
        _ => true,
    };
    fits.then_some(number)
}

/// A finite number with a fraction.
pub fn parse_double(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

/// The elements of a list; none where the text is blank.
pub fn split_list(text: &str) -> Vec<&str> {
    let text = text.trim();
    if text.is_empty() { Vec::new() } else { text.split(',').map(str::trim).collect() }
}

/// Whether two texts are the same value of `key`, however they are written.
pub fn same(key: &Key, one: &str, other: &str) -> bool {
    match key.kind {
        Kind::Boolean => parse_bool(one) == parse_bool(other),
        Kind::Int | Kind::Short | Kind::Long => parse_integer(key.kind, one) == parse_integer(key.kind, other),
        Kind::Double => parse_double(one) == parse_double(other),
        Kind::List => split_list(one) == split_list(other),
        Kind::String if matches!(key.valid, Valid::OneOfAnyCase(_)) => one.trim().eq_ignore_ascii_case(other.trim()),
        Kind::String | Kind::Class | Kind::Password => one.trim() == other.trim(),
    }
}

fn not_a_number(kind: Kind) -> String {
    format!("Not a number of type {kind}")
}

fn check_integer(valid: Valid, number: i64) -> Result<(), String> {
    match valid {
        Valid::AtLeast(min) | Valid::Between(min, _) if number < min => Err(format!("Value must be at least {min}")),
        Valid::Between(_, max) if number > max => Err(format!("Value must be no more than {max}")),
        Valid::UnlimitedOrPositive if number == 0 => Err("Value must be -1 (unlimited) or at least 1".to_owned()),
        Valid::GzipLevel if number != -1 && !(1..=9).contains(&number) => {
            Err("Value must be between 1 and 9 or equal to -1".to_owned())
        }
        _ => Ok(()),
    }
}

fn check_ratio(valid: Valid, number: f64) -> Result<(), String> {
    match valid {
        Valid::Ratio(min, _) if number < min => Err(format!("Value must be at least {min}")),
        Valid::Ratio(_, max) if number > max => Err(format!("Value must be no more than {max}")),
        _ => Ok(()),
    }
}

fn check_word(key: &Key, text: &str) -> Result<(), String> {
    match key.valid {
        Valid::OneOf(words) if !words.contains(&text) => Err(format!("String must be one of: {}", words.join(", "))),
        Valid::OneOfAnyCase(words) if !words.iter().any(|word| word.eq_ignore_ascii_case(text)) => {
            Err(format!("String must be one of (case insensitive): {}", words.join(", ")))
        }
        Valid::NonEmpty if text.is_empty() => Err("String must be non-empty".to_owned()),
        Valid::ShareAutoOffsetReset if ShareAutoOffsetReset::from_text(text).is_none() => Err(format!(
            "Invalid value `{text}` for configuration {}. The value must be either 'earliest', 'latest' or of the \
             format 'by_duration:<PnDTnHnMn.nS>'.",
            key.name
        )),
        _ => Ok(()),
    }
}

fn check_list(key: &Key, text: &str) -> Result<(), InvalidValue> {
    let elements = split_list(text);
    match key.valid {
        Valid::ListOf(words) => {
            let Some(foreign) = elements.iter().find(|element| !words.contains(element)) else { return Ok(()) };
            let reason = format!("String must be one of: {}", words.join(", "));
            Err(InvalidValue { key: key.name, shown: Some((*foreign).to_owned()), reason })
        }
        Valid::ThrottledReplicas if !are_throttled_replicas(&elements) => Err(InvalidValue {
            key: key.name,
            shown: Some(format!("[{}]", elements.join(", "))),
            reason: format!(
                "{} must be the literal '*' or a list of replicas in the following format: \
                 [partitionId]:[brokerId],[partitionId]:[brokerId],...",
                key.name
            ),
        }),
        Valid::NonEmptyElements => check_elements(key, &elements),
        _ => Ok(()),
    }
}

fn check_elements(key: &Key, elements: &[&str]) -> Result<(), InvalidValue> {
    let complain = |what: &str| {
        Err(InvalidValue {
            key: key.name,
            shown: None,
            reason: format!("Configuration '{}' values must not be {what}.", key.name),
        })
    };
    if elements.iter().any(|element| element.is_empty()) {
        return complain("empty");
    }
    let distinct: BTreeSet<_> = elements.iter().collect();
    if distinct.len() < elements.len() { complain("duplicated") } else { Ok(()) }
}

fn are_throttled_replicas(elements: &[&str]) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_pair = |element: &&str| {
        element.split_once(':').is_some_and(|(partition, broker)| is_number(partition) && is_number(broker))
    };
    elements == ["*"] || elements.iter().all(is_pair)
}
