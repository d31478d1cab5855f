//! A Docker Engine of our own, from Debian's packages, on a machine that has none that will do.
//!
//! It runs in process and mount namespaces of its own (`isolate.sh`), so that the kernel itself ends all of it,
//! shims, `RUN` steps and mounts included, when its first process is killed. It stays in the machine's network
//! namespace, so that it reaches registries on loopback.
//!
//! `RUN` steps get a bridge of their own that leads nowhere: no iptables rule is set and no forwarding switched on, since
//! either would stay behind. An engine with `bridge: none` would remove the machine's own `docker0`.

use std::{env, ffi::OsString, fs, os::unix::fs::MetadataExt, path::Path};

use serde_json::json;

use super::{EngineError, address::Address, docker, memory};
use crate::{
    packages::{self, Set, Unpacked},
    process::{Kind, RunFolder, Supervised},
};

const ISOLATE: &str = include_str!("isolate.sh");

/// What an engine of our own is.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Its packages.
    pub(crate) set: Set,
    /// It keeps images in containerd's store, not in the classic one.
    pub(crate) containerd: bool,
    /// What it is told of the way to the internet, as variables of its environment.
    pub(crate) environment: Vec<(&'static str, String)>,
    /// The size in bytes of its disk, which then is in memory; `None` for whatever the machine has room for.
    pub(crate) disk: Option<u64>,
}

/// Starts an engine and waits until its `BuildKit` answers.
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
) -> std::io::Result<Vec<OsString>> {
    let run = folder.path();
    let temporary = run.join("tmp");
    fs::create_dir(&temporary)?;
    let settings = run.join("daemon.json");
    let written = json!({
        "features": { "containerd-snapshotter": plan.containerd },
        "hosts": [format!("unix://{}", socket.display())],
        "data-root": run.join("data"),
        "exec-root": run.join("exec"),
        "pidfile": run.join("pid"),
        "bridge": folder.bridge(),
        "iptables": false,
        "ip6tables": false,
        "ip-forward": false,
        "ip-masq": false,
        // Without iptables it is what publishes a container's port.
        "userland-proxy": true,
        // For ports that name no address. They stay on this machine, and have one number: for IPv4 and IPv6 together the engine
        // takes two where the first is in use on one of them, and who asks for the port may get the other.
        "ip": "127.0.0.1",
        "cgroup-parent": format!("/{}", folder.cgroup()),
        // systemd's driver would make slices that are not ours to remove.
        "exec-opts": ["native.cgroupdriver=cgroupfs"],
        "log-level": "warn",
    });
    fs::write(&settings, written.to_string())?;

    let mut path = OsString::from("PATH=");
    let inherited = env::var_os("PATH").unwrap_or_default();
    let folders = packages
        .program_folders()
        .chain(env::split_paths(&inherited))
        .chain(["/usr/sbin".into(), "/sbin".into()]);
    path.push(env::join_paths(folders).map_err(std::io::Error::other)?);
    let mut temporary_folder = OsString::from("TMPDIR=");
    temporary_folder.push(&temporary);
    let disk = plan.disk.or_else(memory::ram_disk);
    let size = disk.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string());
    let mut libraries = OsString::from("LD_LIBRARY_PATH=");
    libraries.push(env::join_paths(packages.library_folders()).map_err(std::io::Error::other)?);

    let mut command = vec!["env".into(), path, temporary_folder, libraries];
    command.extend(
        plan.environment
            .iter()
            .map(|(name, value)| format!("{name}={value}").into()),
    );
    command.extend(
        [
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ]
        .map(OsString::from),
    );
    command.extend(["sh", "-c", ISOLATE, "isolate"].map(OsString::from));
    command.extend([
        run.into(),
        size.into(),
        "dockerd".into(),
        "--config-file".into(),
        settings.into(),
    ]);
    Ok(command)
}
