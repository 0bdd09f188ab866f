//! Record batches (message format v2) byte by byte, written here anew so that a mistake in Ottla's own code cannot
//! hide behind itself.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Where the part begins that the checksum covers.
const COVERED_AT: usize = 21;
const CRC_AT: usize = 17;
const HEADER_BYTES: usize = 61;
/// Bits of the attributes.
pub const TRANSACTIONAL: i16 = 0x10;
pub const CONTROL: i16 = 0x20;

/// A record to send.
#[derive(Clone, Debug, Default)]
pub struct Record {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    /// Milliseconds after the batch's base timestamp.
    pub timestamp_delta_ms: i64,
}

impl Record {
    /// A record with this value and no key.
    pub fn of(value: impl Into<Vec<u8>>) -> Self {
        Self { value: Some(value.into()), ..Self::default() }
    }

    pub fn keyed(key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        Self { key: Some(key.into()), ..Self::of(value) }
    }
}

/// A batch to send; every field of the header may be bent.
#[derive(Clone, Debug)]
pub struct Batch {
    pub records: Vec<Record>,
    pub base_timestamp_ms: i64,
    pub attributes: i16,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
}

impl Batch {
    /// An uncompressed batch of a producer without an id, timestamped now.
    pub fn of(records: Vec<Record>) -> Self {
        let attributes = 0;
        let (producer_id, producer_epoch, base_sequence) = (-1, -1, -1);
        Self { records, base_timestamp_ms: now_ms(), attributes, producer_id, producer_epoch, base_sequence }
    }

    /// A batch of records that hold only these values.
    pub fn of_values(values: &[&str]) -> Self {
        Self::of(values.iter().map(|value| Record::of(*value)).collect())
    }

    pub fn at(mut self, base_timestamp_ms: i64) -> Self {
        self.base_timestamp_ms = base_timestamp_ms;
        self
    }

    /// As an idempotent producer sends it.
    pub fn from_producer(mut self, id: i64, epoch: i16, base_sequence: i32) -> Self {
        (self.producer_id, self.producer_epoch, self.base_sequence) = (id, epoch, base_sequence);
        self
    }

    pub fn encode(&self) -> Bytes {
        let mut body = BytesMut::new();
        for (offset_delta, record) in self.records.iter().enumerate() {
            let mut one = BytesMut::new();
            one.put_i8(0);
            put_varint(&mut one, record.timestamp_delta_ms);
            put_varint(&mut one, offset_delta as i64);
            for field in [&record.key, &record.value] {
                match field {
                    None => put_varint(&mut one, -1),
                    Some(bytes) => {
                        put_varint(&mut one, bytes.len() as i64);
                        one.put_slice(bytes);
                    }
                }
            }
            put_varint(&mut one, 0);
            put_varint(&mut body, one.len() as i64);
            body.put_slice(&one);
        }
        let latest = self.records.iter().map(|record| record.timestamp_delta_ms).max().unwrap_or(0);
        let mut out = BytesMut::with_capacity(HEADER_BYTES + body.len());
        out.put_i64(0);
        out.put_i32((HEADER_BYTES - 12 + body.len()) as i32);
        out.put_i32(-1);
        out.put_i8(2);
        out.put_u32(0);
        out.put_i16(self.attributes);
        out.put_i32(self.records.len() as i32 - 1);
        out.put_i64(self.base_timestamp_ms);
        out.put_i64(self.base_timestamp_ms + latest);
        out.put_i64(self.producer_id);
        out.put_i16(self.producer_epoch);
        out.put_i32(self.base_sequence);
        out.put_i32(self.records.len() as i32);
        out.put_slice(&body);
        seal(&mut out);
        out.freeze()
    }
}

/// Writes the checksum that fits the bytes as they are now.
pub fn seal(batch: &mut [u8]) {
    let crc = crc32c::crc32c(&batch[COVERED_AT..]);
    batch[CRC_AT..COVERED_AT].copy_from_slice(&crc.to_be_bytes());
}

/// A batch as a fetch returned it.
#[derive(Clone, Debug)]
pub struct Fetched {
    pub base_offset: i64,
    pub leader_epoch: i32,
    pub attributes: i16,
    pub last_offset: i64,
    pub max_timestamp_ms: i64,
    pub producer_id: i64,
    pub base_sequence: i32,
    /// The values of an uncompressed batch.
    pub values: Vec<Option<Vec<u8>>>,
    /// Of a control batch: 0 aborts a transaction, 1 commits it.
    pub control_type: Option<i16>,
}

impl Fetched {
    /// The values as text; fails on a null.
    pub fn texts(&self) -> Vec<String> {
        let text = |value: &Option<Vec<u8>>| String::from_utf8(value.clone().expect("a value")).expect("text");
        self.values.iter().map(text).collect()
    }
}

/// All whole batches in `records`; checks lengths and checksums, and leaves an incomplete last one alone.
pub fn parse(mut records: &[u8]) -> Vec<Fetched> {
    let mut batches = Vec::new();
    while records.len() >= HEADER_BYTES {
        let length = (&records[8..]).get_i32() as usize + 12;
        if records.len() < length {
            break;
        }
        batches.push(parse_one(&records[..length]));
        records = &records[length..];
    }
    batches
}

fn parse_one(batch: &[u8]) -> Fetched {
    let mut at = batch;
    let base_offset = at.get_i64();
    at.advance(4);
    let leader_epoch = at.get_i32();
    assert_eq!(at.get_i8(), 2, "magic");
    assert_eq!(at.get_u32(), crc32c::crc32c(&batch[COVERED_AT..]), "checksum of the batch at {base_offset}");
    let attributes = at.get_i16();
    let last_offset = base_offset + i64::from(at.get_i32());
    at.advance(8);
    let max_timestamp_ms = at.get_i64();
    let producer_id = at.get_i64();
    at.advance(2);
    let base_sequence = at.get_i32();
    let count = at.get_i32();
    let records: Vec<_> =
        if attributes & 7 == 0 { (0..count).map(|_| next_record(&mut at)).collect() } else { Vec::new() };
    // The key of a marker: a version and the type.
    let control_type = |key: &Vec<u8>| i16::from_be_bytes([key[2], key[3]]);
    let marker = records.first().filter(|_| attributes & CONTROL != 0).and_then(|(key, _)| key.as_ref());
    let control_type = marker.map(control_type);
    let values = records.into_iter().map(|(_, value)| value).collect();
    Fetched {
        base_offset,
        leader_epoch,
        attributes,
        last_offset,
        max_timestamp_ms,
        producer_id,
        base_sequence,
        values,
        control_type,
    }
}

/// Key and value.
fn next_record(at: &mut &[u8]) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    let length = get_varint(at) as usize;
    let (mut record, rest) = at.split_at(length);
    *at = rest;
    record.advance(1);
    get_varint(&mut record);
    get_varint(&mut record);
    (next_field(&mut record), next_field(&mut record))
}

fn next_field(record: &mut &[u8]) -> Option<Vec<u8>> {
    let length = usize::try_from(get_varint(record)).ok()?;
    let (field, rest) = record.split_at(length);
    *record = rest;
    Some(field.to_vec())
}

fn put_varint(out: &mut BytesMut, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.put_u8(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.put_u8(rest as u8);
}

fn get_varint(at: &mut &[u8]) -> i64 {
    let mut raw = 0u64;
    for shift in (0..).step_by(7) {
        let byte = at.get_u8();
        raw |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    (raw >> 1) as i64 ^ -((raw & 1) as i64)
}

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    std::time::UNIX_EPOCH.elapsed().expect("a clock after 1970").as_millis() as i64
}
