//! Machines that come late, are not who they should be, or go away.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use depot_standin::{
    Architecture, BuildState, Compressor, Machine, MachinePlan, Method, Record, Scenario, Security,
};

use depot_standin::daemon::Release;
use depot_standin::engine::state_folder;
use depot_standin::proxy::{Proxy, ProxyPlan};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::loading::{layers, noise};
use super::on_internet;
use super::place::{Lose, Place, small_context, with_place};
use super::program::Program;

#[test]
fn a_machine_that_comes_late_is_waited_for() {
    with_place(async |place| {
        let plan = MachinePlan::default()
            .pending(3, Duration::from_millis(60))
            .resets_first(2);
        let depot = place.depot(Scenario::default().machines(plan)).await;
        let context = small_context();
        let run = Program::of(&depot, context.path()).run().await;
        run.expect(0, &[]);
        let record = depot.record();
        assert_eq!(record.calls_of(Method::GetBuildKitConnection).count(), 4);
        depot.check().unwrap();
    });
}

#[test]
fn the_machine_of_the_platform_is_asked_for() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = small_context();
        let run = Program::of(&depot, context.path())
            .set("PLATFORMS", "linux/arm64")
            .run()
            .await;
        run.expect(0, &["launching arm64 machine"]);
        let record = depot.record();
        assert_eq!(record.connections_to(Architecture::Arm64).count(), 1);
        assert_eq!(record.connections_to(Architecture::Amd64).count(), 0);
    });
}

#[test]
fn machines_are_trusted_by_their_own_authority_or_as_that_authority() {
    with_place(async |place| {
        for security in [
            Security::Trusted,
            Security::AuthorityItself,
            Security::PlainText,
        ] {
            let plan = MachinePlan::default().security(security);
            let depot = place.depot(Scenario::default().machines(plan)).await;
            let context = small_context();
            let run = Program::of(&depot, context.path()).run().await;
            run.expect(0, &[]);
        }
    });
}

#[test]
fn a_machine_that_is_not_who_it_should_be_gets_nothing() {
    with_place(async |place| {
        for security in [
            Security::WrongAuthority,
            Security::WrongName,
            Security::Expired,
        ] {
            let plan = MachinePlan::default().security(security);
            let depot = place.depot(Scenario::default().machines(plan)).await;
            let context = small_context();
            let run = Program::of(&depot, context.path()).run().await;
            run.expect(4, &["does not prove to be", "machine.depot.test"]);
            let record = depot.record();
            let BuildState::Failed(_) = record.last_build().unwrap().state else {
                panic!("{record:#?}");
            };
        }
    });
}

#[test]
fn a_machine_that_dies_in_a_step_ends_the_build_with_an_error() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = place.busybox_context("RUN echo waiting to die; sleep 600");
        let mut running = Program::of(&depot, context.path()).start();
        running.until(" waiting to die").await;
        depot.machine(Architecture::Amd64).die();
        let run = running.end().await;
        run.expect(
            4,
            &[
                "machine went away and is asked for again (1 of 2)",
                "machine went away and is asked for again (2 of 2): the builder at ",
                "could not be reached within 20 s",
            ],
        );
        let record = depot.record();
        let BuildState::Failed(_) = record.last_build().unwrap().state else {
            panic!("{record:#?}");
        };
    });
}

#[test]
fn a_machine_that_is_cut_while_it_gets_the_context_ends_the_build_with_an_error() {
    with_place(async |place| {
        let plan = MachinePlan::default().cut_after_bytes(1 << 20);
        let depot = place.depot(Scenario::default().machines(plan)).await;
        let context = small_context();
        // Nothing that compresses, and more than what fits before the cut.
        let noise: Vec<u8> = (0_u32..2 << 20)
            .map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()[1])
            .collect();
        context.file("file", noise).unwrap();
        let run = Program::of(&depot, context.path()).run().await;
        run.expect(4, &["ERROR"]);
    });
}

#[test]
fn a_machine_that_wants_compression_gets_it() {
    with_place(async |place| {
        let plan = MachinePlan::default().compressor(Compressor::Gzip);
        let depot = place.depot(Scenario::default().machines(plan)).await;
        let context = small_context();
        let plain_bytes = 4 << 20;
        context.file("file", vec![b'a'; plain_bytes]).unwrap();
        let run = Program::of(&depot, context.path()).run().await;
        run.expect(0, &[]);
        let record = depot.record();
        let sent = record.connections[0].received.get();
        assert!(sent < plain_bytes as u64 / 2, "{sent} bytes were sent");
    });
}

#[test]
fn a_machine_that_is_cut_off_in_a_step_is_asked_for_again() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let image = place.image("cut-off");
        let context =
            place.busybox_context("RUN echo waiting for the cut; sleep 2; echo over > /over");
        let mut running = Program::of(&depot, context.path())
            .push(&image, &place.registry)
            .start();
        running.until(" waiting for the cut").await;
        depot.machine(Architecture::Amd64).cut();
        let run = running.end().await;
        run.expect(
            0,
            &[
                "the amd64 machine went away and is asked for again (1 of 2)",
                "built and pushed",
            ],
        );
        place.registry.manifest("cut-off", "test").await.unwrap();
        let record = depot.record();
        assert_eq!(record.last_build().unwrap().state, BuildState::Succeeded);
    });
}

#[test]
fn a_machine_that_goes_silent_in_a_step_is_missed() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context =
            place.busybox_context("RUN echo waiting for silence; sleep 15; echo over > /over");
        let mut running = Program::of(&depot, context.path())
            .set("NO_CACHE", "true")
            .start();
        running.until(" waiting for silence").await;
        let silent = Instant::now();
        depot.machine(Architecture::Amd64).freeze();
        running.until("went away and is asked for again").await;
        let missed = silent.elapsed();
        let run = running.end().await;
        run.expect(0, &["(1 of 2): ", "built"]);
        // A busy machine is slower than an idle one.
        assert!(missed < Duration::from_secs(40), "{missed:?}: {}", run.log);
    });
}

#[test]
fn a_machine_that_is_lost_while_it_gets_the_context_is_asked_for_again() {
    let lose: [(&str, Lose); 2] = [("cut", Machine::cut), ("silent", Machine::freeze)];
    with_place(async |place| {
        for (label, lose) in lose {
            lost_with_the_context(place, label, lose).await;
        }
    });
}

async fn lost_with_the_context(place: &Place, label: &str, lose: Lose) {
    let depot = place.depot(Scenario::default()).await;
    let context = layers(&[("large", noise(label, 96 << 20))]);
    let running = Program::of(&depot, context.path()).start();
    let begun = |record: &Record| {
        let mut connections = record.connections.iter();
        connections.any(|connection| connection.received.get() > 8 << 20)
    };
    let limit = Duration::from_secs(30);
    depot
        .wait_for("some of the context", limit, begun)
        .await
        .unwrap();
    lose(depot.machine(Architecture::Amd64));
    let run = running.end().await;
    run.expect(0, &["asked for again (1 of 2)", "built"]);
}

#[test]
fn a_proxy_that_does_not_lead_to_the_machine_is_passed_by() {
    with_place(async |place| {
        let daemon = place.daemon(Release::Docker26).await;
        let plan = MachinePlan::default().at(daemon.gateway().await.unwrap());
        let depot = place.depot(Scenario::default().machines(plan)).await;
        let context = small_context();
        // One that never answers, and one that opens a tunnel into itself, as those do that look into what passes.
        let elsewhere = place.depot(Scenario::default()).await;
        let other = elsewhere.machine(Architecture::Amd64).address();
        for (leads_to, told) in [
            (None, "no answer"),
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
            run.expect(0, &["does not lead to the builder: ", told, "built"]);
        }
    });
}

/// Answers a client of a proxy, and connects it to something else than it wants, or nothing.
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
    // How it ends is the client's to say.
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
            // The one with the names of the tests lies behind the real one.
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
        // Its containers' way to this machine is an address that is not loopback's, which no proxy would be asked for.
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
            // A proxy that opens no tunnel to this port is passed by.
            let told = "does not lead to the builder: it answered `HTTP/1.1 403";
            assert_eq!(run.log.contains(told), !is_tunneled, "{}", run.log);
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
