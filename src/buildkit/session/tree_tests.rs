//! A receiver of files, and senders that violate the protocol.

use std::fs;

use bytes::Bytes;

use super::*;
use crate::destination::{Place, Received, Staging};

/// A staging directory, and the tree in it.
fn tree() -> (tempfile::TempDir, Staging, Arc<Tree>) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_owned();
    let staging = Staging::create(&Place {
        path: root.join("out"),
        staging: root.join("staging"),
        root,
    });
    let staging = staging.unwrap();
    let (_name, tree) = staging.tree().unwrap();
    (folder, staging, tree)
}

fn listed(path: &str, mode: u32, size: i64) -> Packet {
    Packet {
        stat: Some(Stat {
            path: path.into(),
            mode,
            size,
            ..Stat::default()
        }),
        ..Packet::default()
    }
}

fn data(id: u32, data: &'static str) -> Packet {
    Packet {
        data: Bytes::from(data),
        ..reply(PacketType::Data, id)
    }
}

fn end_of_list() -> Packet {
    reply(PacketType::Stat, 0)
}

/// Types and numbers of the replies, or the error.
fn replies(
    receiver: &mut Receiver,
    packets: Vec<Packet>,
) -> Result<Vec<(PacketType, u32)>, String> {
    let mut all = Vec::new();
    for packet in packets {
        let state = receiver.handle(packet, &mut all);
        state.map_err(|error| one_line(&error))?;
    }
    Ok(all
        .into_iter()
        .map(|reply| (reply.r#type(), reply.id))
        .collect())
}

#[test]
fn contents_arrive_in_any_order_and_pieces() {
    let (folder, _staging, tree) = tree();
    let mut receiver = Receiver::new(&tree);
    let list = vec![
        listed("a", mode::DIRECTORY | 0o755, 0),
        listed("a/1", 0o644, 4),
        listed("a/empty", 0o644, 0),
        listed("b", SOCKET | 0o644, 0),
        listed("c", mode::SET_USER | 0o755, 2),
        end_of_list(),
    ];
    let requested = replies(&mut receiver, list).unwrap();
    assert_eq!(
        requested,
        [(PacketType::Request, 1), (PacketType::Request, 4)]
    );
    let contents = vec![
        data(4, "x"),
        data(1, "on"),
        data(4, "y"),
        data(4, ""),
        data(1, "e!"),
    ];
    assert_eq!(replies(&mut receiver, contents).unwrap(), []);
    assert_eq!(
        replies(&mut receiver, vec![data(1, "")]).unwrap(),
        [(PacketType::Finish, 0)]
    );
    let finish = reply(PacketType::Finish, 0);
    assert_eq!(
        receiver.handle(finish, &mut Vec::new()).unwrap(),
        State::Done
    );
    let written = folder.path().join("staging/0");
    assert_eq!(fs::read_to_string(written.join("a/1")).unwrap(), "one!");
    assert_eq!(fs::read_to_string(written.join("c")).unwrap(), "xy");
    assert!(!written.join("b").exists());
}

#[test]
fn few_files_are_open_at_a_time() {
    let (_folder, _staging, tree) = tree();
    let mut receiver = Receiver::new(&tree);
    let list = (0..200).map(|number| listed(&format!("{number:03}"), 0o644, 1));
    let requested = replies(&mut receiver, list.collect()).unwrap();
    assert_eq!(requested.len(), MAX_OPEN_FILES);
    let one = vec![data(7, "x"), data(7, "")];
    let next = u32::try_from(MAX_OPEN_FILES).unwrap();
    assert_eq!(
        replies(&mut receiver, one).unwrap(),
        [(PacketType::Request, next)]
    );
}

#[test]
fn a_sender_that_violates_the_protocol_ends_the_transfer() {
    let list = || vec![listed("a", 0o644, 1), listed("b", 0o644, 1)];
    let with = |more: Vec<Packet>| [list(), more].concat();
    for (packets, problem) in [
        (with(vec![data(2, "x")]), "a file that was not requested"),
        (
            with(vec![data(0, "xy")]),
            "sent 2 bytes for `a`, but announced 1",
        ),
        (
            with(vec![data(0, "")]),
            "sent 0 bytes for `a`, but announced 1",
        ),
        (
            with(vec![data(0, "x"), data(0, ""), data(0, "")]),
            "a file that was not requested",
        ),
        (
            with(vec![end_of_list(), listed("c", 0, 0)]),
            "after the end of the list",
        ),
        (
            with(vec![end_of_list(), end_of_list()]),
            "after the end of the list",
        ),
        (
            with(vec![reply(PacketType::Finish, 0)]),
            "ended before everything was sent",
        ),
        (
            with(vec![reply(PacketType::Request, 0)]),
            "it requested a file",
        ),
        (
            vec![end_of_list(), listed("c", 0, 0)],
            "it sent more after the end",
        ),
        (vec![listed("c", 0, -1)], "the size of a file is negative"),
        (
            vec![listed("../c", 0, 1)],
            "`../c`, which is not a plain relative path",
        ),
        (vec![data(0, "failed")], "a file that was not requested"),
    ] {
        let (_folder, _staging, tree) = tree();
        let error = replies(&mut Receiver::new(&tree), packets).unwrap_err();
        assert!(error.contains(problem), "{problem}: {error}");
        assert!(Received::of_tree("0".into(), &tree).is_err());
    }
}
