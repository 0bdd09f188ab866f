//! ListOffsets up to version 11, which lets the timestamp be -6 (earliest pending upload, KIP-1023).

use super::same_bytes_as_before;
use crate::protocol::wire::messages as crates;

same_bytes_as_before! {
    /// Asks for offsets by timestamp; versions 1 to 11.
    ListOffsetsRequest(crates::ListOffsetsRequest), up to 11
}

same_bytes_as_before! {
    /// The offsets found; versions 1 to 11.
    ListOffsetsResponse(crates::ListOffsetsResponse), up to 11
}
