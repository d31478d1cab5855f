//! Messages for bulk data, with fields that share their buffer instead of copying it.
//!
//! The generated stubs use `Vec<u8>`. With half a gigabyte of context, most of the processor time
//! would go into a copy for each protocol layer.

use std::collections::HashMap;

use bytes::Bytes;

/// `moby.buildkit.v1.BytesMessage`: a piece of the session's byte stream.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct BytesMessage {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) data: Bytes,
}

/// `fsutil.types.Stat`: an entry of a folder.
///
/// Path and link name are strings in the published definition. Go programs send any bytes in them,
/// and builders before BuildKit 0.14 accept any bytes; a Rust `String` cannot hold them.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Stat {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) path: Vec<u8>,
    #[prost(uint32, tag = "2")]
    pub(super) mode: u32,
    #[prost(uint32, tag = "3")]
    pub(super) uid: u32,
    #[prost(uint32, tag = "4")]
    pub(super) gid: u32,
    /// In bytes.
    #[prost(int64, tag = "5")]
    pub(super) size: i64,
    /// In nanoseconds since 1970.
    #[prost(int64, tag = "6")]
    pub(super) mod_time: i64,
    #[prost(bytes = "vec", tag = "7")]
    pub(super) linkname: Vec<u8>,
    #[prost(int64, tag = "8")]
    pub(super) devmajor: i64,
    #[prost(int64, tag = "9")]
    pub(super) devminor: i64,
    #[prost(map = "string, bytes", tag = "10")]
    pub(super) xattrs: HashMap<String, Vec<u8>>,
}

/// `fsutil.types.Packet`: one message of a file transfer, in either direction.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Packet {
    #[prost(enumeration = "PacketType", tag = "1")]
    pub(super) r#type: i32,
    /// In `Stat` packets; a packet without it ends the list.
    #[prost(message, optional, tag = "2")]
    pub(super) stat: Option<Stat>,
    /// The number of an entry in the list of `Stat` packets, from 0.
    #[prost(uint32, tag = "3")]
    pub(super) id: u32,
    /// A piece of a file, or the text of an error.
    #[prost(bytes = "bytes", tag = "4")]
    pub(super) data: Bytes,
}

/// The type of a [`Packet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum PacketType {
    /// An entry of the list.
    Stat = 0,
    /// The receiver requests the content of entry `id`.
    Request = 1,
    /// A piece of entry `id`; an empty one ends it.
    Data = 2,
    /// The receiver has everything it needs; the sender replies with the same type.
    Finish = 3,
    /// The transfer failed.
    Error = 4,
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard_buildkit_proto::fsutil::types as generated;
    use prost::Message;

    #[test]
    fn our_packet_is_the_generated_one_on_the_wire() {
        let ours = Packet {
            r#type: PacketType::Data.into(),
            stat: Some(Stat {
                path: "a/b".into(),
                mode: 0o644,
                uid: 1,
                gid: 2,
                size: 3,
                mod_time: -4,
                linkname: "c".into(),
                devmajor: 5,
                devminor: 6,
                xattrs: HashMap::from([("user.x".into(), vec![0, 255])]),
            }),
            id: 7,
            data: Bytes::from_static(b"content"),
        };
        let theirs = generated::Packet::decode(ours.encode_to_vec().as_slice()).unwrap();
        assert_eq!(theirs.r#type(), generated::packet::PacketType::PacketData);
        assert_eq!((theirs.id, &*theirs.data), (7, &b"content"[..]));
        let stat = theirs.stat.as_ref().unwrap();
        assert_eq!((&*stat.path, &*stat.linkname), ("a/b", "c"));
        assert_eq!((stat.mode, stat.uid, stat.gid), (0o644, 1, 2));
        assert_eq!((stat.size, stat.mod_time), (3, -4));
        assert_eq!((stat.devmajor, stat.devminor), (5, 6));
        assert_eq!(stat.xattrs["user.x"], [0, 255]);
        assert_eq!(
            Packet::decode(theirs.encode_to_vec().as_slice()).unwrap(),
            ours
        );
    }
}
