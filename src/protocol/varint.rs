//! Variable-length integers: seven bits a byte, lowest first, the high bit says that more follow.
//!
//! Records use the zigzag form (0, -1, 1, -2, ... become 0, 1, 2, 3, ...), flexible messages the unsigned one.

/// Why bytes are no variable-length integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VarintError {
    #[error("the bytes end within a variable-length integer")]
    Truncated,
    #[error("a variable-length integer goes on after {0} bytes")]
    TooLong(usize),
}

const VARINT_BYTES: usize = 5;
const VARLONG_BYTES: usize = 10;

/// Takes a zigzag integer of at most 32 bits from the front of `bytes`.
pub(super) fn take_varint(bytes: &mut &[u8]) -> Result<i32, VarintError> {
    let raw = take_raw(bytes, VARINT_BYTES)? as u32;
    Ok((raw >> 1) as i32 ^ -((raw & 1) as i32))
}

/// Takes a zigzag integer of at most 64 bits from the front of `bytes`.
pub(super) fn take_varlong(bytes: &mut &[u8]) -> Result<i64, VarintError> {
    let raw = take_raw(bytes, VARLONG_BYTES)?;
    Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
}

/// Takes an unsigned integer of at most 32 bits from the front of `bytes`.
pub(crate) fn take_unsigned(bytes: &mut &[u8]) -> Result<u32, VarintError> {
    take_raw(bytes, VARINT_BYTES).map(|raw| raw as u32)
}

/// Bits beyond the type's width are dropped, as Kafka's reader drops them.
fn take_raw(bytes: &mut &[u8], max_bytes: usize) -> Result<u64, VarintError> {
    let mut raw = 0;
    for (index, &byte) in bytes.iter().take(max_bytes).enumerate() {
        raw |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            *bytes = &bytes[index + 1..];
            return Ok(raw);
        }
    }
    Err(if bytes.len() < max_bytes { VarintError::Truncated } else { VarintError::TooLong(max_bytes) })
}

pub(super) fn put_varint(out: &mut Vec<u8>, value: i32) {
    put_unsigned(out, zigzag(value));
}

pub(super) fn put_varlong(out: &mut Vec<u8>, value: i64) {
    put_raw(out, ((value << 1) ^ (value >> 63)) as u64);
}

pub(crate) fn put_unsigned(out: &mut Vec<u8>, value: u32) {
    put_raw(out, u64::from(value));
}

fn put_raw(out: &mut Vec<u8>, mut raw: u64) {
    while raw >= 0x80 {
        out.push(raw as u8 | 0x80);
        raw >>= 7;
    }
    out.push(raw as u8);
}

/// Bytes that [`put_varint`] writes.
pub(super) fn varint_bytes(value: i32) -> usize {
    unsigned_bytes(zigzag(value))
}

/// Bytes that [`put_varlong`] writes.
pub(super) fn varlong_bytes(value: i64) -> usize {
    bytes_of(((value << 1) ^ (value >> 63)) as u64)
}

/// Bytes that [`put_unsigned`] writes.
pub(super) fn unsigned_bytes(value: u32) -> usize {
    bytes_of(u64::from(value))
}

fn bytes_of(raw: u64) -> usize {
    (64 - (raw | 1).leading_zeros() as usize).div_ceil(7)
}

fn zigzag(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_come_back_and_their_size_is_known() {
        for shift in 0..64 {
            for value in [1i64 << shift, (1i64 << shift).wrapping_sub(1), (1i64 << shift).wrapping_neg()] {
                let mut bytes = Vec::new();
                put_varlong(&mut bytes, value);
                assert_eq!(bytes.len(), varlong_bytes(value));
                let mut rest = &bytes[..];
                assert_eq!(take_varlong(&mut rest), Ok(value));
                assert!(rest.is_empty());

                let (value, mut bytes) = (value as i32, Vec::new());
                put_varint(&mut bytes, value);
                assert_eq!(bytes.len(), varint_bytes(value));
                assert_eq!(take_varint(&mut &bytes[..]), Ok(value));
                let (value, mut bytes) = (value as u32, Vec::new());
                put_unsigned(&mut bytes, value);
                assert_eq!(bytes.len(), unsigned_bytes(value));
                assert_eq!(take_unsigned(&mut &bytes[..]), Ok(value));
            }
        }
    }

    #[test]
    fn zigzag_is_the_protocols() {
        // From the protocol-buffers encoding page, which Kafka follows.
        for (value, encoded) in [(0, 0), (-1, 1), (1, 2), (-2, 3), (i32::MAX, u32::MAX - 1), (i32::MIN, u32::MAX)] {
            assert_eq!(zigzag(value), encoded);
        }
    }

    #[test]
    fn what_does_not_end_is_refused() {
        assert_eq!(take_varint(&mut &[][..]), Err(VarintError::Truncated));
        assert_eq!(take_varint(&mut &[0x80][..]), Err(VarintError::Truncated));
        assert_eq!(take_varint(&mut &[0x80; 5][..]), Err(VarintError::TooLong(5)));
        assert_eq!(take_varlong(&mut &[0xff; 11][..]), Err(VarintError::TooLong(10)));
    }
}
