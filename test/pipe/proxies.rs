//! Depot, its machines and registries behind an HTTP proxy.

use std::net::SocketAddr;

use depot_ground::daemon::Release;
use depot_ground::engine::state_folder;
use depot_ground::proxy::{Proxy, ProxyPlan};
use depot_ground::registry::tokens::{TokenPlan, TokenRegistry};
use local_depot::{Architecture, BuildState, MachinePlan, Scenario};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::on_internet;
use super::place::{small_context, with_place};
use super::program::Program;

#[test]
fn a_proxy_that_does_not_reach_the_machine_is_bypassed() {
    with_place(async |place| {
        let daemon = place.daemon(Release::Docker26).await;
        let plan = MachinePlan::default().at(daemon.gateway().await.unwrap());
        let depot = place.depot(Scenario::default().machines(plan)).await;
        let context = small_context();
        // A proxy that never responds, and one that ends the tunnel itself, as proxies do that inspect TLS.
        let elsewhere = place.depot(Scenario::default()).await;
        let other = elsewhere.machine(Architecture::Amd64).address();
        for (leads_to, message) in [
            (None, "no response"),
            (Some(other), "invalid peer certificate"),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = format!("http://{}", listener.local_addr().unwrap());
            let mut proxy = JoinSet::new();
            proxy.spawn(async move {
                let mut clients = JoinSet::new();
                while let Ok((stream, _)) = listener.accept().await {
                    clients.spawn(mislead(stream, leads_to));
                }
            });
            let run = Program::of(&depot, context.path())
                .set("HTTPS_PROXY", address)
                .set("DEBUG", "true")
                .run()
                .await;
            run.expect(0, &["does not reach the builder: ", message, "built"]);
        }
    });
}

/// Accepts a client of a proxy, and connects it to another address, or to none.
async fn mislead(mut client: TcpStream, leads_to: Option<SocketAddr>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    let Some(address) = leads_to else {
        return std::future::pending().await;
    };
    let answer = b"HTTP/1.1 200 Connection established\r\n\r\n";
    client.write_all(answer).await.unwrap();
    let mut other = TcpStream::connect(address).await.unwrap();
    // The client ends the connection.
    let _ended = tokio::io::copy_bidirectional(&mut client, &mut other).await;
}

#[test]
fn depot_its_machine_and_a_registry_are_reached_through_a_proxy() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let daemon = place.daemon(Release::Docker26).await;
        let address = daemon.gateway().await.unwrap();
        let depot = place
            .depot(Scenario::default().machines(MachinePlan::default().at(address)))
            .await;
        let (api, host) = ("depot.through-proxy.example", "through-proxy.example");
        internet.route(api, depot.api_url().trim_start_matches("http://"));
        let registry = on_internet::registry(internet, host).await;
        let plan = ProxyPlan {
            // The proxy with the names of the tests is behind the real proxy.
            upstream: Some((internet.proxy().replace("http://", ""), address.into())),
            ..ProxyPlan::default()
        };
        let proxy = Proxy::start(&state_folder(), &plan).await.unwrap();
        let context = small_context();
        let run = on_internet::program(&depot, internet, context.path())
            .set("HTTPS_PROXY", proxy.address())
            .set("DEPOT_API_URL", format!("https://{api}"))
            .set("IMAGE", format!("{host}/app:1"))
            .set("REGISTRY", host)
            .set("REGISTRY_USERNAME", registry.username())
            .set("REGISTRY_PASSWORD", registry.password())
            .run()
            .await;
        run.expect(0, &["built and pushed"]).without(Proxy::LOGIN.1);
        registry.manifest("app", "1").await.unwrap();
        let machine = depot.machine(Architecture::Amd64).address().to_string();
        for place in [&format!("{api}:443"), &format!("{host}:443"), &machine] {
            assert!(proxy.tunnels(place).unwrap() > 0, "{place}: {}", run.log);
        }
        let record = depot.record();
        assert_eq!(record.last_build().unwrap().state, BuildState::Succeeded);
    });
}

#[test]
fn a_machine_is_reached_through_a_proxy() {
    with_place(async |place| {
        // The address of this machine in its containers. It is not a loopback address, for which no proxy is used.
        let daemon = place.daemon(Release::Docker26).await;
        let address = daemon.gateway().await.unwrap();
        let plan = MachinePlan::default().at(address);
        let depot = place.depot(Scenario::default().machines(plan)).await;
        let machine = depot.machine(Architecture::Amd64).address().to_string();
        let context = small_context();
        for (only, is_tunneled) in [(None, true), (Some(443), false)] {
            let plan = ProxyPlan {
                only,
                ..ProxyPlan::default()
            };
            let proxy = Proxy::start(&state_folder(), &plan).await.unwrap();
            let run = Program::of(&depot, context.path())
                .set("HTTPS_PROXY", proxy.address())
                .set("DEBUG", "true")
                .run()
                .await;
            run.expect(0, &["built"]).without(Proxy::LOGIN.1);
            assert_eq!(proxy.tunnels(&machine).unwrap(), 1, "{}", run.log);
            // A proxy that opens no tunnel to this port is bypassed.
            let message = "does not reach the builder: it responded with `HTTP/1.1 403";
            assert_eq!(run.log.contains(message), !is_tunneled, "{}", run.log);
            let run = Program::of(&depot, context.path())
                .set("HTTPS_PROXY", proxy.address())
                .set("NO_PROXY", address.to_string())
                .run()
                .await;
            run.expect(0, &["built"]);
            assert_eq!(proxy.tunnels(&machine).unwrap(), 1, "{}", run.log);
        }
    });
}

#[test]
fn requests_to_this_machine_use_no_proxy() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let registry = TokenRegistry::start(&state_folder(), TokenPlan::default())
            .await
            .unwrap();
        // Every request contains a password, so the test fails at the first connection.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let context = small_context();
        let run = Program::of(&depot, context.path())
            .set("HTTPS_PROXY", &address)
            .set("HTTP_PROXY", &address)
            .set("http_proxy", &address)
            .set("ALL_PROXY", &address)
            .set("NO_PROXY", "elsewhere.example")
            .set("IMAGE", format!("{}/app:1", registry.host()))
            .set("PUSH", "true")
            .set("REGISTRY", registry.host())
            .set("REGISTRY_USERNAME", registry.owner().username())
            .set("REGISTRY_PASSWORD", registry.owner().password());
        let run = tokio::select! {
            run = run.run() => run,
            connection = listener.accept() => panic!("the proxy got {connection:?}"),
        };
        run.expect(0, &["built and pushed"]);
        assert!(!registry.record().token_requests.is_empty(), "{}", run.log);
    });
}

#[test]
fn a_proxy_variable_without_a_value_is_unset() {
    with_place(async |place| {
        let daemon = place.daemon(Release::Docker26).await;
        let plan = MachinePlan::default().at(daemon.gateway().await.unwrap());
        let depot = place.depot(Scenario::default().machines(plan)).await;
        let context = small_context();
        let run = Program::of(&depot, context.path())
            .set("HTTPS_PROXY", "$HTTPS_PROXY")
            .set("https_proxy", "${https_proxy}")
            .set("ALL_PROXY", "$COMPANY_PROXY")
            .set("all_proxy", " ")
            .set("DEBUG", "true")
            .run()
            .await;
        run.expect(0, &["built", "ALL_PROXY", "COMPANY_PROXY"])
            .without("does not reach the builder");
    });
}
