//! The API's port: HTTP/1.1 and HTTP/2 with prior knowledge.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use depot_ground::tasks::Tasks;
use depot_ground::wire::{ResetSwitch, Resettable};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::api::{Api, Connection, exchange};

/// The most connections at the same time; more wait to be accepted.
const MAX_CONNECTIONS: usize = 256;

/// The port, which can be closed and opened again.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    api: Arc<Api>,
    tasks: Tasks,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Open(Tasks),
    /// Bound, so that no other program gets the port, and not listening.
    Closed(TcpSocket),
    /// Neither: the port could not be bound again.
    Lost,
}

impl Server {
    /// Opens a port on loopback and serves `api` on it with tasks of `tasks`.
    pub(crate) async fn start(api: Arc<Api>, tasks: &Tasks) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let server = Self {
            address: listener.local_addr()?,
            api,
            tasks: tasks.clone(),
            state: Mutex::new(State::Lost),
        };
        server.serve(listener);
        Ok(server)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends every connection and refuses new ones.
    pub(crate) async fn close(&self) -> std::io::Result<()> {
        match self.replace(State::Lost) {
            State::Open(serving) => serving.stop(),
            state => {
                self.replace(state);
                return Ok(());
            }
        }
        // The listener is closed when its task ends.
        for _ in 0..100 {
            if let Ok(socket) = bound(self.address) {
                self.replace(State::Closed(socket));
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err(std::io::Error::other("the port is still in use"))
    }

    /// Accepts connections again.
    pub(crate) fn open(&self) -> std::io::Result<()> {
        match self.replace(State::Lost) {
            State::Closed(socket) => self.serve(socket.listen(1024)?),
            state => {
                self.replace(state);
            }
        }
        Ok(())
    }

    fn serve(&self, listener: TcpListener) {
        let serving = self.tasks.child();
        serving.spawn(accept(listener, Arc::clone(&self.api), serving.clone()));
        self.replace(State::Open(serving));
    }

    fn replace(&self, state: State) -> State {
        let mut now = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut now, state)
    }
}

fn bound(address: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Earlier connections may still be closing.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn accept(listener: TcpListener, api: Arc<Api>, tasks: Tasks) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut number = 0;
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let socket = match listener.accept().await {
            Ok((socket, _)) => {
                // As Go servers do. If it fails, responses arrive late.
                let _late = socket.set_nodelay(true);
                socket
            }
            Err(error) => {
                tracing::warn!(%error, "the API could not accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await; // most likely out of file descriptors
                continue;
            }
        };
        number += 1;
        let (api, calls) = (Arc::clone(&api), tasks.child());
        tasks.spawn(async move {
            serve(socket, number, api, &calls).await;
            calls.stop(); // HTTP/2 calls are separate tasks and end with their connection
            drop(place);
        });
    }
}

async fn serve(socket: TcpStream, number: u64, api: Arc<Api>, calls: &Tasks) {
    let connection = Connection {
        number,
        switch: ResetSwitch::default(),
        cut: CancellationToken::new(),
    };
    let cut = connection.cut.clone();
    let stream = TokioIo::new(Resettable::new(socket, connection.switch.clone()));
    let service = service_fn(move |request| {
        let exchange = exchange(Arc::clone(&api), connection.clone(), request);
        async move { Ok::<_, Infallible>(exchange.await) }
    });
    let mut http = auto::Builder::new(calls.clone());
    http.http1().timer(TokioTimer::new());
    http.http2()
        .timer(TokioTimer::new())
        .max_header_list_size(1024 * 1024);
    if let Some(Err(error)) = cut
        .run_until_cancelled(http.serve_connection(stream, service))
        .await
    {
        tracing::debug!(%error, number, "a connection to the API broke");
    }
}
