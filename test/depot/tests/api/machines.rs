//! The machines' ports, with a TLS client that verifies certificates as a builder's client must.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use local_depot::messages::{ActiveConnection, CompressorChoice, Connection};
use local_depot::{
    Architecture, Builder, BuilderStream, Compressor, Connecting, ConnectionState, Line,
    LocalDepot, MachinePlan, Port, Scenario, Security,
};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, SimplexStream};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::client::{LIMIT, connection, create_build, machine, start_on};

/// A builder that echoes all bytes.
struct Echo;

impl Builder for Echo {
    fn connect(&self) -> Connecting<'_> {
        let stream: Box<dyn BuilderStream> = Box::new(SimplexStream::new_unsplit(64 * 1024));
        Box::pin(async { Ok(stream) })
    }
}

/// A builder that sends its name and nothing else.
struct Named(&'static [u8]);

impl Builder for Named {
    fn connect(&self) -> Connecting<'_> {
        let stream: Box<dyn BuilderStream> = Box::new(tokio::io::join(self.0, tokio::io::sink()));
        Box::pin(async { Ok(stream) })
    }
}

/// Connects with the credentials of `active`, with or without the client's certificate.
async fn connect(
    active: &ActiveConnection,
    with_certificate: bool,
) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    let authority = active.ca_cert.as_ref().unwrap();
    assert_eq!(authority.key, "");
    roots
        .add(CertificateDer::from_pem_slice(authority.cert.as_bytes()).unwrap())
        .unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let own = active.cert.as_ref().unwrap();
    let mut config = if with_certificate {
        let certificate = CertificateDer::from_pem_slice(own.cert.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
        config
            .with_client_auth_cert(vec![certificate], key)
            .unwrap()
    } else {
        config.with_no_client_auth()
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    let socket = TcpStream::connect(address(active)).await?;
    let name = ServerName::try_from(active.server_name.clone()).unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, socket)
        .await
}

fn address(active: &ActiveConnection) -> &str {
    active.endpoint.strip_prefix("tcp://").unwrap()
}

async fn echo(stream: &mut (impl BuilderStream + ?Sized), bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await?;
    let mut back = vec![0; bytes.len()];
    stream.read_exact(&mut back).await?;
    assert!(back == bytes);
    Ok(())
}

async fn start_machine(plan: MachinePlan) -> (LocalDepot, ActiveConnection) {
    let depot = start_on(Echo, Scenario::default().machines(plan)).await;
    let active = machine(&depot, Architecture::Amd64).await;
    (depot, active)
}

#[tokio::test]
async fn bytes_pass_and_are_counted() {
    let (depot, active) = start_machine(MachinePlan::default()).await;
    let mut stream = connect(&active, true).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    echo(&mut stream, &[7; 10_000]).await.unwrap();
    let record = depot.record();
    let connection = record.connections_to(Architecture::Amd64).next().unwrap();
    assert_eq!(
        (connection.received.get(), connection.sent.get()),
        (10_000, 10_000)
    );
    assert_eq!(
        (&connection.state, record.connections.len()),
        (&ConnectionState::Open, 1)
    );
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    let ended = |record: &local_depot::Record| {
        record
            .connections
            .iter()
            .any(|connection| connection.state == ConnectionState::Closed)
    };
    depot
        .wait_for("the end of the connection", LIMIT, ended)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_line_has_the_planned_delay_and_rate() {
    let line = Line {
        delay: Duration::from_millis(10),
        bits_per_second: Some(8_000_000),
    };
    let (_depot, active) = start_machine(MachinePlan::default().line(line)).await;
    let begun = Instant::now();
    let mut stream = connect(&active, true).await.unwrap();
    // A round trip for TCP and one for TLS.
    assert!(begun.elapsed() >= line.delay * 4, "{:?}", begun.elapsed());
    let begun = Instant::now();
    echo(&mut stream, &vec![7; 50_000]).await.unwrap();
    let least = line.delay * 2 + Duration::from_millis(50);
    assert!(begun.elapsed() >= least, "{:?}", begun.elapsed());
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn the_last_bytes_of_a_machine_arrive_over_its_line() {
    let line = Line {
        delay: Duration::from_millis(10),
        bits_per_second: None,
    };
    let scenario = Scenario::default().machines(MachinePlan::default().line(line));
    let depot = start_on(Named(b"goodbye"), scenario).await;
    let active = machine(&depot, Architecture::Amd64).await;
    let mut stream = connect(&active, true).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut received = Vec::new();
    stream.read_to_end(&mut received).await.unwrap();
    assert_eq!(received, b"goodbye");
}

#[tokio::test]
async fn a_client_without_a_certificate_is_rejected() {
    let (depot, active) = start_machine(MachinePlan::default()).await;
    // With TLS 1.3 a client detects the rejection only when it reads.
    let mut stream = connect(&active, false).await.unwrap();
    stream.read(&mut [0]).await.unwrap_err();
    let refused = |record: &local_depot::Record| {
        record
            .connections
            .iter()
            .any(|connection| matches!(connection.state, ConnectionState::Refused(_)))
    };
    depot
        .wait_for("the rejection", LIMIT, refused)
        .await
        .unwrap();
}

#[tokio::test]
async fn each_machine_has_its_own_authority_and_name() {
    let depot = start_on(Echo, Scenario::default()).await;
    let amd64 = machine(&depot, Architecture::Amd64).await;
    let arm64 = machine(&depot, Architecture::Arm64).await;
    assert_ne!(amd64.server_name, arm64.server_name);
    let crossed = ActiveConnection {
        endpoint: amd64.endpoint,
        server_name: amd64.server_name,
        ..arm64
    };
    connect(&crossed, true).await.unwrap_err();
}

#[tokio::test]
async fn each_machine_leads_to_its_own_builder() {
    let [amd64, arm64] = [&b"the first"[..], &b"the second"[..]];
    let depot = LocalDepot::start_on(
        Arc::new(Named(amd64)),
        Arc::new(Named(arm64)),
        Scenario::default(),
    );
    let depot = depot.await.unwrap();
    for (architecture, name) in [(Architecture::Amd64, amd64), (Architecture::Arm64, arm64)] {
        let active = machine(&depot, architecture).await;
        let mut stream = connect(&active, true).await.unwrap();
        let mut received = vec![0; name.len()];
        stream.read_exact(&mut received).await.unwrap();
        assert_eq!(received, name, "{architecture}");
        assert_eq!(depot.record().connections_to(architecture).count(), 1);
    }
}

#[tokio::test]
async fn wrong_certificates_are_not_trusted() {
    // The names are rustls's. The other authority has the same name, so its signature is wrong.
    let cases = [
        (Security::WrongAuthority, "BadSignature"),
        (Security::WrongName, "NotValidForName"),
        (Security::Expired, "Expired"),
    ];
    for (security, name) in cases {
        let (_depot, active) = start_machine(MachinePlan::default().security(security)).await;
        let error = connect(&active, true).await.map(|_| ()).unwrap_err();
        let error = format!("{error:?}");
        assert!(error.contains(name), "{security:?}: {error}");
    }
}

#[tokio::test]
async fn a_machine_can_use_the_certificate_of_its_authority() {
    let (_depot, active) =
        start_machine(MachinePlan::default().security(Security::AuthorityItself)).await;
    // webpki rejects an authority as a server, Go does not, so check for that error.
    let refused = connect(&active, true).await.map(|_| ()).unwrap_err();
    assert!(
        format!("{refused:?}").contains("CaUsedAsEndEntity"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_machine_without_tls_has_no_certificates() {
    let (_depot, active) =
        start_machine(MachinePlan::default().security(Security::PlainText)).await;
    assert_eq!((&active.cert, &active.ca_cert), (&None, &None));
    let mut stream = TcpStream::connect(address(&active)).await.unwrap();
    echo(&mut stream, b"plain").await.unwrap();
}

#[tokio::test]
async fn a_closed_port_refuses_connections_and_a_silent_one_sends_nothing() {
    let (depot, active) = start_machine(MachinePlan::default().port(Port::Closed)).await;
    let refused = TcpStream::connect(address(&active)).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    assert!(depot.record().connections.is_empty());

    let (depot, active) = start_machine(MachinePlan::default().port(Port::Silent)).await;
    tokio::select! {
        ended = connect(&active, true) => panic!("{:?}", ended.map(|_| ())),
        record = depot.wait_for("the connection", LIMIT, |record| !record.connections.is_empty()) => { record.unwrap(); }
    }
}

#[tokio::test]
async fn the_first_connections_of_a_starting_machine_are_reset() {
    let (_depot, active) = start_machine(MachinePlan::default().resets_first(2)).await;
    for _ in 0..2 {
        connect(&active, true).await.unwrap_err();
    }
    echo(&mut connect(&active, true).await.unwrap(), b"third")
        .await
        .unwrap();
}

#[tokio::test]
async fn a_connection_is_cut_after_the_planned_bytes_or_on_command() {
    let (depot, active) = start_machine(MachinePlan::default().cut_after_bytes(1000)).await;
    let mut stream = connect(&active, true).await.unwrap();
    let broken = async {
        loop {
            echo(&mut stream, &[1; 100]).await?;
        }
    };
    let broken: io::Result<()> = tokio::time::timeout(LIMIT, broken).await.unwrap();
    assert_eq!(broken.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    let cut = |record: &local_depot::Record| {
        record
            .connections
            .iter()
            .any(|connection| connection.state == ConnectionState::Cut)
    };
    depot.wait_for("the cut", LIMIT, cut).await.unwrap();

    let (depot, active) = start_machine(MachinePlan::default()).await;
    let mut stream = connect(&active, true).await.unwrap();
    echo(&mut stream, b"before").await.unwrap();
    depot.machine(Architecture::Amd64).cut();
    assert_eq!(
        stream.read(&mut [0]).await.unwrap_err().kind(),
        io::ErrorKind::ConnectionReset
    );
    let mut next = connect(&active, true).await.unwrap();
    echo(&mut next, b"after").await.unwrap();
    depot.machine(Architecture::Amd64).die();
    assert_eq!(
        next.read(&mut [0]).await.unwrap_err().kind(),
        io::ErrorKind::ConnectionReset
    );
    depot.wait_for("the cut", LIMIT, cut).await.unwrap();
}

#[tokio::test]
async fn a_machine_is_pending_for_the_planned_polls() {
    let plan = MachinePlan::default()
        .pending(2, Duration::from_millis(150))
        .compressor(Compressor::Gzip);
    let depot = start_on(Echo, Scenario::default().machine(Architecture::Arm64, plan)).await;
    let build = create_build(&depot).await;
    assert!(matches!(
        connection(&depot, &build, Architecture::Amd64).await,
        Connection::Active(_)
    ));
    for _ in 0..2 {
        let Connection::Pending(pending) = connection(&depot, &build, Architecture::Arm64).await
        else {
            panic!()
        };
        assert_eq!(pending.wait_ms, 150);
    }
    let Connection::Active(active) = connection(&depot, &build, Architecture::Arm64).await else {
        panic!()
    };
    assert!(matches!(active.compressor, Some(CompressorChoice::Gzip(_))));
}
