//! These start engines for real, and look at the machine for what they leave.

use std::{
    env,
    fs::File,
    io::{BufRead, BufReader as LineReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
};

use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::*;

fn options(choice: EngineChoice) -> EngineOptions {
    EngineOptions {
        choice,
        docker_host: None,
        state: state_folder(),
        environment: Vec::new(),
    }
}

fn docker_at(engine: &Engine) -> EngineChoice {
    format!("docker={}", engine.docker_host().unwrap())
        .parse()
        .unwrap()
}

/// Asks the `BuildKit` for its version and returns the answer as it came, a gRPC message.
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
    let answer = async {
        sender
            .send_request(request)
            .await
            .unwrap()
            .into_body()
            .collect()
            .await
            .unwrap()
    };
    let answer = tokio::select! {
        answer = answer => answer,
        ended = connection => unreachable!("the connection ended before the answer: {ended:?}"),
    };
    assert_eq!(answer.trailers().unwrap().get("grpc-status").unwrap(), "0");
    answer.to_bytes().to_vec()
}

/// What an engine in `folder` leaves visible on the machine.
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
async fn two_engines_of_our_own_run_side_by_side_and_leave_nothing() {
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
        "the look for traces must find a running engine: {:?}",
        traces(&folders[0])
    );

    first.stop().await.unwrap();
    assert_eq!(traces(&folders[0]), Vec::<String>::new());
    assert!(
        !version(&second).await.is_empty(),
        "the other one must go on"
    );
    second.stop().await.unwrap();
    assert_eq!(traces(&folders[1]), Vec::<String>::new());
}

/// Not a test: the process that the next test kills. It holds an engine in the way that tests do, for ever.
#[tokio::test]
#[ignore = "started by `an_owner_that_is_killed_leaves_nothing`"]
async fn an_owner_that_never_ends() {
    let engine = Engine::start(&options(EngineChoice::Own)).await.unwrap();
    writeln!(io::stdout(), "\nengine in {}", folder_of(&engine).display()).unwrap();
    std::future::pending::<()>().await;
}

#[test]
fn an_owner_that_is_killed_leaves_nothing() {
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
    // The lock is held by what removes the engine, until it is done.
    let (done, wait) = mpsc::channel();
    thread::spawn(move || done.send(lock.lock()));
    wait.recv_timeout(Duration::from_secs(20)).unwrap().unwrap();

    assert_eq!(traces(&folder), Vec::<String>::new());
}

#[tokio::test]
async fn a_machines_own_docker_engine_is_taken_and_left_alone() {
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
async fn a_bare_buildkitd_is_spoken_to_without_an_upgrade() {
    let docker = Engine::start(&options(EngineChoice::Own)).await.unwrap();
    // A buildkitd listens for HTTP/2 outright; here it is the one inside the engine, behind a socket of that kind.
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
    let ask = async {
        let choice = format!("buildkitd=unix://{}", socket.display())
            .parse()
            .unwrap();
        let engine = Engine::start(&options(choice)).await.unwrap();
        assert!(!version(&engine).await.is_empty());
        assert_eq!(engine.docker_host(), None);
    };
    tokio::select! { () = ask => {}, () = serve => {} }
    docker.stop().await.unwrap();
}

#[tokio::test]
async fn a_named_engine_that_is_not_there_is_an_error_and_nothing_else_is_tried() {
    let missing = options("docker=unix:///nowhere/docker.sock".parse().unwrap());
    let error = Engine::start(&missing).await.unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("the engine at unix:///nowhere/docker.sock will not do: "),
        "{error}"
    );
    assert!(error.hint().is_some());
}

#[test]
fn a_choice_that_is_none_is_refused() {
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
