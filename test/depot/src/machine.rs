//! A builder machine: a port with TLS of its own authority that leads, byte for byte, to BuildKit.

mod builder;
mod calls;
mod fork;
mod line;
mod session;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use depot_ground::tasks::Tasks;
use depot_ground::wire::{ByteCount, Counted, ResetSwitch, Resettable};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

pub use builder::{Builder, BuilderStream, Connecting, NoBuilder};
pub(crate) use fork::SOLVE;

use crate::authority::{self, Credentials};
use crate::record::{ConnectionNumber, ConnectionRecord, ConnectionState, Recorder};
use crate::{Architecture, Line, MachinePlan, Port, StartError};

/// Connections that one machine serves at the same time; more wait to be accepted.
const MAX_CONNECTIONS: usize = 256;
/// Connections that the kernel queues until they are accepted.
const BACKLOG: u32 = 1024;
/// How long the TLS handshake may take.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// The buffer of each direction of a connection.
const COPY_BYTES: usize = 256 * 1024;

/// The description of a machine for the API.
#[derive(Clone, Debug)]
pub(crate) struct MachineAddress {
    pub(crate) address: SocketAddr,
    pub(crate) server_name: String,
    pub(crate) credentials: Option<Credentials>,
}

/// A running machine. Tests can cut and freeze its connections.
#[derive(Debug)]
pub struct Machine {
    /// Reserves the port of a machine that refuses connections: bound, never listening.
    closed_port: Option<TcpSocket>,
    address: SocketAddr,
    accepting: Tasks,
    /// Tokens of the current connections; later connections get new ones.
    ends: Arc<Mutex<Ends>>,
}

/// Tokens that end connections early.
#[derive(Clone, Debug, Default)]
struct Ends {
    /// Resets them.
    cut: CancellationToken,
    /// Keeps them open without passing any byte.
    frozen: CancellationToken,
}

impl Machine {
    /// Its address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Resets every open connection. New ones are accepted.
    pub fn cut(&self) {
        self.take_ends().cut.cancel();
    }

    /// Stops every open connection without closing it, as if the machine or the network had failed silently. New ones are
    /// served.
    pub fn freeze(&self) {
        self.take_ends().frozen.cancel();
    }

    /// Takes the tokens of the current connections; later connections get new ones.
    fn take_ends(&self) -> Ends {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut ends)
    }

    /// Resets every connection and refuses new ones permanently.
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
        let (credentials, tls) = authority::make(plan.security, &server_name)?.unzip();
        let socket = bound(&plan).map_err(StartError::Port)?;
        let address = socket.local_addr().map_err(StartError::Port)?;
        let mut machine = Self {
            closed_port: None,
            address,
            accepting: tasks.child(),
            ends: Arc::default(),
        };
        let delay = match plan.port {
            Port::Late(delay) => Some(delay),
            Port::Open | Port::Silent => Some(Duration::ZERO),
            Port::Closed => None,
        };
        if let Some(delay) = delay {
            let service = Service {
                architecture,
                tls: tls.map(TlsAcceptor::from),
                builder,
                recorder,
                resets_left: AtomicU32::new(plan.resets_first),
                alerts_left: AtomicU32::new(plan.alerts_first.0),
                confused_left: Arc::new(AtomicU32::new(plan.confused_first)),
                tasks: tasks.clone(),
                ends: Arc::clone(&machine.ends),
                plan,
            };
            machine.listen(socket, delay, Arc::new(service))?;
        } else {
            machine.closed_port = Some(socket);
        }
        let address = MachineAddress {
            address,
            server_name,
            credentials,
        };
        Ok((machine, address))
    }

    /// Listens after `delay`, in this call if it is zero, and serves connections.
    fn listen(
        &self,
        socket: TcpSocket,
        delay: Duration,
        service: Arc<Service>,
    ) -> Result<(), StartError> {
        if delay.is_zero() {
            let listener = socket.listen(BACKLOG).map_err(StartError::Port)?;
            self.accepting.spawn(accept(listener, service));
            return Ok(());
        }
        self.accepting.spawn(async move {
            tokio::time::sleep(delay).await;
            match socket.listen(BACKLOG) {
                Ok(listener) => accept(listener, service).await,
                Err(error) => tracing::warn!(%error, "a machine could not listen"),
            }
        });
        Ok(())
    }
}

/// A socket that is bound to the machine's address, at a port of the system's choice.
fn bound(plan: &MachinePlan) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((plan.address.unwrap_or(Ipv4Addr::LOCALHOST), 0).into())?;
    if plan.line.is_some_and(|line| line.bits_per_second.is_some()) {
        // The kernel's receive buffer is a queue in addition to the line's.
        socket.set_recv_buffer_size(line::ROUTER_BYTES / 2)?;
    }
    Ok(socket)
}

/// The state that all connections of a machine share.
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
    ends: Arc<Mutex<Ends>>,
}

async fn accept(listener: TcpListener, service: Arc<Service>) {
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
        // As most servers do. If it fails, short responses arrive late.
        let _late = socket.set_nodelay(true);
        let ends = service.ends.lock();
        let ends = ends.unwrap_or_else(PoisonError::into_inner).clone();
        let connection = Arc::clone(&service);
        service.tasks.spawn(async move {
            connection.serve(socket, ends).await;
            drop(place);
        });
    }
}

/// Responds to a client's hello with a fatal alert, in a record of TLS 1.2, and waits until the client closes.
async fn alert(mut socket: Resettable, number: u8) {
    let mut hello = vec![0; COPY_BYTES];
    let alerting = async {
        let _hello = socket.read(&mut hello).await?;
        socket.write_all(&[21, 3, 3, 0, 2, 2, number]).await?;
        socket.read(&mut hello).await
    };
    // The client has received its alert, whether it closes or not.
    let _ended = tokio::time::timeout(HANDSHAKE_LIMIT, alerting).await;
}

/// Takes one; `false` if none is left.
fn takes_one(left: &AtomicU32) -> bool {
    let one_less = |left: u32| left.checked_sub(1);
    let taken = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less);
    taken.is_ok()
}

impl Service {
    /// Serves one connection to its end. Every return leaves the final state in the record.
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
            return self
                .recorder
                .change_connection(number, ConnectionState::Cut);
        }
        if takes_one(&self.alerts_left) {
            alert(socket, self.plan.alerts_first.1).await;
            let alerted = ConnectionState::Refused("a TLS alert was planned".to_owned());
            return self.recorder.change_connection(number, alerted);
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
                // The connection stays open because `carrying` lives, and passes no byte because it is not polled.
                ends.cut.cancelled().await;
                ConnectionState::Cut
            }
        };
        self.recorder.change_connection(number, state);
    }

    async fn carry(
        &self,
        socket: impl BuilderStream + 'static,
        switch: ResetSwitch,
        number: ConnectionNumber,
        received: ByteCount,
        sent: ByteCount,
    ) -> ConnectionState {
        // Armed until the orderly end: if this future is dropped before, by `cut` or a stop, the connection is reset.
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
        self.recorder
            .change_connection(number, ConnectionState::Open);
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

/// Connects the socket through a line to `near`, while the machine serves the other end.
///
/// Bytes that the machine sent before an orderly end arrive; a reset takes effect at once.
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
        // The machine detects the end itself.
        _ended = &mut carrying => return machine.await,
    };
    if state == ConnectionState::Closed {
        let _broke = carrying.await;
    }
    state
}
