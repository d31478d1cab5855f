//! These tests start real engines and search the machine for leftovers.

use std::fs::File;
use std::io::{BufRead, BufReader as LineReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::{env, thread};

use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::*;

fn options(choice: EngineChoice) -> EngineOptions {
    EngineOptions {
        choice,
        docker_host: None,
        state: state_folder(),
        environment: Vec::new(),
        grants: Grants::default(),
    }
}

fn docker_at(engine: &Engine) -> EngineChoice {
    format!("docker={}", engine.docker_host().unwrap())
        .parse()
        .unwrap()
}

/// Queries the version of the `BuildKit` and returns the response, a gRPC message.
async fn version(engine: &Engine) -> Vec<u8> {
    let stream = engine.connect_buildkit().await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    let request = Request::post("http://localhost/moby.buildkit.v1.Control/Info")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(Bytes::from_static(&[0; 5])))
        .unwrap();
    let response = async {
        sender
            .send_request(request)
            .await
            .unwrap()
            .into_body()
            .collect()
            .await
            .unwrap()
    };
    let response = tokio::select! {
        response = response => response,
        ended = connection => unreachable!("the connection ended before the response: {ended:?}"),
    };
    assert_eq!(
        response.trailers().unwrap().get("grpc-status").unwrap(),
        "0"
    );
    response.to_bytes().to_vec()
}

/// Visible parts of an engine in `folder`: files, its bridge, cgroups and processes.
fn traces(folder: &Path) -> Vec<String> {
    let number = folder.to_str().unwrap().rsplit_once('-').unwrap().1;
    let mut traces = Vec::new();
    for path in [
        folder.to_owned(),
        format!("/sys/class/net/depotgr{number}").into(),
    ] {
        traces.extend(path.exists().then(|| path.display().to_string()));
    }
    let cgroups = Command::new("find")
        .args(["/sys/fs/cgroup", "-name", &format!("depot-ground-{number}")])
        .output()
        .unwrap();
    traces.extend(
        String::from_utf8(cgroups.stdout)
            .unwrap()
            .lines()
            .map(ToOwned::to_owned),
    );
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(command) = std::fs::read_to_string(process.path().join("cmdline")) else {
            continue;
        };
        traces.extend(
            command
                .contains(&format!("{}/", folder.display()))
                .then_some(command),
        );
    }
    traces
}

fn folder_of(engine: &Engine) -> PathBuf {
    let host = engine.docker_host().unwrap();
    Path::new(host.strip_prefix("unix://").unwrap())
        .parent()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn two_private_engines_run_side_by_side_and_leave_nothing() {
    let start = || async { Engine::start(&options(EngineChoice::Own)).await };
    let (first, second) = tokio::join!(start(), start());
    let (first, second) = (first.unwrap(), second.unwrap());
    let folders = [folder_of(&first), folder_of(&second)];
    assert_ne!(folders[0], folders[1]);
    for engine in [&first, &second] {
        assert!(
            version(engine)
                .await
                .windows(24)
                .any(|part| part == b"github.com/moby/buildkit")
        );
        engine.check_loopback().await.unwrap();
    }
    assert!(
        traces(&folders[0]).len() > 3,
        "the search must find a running engine: {:?}",
        traces(&folders[0])
    );

    first.stop().await.unwrap();
    assert_eq!(traces(&folders[0]), Vec::<String>::new());
    assert!(
        !version(&second).await.is_empty(),
        "the other engine must go on"
    );
    second.stop().await.unwrap();
    assert_eq!(traces(&folders[1]), Vec::<String>::new());
}

/// Not a test: the process that the next test kills. It holds an engine as tests do, and never ends.
#[tokio::test]
#[ignore = "started by `a_killed_owner_leaves_nothing`"]
async fn an_owner_that_never_ends() {
    let engine = Engine::start(&options(EngineChoice::Own)).await.unwrap();
    writeln!(io::stdout(), "\nengine in {}", folder_of(&engine).display()).unwrap();
    std::future::pending::<()>().await;
}

#[test]
fn a_killed_owner_leaves_nothing() {
    let mut owner = Command::new(env::current_exe().unwrap())
        .args([
            "--exact",
            "engine::tests::an_owner_that_never_ends",
            "--ignored",
            "--nocapture",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = LineReader::new(owner.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let folder: PathBuf = lines
        .find_map(|line| line.strip_prefix("engine in ").map(PathBuf::from))
        .unwrap();
    let lock = File::open(folder.with_extension("lock")).unwrap();
    assert!(!traces(&folder).is_empty());

    owner.kill().unwrap(); // with SIGKILL
    owner.wait().unwrap();
    // The supervisor holds the lock until it has removed the engine.
    let (done, wait) = mpsc::channel();
    thread::spawn(move || done.send(lock.lock()));
    wait.recv_timeout(Duration::from_secs(20)).unwrap().unwrap();

    assert_eq!(traces(&folder), Vec::<String>::new());
}

#[tokio::test]
async fn the_machines_docker_engine_is_used_and_not_stopped() {
    let machines = Engine::start(&options(EngineChoice::Own)).await.unwrap();
    let automatic = EngineOptions {
        docker_host: machines.docker_host(),
        ..options(EngineChoice::Automatic)
    };
    for options in [automatic, options(docker_at(&machines))] {
        let engine = Engine::start(&options).await.unwrap();
        assert_eq!(engine.docker_host(), machines.docker_host());
        assert_eq!(engine.info().passed_over, None);
        engine.stop().await.unwrap();
    }
    assert!(!version(&machines).await.is_empty());
    machines.stop().await.unwrap();
}

#[tokio::test]
async fn a_bare_buildkitd_needs_no_upgrade() {
    let docker = Engine::start(&options(EngineChoice::Own)).await.unwrap();
    // A buildkitd serves HTTP/2 without an upgrade; this one is inside the engine, behind a socket that does the upgrade.
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("buildkitd.sock");
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    let serve = async {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut buildkit = docker.connect_buildkit().await.unwrap();
            let _ended = tokio::io::copy_bidirectional(&mut client, &mut buildkit).await;
        }
    };
    let check = async {
        let choice = format!("buildkitd=unix://{}", socket.display())
            .parse()
            .unwrap();
        let engine = Engine::start(&options(choice)).await.unwrap();
        assert!(!version(&engine).await.is_empty());
        assert_eq!(engine.docker_host(), None);
    };
    tokio::select! { () = check => {}, () = serve => {} }
    docker.stop().await.unwrap();
}

#[tokio::test]
async fn a_missing_named_engine_is_an_error_and_no_other_is_tried() {
    let missing = options("docker=unix:///nowhere/docker.sock".parse().unwrap());
    let error = Engine::start(&missing).await.unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("the engine at unix:///nowhere/docker.sock cannot be used: "),
        "{error}"
    );
    assert!(error.hint().is_some());
}

#[test]
fn an_invalid_choice_is_rejected() {
    for text in [
        "",
        "docker",
        "own=unix:///x",
        "buildkitd=",
        "docker=ssh://host",
    ] {
        assert!(text.parse::<EngineChoice>().is_err(), "{text}");
    }
}
