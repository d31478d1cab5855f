//! `moby.filesync.v1.FileSend`: receives the directory that the `local` exporter sends, one call for each platform.
//!
//! The protocol is that of `fsutil`, and this program is its receiver. The builder lists all entries in the order of a walk; they are
//! numbered from 0. The receiver requests the content of files by these numbers, the builder sends the requested contents in any
//! order, and each ends with an empty packet. When everything has arrived, both sides send a packet that ends the transfer.
//!
//! One thread for each call writes to the disk. At most [`MAX_OPEN_FILES`] files are requested at a time, which bounds the number
//! of open files. Requests never wait for the builder: it stops reading them when too much of its data is unread.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tonic::server::StreamingService;
use tonic::{Request, Response, Status, Streaming};

use super::diff_copy::{Answering, DiffCopy, Mounted};
use super::failure::Failure;
use super::routes::Routes;
use super::service::Service;
use crate::buildkit::error::ErrorKind;
use crate::buildkit::wire::{Packet, PacketType, Stat};
use crate::context::mode;
use crate::destination::{Entry, Kind, Listing, OpenFile, Tree, Waiting, WriteError};
use crate::text::cause::one_line;

/// Files whose content is requested at a time.
const MAX_OPEN_FILES: usize = 64;

/// Packets that wait to be written.
const PACKETS_IN_FLIGHT: usize = 8;

/// Replies that may wait to be sent: a request for each open file, and the end. So a reply never waits.
const REPLIES: usize = MAX_OPEN_FILES + 2;

/// Bits of [`Stat::mode`] that only a result has: a context contains no such entries.
const SOCKET: u32 = 1 << 24;
const IRREGULAR: u32 = 1 << 19;

/// A directory that an exporter sends its result to.
#[derive(Debug)]
pub(crate) struct TreeSink(Arc<Tree>);

impl TreeSink {
    pub(crate) fn new(tree: Arc<Tree>) -> Self {
        Self(tree)
    }
}

impl Service for TreeSink {
    fn methods(&self) -> &'static [&'static str] {
        &[Server::PATH]
    }

    fn mount(self: Box<Self>, routes: Routes, failure: &Failure) -> Routes {
        routes.add_service(server(self.0, failure.clone()))
    }
}

/// The service without a session, for tests that act as the builder.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn tree_service(
    tree: Arc<Tree>,
) -> impl tower_service::Service<
    http::Request<tonic::body::Body>,
    Response = http::Response<tonic::body::Body>,
    Error = std::convert::Infallible,
> {
    server(tree, Failure::default())
}

fn server(tree: Arc<Tree>, failure: Failure) -> Mounted<Server, Packet> {
    Mounted::new(Server { tree, failure })
}

/// Handles the calls.
#[derive(Clone)]
struct Server {
    tree: Arc<Tree>,
    failure: Failure,
}

impl fmt::Debug for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("FileSend").finish_non_exhaustive()
    }
}

impl StreamingService<Packet> for Server {
    type Response = Packet;
    type ResponseStream = Replies;
    type Future = Answering<Result<Response<Replies>, Status>>;

    fn call(&mut self, request: Request<Streaming<Packet>>) -> Self::Future {
        let (sender, replies) = mpsc::channel(REPLIES);
        let receiver = Receiver::new(&self.tree);
        let mut task = JoinSet::new();
        task.spawn(pass_on(
            request.into_inner(),
            receiver,
            sender,
            self.failure.clone(),
        ));
        let replies = Replies {
            replies,
            _transfer: task,
        };
        Box::pin(std::future::ready(Ok(Response::new(replies))))
    }
}

impl DiffCopy<Packet> for Server {
    const NAME: &'static str = "moby.filesync.v1.FileSend";
    const PATH: &'static str = "/moby.filesync.v1.FileSend/DiffCopy";
}

/// The replies of a transfer. Owns the transfer: dropping it ends the thread after its current packet.
pub(super) struct Replies {
    replies: mpsc::Receiver<Packet>,
    _transfer: JoinSet<()>,
}

impl Stream for Replies {
    type Item = Result<Packet, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.replies.poll_recv(context).map(|packet| packet.map(Ok))
    }
}

/// Passes the packets of a call to the thread that writes.
async fn pass_on(
    mut requests: Streaming<Packet>,
    receiver: Receiver,
    replies: mpsc::Sender<Packet>,
    failure: Failure,
) {
    let (sender, packets) = mpsc::channel(PACKETS_IN_FLIGHT);
    let mut thread = JoinSet::new();
    thread.spawn_blocking(move || receiver.run(packets, &replies, &failure));
    loop {
        let packet = tokio::select! {
            packet = requests.message() => packet,
            _ended = thread.join_next() => return,
        };
        match packet {
            Ok(Some(packet)) => {
                if sender.send(packet).await.is_err() {
                    break;
                }
            }
            Ok(None) => break,
            Err(status) => {
                tracing::debug!("a transfer ended: {}", status.message());
                break;
            }
        }
    }
    drop(sender);
    while thread.join_next().await.is_some() {}
}

/// Why a transfer failed on this side.
#[derive(Debug, thiserror::Error)]
enum ReceiveError {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("the builder violated the protocol for exported files: {0}")]
    Protocol(&'static str),
    /// The builder has ended the transfer. The solve's result has the reason.
    #[error("the builder could not send the result: {0}")]
    Sender(String),
}

/// The state of one call.
struct Receiver {
    listing: Listing,
    /// Whether everything has been received, and the builder has only to confirm the end.
    is_received: bool,
    /// The number of the next entry.
    next: u32,
    /// Whether the list is complete.
    is_listed: bool,
    /// Files that are not requested yet.
    waiting: VecDeque<(u32, Waiting)>,
    /// Requested files.
    open: HashMap<u32, OpenFile>,
}

/// Whether a transfer goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    Done,
}

impl Receiver {
    fn new(tree: &Arc<Tree>) -> Self {
        Self {
            listing: tree.begin(),
            is_received: false,
            next: 0,
            is_listed: false,
            waiting: VecDeque::new(),
            open: HashMap::new(),
        }
    }

    /// Handles all packets. Blocks.
    fn run(
        mut self,
        mut packets: mpsc::Receiver<Packet>,
        replies: &mpsc::Sender<Packet>,
        failure: &Failure,
    ) {
        let mut ready = Vec::new();
        while let Some(packet) = packets.blocking_recv() {
            match self.handle(packet, &mut ready) {
                Ok(State::Done) => return,
                Ok(State::Running) => {}
                Err(error) => {
                    let text = one_line(&error);
                    match &error {
                        ReceiveError::Sender(_) => tracing::debug!("{text}"),
                        ReceiveError::Write(error) => {
                            failure.record(ErrorKind::Export, text.clone(), error.hint());
                        }
                        ReceiveError::Protocol(_) => {
                            failure.record(ErrorKind::Export, text.clone(), None);
                        }
                    }
                    let reply = Packet {
                        data: text.into_bytes().into(),
                        ..reply(PacketType::Error, 0)
                    };
                    let _gone = replies.blocking_send(reply);
                    return;
                }
            }
            for reply in ready.drain(..) {
                if replies.blocking_send(reply).is_err() {
                    return;
                }
            }
        }
    }

    /// Handles a packet, and adds the replies to it. After an error, the whole result is unusable.
    fn handle(&mut self, packet: Packet, replies: &mut Vec<Packet>) -> Result<State, ReceiveError> {
        let state = self.accept(packet, replies);
        if state.is_err() {
            self.listing.fail();
        }
        state
    }

    fn accept(&mut self, packet: Packet, replies: &mut Vec<Packet>) -> Result<State, ReceiveError> {
        let Packet {
            r#type,
            stat,
            id,
            data,
        } = packet;
        match PacketType::try_from(r#type) {
            Ok(PacketType::Error) => {
                let text = String::from_utf8_lossy(&data).into_owned();
                return Err(ReceiveError::Sender(text));
            }
            Ok(PacketType::Finish) if self.is_received => return Ok(State::Done),
            Ok(PacketType::Finish) => {
                let problem = "it ended before everything was sent";
                return Err(ReceiveError::Protocol(problem));
            }
            Ok(PacketType::Request) => {
                return Err(ReceiveError::Protocol("it requested a file"));
            }
            Ok(PacketType::Stat | PacketType::Data) if self.is_received => {
                return Err(ReceiveError::Protocol("it sent more after the end"));
            }
            Ok(PacketType::Stat) => self.listed(stat)?,
            Ok(PacketType::Data) => {
                let Some(file) = self.open.get_mut(&id) else {
                    let problem = "it sent a file that was not requested";
                    return Err(ReceiveError::Protocol(problem));
                };
                if !data.is_empty() {
                    self.listing.write(file, &data)?;
                    return Ok(State::Running);
                }
                if let Some(file) = self.open.remove(&id) {
                    self.listing.complete(file)?;
                }
            }
            // A newer sender may have other types; BuildKit's own receiver ignores them.
            Err(_) => {}
        }
        self.request(replies)?;
        Ok(State::Running)
    }

    /// Handles an entry, or the end of the list.
    fn listed(&mut self, stat: Option<Stat>) -> Result<(), ReceiveError> {
        if self.is_listed {
            return Err(ReceiveError::Protocol(
                "it listed more after the end of the list",
            ));
        }
        let Some(stat) = stat else {
            self.is_listed = true;
            return Ok(());
        };
        let id = self.next;
        let too_many = ReceiveError::Protocol("it listed too many entries");
        self.next = self.next.checked_add(1).ok_or(too_many)?;
        if let Some(file) = self.listing.entry(entry(stat)?)? {
            self.waiting.push_back((id, file));
        }
        Ok(())
    }

    /// Requests the next files, or ends the transfer if everything has been received.
    fn request(&mut self, replies: &mut Vec<Packet>) -> Result<(), ReceiveError> {
        while self.open.len() < MAX_OPEN_FILES
            && let Some((id, file)) = self.waiting.pop_front()
        {
            self.open.insert(id, self.listing.open(file)?);
            replies.push(reply(PacketType::Request, id));
        }
        if self.is_listed && self.open.is_empty() && !self.is_received {
            // Before the reply: the builder then reports success without waiting for us.
            self.listing.end()?;
            self.is_received = true;
            replies.push(reply(PacketType::Finish, 0));
        }
        Ok(())
    }
}

fn reply(packet_type: PacketType, id: u32) -> Packet {
    Packet {
        r#type: packet_type.into(),
        id,
        ..Packet::default()
    }
}

/// The entry that a builder lists.
fn entry(stat: Stat) -> Result<Entry, ReceiveError> {
    let has = |bits: u32| stat.mode & bits != 0;
    let kind = if has(mode::DIRECTORY) {
        Kind::Directory
    } else if has(mode::LINK) {
        Kind::Link {
            target: stat.linkname,
        }
    } else if has(mode::KIND | SOCKET | IRREGULAR) {
        Kind::Special
    } else if stat.linkname.is_empty() {
        let size = u64::try_from(stat.size);
        let size = size.map_err(|_| ReceiveError::Protocol("the size of a file is negative"))?;
        Kind::File { size }
    } else {
        Kind::HardLink {
            target: stat.linkname,
        }
    };
    let sticky = if has(mode::STICKY) { 0o1000 } else { 0 };
    Ok(Entry {
        path: stat.path,
        kind,
        permissions: stat.mode & 0o777 | sticky,
        modified_nanoseconds: stat.mod_time,
    })
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
