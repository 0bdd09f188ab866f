//! Messages of Kafka 4.4 that the message crate does not know in their newest version, in the crate's own shape.
//!
//! Where the newest version adds nothing to the bytes, a type here wraps the crate's and dereferences to it; where it
//! adds a field, the field stands beside. Older versions are always the crate's own code. Bytes of the newest versions
//! are tested against those of kafka-clients 4.4.0.
//!
//! | message         | crate | here | what the newest version brings                                               |
//! |-----------------|-------|------|------------------------------------------------------------------------------|
//! | ListOffsets     | 1-10  | 11   | the timestamp -6, earliest pending upload (KIP-1023)                         |
//! | ApiVersions     | 0-4   | 5    | cluster id and node id that the client means (KIP-1242)                      |
//! | DescribeLogDirs | 1-4   | 5    | whether a directory is cordoned (KIP-1066)                                   |
//! | OffsetCommit    | 2-9   | 10   | topic ids in the place of names, in the request (KIP-848)                    |
//! | OffsetFetch     | 1-9   | 10   | topic ids in the place of names, in the request (KIP-848)                    |
//! | DeleteGroups    | 0-2   | 3    | a message beside the error of a group                                        |
//! | ShareFetch      | 1     | 2    | how records are acquired (KIP-1206), renewed locks (KIP-1222)                |
//! | ShareAcknowledge | 1    | 2    | renewed locks (KIP-1222)                                                     |
//! | DescribeShareGroupOffsets | 0 | 1 | the lag (KIP-1226)                                                       |

mod api_versions;
mod codec;
mod delete_groups;
mod describe_log_dirs;
mod describe_share_group_offsets;
#[cfg(test)]
mod golden_tests;
mod list_offsets;
mod offset_commit;
mod offset_fetch;
mod share_acknowledge;
mod share_fetch;
#[cfg(test)]
mod tests;

pub use api_versions::{ApiVersionsRequest, ApiVersionsResponse};
pub use delete_groups::{DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse};
pub use describe_log_dirs::{DescribeLogDirsRequest, DescribeLogDirsResponse, DescribeLogDirsResult};
pub use describe_share_group_offsets::{
    DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsResponse, DescribedShareGroupOffsets,
    DescribedSharePartitionOffsets, DescribedShareTopicOffsets,
};
pub use list_offsets::{ListOffsetsRequest, ListOffsetsResponse};
pub use offset_commit::{OffsetCommitRequest, OffsetCommitRequestTopic};
pub use offset_fetch::{OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic};
pub use share_acknowledge::{ShareAcknowledgeRequest, ShareAcknowledgeResponse};
pub use share_fetch::{ShareFetchRequest, ShareFetchResponse};

/// Defines a message whose versions beyond the crate's are the crate's newest, byte for byte.
macro_rules! same_bytes_as_before {
    ($(#[$doc:meta])* $name:ident($inner:ty), up to $max:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $name(pub $inner);

        impl $name {
            /// The crate's version with the same bytes.
            fn crate_version(version: i16) -> i16 {
                let newest = <$inner as $crate::protocol::wire::protocol::Message>::VERSIONS.max;
                if version > newest && version <= $max { newest } else { version }
            }
        }

        impl std::ops::Deref for $name {
            type Target = $inner;
            fn deref(&self) -> &$inner {
                &self.0
            }
        }

        impl std::ops::DerefMut for $name {
            fn deref_mut(&mut self) -> &mut $inner {
                &mut self.0
            }
        }

        impl From<$inner> for $name {
            fn from(inner: $inner) -> Self {
                Self(inner)
            }
        }

        impl $crate::protocol::wire::protocol::Message for $name {
            const VERSIONS: $crate::protocol::wire::protocol::VersionRange =
                $crate::protocol::wire::protocol::VersionRange {
                    min: <$inner as $crate::protocol::wire::protocol::Message>::VERSIONS.min,
                    max: $max,
                };
            const DEPRECATED_VERSIONS: Option<$crate::protocol::wire::protocol::VersionRange> =
                <$inner as $crate::protocol::wire::protocol::Message>::DEPRECATED_VERSIONS;
        }

        impl $crate::protocol::wire::protocol::Encodable for $name {
            fn encode<B: $crate::protocol::wire::protocol::buf::ByteBufMut>(
                &self,
                buf: &mut B,
                version: i16,
            ) -> $crate::protocol::wire::error::Result<()> {
                self.0.encode(buf, Self::crate_version(version))
            }

            fn compute_size(&self, version: i16) -> $crate::protocol::wire::error::Result<usize> {
                self.0.compute_size(Self::crate_version(version))
            }
        }

        impl $crate::protocol::wire::protocol::Decodable for $name {
            fn decode<B: $crate::protocol::wire::protocol::buf::ByteBuf>(
                buf: &mut B,
                version: i16,
            ) -> $crate::protocol::wire::error::Result<Self> {
                <$inner as $crate::protocol::wire::protocol::Decodable>::decode(buf, Self::crate_version(version))
                    .map(Self)
            }
        }

        impl $crate::protocol::wire::protocol::HeaderVersion for $name {
            fn header_version(version: i16) -> i16 {
                <$inner as $crate::protocol::wire::protocol::HeaderVersion>::header_version(version)
            }
        }
    };
}
use same_bytes_as_before;
