//! Subscriptions by regular expression: RE2's language, as in Kafka.
//!
//! Patterns are compiled by the `regex` crate, whose matching takes linear time and bounded memory like RE2's. Its
//! language is RE2's but for a few forms, which [`translate`](super::re2::translate) takes care of. A pattern matches a
//! topic if it matches the whole name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use super::topics::Topics;
use crate::ids::TopicName;
use crate::time::TimestampMs;

/// A longer pattern is not accepted: no record could hold it.
const PATTERN_BYTES_MAX: usize = i16::MAX as usize;
/// What a compiled pattern may take.
const COMPILED_BYTES_MAX: usize = 4 << 20;

/// The topics that a regular expression stood for when it was resolved last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolvedRegex {
    pub topics: BTreeSet<TopicName>,
    /// The version of the metadata that it was resolved with.
    pub version: i64,
    pub timestamp_ms: TimestampMs,
}

/// Why a pattern is not accepted, in words for the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("SubscribedTopicRegex `{pattern}` is not a valid regular expression: {problem}.")]
pub(super) struct InvalidRegex {
    pattern: String,
    problem: String,
}

/// A pattern that matches whole names.
pub(super) fn compile(pattern: &str) -> Result<Regex, InvalidRegex> {
    let shown: String = pattern.chars().take(256).collect();
    let invalid = |problem: String| InvalidRegex { pattern: shown.clone(), problem };
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(invalid(format!("it is longer than {PATTERN_BYTES_MAX} bytes")));
    }
    let translated = super::re2::translate(pattern).map_err(|problem| invalid(problem.to_owned()))?;
    let build = |text: &str| RegexBuilder::new(text).size_limit(COMPILED_BYTES_MAX).build();
    // By itself first: an anchor around it must not mend what is not a pattern, like `a)(b`.
    build(&translated)
        .and_then(|_| build(&format!(r"\A(?:{translated})\z")))
        .map_err(|error| invalid(problem_of(&error)))
}

/// One line; the crate's own message draws the pattern.
fn problem_of(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => "it is too big when compiled".to_owned(),
        error => {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            last.trim_start_matches("error: ").to_owned()
        }
    }
}

/// What has to be resolved anew, and for whom: work that is done beside the group, on one metadata image, and comes back
/// as [`RegexesResolved`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolveRegexes {
    pub group_id: Arc<str>,
    pub patterns: Vec<Arc<str>>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegexesResolved {
    pub group_id: Arc<str>,
    pub resolved: BTreeMap<Arc<str>, Arc<ResolvedRegex>>,
}

impl ResolveRegexes {
    /// Looks through all topics. Like Kafka's, this does not leave out internal topics: whoever may describe a topic
    /// may subscribe to it.
    pub fn run(self, topics: &dyn Topics, now_ms: TimestampMs) -> RegexesResolved {
        let resolved = self.patterns.into_iter().map(|pattern| {
            // Patterns were checked when members brought them; one that an earlier version accepted matches nothing.
            let matching = compile(&pattern).map_or_else(
                |_| BTreeSet::new(),
                |regex| topics.names().filter(|name| regex.is_match(name)).cloned().collect(),
            );
            let resolved = ResolvedRegex { topics: matching, version: topics.version(), timestamp_ms: now_ms };
            (pattern, Arc::new(resolved))
        });
        RegexesResolved { resolved: resolved.collect(), group_id: self.group_id }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, matching: &[&str], others: &[&str]) {
        let regex = compile(pattern).unwrap();
        for name in matching {
            assert!(regex.is_match(name), "{pattern} should match {name}");
        }
        for name in others {
            assert!(!regex.is_match(name), "{pattern} should not match {name}");
        }
    }

    #[test]
    fn a_pattern_matches_the_whole_name() {
        check("orders", &["orders"], &["orders-eu", "my-orders"]);
        check("a|ab", &["a", "ab"], &["abc", "b"]);
        check("orders-.*", &["orders-", "orders-eu"], &["orders"]);
        check(r"t\d{1,2}", &["t1", "t12"], &["t", "t123"]);
        check("(?i)Orders", &["ORDERS", "orders"], &["order"]);
        check("(?s).*", &["", "x"], &[]);
        check("[[:alpha:]]+", &["abc"], &["a1"]);
    }

    #[test]
    fn what_is_re2_and_not_the_crates() {
        check(r"\Qa.b\E", &["a.b"], &["axb"]);
        check(r"\Qa.b", &["a.b"], &["axb"]);
        check("[[a]", &["[", "a"], &["b"]);
        check("[a&&b]+", &["a&b"], &["a-b"]);
        check("[a~~b]+", &["a~b"], &["a-b"]);
        check("[+--]+", &["+", ",", "-"], &["."]);
        check("a{,3}", &["a{,3}"], &["aa"]);
        check("{a}", &["{a}"], &["a"]);
        check(r"\07?\164", &["t"], &["7"]);
        check("[[:^alpha:]]", &["1"], &["a"]);
        check("(?:ab*?)+", &["a", "ab", "aab"], &["b"]);
        check("(?P<x>a)", &["a"], &["P"]);
    }

    #[test]
    fn what_is_no_pattern() {
        let large = format!("({}){{1000}}", "[a-z]{1000}");
        let long = "a".repeat(PATTERN_BYTES_MAX + 1);
        for pattern in [
            "[",
            "(",
            ")",
            "a)(b",
            "*",
            "a**",
            "a*+",
            "a{2}{3}",
            "a*??",
            r"\",
            r"(?<=a)b",
            r"(a)\1",
            "(?x)a # b",
            "a{2000}",
            "[z-a]",
            &large,
            &long,
        ] {
            assert!(compile(pattern).is_err(), "{pattern}");
        }
        let message = compile("[").unwrap_err().to_string();
        assert!(message.starts_with("SubscribedTopicRegex `[` is not a valid regular expression: "), "{message}");
        assert_eq!(message.lines().count(), 1);
    }
}
