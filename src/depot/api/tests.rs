//! Tests of the API client with faulty servers.

use super::*;
use tokio::time::Instant;

#[test]
fn a_refusal_keeps_the_code_and_the_message() {
    let error = refusal(
        "CreateBuild",
        401,
        br#"{"code":"unauthenticated","message":"no such token"}"#,
    );
    assert_eq!(error.code(), Some(&Code::Unauthenticated));
    assert_eq!(
        error.to_string(),
        "Depot refused CreateBuild: unauthenticated: no such token"
    );
}

#[test]
fn an_unknown_code_is_printed_without_control_characters() {
    let body = br#"{"code":"new\u001b[2Jcode","message":"a\u0007b"}"#;
    assert_eq!(
        refusal("CreateBuild", 400, body).to_string(),
        "Depot refused CreateBuild: new[2Jcode: a b"
    );
}

#[test]
fn an_html_page_is_reported_with_its_status_and_its_start() {
    let error = refusal("CreateBuild", 502, b"<html>\n<h1>Bad   Gateway</h1>\x1b[2J");
    assert!(error.is_transient());
    assert_eq!(
        error.to_string(),
        "the response to CreateBuild is not from Depot's API: HTTP status 502 and a page that \
         starts with `<html> <h1>Bad Gateway</h1> [2J`"
    );
}

#[test]
fn a_stream_can_fail_under_status_200() {
    let json = br#"{"error":{"code":"internal","message":"disk"}}"#;
    let mut body = vec![0, 0, 0, 0, 0, END_OF_STREAM, 0, 0, 0];
    body.push(u8::try_from(json.len()).unwrap());
    body.extend_from_slice(json);
    assert_eq!(stream_error(Bytes::from(body)).unwrap().code, "internal");
}

#[test]
fn a_truncated_envelope_is_ignored() {
    for body in [
        &b""[..],
        b"\x02",
        b"\x02\xff\xff\xff\xff{}",
        b"\x02\x00\x00\x00\x02{}",
    ] {
        assert!(stream_error(Bytes::copy_from_slice(body)).is_none());
    }
}

fn api(address: std::net::SocketAddr) -> Api {
    let base = Url::parse(&format!("http://{address}/")).unwrap();
    Api::new(
        base,
        crate::http::roots::client_config(&crate::http::roots::Authorities::default()).unwrap(),
        &Proxies::default(),
    )
    .unwrap()
}

/// A client for HTTP/1.1, which is easier to serve than HTTP/2. The limits are the same.
fn api_of_http_1(listener: &tokio::net::TcpListener) -> Api {
    let tls =
        crate::http::roots::client_config(&crate::http::roots::Authorities::default()).unwrap();
    let address = listener.local_addr().unwrap();
    Api {
        http: Proxies::default().client(tls).build().unwrap(),
        base: Url::parse(&format!("http://{address}/")).unwrap(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_to_an_api_that_hangs_ends_within_the_limit() {
    // The kernel accepts the connections; nothing reads them.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let api = api(silent.local_addr().unwrap());
    let begun = Instant::now();
    let error = api
        .unary::<(), ()>(Call::CREATE_BUILD, &"token".into(), &())
        .await
        .unwrap_err();
    assert!(
        begun.elapsed() <= Call::CREATE_BUILD.policy.total,
        "{:?}",
        begun.elapsed()
    );
    assert!(
        begun.elapsed() >= Call::CREATE_BUILD.once,
        "{:?}",
        begun.elapsed()
    );
    assert!(error.is_transient() && !error.is_refusal(), "{error}");
    assert!(error.to_string().contains("CreateBuild"), "{error}");
}

#[tokio::test]
async fn an_endless_response_is_cut_off() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = api_of_http_1(&listener);
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let _length = stream.read(&mut request).await.unwrap();
        let head = b"HTTP/1.1 200 OK\r\ncontent-type: application/proto\r\n\r\n";
        stream.write_all(head).await.unwrap();
        // Until the client closes the connection.
        while stream.write_all(&[0; 8 << 10]).await.is_ok() {}
    };
    let token = "token".into();
    let call = api.unary::<(), ()>(Call::REPORT_HEALTH, &token, &());
    let (answer, ()) = tokio::join!(call, serve);
    assert!(
        matches!(answer, Err(ApiError::TooLarge { .. })),
        "{answer:?}"
    );
}

#[tokio::test]
async fn over_tls_all_calls_share_one_http_2_connection() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["localhost".into()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut server = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            key.serialize_der().try_into().unwrap(),
        )
        .unwrap();
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();

    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let mut client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols =
        crate::http::roots::client_config(&crate::http::roots::Authorities::default())
            .unwrap()
            .alpn_protocols;
    let base = Url::parse(&format!("https://localhost:{port}")).unwrap();
    let api = Api::new(base, client, &Proxies::default()).unwrap();

    let connections = AtomicUsize::new(0);
    let serve = async {
        let (stream, _) = listener.accept().await.unwrap();
        connections.fetch_add(1, Ordering::Relaxed);
        let stream = acceptor.accept(stream).await.unwrap();
        let answer =
            hyper::service::service_fn(async |request: http::Request<hyper::body::Incoming>| {
                assert_eq!(request.version(), http::Version::HTTP_2);
                assert_eq!(
                    request.uri().path(),
                    "/depot.cli.v1.BuildService/FinishBuild"
                );
                assert_eq!(request.headers()["authorization"], "Bearer token");
                let answer = http::Response::builder()
                    .header("content-type", "application/proto")
                    .body(String::new());
                Ok::<_, std::convert::Infallible>(answer.unwrap())
            });
        let executor = hyper_util::rt::TokioExecutor::new();
        let server = hyper_util::server::conn::auto::Builder::new(executor);
        let io = hyper_util::rt::TokioIo::new(stream);
        let _ended_by_client = server.serve_connection(io, answer).await;
    };
    let token = "token".into();
    let calls = async {
        for _ in 0..3 {
            let call = api.unary::<(), ()>(Call::FINISH_BUILD, &token, &());
            call.await.unwrap();
        }
    };
    tokio::select! {
        () = calls => {}
        () = serve => panic!("the connection was closed in between"),
    }
    assert_eq!(connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn the_pause_of_retry_after_is_used() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = api_of_http_1(&listener);
    let serve = async {
        let refusal = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 2\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/proto\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        for answer in [refusal, answer] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _length = stream.read(&mut request).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    };
    let begun = Instant::now();
    let token = "token".into();
    let call = api.unary::<(), ()>(Call::CREATE_BUILD, &token, &());
    let (answer, ()) = tokio::join!(call, serve);
    answer.unwrap();
    // The client's own first pause is shorter.
    assert!(begun.elapsed() >= Duration::from_secs(2));
}
