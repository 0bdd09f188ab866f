//! Records of the internal topics: which topic, whether there is a value, the length of the key, then both.
//!
//! What is read is written in the version that Kafka writes, and reads the same from then on.

use std::fmt::Debug;

use ottla::adopt::transactions::TransactionRecord;
use ottla::coordinator::group::records::GroupRecord;
use ottla::coordinator::share::records::ShareRecord;

use super::input::Input;

type Written = (Vec<u8>, Option<Vec<u8>>);

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let (topic, has_value) = (input.u8() % 3, input.u8() != 0);
    let key_bytes = usize::from(input.u16());
    let key = input.bytes(key_bytes);
    let value = has_value.then(|| input.rest());
    match topic {
        0 => check(|key, value| GroupRecord::decode(key, value).ok(), GroupRecord::encode, key, value),
        1 => check(|key, value| ShareRecord::decode(key, value).ok(), ShareRecord::encode, key, value),
        _ => check(|key, value| TransactionRecord::decode(key, value).ok(), TransactionRecord::encode, key, value),
    }
}

fn check<R: Debug>(
    decode: fn(&[u8], Option<&[u8]>) -> Option<R>,
    encode: fn(&R) -> Written,
    key: &[u8],
    value: Option<&[u8]>,
) {
    let Some(record) = decode(key, value) else { return };
    let written = encode(&record);
    let again = decode(&written.0, written.1.as_deref()).expect("what is written can be read");
    assert_eq!(encode(&again), written, "{record:?}");
}
