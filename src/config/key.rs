//! One row of the table: what a configuration key is called, what it may hold, and how far Ottla honours it.

use std::fmt;

/// A configuration key of a broker, a topic, a group or a subscription to clients' metrics.
#[derive(Debug)]
pub struct Key {
    pub name: &'static str,
    pub kind: Kind,
    /// The value where nothing sets one; `None` is Kafka's null.
    pub default: Option<&'static str>,
    pub valid: Valid,
    pub scope: Scope,
    pub support: Support,
    /// For topics' and groups' keys: the broker keys that give the default, the first that is set wins.
    pub synonyms: &'static [Synonym],
    /// Kafka keeps such keys out of its documentation and of DescribeConfigs, unless they are set.
    pub internal: bool,
    /// One sentence.
    pub doc: &'static str,
}

impl Key {
    pub fn is_list(&self) -> bool {
        self.kind == Kind::List
    }

    /// Whether the value is a secret, never shown to anybody.
    pub fn is_sensitive(&self) -> bool {
        self.kind == Kind::Password
    }
}

/// A broker key that a topic's default comes from, and how many of the topic's units one of its own is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synonym {
    pub key: &'static str,
    pub unit: i64,
}

/// The type of a value; the numbers are those of DescribeConfigs v3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub enum Kind {
    Boolean = 1,
    String = 2,
    Int = 3,
    Short = 4,
    Long = 5,
    Double = 6,
    List = 7,
    Class = 8,
    Password = 9,
}

/// Kafka's own name of the type.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Boolean => "BOOLEAN",
            Self::String => "STRING",
            Self::Int => "INT",
            Self::Short => "SHORT",
            Self::Long => "LONG",
            Self::Double => "DOUBLE",
            Self::List => "LIST",
            Self::Class => "CLASS",
            Self::Password => "PASSWORD",
        })
    }
}

/// Which values of its type a key takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Valid {
    Any,
    AtLeast(i64),
    Between(i64, i64),
    Ratio(f64, f64),
    /// At least 1; every negative number is "no limit", written -1.
    UnlimitedOrPositive,
    /// -1 for the codec's own default, or 1 to 9.
    GzipLevel,
    OneOf(&'static [&'static str]),
    OneOfAnyCase(&'static [&'static str]),
    /// Every element is one of these.
    ListOf(&'static [&'static str]),
    NonEmpty,
    /// `partition:broker` pairs, or `*`.
    ThrottledReplicas,
    /// Any words, each of them one that is there.
    NonEmptyElements,
    /// `earliest`, `latest` or `by_duration:<ISO 8601 duration>`.
    ShareAutoOffsetReset,
}

/// Kafka's notation of the range; empty where every value of the type is good.
impl fmt::Display for Valid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => Ok(()),
            Self::AtLeast(min) => write!(f, "[{min},...]"),
            Self::Between(min, max) => write!(f, "[{min},...,{max}]"),
            Self::Ratio(min, max) => write!(f, "[{min},...,{max}]"),
            Self::UnlimitedOrPositive => f.write_str("-1 or [1,...]"),
            Self::GzipLevel => f.write_str("[1,...,9] or -1"),
            Self::OneOf(words) | Self::ListOf(words) => write!(f, "[{}]", words.join(", ")),
            Self::OneOfAnyCase(words) => write!(f, "(case insensitive) [{}]", words.join(", ")),
            Self::NonEmpty => f.write_str("non-empty string"),
            Self::ThrottledReplicas => f.write_str("[partitionId]:[brokerId],[partitionId]:[brokerId],..."),
            Self::NonEmptyElements => f.write_str("non-empty elements"),
            Self::ShareAutoOffsetReset => f.write_str("[latest, earliest, by_duration:PnDTnHnMn.nS]"),
        }
    }
}

/// Where and when a key may be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Only by a restart.
    ReadOnly,
    /// At run time, for one broker at a time.
    PerBroker,
    /// At run time, for one broker or for all.
    ClusterWide,
    /// A topic's own key: at run time, for that topic.
    Topic,
    /// A group's own key: at run time, for that group.
    Group,
    /// A key of a subscription to clients' metrics: at run time, for that subscription.
    ClientMetrics,
}

/// Kafka's word for the scope, as its documentation spells it.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadOnly => "read-only",
            Self::PerBroker => "per-broker",
            Self::ClusterWide => "cluster-wide",
            Self::Topic => "topic",
            Self::Group => "group",
            Self::ClientMetrics => "client-metrics",
        })
    }
}

/// How far Ottla honours a key. There is no fifth way: what is accepted is either acted on, or harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// The broker acts on it.
    Honoured,
    /// Kept and shown, without effect: nothing depends on it, or the part it tunes is not there yet.
    Reported,
    /// Anything but the default stops the start: it restricts access or changes durability, and Ottla
    /// does not act on it yet. The reason completes "... is not honoured: ".
    RefusedWhenSet(&'static str),
    /// It belongs to machinery that Ottla does not have; the text says what takes its place.
    Replaced(&'static str),
}

// The vocabulary of the tables in `keys/`: short, so that a row stays a row.
pub(super) const ANY: Valid = Valid::Any;
pub(super) const NON_EMPTY: Valid = Valid::NonEmpty;
pub(super) const GZIP_LEVEL: Valid = Valid::GzipLevel;
pub(super) const UNLIMITED_OR_POSITIVE: Valid = Valid::UnlimitedOrPositive;
pub(super) const THROTTLED_REPLICAS: Valid = Valid::ThrottledReplicas;
pub(super) const NON_EMPTY_ELEMENTS: Valid = Valid::NonEmptyElements;
pub(super) const SHARE_AUTO_OFFSET_RESET: Valid = Valid::ShareAutoOffsetReset;
pub(super) const HONOURED: Support = Support::Honoured;
pub(super) const REPORTED: Support = Support::Reported;

pub(super) const fn at_least(min: i64) -> Valid {
    Valid::AtLeast(min)
}

pub(super) const fn between(min: i64, max: i64) -> Valid {
    Valid::Between(min, max)
}

pub(super) const fn ratio(min: f64, max: f64) -> Valid {
    Valid::Ratio(min, max)
}

pub(super) const fn one_of(words: &'static [&'static str]) -> Valid {
    Valid::OneOf(words)
}

pub(super) const fn one_of_any_case(words: &'static [&'static str]) -> Valid {
    Valid::OneOfAnyCase(words)
}

pub(super) const fn list_of(words: &'static [&'static str]) -> Valid {
    Valid::ListOf(words)
}

pub(super) const fn refused(reason: &'static str) -> Support {
    Support::RefusedWhenSet(reason)
}

pub(super) const fn replaced(by: &'static str) -> Support {
    Support::Replaced(by)
}
