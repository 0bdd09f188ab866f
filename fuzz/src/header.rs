//! One frame, read up to its body.

use bytes::{BufMut, Bytes, BytesMut};
use ottla::protocol::header::{self, RequestPrefix};

pub fn run(data: &[u8]) {
    let frame = Bytes::copy_from_slice(data);
    let prefix = RequestPrefix::read(&frame);
    assert_eq!(prefix.is_some(), frame.len() >= 8);
    for flexible in [false, true] {
        let mut body = frame.clone();
        let Ok(client_id) = header::read_request_header(&mut body, flexible) else { continue };
        let prefix = prefix.expect("a header begins with the prefix");
        let (read, rest) = frame.split_at(frame.len() - body.len());
        assert_eq!(rest, body);
        let written = write(prefix, client_id.as_deref());
        if flexible {
            // Tags follow: one byte at least, which counts them.
            assert!(read.len() > written.len() && read.starts_with(&written), "{prefix:?}");
        } else {
            assert_eq!(read, written, "{prefix:?}");
        }
        let mut response = BytesMut::new();
        header::write_response_header(&mut response, prefix.correlation_id, flexible);
        assert_eq!(response[..4], frame[4..8]);
    }
}

/// A request header without tags.
fn write(prefix: RequestPrefix, client_id: Option<&str>) -> Vec<u8> {
    let mut header = Vec::new();
    header.put_i16(prefix.api_key);
    header.put_i16(prefix.api_version);
    header.put_i32(prefix.correlation_id);
    header.put_i16(client_id.map_or(-1, |client_id| client_id.len() as i16));
    header.extend_from_slice(client_id.unwrap_or_default().as_bytes());
    header
}
