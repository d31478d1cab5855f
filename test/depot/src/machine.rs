//! A builder machine: a port with TLS of its own authority that leads, byte for byte, to BuildKit.

mod calls;
mod fork;
mod line;
mod session;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use depot_ground::engine::Engine;
use depot_ground::tasks::Tasks;
use depot_ground::wire::{ByteCount, Counted, ResetSwitch, Resettable};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::authority::{self, Credentials};
use crate::record::{ConnectionNumber, ConnectionRecord, ConnectionState, Recorder};
use crate::{Architecture, Line, MachinePlan, Port, StartError};

/// Connections that one machine serves at the same time; more wait to be accepted.
const MAX_CONNECTIONS: usize = 256;
/// How long a client may take to agree on TLS.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// What is held of each direction of a connection.
const COPY_BYTES: usize = 256 * 1024;

/// A stream to a builder.
pub trait BuilderStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> BuilderStream for S {}

/// A connection to a builder that is being made.
pub type Connecting<'a> =
    Pin<Box<dyn Future<Output = io::Result<Box<dyn BuilderStream>>> + Send + 'a>>;

/// What stands behind a machine's port: something that serves BuildKit's gRPC over HTTP/2 without TLS.
pub trait Builder: Send + Sync + 'static {
    /// Opens a connection of its own for each client.
    fn connect(&self) -> Connecting<'_>;
}

impl Builder for Engine {
    fn connect(&self) -> Connecting<'_> {
        Box::pin(async {
            let stream = self.connect_buildkit().await?;
            Ok(Box::new(stream) as Box<dyn BuilderStream>)
        })
    }
}

/// No builder: for tests that never get as far as a machine. Connections are closed once TLS is agreed on.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoBuilder;

impl Builder for NoBuilder {
    fn connect(&self) -> Connecting<'_> {
        Box::pin(async {
            Err(io::Error::new(
                io::ErrorKind::NotConnected,
                "this stand-in has no builder",
            ))
        })
    }
}

/// What the API says about a machine.
#[derive(Clone, Debug)]
pub(crate) struct MachineAddress {
    pub(crate) address: SocketAddr,
    pub(crate) server_name: String,
    pub(crate) credentials: Option<Credentials>,
}

/// A running machine, for tests to hurt.
#[derive(Debug)]
pub struct Machine {
    /// Holds the port of a machine that refuses connections: bound, never listening.
    closed_port: Option<TcpSocket>,
    address: SocketAddr,
    accepting: Tasks,
    /// Of all connections of now; those of later get others.
    ends: Arc<Mutex<Ends>>,
}

/// How connections end before their time.
#[derive(Clone, Debug, Default)]
struct Ends {
    /// They are reset.
    cut: CancellationToken,
    /// They stay open, and nothing moves any more.
    frozen: CancellationToken,
}

impl Machine {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Resets every connection that is open now. New ones are taken.
    pub fn cut(&self) {
        self.renewed().cut.cancel();
    }

    /// Stops every connection that is open now without closing it, as when the machine or the way to it is gone without a word. New
    /// ones are served.
    pub fn freeze(&self) {
        self.renewed().frozen.cancel();
    }

    /// What ends the connections of now.
    fn renewed(&self) -> Ends {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut ends)
    }

    /// Resets every connection and refuses new ones, for good.
    pub fn die(&self) {
        self.accepting.stop();
        self.cut();
    }

    /// Opens the machine's port and serves it with tasks of `tasks`.
    pub(crate) fn start(
        architecture: Architecture,
        plan: MachinePlan,
        builder: Arc<dyn Builder>,
        recorder: Arc<Recorder>,
        tasks: &Tasks,
    ) -> Result<(Self, MachineAddress), StartError> {
        let server_name = format!("{architecture}.machine.depot.test");
        let made = authority::make(plan.security, &server_name)?;
        let (credentials, tls) = made.map_or((None, None), |(credentials, tls)| {
            (Some(credentials), Some(tls))
        });
        let socket = TcpSocket::new_v4().map_err(StartError::Port)?;
        socket
            .bind((plan.address.unwrap_or(Ipv4Addr::LOCALHOST), 0).into())
            .map_err(StartError::Port)?;
        let address = socket.local_addr().map_err(StartError::Port)?;
        let mut machine = Self {
            closed_port: None,
            address,
            accepting: tasks.child(),
            ends: Arc::default(),
        };
        if plan.port == Port::Closed {
            machine.closed_port = Some(socket);
        } else {
            if plan.line.is_some_and(|line| line.bits_per_second.is_some()) {
                // What the kernel takes in unasked is in no queue of the line's.
                let set = socket.set_recv_buffer_size(line::ROUTER_BYTES / 2);
                set.map_err(StartError::Port)?;
            }
            let resets_left = AtomicU32::new(plan.resets_first);
            let alerts_left = AtomicU32::new(plan.alerts_first.0);
            let confused_left = Arc::new(AtomicU32::new(plan.confused_first));
            let late = match plan.port {
                Port::Late(late) => late,
                Port::Open | Port::Closed | Port::Silent => Duration::ZERO,
            };
            let service = Arc::new(Service {
                architecture,
                plan,
                tls: tls.map(TlsAcceptor::from),
                builder,
                recorder,
                resets_left,
                alerts_left,
                confused_left,
                tasks: tasks.clone(),
            });
            let (tasks, ends) = (tasks.clone(), Arc::clone(&machine.ends));
            if late.is_zero() {
                let listener = socket.listen(1024).map_err(StartError::Port)?;
                machine
                    .accepting
                    .spawn(accept(listener, service, tasks, ends));
            } else {
                machine.accepting.spawn(async move {
                    tokio::time::sleep(late).await;
                    match socket.listen(1024) {
                        Ok(listener) => accept(listener, service, tasks, ends).await,
                        Err(error) => tracing::warn!(%error, "a machine could not listen"),
                    }
                });
            }
        }
        Ok((
            machine,
            MachineAddress {
                address,
                server_name,
                credentials,
            },
        ))
    }
}

/// What all connections of a machine share.
struct Service {
    architecture: Architecture,
    plan: MachinePlan,
    tls: Option<TlsAcceptor>,
    builder: Arc<dyn Builder>,
    recorder: Arc<Recorder>,
    resets_left: AtomicU32,
    alerts_left: AtomicU32,
    confused_left: Arc<AtomicU32>,
    tasks: Tasks,
}

async fn accept(
    listener: TcpListener,
    service: Arc<Service>,
    tasks: Tasks,
    ends: Arc<Mutex<Ends>>,
) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let socket = match listener.accept().await {
            Ok((socket, _)) => socket,
            Err(error) => {
                tracing::warn!(%error, "a machine could not accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await; // most likely out of file descriptors
                continue;
            }
        };
        // As servers have it. Should it fail, short answers come late.
        let _late = socket.set_nodelay(true);
        let ends = ends.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let service = Arc::clone(&service);
        tasks.spawn(async move {
            service.serve(socket, ends).await;
            drop(place);
        });
    }
}

/// Answers a client's hello with a fatal alert, in a record of TLS 1.2, and waits for the client's end.
async fn alert(mut socket: Resettable, number: u8) {
    let mut hello = vec![0; COPY_BYTES];
    let alerting = async {
        let _hello = socket.read(&mut hello).await?;
        socket.write_all(&[21, 3, 3, 0, 2, 2, number]).await?;
        socket.read(&mut hello).await
    };
    // A client that goes away, or does not, has its alert.
    let _ended = tokio::time::timeout(HANDSHAKE_LIMIT, alerting).await;
}

/// Whether one was left.
fn takes_one(left: &AtomicU32) -> bool {
    let one_less = |left: u32| left.checked_sub(1);
    let taken = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less);
    taken.is_ok()
}

impl Service {
    /// Serves one connection to its end. Every way out leaves the last state in the record.
    async fn serve(&self, socket: TcpStream, ends: Ends) {
        let (received, sent) = (ByteCount::default(), ByteCount::default());
        let number = self.recorder.connection(ConnectionRecord {
            architecture: self.architecture,
            at: self.recorder.elapsed(),
            received: received.clone(),
            sent: sent.clone(),
            state: ConnectionState::Accepted,
        });
        let switch = ResetSwitch::default();
        let socket = Resettable::new(socket, switch.clone());
        if takes_one(&self.resets_left) {
            switch.arm();
            drop(socket);
            return self.recorder.connection_is(number, ConnectionState::Cut);
        }
        if takes_one(&self.alerts_left) {
            alert(socket, self.plan.alerts_first.1).await;
            let alerted = ConnectionState::Refused("a TLS alert was planned".to_owned());
            return self.recorder.connection_is(number, alerted);
        }
        let carrying = async {
            match self.plan.line {
                None => self.carry(socket, switch, number, received, sent).await,
                Some(line) => {
                    let (near, far) = tokio::io::duplex(COPY_BYTES);
                    let carried = self.carry(far, switch, number, received, sent);
                    at_the_end_of(line, socket, near, carried).await
                }
            }
        };
        let mut carrying = std::pin::pin!(carrying);
        let state = tokio::select! {
            state = &mut carrying => state,
            () = ends.cut.cancelled() => ConnectionState::Cut,
            () = ends.frozen.cancelled() => {
                // Open, since `carrying` lives, and still, since nobody asks it to go on.
                ends.cut.cancelled().await;
                ConnectionState::Cut
            }
        };
        self.recorder.connection_is(number, state);
    }

    async fn carry(
        &self,
        socket: impl BuilderStream + 'static,
        switch: ResetSwitch,
        number: ConnectionNumber,
        received: ByteCount,
        sent: ByteCount,
    ) -> ConnectionState {
        // Armed until the end is an orderly one: dropped on the way, by `cut` or at the stand-in's end, it is a reset.
        switch.arm();
        if self.plan.port == Port::Silent {
            std::future::pending::<()>().await;
        }
        let client: Box<dyn BuilderStream> = match &self.tls {
            None => Box::new(socket),
            Some(tls) => match tokio::time::timeout(HANDSHAKE_LIMIT, tls.accept(socket)).await {
                Ok(Ok(stream)) => Box::new(stream),
                Ok(Err(error)) => return ConnectionState::Refused(format!("no TLS: {error}")),
                Err(_) => return ConnectionState::Refused("no TLS in time".to_owned()),
            },
        };
        let mut builder = match self.builder.connect().await {
            Ok(builder) => builder,
            Err(error) => return ConnectionState::Refused(format!("no builder: {error}")),
        };
        self.recorder.connection_is(number, ConnectionState::Open);
        let mut client = Counted::new(client, received, sent, self.plan.cut_after_bytes);
        if self.plan.is_fork || self.plan.traffic.is_some() {
            let (recorder, tasks) = (Arc::clone(&self.recorder), self.tasks.clone());
            let confused_left = Arc::clone(&self.confused_left);
            let served =
                calls::serve(client, builder, &self.plan, recorder, confused_left, tasks).await;
            switch.disarm();
            if let Err(error) = served {
                tracing::debug!(%error, "a connection to a machine broke");
            }
            return ConnectionState::Closed;
        }
        let ended = tokio::io::copy_bidirectional_with_sizes(
            &mut client,
            &mut builder,
            COPY_BYTES,
            COPY_BYTES,
        )
        .await;
        if client.is_cut() {
            return ConnectionState::Cut;
        }
        switch.disarm();
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection to a machine broke");
        }
        ConnectionState::Closed
    }
}

/// Has a line carry between the socket and `near` while the machine is at its far end.
///
/// What the machine said before an orderly end arrives; a reset comes at once.
async fn at_the_end_of(
    line: Line,
    socket: Resettable,
    near: DuplexStream,
    machine: impl Future<Output = ConnectionState>,
) -> ConnectionState {
    let mut carrying = pin!(line::carry(line, socket, near));
    let mut machine = pin!(machine);
    let state = tokio::select! {
        state = &mut machine => state,
        // The machine sees the end for itself.
        _ended = &mut carrying => return machine.await,
    };
    if state == ConnectionState::Closed {
        let _broke = carrying.await;
    }
    state
}
