//! The primitive types of flexible messages (KIP-482); the crate keeps its own to itself.
//!
//! Lengths and counts are unsigned variable-length integers, one more than the number, 0 for null.

use std::collections::BTreeMap;

use bytes::Bytes;
use uuid::Uuid;

use crate::protocol::varint::{put_unsigned, unsigned_bytes};
use crate::protocol::wire::error::{ProtoError, Result};
use crate::protocol::wire::protocol::StrBytes;
use crate::protocol::wire::protocol::buf::{ByteBuf, ByteBufMut};

/// Bytes of the longest unsigned integer of 32 bits.
const UNSIGNED_MAX_BYTES: usize = 5;
/// Bytes of a string that is null.
const NULL_STRING_BYTES: usize = 1;
/// Bytes of the count of an array that is null.
pub(super) const NULL_ARRAY_BYTES: usize = 1;
pub(super) const UUID_BYTES: usize = 16;

pub(super) fn take_unsigned<B: ByteBuf>(buf: &mut B) -> Result<u32> {
    let mut value = 0;
    for index in 0..UNSIGNED_MAX_BYTES {
        let byte = buf.try_get_u8()?;
        value |= u32::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(ProtoError::VarintTooLong)
}

pub(super) fn take_nullable_string<B: ByteBuf>(buf: &mut B) -> Result<Option<StrBytes>> {
    let Some(length) = take_unsigned(buf)?.checked_sub(1) else {
        return Ok(None);
    };
    let length = length as usize;
    if length > i16::MAX as usize {
        return Err(ProtoError::StringTooLong { field: "string", len: length });
    }
    Ok(Some(StrBytes::from_utf8(buf.try_get_bytes(length)?)?))
}

pub(super) fn take_compact_string<B: ByteBuf>(buf: &mut B) -> Result<StrBytes> {
    take_nullable_string(buf)?.ok_or(ProtoError::NegativeLength { field: "string", value: -1 })
}

/// The number of elements of an array, `None` for null; no more than there are bytes left.
pub(super) fn take_nullable_count<B: ByteBuf>(buf: &mut B) -> Result<Option<usize>> {
    let Some(count) = take_unsigned(buf)?.checked_sub(1) else {
        return Ok(None);
    };
    let count = count as usize;
    if count > buf.remaining() {
        return Err(ProtoError::ArrayTooLong { field: "array", len: count, remaining: buf.remaining() });
    }
    Ok(Some(count))
}

/// The number of elements of an array that must not be null.
pub(super) fn take_count<B: ByteBuf>(buf: &mut B) -> Result<usize> {
    take_nullable_count(buf)?.ok_or(ProtoError::NegativeLength { field: "array", value: -1 })
}

pub(super) fn take_uuid<B: ByteBuf>(buf: &mut B) -> Result<Uuid> {
    let mut bytes = [0; UUID_BYTES];
    buf.try_copy_to_slice(&mut bytes)?;
    Ok(Uuid::from_bytes(bytes))
}

pub(super) fn take_tags<B: ByteBuf>(buf: &mut B) -> Result<BTreeMap<i32, Bytes>> {
    let mut tags = BTreeMap::new();
    for _ in 0..take_unsigned(buf)? {
        let tag = take_unsigned(buf)?;
        let length = take_unsigned(buf)?;
        tags.insert(tag as i32, buf.try_get_bytes(length as usize)?);
    }
    Ok(tags)
}

fn put<B: ByteBufMut>(buf: &mut B, value: u32) {
    let mut bytes = Vec::with_capacity(UNSIGNED_MAX_BYTES);
    put_unsigned(&mut bytes, value);
    buf.put_slice(&bytes);
}

pub(super) fn put_count<B: ByteBufMut>(buf: &mut B, count: usize) {
    put(buf, count as u32 + 1);
}

pub(super) fn put_compact_string<B: ByteBufMut>(buf: &mut B, text: &str) {
    put(buf, text.len() as u32 + 1);
    buf.put_slice(text.as_bytes());
}

pub(super) fn put_null_array<B: ByteBufMut>(buf: &mut B) {
    put(buf, 0);
}

pub(super) fn put_nullable_string<B: ByteBufMut>(buf: &mut B, text: Option<&str>) {
    match text {
        Some(text) => put_compact_string(buf, text),
        None => put(buf, 0),
    }
}

pub(super) fn put_tags<B: ByteBufMut>(buf: &mut B, tags: &BTreeMap<i32, Bytes>) {
    put(buf, tags.len() as u32);
    for (&tag, field) in tags {
        put(buf, tag as u32);
        put(buf, field.len() as u32);
        buf.put_slice(field);
    }
}

pub(super) fn count_bytes(count: usize) -> usize {
    unsigned_bytes(count as u32 + 1)
}

pub(super) fn compact_string_bytes(text: &str) -> usize {
    unsigned_bytes(text.len() as u32 + 1) + text.len()
}

pub(super) fn nullable_string_bytes(text: Option<&str>) -> usize {
    text.map_or(NULL_STRING_BYTES, compact_string_bytes)
}

pub(super) fn tags_bytes(tags: &BTreeMap<i32, Bytes>) -> usize {
    let fields = tags
        .iter()
        .map(|(&tag, field)| unsigned_bytes(tag as u32) + unsigned_bytes(field.len() as u32) + field.len());
    unsigned_bytes(tags.len() as u32) + fields.sum::<usize>()
}
