//! How Kafka's coordinators lay out the keys and values of their records.
//!
//! ```text
//!  key    ┌──────────┬───────────────────────────────┐   value  ┌──────────┬───────────────────────────────────┐
//!         │ type i16 │ fields, never flexible        │          │ version  │ fields, flexible from some version│
//!         └──────────┴───────────────────────────────┘          └──────────┴───────────────────────────────────┘
//! ```
//! A type is the `apiKey` of the record's schema. Flexible (KIP-482) means: lengths are unsigned variable-length
//! integers, one more than the number, 0 for null, and every structure ends with its tagged fields. Tagged fields that
//! are not known are skipped (KIP-915): a later version of Kafka may have written them.
//!
//! The bytes come from a disk, so nothing in them is believed: a count can't be higher than the bytes that are left,
//! and what does not add up is a [`RecordError`].

#[cfg(test)]
pub(crate) mod testing;

use bytes::Bytes;
use uuid::Uuid;

use crate::ids::TopicId;
use crate::protocol::varint::{put_unsigned, take_unsigned};

/// Room that a list takes in advance, whatever the count in front of it says.
const RESERVED_ELEMENTS_MAX: usize = 64;

/// Why a key or a value is none of the coordinator's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Left by a version that knew more; Kafka skips such records.
    #[error("records of type {0} are not known")]
    UnknownType(i16),
    #[error("version {version} of a value of type {kind} is not known")]
    UnknownVersion { kind: i16, version: i16 },
    #[error("the bytes end within a field")]
    Truncated,
    #[error("a length or count of {0} can't be")]
    BadLength(i64),
    #[error("a text is not UTF-8")]
    NotUtf8,
}

/// The bytes of a key or a value that are not yet read.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    flexible: bool,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, flexible: false }
    }

    /// Reads what follows in the flexible form.
    pub(crate) fn flexible(&mut self, flexible: bool) {
        self.flexible = flexible;
    }

    /// What is behind the last field that was read.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    fn bytes(&mut self, count: usize) -> Result<&'a [u8], RecordError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(RecordError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(RecordError::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn unsigned(&mut self) -> Result<u32, RecordError> {
        take_unsigned(&mut self.rest).map_err(|_| RecordError::Truncated)
    }

    /// A length or count, `None` for null. One that is not flexible is read by `plain`.
    fn length(&mut self, plain: fn(&mut Self) -> Result<i32, RecordError>) -> Result<Option<usize>, RecordError> {
        let length = if self.flexible { i64::from(self.unsigned()?) - 1 } else { i64::from(plain(self)?) };
        match length {
            -1 => Ok(None),
            length if length < 0 => Err(RecordError::BadLength(length)),
            length if length > self.rest.len() as i64 => Err(RecordError::Truncated),
            length => Ok(Some(length as usize)),
        }
    }

    /// The number of elements of a list, of which each takes a byte at least.
    pub(crate) fn count(&mut self) -> Result<usize, RecordError> {
        self.length(i32::take)?.ok_or(RecordError::BadLength(-1))
    }

    /// Shows every tagged field to `known`; without the flexible form there are none.
    pub(crate) fn tags(
        &mut self,
        mut known: impl FnMut(u32, &mut Reader<'a>) -> Result<(), RecordError>,
    ) -> Result<(), RecordError> {
        if !self.flexible {
            return Ok(());
        }
        for _ in 0..self.unsigned()? {
            let tag = self.unsigned()?;
            let length = self.unsigned()? as usize;
            known(tag, &mut Reader { rest: self.bytes(length)?, flexible: true })?;
        }
        Ok(())
    }
}

/// A key or a value on its way to the log.
#[derive(Default)]
pub(crate) struct Writer {
    out: Vec<u8>,
    flexible: bool,
}

impl Writer {
    pub(crate) fn flexible(&mut self, flexible: bool) {
        self.flexible = flexible;
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    /// A length or count, `None` for null.
    fn length(&mut self, length: Option<usize>) {
        match length {
            _ if self.flexible => put_unsigned(&mut self.out, length.map_or(0, |length| length as u32 + 1)),
            Some(length) => (length as i32).put(self),
            None => (-1_i32).put(self),
        }
    }

    pub(crate) fn count(&mut self, count: usize) {
        self.length(Some(count));
    }

    /// No text of the protocol is longer than an `i16` says; a longer one is cut, so that what is written can be read.
    fn text(&mut self, text: Option<&str>) {
        let text = text.map(|text| {
            let mut end = text.len().min(i16::MAX as usize);
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            &text[..end]
        });
        match text {
            _ if self.flexible => self.length(text.map(str::len)),
            Some(text) => (text.len() as i16).put(self),
            None => (-1_i16).put(self),
        }
        self.out.extend_from_slice(text.unwrap_or_default().as_bytes());
    }

    /// The tagged fields that are not at their defaults, in the order of their tags.
    pub(crate) fn tags(&mut self, tags: &Tags) {
        if self.flexible {
            put_unsigned(&mut self.out, tags.0.len() as u32);
            for (tag, bytes) in &tags.0 {
                put_unsigned(&mut self.out, *tag);
                put_unsigned(&mut self.out, bytes.len() as u32);
                self.out.extend_from_slice(bytes);
            }
        }
    }
}

/// Tagged fields that are going to be written.
#[derive(Default)]
pub(crate) struct Tags(Vec<(u32, Vec<u8>)>);

impl Tags {
    pub(crate) fn add(&mut self, tag: u32, field: &impl Field) {
        let mut out = Writer { out: Vec::new(), flexible: true };
        field.put(&mut out);
        self.0.push((tag, out.out));
    }
}

/// What can be a field of a key or a value.
pub(crate) trait Field: Sized {
    fn put(&self, out: &mut Writer);
    fn take(from: &mut Reader<'_>) -> Result<Self, RecordError>;
}

/// The value of a record: fields that depend on a version, which stands in front of them.
pub(crate) trait RecordValue: Sized {
    /// The newest version that can be read.
    const NEWEST: i16;
    /// The first version that is flexible.
    const FLEXIBLE_FROM: i16;

    /// The version that Kafka 4.3 would write this value in.
    fn version(&self) -> i16;
    fn put_version(&self, out: &mut Writer, version: i16);
    fn take_version(from: &mut Reader<'_>, version: i16) -> Result<Self, RecordError>;
}

/// A key with its type in front.
pub(crate) fn encode_key(kind: i16, key: &impl Field) -> Vec<u8> {
    let mut out = Writer::default();
    kind.put(&mut out);
    key.put(&mut out);
    out.into_bytes()
}

/// A value with its version in front.
pub(crate) fn encode_value<V: RecordValue>(value: &V, version: i16) -> Vec<u8> {
    let mut out = Writer::default();
    version.put(&mut out);
    out.flexible(version >= V::FLEXIBLE_FROM);
    value.put_version(&mut out, version);
    out.into_bytes()
}

/// A value of records of type `kind`; bytes behind it are no error, as in Kafka.
pub(crate) fn decode_value<V: RecordValue>(kind: i16, bytes: &[u8]) -> Result<V, RecordError> {
    let mut from = Reader::new(bytes);
    let version = i16::take(&mut from)?;
    if !(0..=V::NEWEST).contains(&version) {
        return Err(RecordError::UnknownVersion { kind, version });
    }
    from.flexible(version >= V::FLEXIBLE_FROM);
    V::take_version(&mut from, version)
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl Field for $number {
            fn put(&self, out: &mut Writer) {
                out.out.extend_from_slice(&self.to_be_bytes());
            }
            fn take(from: &mut Reader<'_>) -> Result<Self, RecordError> {
                from.array().map(<$number>::from_be_bytes)
            }
        }
    )*};
}
numbers!(i8 i16 i32 i64 f64);

impl Field for Uuid {
    fn put(&self, out: &mut Writer) {
        out.out.extend_from_slice(self.as_bytes());
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, RecordError> {
        from.array().map(Self::from_bytes)
    }
}

impl Field for TopicId {
    fn put(&self, out: &mut Writer) {
        self.0.put(out);
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, RecordError> {
        Uuid::take(from).map(Self)
    }
}

impl Field for String {
    fn put(&self, out: &mut Writer) {
        out.text(Some(self));
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, RecordError> {
        <Option<String> as Field>::take(from)?.ok_or(RecordError::BadLength(-1))
    }
}

impl Field for Option<String> {
    fn put(&self, out: &mut Writer) {
        out.text(self.as_deref());
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, RecordError> {
        let Some(length) = from.length(|from| i16::take(from).map(i32::from))? else { return Ok(None) };
        if length > i16::MAX as usize {
            return Err(RecordError::BadLength(length as i64));
        }
        let text = std::str::from_utf8(from.bytes(length)?).map_err(|_| RecordError::NotUtf8)?;
        Ok(Some(text.to_owned()))
    }
}

impl Field for Bytes {
    fn put(&self, out: &mut Writer) {
        out.length(Some(self.len()));
        out.out.extend_from_slice(self);
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, RecordError> {
        let length = from.count()?;
        from.bytes(length).map(Bytes::copy_from_slice)
    }
}

impl<T: Field> Field for Vec<T> {
    fn put(&self, out: &mut Writer) {
        out.count(self.len());
        for element in self {
            element.put(out);
        }
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, RecordError> {
        let count = from.count()?;
        take_elements(from, count)
    }
}

impl<T: Field> Field for Option<Vec<T>> {
    fn put(&self, out: &mut Writer) {
        match self {
            Some(elements) => elements.put(out),
            None => out.length(None),
        }
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, RecordError> {
        from.length(i32::take)?.map(|count| take_elements(from, count)).transpose()
    }
}

fn take_elements<T: Field>(from: &mut Reader<'_>, count: usize) -> Result<Vec<T>, RecordError> {
    let mut elements = Vec::with_capacity(count.min(RESERVED_ELEMENTS_MAX));
    for _ in 0..count {
        elements.push(T::take(from)?);
    }
    Ok(elements)
}

/// Defines a structure of a schema: its fields in their order, then its tagged fields with their defaults.
macro_rules! schema {
    (
        $(#[$doc:meta])*
        pub struct $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty,)* }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name { $($(#[$field_doc])* pub $field: $kind,)* }

        impl $crate::coordinator::record_codec::Field for $name {
            fn put(&self, out: &mut $crate::coordinator::record_codec::Writer) {
                $(self.$field.put(out);)*
                out.tags(&$crate::coordinator::record_codec::Tags::default());
            }

            fn take(
                from: &mut $crate::coordinator::record_codec::Reader<'_>,
            ) -> Result<Self, $crate::coordinator::record_codec::RecordError> {
                $(let $field = $crate::coordinator::record_codec::Field::take(from)?;)*
                from.tags(|_, _| Ok(()))?;
                Ok(Self { $($field,)* })
            }
        }
    };
    (
        $(#[$doc:meta])*
        pub struct $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty,)* }
        tags { $($(#[$tagged_doc:meta])* $tag:literal => $tagged:ident: $tagged_kind:ty = $default:expr,)+ }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $kind,)*
            $($(#[$tagged_doc])* pub $tagged: $tagged_kind,)+
        }

        impl $crate::coordinator::record_codec::Field for $name {
            fn put(&self, out: &mut $crate::coordinator::record_codec::Writer) {
                $(self.$field.put(out);)*
                let mut tags = $crate::coordinator::record_codec::Tags::default();
                $(if self.$tagged != $default {
                    tags.add($tag, &self.$tagged);
                })+
                out.tags(&tags);
            }

            fn take(
                from: &mut $crate::coordinator::record_codec::Reader<'_>,
            ) -> Result<Self, $crate::coordinator::record_codec::RecordError> {
                $(let $field = $crate::coordinator::record_codec::Field::take(from)?;)*
                $(let mut $tagged: $tagged_kind = $default;)+
                from.tags(|tag, field| {
                    match tag {
                        $($tag => $tagged = $crate::coordinator::record_codec::Field::take(field)?,)+
                        _ => {}
                    }
                    Ok(())
                })?;
                Ok(Self { $($field,)* $($tagged,)+ })
            }
        }
    };
}
pub(crate) use schema;

/// Makes structures the values of records that have had one version so far, flexible from the beginning.
macro_rules! values_of_one_version {
    ($($name:ident)*) => {$(
        impl $crate::coordinator::record_codec::RecordValue for $name {
            const NEWEST: i16 = 0;
            const FLEXIBLE_FROM: i16 = 0;

            fn version(&self) -> i16 {
                0
            }

            fn put_version(&self, out: &mut $crate::coordinator::record_codec::Writer, _: i16) {
                $crate::coordinator::record_codec::Field::put(self, out);
            }

            fn take_version(
                from: &mut $crate::coordinator::record_codec::Reader<'_>,
                _: i16,
            ) -> Result<Self, $crate::coordinator::record_codec::RecordError> {
                $crate::coordinator::record_codec::Field::take(from)
            }
        }
    )*};
}
pub(crate) use values_of_one_version;

/// Defines the records of a topic: an enum with a variant for each type, of a key and a value or `None`, which is a
/// tombstone.
macro_rules! records {
    (
        $(#[$doc:meta])*
        pub enum $records:ident {
            $($(#[$variant_doc:meta])* $kind:literal $(| $legacy:literal)? => $variant:ident($key:ty, $value:ty),)+
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum $records {
            $($(#[$variant_doc])* $variant($key, Option<$value>),)+
        }

        impl $records {
            /// The bytes of the key, and those of the value in the version that Kafka 4.3 writes.
            pub fn encode(&self) -> (Vec<u8>, Option<Vec<u8>>) {
                use $crate::coordinator::record_codec::{RecordValue as _, encode_key, encode_value};
                match self {
                    $(Self::$variant(key, value) => (
                        encode_key($kind, key),
                        value.as_ref().map(|value| encode_value(value, value.version())),
                    ),)+
                }
            }

            /// The record that a key and a value (`None`: a tombstone) of the topic hold.
            pub fn decode(
                key: &[u8],
                value: Option<&[u8]>,
            ) -> Result<Self, $crate::coordinator::record_codec::RecordError> {
                use $crate::coordinator::record_codec::{Field as _, Reader, RecordError, decode_value};
                let mut key = Reader::new(key);
                match i16::take(&mut key)? {
                    $($kind $(| $legacy)? => {
                        let key = <$key>::take(&mut key)?;
                        let value = value.map(|value| decode_value($kind, value)).transpose()?;
                        Ok(Self::$variant(key, value))
                    })+
                    unknown => Err(RecordError::UnknownType(unknown)),
                }
            }
        }
    };
}
pub(crate) use records;
