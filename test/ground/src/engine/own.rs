//! A private Docker Engine, from Debian's packages, for machines without a supported one.
//!
//! It runs in its own process and mount namespaces (`isolate.sh`), so that the kernel ends all of it, shims, `RUN` steps and
//! mounts included, when its first process is killed. It stays in the machine's network namespace, so that it reaches
//! registries on loopback.
//!
//! `RUN` steps get a bridge without a route to the internet: no iptables rule is set and forwarding is not enabled, since
//! both would outlive the engine. An engine with `bridge: none` would remove the machine's `docker0`.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::{env, fs, io};

use serde_json::{Value, json};

use super::address::Address;
use super::options::Grants;
use super::{EngineError, docker, memory};
use crate::packages::{self, Set, Unpacked};
use crate::process::{Kind, RunFolder, Supervised};

/// Runs `isolate.sh`, whose arguments follow, in its own mount and process namespaces.
const ISOLATED: [&str; 10] = [
    "unshare",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
    "sh",
    "-c",
    include_str!("isolate.sh"),
    "isolate",
];

/// The parameters of a private engine.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Its packages.
    pub(crate) set: Set,
    /// Whether it keeps images in containerd's store instead of the classic one.
    pub(crate) containerd: bool,
    /// Variables of its environment, such as proxies.
    pub(crate) environment: Vec<(&'static str, String)>,
    /// The privileges that it grants to steps.
    pub(crate) grants: Grants,
    /// The size of its RAM disk in bytes; `None` for a size that fits the machine, or no RAM disk.
    pub(crate) disk: Option<u64>,
}

/// Starts an engine and waits until its `BuildKit` responds.
///
/// Cancel safe: dropping the future ends what was started.
pub(crate) async fn start(state: &Path, plan: &Plan) -> Result<(Supervised, Address), EngineError> {
    if !fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0) {
        return Err(EngineError::NotRoot);
    }
    let packages = packages::fetch(state, plan.set).await?;
    let busybox = packages.program("busybox")?;
    let folder =
        tokio::task::spawn_blocking(move || RunFolder::claim(Kind::Engine, Some(&busybox)))
            .await
            .map_err(|error| EngineError::Start(error.into()))??;

    let socket = folder.path().join("docker.sock");
    let command = prepare(&folder, &socket, &packages, plan).map_err(EngineError::Start)?;
    let mut daemon = Supervised::start(folder, &command).map_err(EngineError::Start)?;
    let address = Address::Unix(socket);
    daemon
        .until_ready(async |_| docker::connect_buildkit(&address).await.ok())
        .await
        .map_err(EngineError::NotReady)?;
    Ok((daemon, address))
}

/// Writes the engine's settings into its folder; returns the command that starts it.
fn prepare(
    folder: &RunFolder,
    socket: &Path,
    packages: &Unpacked,
    plan: &Plan,
) -> io::Result<Vec<OsString>> {
    let run = folder.path();
    let temporary = run.join("tmp");
    fs::create_dir(&temporary)?;
    let file = run.join("daemon.json");
    fs::write(&file, settings(folder, socket, plan).to_string())?;
    let disk = plan.disk.or_else(memory::ram_disk);
    let disk = disk.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string());

    let mut command = vec!["env".into()];
    command.extend(environment(&temporary, packages, plan)?);
    command.extend(ISOLATED.map(OsString::from));
    command.extend([
        run.into(),
        disk.into(),
        "dockerd".into(),
        "--config-file".into(),
        file.into(),
    ]);
    Ok(command)
}

/// The settings of dockerd.
fn settings(folder: &RunFolder, socket: &Path, plan: &Plan) -> Value {
    let run = folder.path();
    json!({
        "features": { "containerd-snapshotter": plan.containerd },
        "builder": { "entitlements": {
            "network-host": plan.grants.network_host,
            "security-insecure": plan.grants.security_insecure,
        } },
        "hosts": [format!("unix://{}", socket.display())],
        "data-root": run.join("data"),
        "exec-root": run.join("exec"),
        "pidfile": run.join("pid"),
        "bridge": folder.bridge(),
        "iptables": false,
        "ip6tables": false,
        "ip-forward": false,
        "ip-masq": false,
        // Without iptables, this publishes the ports of containers.
        "userland-proxy": true,
        // The default address of published ports. It keeps them on this machine and to one number each: for IPv4 and IPv6
        // together, the engine uses two numbers if the first is in use on one of them, and a query may return either.
        "ip": "127.0.0.1",
        "cgroup-parent": format!("/{}", folder.cgroup()),
        // systemd's driver would create slices that this crate must not remove.
        "exec-opts": ["native.cgroupdriver=cgroupfs"],
        "log-level": "warn",
    })
}

/// The variables of the engine's environment, as arguments of `env`.
fn environment(temporary: &Path, packages: &Unpacked, plan: &Plan) -> io::Result<Vec<OsString>> {
    let inherited = env::var_os("PATH").unwrap_or_default();
    let programs = packages
        .program_folders()
        .chain(env::split_paths(&inherited))
        .chain(["/usr/sbin".into(), "/sbin".into()]);
    let programs = env::join_paths(programs).map_err(io::Error::other)?;
    let libraries = env::join_paths(packages.library_folders()).map_err(io::Error::other)?;
    let mut variables: Vec<OsString> = [
        ("PATH", programs.as_os_str()),
        ("TMPDIR", temporary.as_os_str()),
        ("LD_LIBRARY_PATH", libraries.as_os_str()),
    ]
    .map(|(name, value)| {
        [OsStr::new(name), OsStr::new("="), value]
            .into_iter()
            .collect()
    })
    .into();
    let planned = plan.environment.iter();
    variables.extend(planned.map(|(name, value)| format!("{name}={value}").into()));
    Ok(variables)
}
