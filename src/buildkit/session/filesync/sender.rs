//! Sends a directory: first the list of its entries, then the content of those the builder lacks.
//!
//! Both happen at the same time. One thread walks the directory and sends a packet for each entry. The
//! builder requests the content of an entry, by its number, as soon as it needs it, and [`READERS`]
//! threads read files in parallel. All packets pass through one channel of [`PARCELS_IN_FLIGHT`]
//! parcels, which bounds the memory: files are read no faster than they are sent.
//!
//! A parcel is a group of packets that are sent together. A packet that is sent alone costs both sides a frame, a TLS record and
//! a wake-up, which for an entry is far more than the entry itself.
//!
//! A file that cannot be read ends the transfer, and with it the build, with an error that names it:
//! BuildKit's own client sends such a file as empty. A file that changes between its listing and the
//! end of its content also ends the transfer, because the builder would keep the content under the
//! time of another content. Such a transfer can be repeated; see [`ErrorKind::FilesChanged`].

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tonic::{Status, Streaming};

use super::Changes;
use crate::buildkit::error::ErrorKind;
use crate::buildkit::session::failure::Failure;
use crate::buildkit::wire::{Packet, PacketType, Stat};
use crate::context::{Census, Directory, Entry, FileVersion, List, OpenError, Selection, shown};
use crate::text::cause::one_line;

/// The size of a file's part in one packet.
const CHUNK_BYTES: usize = 64 << 10;

/// Parcels that may wait to be sent: half a MiB with full chunks.
const PARCELS_IN_FLIGHT: usize = 8;

/// The number of entries in one parcel.
const ENTRIES: usize = 64;

/// How long the first entry of a parcel waits for the others. Checked with each entry, so that the builder can request content
/// early.
const ENTRIES_WAIT: Duration = Duration::from_millis(1);

/// Files that are read in parallel. A new clone is not in the page cache; with fewer readers, the disk's
/// latency limits the transfer.
const READERS: usize = 6;

/// The packets of a transfer. Owns the transfer: dropping it ends the threads at their next packet.
pub(super) struct Packets {
    parcels: mpsc::Receiver<Parcel>,
    opened: std::vec::IntoIter<Packet>,
    _transfer: JoinSet<()>,
}

/// Packets that are sent together, in order.
type Parcel = Vec<Packet>;

impl Stream for Packets {
    type Item = Result<Packet, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(packet) = self.opened.next() {
                return Poll::Ready(Some(Ok(packet)));
            }
            match ready!(self.parcels.poll_recv(context)) {
                Some(parcel) => self.opened = parcel.into_iter(),
                None => return Poll::Ready(None),
            }
        }
    }
}

/// Starts a transfer. It ends when the builder has everything it needs, or when either side fails.
pub(super) fn start(
    directory: Arc<Directory>,
    census: Option<Arc<Census>>,
    selection: Selection,
    changes: Changes,
    requests: Streaming<Packet>,
    failure: Failure,
) -> Packets {
    let (sender, parcels) = mpsc::channel(PARCELS_IN_FLIGHT);
    let transfer = Transfer {
        directory,
        census,
        selection: Arc::new(selection),
        changes,
        listed: Arc::default(),
        sender,
        failure,
    };
    let mut task = JoinSet::new();
    task.spawn(transfer.run(requests));
    Packets {
        parcels,
        opened: Vec::new().into_iter(),
        _transfer: task,
    }
}

/// A file whose content the builder may request, once.
#[derive(Debug)]
struct Listed {
    path: Box<[u8]>,
    size: u64,
    /// The announced time is the file's own.
    has_own_time: bool,
    version: FileVersion,
}

#[derive(Clone)]
struct Transfer {
    directory: Arc<Directory>,
    census: Option<Arc<Census>>,
    selection: Arc<Selection>,
    changes: Changes,
    /// By the number of the entry. Removed when it is requested.
    listed: Arc<Mutex<Vec<Option<Listed>>>>,
    sender: mpsc::Sender<Parcel>,
    failure: Failure,
}

impl Transfer {
    async fn run(self, mut requests: Streaming<Packet>) {
        // Unbounded, but each entry can be requested only once. With a bounded channel, requests and
        // content could wait for each other forever.
        let (queue_sender, queue) = mpsc::unbounded_channel();
        let queue = Arc::new(Mutex::new(queue));
        let mut threads = JoinSet::new();
        let walker = self.clone();
        threads.spawn_blocking(move || walker.list());
        for _ in 0..READERS {
            let (reader, queue) = (self.clone(), queue.clone());
            threads.spawn_blocking(move || reader.read_queued(&queue));
        }

        loop {
            let request = tokio::select! {
                request = requests.message() => request,
                () = self.sender.closed() => break,
                Some(ended) = threads.join_next() => {
                    // Ending early is not an error, but after a panic the builder must not wait forever.
                    if ended.is_err() {
                        let text = "the context cannot be sent because of an internal error";
                        let packet = self.failed(text, None);
                        let _gone = self.sender.send(vec![packet]).await;
                        break;
                    }
                    continue;
                }
            };
            let packet = match request {
                Ok(Some(packet)) => packet,
                Ok(None) => break,
                Err(status) => {
                    tracing::debug!("a transfer ended: {}", status.message());
                    break;
                }
            };
            if self.handle(packet, &queue_sender).await.is_break() {
                break;
            }
        }
        // Ends the readers after their current file. The walker ends at its next parcel, because the
        // channel is closed.
        drop(queue_sender);
        drop(self);
        while threads.join_next().await.is_some() {}
    }

    /// Handles a packet of the builder; `Break` if it is the last one. Adds a requested file to the queue.
    async fn handle(
        &self,
        packet: Packet,
        queue: &mpsc::UnboundedSender<(u32, Listed)>,
    ) -> ControlFlow<()> {
        match PacketType::try_from(packet.r#type) {
            Ok(PacketType::Request) => match self.take(packet.id) {
                Some(listed) => {
                    // The readers end only after the queue.
                    let _always_open = queue.send((packet.id, listed));
                }
                None => {
                    let text = format!(
                        "the builder requested entry {}, which is not a file or was already sent",
                        packet.id
                    );
                    let packet = self.failed(&text, None);
                    let _gone = self.sender.send(vec![packet]).await;
                }
            },
            Ok(PacketType::Finish) => {
                let finish = vec![plain(PacketType::Finish)];
                let _gone = self.sender.send(finish).await;
                return ControlFlow::Break(());
            }
            Ok(PacketType::Error) => {
                // The solve's result also contains the reason.
                tracing::debug!(
                    "the builder ended a transfer: {}",
                    String::from_utf8_lossy(&packet.data)
                );
                return ControlFlow::Break(());
            }
            // A receiver sends no other types.
            Ok(PacketType::Stat | PacketType::Data) | Err(_) => {}
        }
        ControlFlow::Continue(())
    }

    /// Walks the directory and sends a packet for each entry.
    fn list(&self) {
        let mut entries = Vec::with_capacity(ENTRIES);
        let mut begun = Instant::now();
        let mut list = List::default();
        let mut visit = |entry: Entry| {
            if str::from_utf8(&entry.path).is_err()
                || str::from_utf8(&entry.stat.link_name).is_err()
            {
                self.failure.note_invalid_name(&entry.path);
            }
            if let Some(census) = &self.census {
                census.list(&mut list, &entry);
            }
            let listed = entry.stat.has_content().then(|| Listed {
                path: entry.path.as_slice().into(),
                size: u64::try_from(entry.stat.size).unwrap_or(0),
                has_own_time: entry.stat.has_own_time,
                version: entry.stat.version,
            });
            // Before the packet is sent: the builder may request the content immediately.
            self.listed
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(listed);
            if entries.is_empty() {
                begun = Instant::now();
            }
            entries.push(Packet {
                stat: Some(on_the_wire(entry)),
                ..plain(PacketType::Stat)
            });
            if entries.len() < ENTRIES && begun.elapsed() < ENTRIES_WAIT {
                return ControlFlow::Continue(());
            }
            let parcel = std::mem::replace(&mut entries, Vec::with_capacity(ENTRIES));
            self.send(parcel)
        };
        let view = self.directory.view(&self.selection);
        let mut is_complete = false;
        match view.walk(&self.selection, &mut visit) {
            Ok(summary) => {
                is_complete = true;
                for path in &summary.unreadable {
                    tracing::warn!(
                        "directory `{path}` cannot be read: its content is not sent to the builder"
                    );
                }
                entries.push(match summary.vanished {
                    Some(path) if self.changes == Changes::Refused => self.changed(&format!(
                        "`{path}` was removed while the directory was being sent"
                    )),
                    vanished => {
                        if let Some(path) = vanished {
                            tracing::warn!(
                                "`{path}` was removed while the directory was being sent"
                            );
                        }
                        plain(PacketType::Stat)
                    }
                });
            }
            Err(error) => entries.push(self.failed(&one_line(&error), error.hint())),
        }
        let goes_on = self.send(entries);
        if let Some(census) = self
            .census
            .as_ref()
            .filter(|_| is_complete && goes_on.is_continue())
        {
            census.complete(list, |path| view.open(path).ok());
        }
    }

    fn take(&self, id: u32) -> Option<Listed> {
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        listed.get_mut(usize::try_from(id).ok()?)?.take()
    }

    /// Reads files from the queue until it ends or the channel is closed.
    fn read_queued(&self, queue: &Mutex<mpsc::UnboundedReceiver<(u32, Listed)>>) {
        loop {
            let next = queue
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .blocking_recv();
            let Some((id, listed)) = next else { return };
            let view = self.directory.view(&self.selection);
            let sent = match view.open(&listed.path) {
                Ok(file) => self.send_content(id, &listed, file).map_err(|error| {
                    let path = shown(&listed.path);
                    self.failed(&format!("file `{path}` cannot be read: {error}"), None)
                }),
                // A socket: it is listed and sent as an empty file.
                Err(OpenError::NotAFile { .. }) if listed.size == 0 => {
                    Ok(self.send(vec![data(id, Bytes::new())]))
                }
                // It was a file when it was listed.
                Err(error @ (OpenError::Gone { .. } | OpenError::NotAFile { .. })) => {
                    Err(self.changed(&one_line(&error)))
                }
                Err(error) => Err(self.failed(&one_line(&error), error.hint())),
            };
            let goes_on = match sent {
                Ok(goes_on) => goes_on,
                Err(packet) => self.send(vec![packet]),
            };
            if goes_on.is_break() {
                return;
            }
        }
    }

    /// Sends the content of one file, and the empty packet that ends it.
    ///
    /// At most the listed size is sent: a log that keeps growing would never end.
    fn send_content(
        &self,
        id: u32,
        listed: &Listed,
        mut file: File,
    ) -> io::Result<ControlFlow<()>> {
        let mut left = listed.size;
        let mut parcel = Vec::with_capacity(2);
        while left > 0 {
            let length = usize::try_from(left).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES));
            let mut chunk = BytesMut::zeroed(length);
            let filled = read_full(&mut file, &mut chunk)?;
            if filled == 0 {
                break;
            }
            chunk.truncate(filled);
            if let Some(census) = &self.census {
                if left == listed.size {
                    census.check(&listed.path, listed.size, &chunk);
                }
                census.sent(filled);
            }
            left -= filled as u64;
            parcel.push(data(id, chunk.freeze()));
            // The last chunk is sent together with the end packet.
            if left > 0 && self.send(std::mem::take(&mut parcel)).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        let version = FileVersion::of_file(&file)?;
        if version != listed.version && !listed.version.is_fixed() {
            let text = format!(
                "`{}` changed while the directory was being sent",
                shown(&listed.path)
            );
            // The builder may keep the content under the announced time. That is safe if it is the file's
            // own time, because no later content has the same time.
            let is_log = listed.has_own_time && version.has_grown_from(&listed.version);
            if self.changes == Changes::Refused || !is_log {
                return Ok(self.send(vec![self.changed(&text)]));
            }
            tracing::warn!("{text}: the image may contain any version of it");
        }
        parcel.push(data(id, Bytes::new()));
        Ok(self.send(parcel))
    }

    /// Waits until the channel accepts a parcel; `Break` if the channel is closed.
    fn send(&self, parcel: Parcel) -> ControlFlow<()> {
        match self.sender.blocking_send(parcel) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }

    /// Records a failure and returns the packet that ends the transfer with the same error.
    fn failed(&self, text: &str, hint: Option<&'static str>) -> Packet {
        self.failure
            .record(ErrorKind::Session, text.to_owned(), hint);
        error(text)
    }

    /// The same for a file that changed after it was listed.
    fn changed(&self, text: &str) -> Packet {
        let hint =
            Some("make sure that nothing else writes to the directory while it is being sent");
        self.failure
            .record(ErrorKind::FilesChanged, text.to_owned(), hint);
        error(text)
    }
}

fn error(text: &str) -> Packet {
    Packet {
        data: Bytes::copy_from_slice(text.as_bytes()),
        ..plain(PacketType::Error)
    }
}

/// All entries belong to root, regardless of the owner of the clone: uid and gid stay 0.
fn on_the_wire(entry: Entry) -> Stat {
    Stat {
        path: entry.path,
        mode: entry.stat.mode,
        uid: 0,
        gid: 0,
        size: entry.stat.size,
        mod_time: entry.stat.modified_nanoseconds,
        linkname: entry.stat.link_name,
        devmajor: entry.stat.device_major,
        devminor: entry.stat.device_minor,
        xattrs: entry.stat.attributes.into_iter().collect(),
    }
}

fn data(id: u32, data: Bytes) -> Packet {
    Packet {
        id,
        data,
        ..plain(PacketType::Data)
    }
}

fn plain(packet_type: PacketType) -> Packet {
    Packet {
        r#type: packet_type.into(),
        ..Packet::default()
    }
}

/// Reads until `buffer` is full or the file ends.
fn read_full(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
