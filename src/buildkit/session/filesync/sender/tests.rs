//! Files that are sent, and files that change on the way.

use std::fs;

use super::*;
use crate::context::Tree;
use crate::report::log::subscriber;
use crate::report::output::{Output, OutputOptions};

/// Lists a file of ten bytes, applies `change` to it, and reads it then. Returns the packets, the
/// kind of the failure and the log.
fn sent_after(
    changes: Changes,
    touched: bool,
    change: impl FnOnce(&std::path::Path),
) -> (Vec<Packet>, Option<ErrorKind>, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    fs::write(&path, "0123456789").unwrap();
    if touched {
        let file = File::open(&path).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
    }
    let (sender, mut parcels) = mpsc::channel(PARCELS_IN_FLIGHT);
    let transfer = Transfer {
        census: None,
        directory: Arc::new(Directory::of(Tree::new(folder.path(), &[]).unwrap())),
        selection: Arc::default(),
        changes,
        listed: Arc::default(),
        sender,
        failure: Failure::default(),
    };
    transfer.list();
    let listed = transfer.take(0).unwrap();
    assert!(transfer.take(0).is_none(), "a file is sent once");
    // The kernel's clock for files ticks every few milliseconds. A change within one tick leaves no trace.
    let probe = folder.path().join("probe");
    let now = || {
        fs::write(&probe, "x").unwrap();
        fs::metadata(&probe).unwrap().modified().unwrap()
    };
    let listed_at = now();
    while now() == listed_at {}
    change(&path);
    let (queue_sender, queue) = mpsc::unbounded_channel();
    queue_sender.send((0, listed)).unwrap();
    drop(queue_sender);
    let (output, log) = Output::captured(OutputOptions::default());
    tracing::subscriber::with_default(subscriber(output, false), || {
        transfer.read_queued(&Mutex::new(queue));
    });
    let failure = transfer.failure.report().map(|report| report.kind);
    drop(transfer);
    let sent = std::iter::from_fn(|| parcels.blocking_recv())
        .flatten()
        .filter(|packet| packet.r#type() != PacketType::Stat)
        .collect();
    (sent, failure, log.text())
}

fn contents(packets: &[Packet]) -> Vec<&[u8]> {
    packets.iter().map(|packet| &*packet.data).collect()
}

#[test]
fn a_file_arrives_whole_and_ends_with_an_empty_packet() {
    for touched in [false, true] {
        let (packets, failure, log) = sent_after(Changes::Refused, touched, |_| {});
        assert_eq!(contents(&packets), [&b"0123456789"[..], b""]);
        assert_eq!((failure, &*log), (None, ""));
    }
}

#[test]
fn a_file_that_changes_ends_the_transfer_with_its_name() {
    let same_size = |path: &std::path::Path| fs::write(path, "9876543210").unwrap();
    let grown = |path: &std::path::Path| fs::write(path, "0123456789 and more").unwrap();
    let shrunk = |path: &std::path::Path| fs::write(path, "0123").unwrap();
    let changes: [fn(&std::path::Path); 3] = [same_size, grown, shrunk];
    for (change, is_log) in changes.into_iter().zip([false, true, false]) {
        // The announced time of a touched file belongs to its old content. A file that has become shorter, or another one of
        // the same size, is not a growing log.
        let cases = [
            (Changes::Refused, false),
            (Changes::Tolerated, true),
            (Changes::Tolerated, false),
        ];
        for (changes, touched) in cases.into_iter().take(if is_log { 2 } else { 3 }) {
            let (packets, failure, _) = sent_after(changes, touched, change);
            let packet = packets.last().unwrap();
            assert_eq!(packet.r#type(), PacketType::Error);
            let text = String::from_utf8_lossy(&packet.data);
            assert!(text.contains("`log` changed while"), "{text}");
            assert_eq!(failure, Some(ErrorKind::FilesChanged));
        }
    }
}

#[test]
fn a_log_that_grows_is_sent_up_to_the_listed_size_with_a_warning() {
    let (packets, failure, log) = sent_after(Changes::Tolerated, false, |path| {
        fs::write(path, "0123456789 and more").unwrap();
    });
    assert_eq!(contents(&packets), [&b"0123456789"[..], b""]);
    assert_eq!(failure, None);
    assert!(log.contains("`log` changed while"), "{log}");
}

#[test]
fn a_file_that_vanishes_or_becomes_something_else_ends_the_transfer_with_its_name() {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    let vanish = |path: &std::path::Path| fs::remove_file(path).unwrap();
    let become_link = |path: &std::path::Path| {
        fs::remove_file(path).unwrap();
        symlink("/etc/passwd", path).unwrap();
    };
    let become_folder = |path: &std::path::Path| {
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
    };
    let become_socket = |path: &std::path::Path| {
        fs::remove_file(path).unwrap();
        drop(UnixListener::bind(path).unwrap());
    };
    for change in [vanish, become_link, become_folder, become_socket] {
        let (packets, failure, _) = sent_after(Changes::Tolerated, false, change);
        let [packet] = &packets[..] else {
            panic!("{packets:?}");
        };
        assert_eq!(packet.r#type(), PacketType::Error);
        assert!(String::from_utf8_lossy(&packet.data).contains("`log`"));
        assert_eq!(failure, Some(ErrorKind::FilesChanged));
    }
}
