//! Reads files of keys and values that Kafka's own classes wrote, for the tests of the codecs.

use super::{RecordValue, decode_value, encode_value};

/// A key or a value with its class's name and its version.
pub(crate) struct Golden {
    pub(crate) name: &'static str,
    pub(crate) version: i16,
    pub(crate) bytes: Vec<u8>,
}

/// The lines of such a file: name, version, bytes.
pub(crate) fn goldens(file: &'static str) -> impl Iterator<Item = Golden> {
    file.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let mut fields = line.split(' ');
        let (name, version) = (fields.next().unwrap(), fields.next().unwrap().parse().unwrap());
        let digits: Vec<u8> = fields.next().unwrap().chars().map(|digit| digit.to_digit(16).unwrap() as u8).collect();
        Golden { name, version, bytes: digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect() }
    })
}

/// Decodes `bytes`, a value with its version in front, and encodes it again in that version: the same bytes.
pub(crate) fn round_trip<V: RecordValue>(version: i16, bytes: &[u8]) -> Result<(), String> {
    let value: V = decode_value(0, bytes).map_err(|error| error.to_string())?;
    let encoded = encode_value(&value, version);
    if encoded == bytes { Ok(()) } else { Err(format!("comes back as {encoded:02x?}")) }
}
