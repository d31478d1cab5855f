//! SSH keys and agents in steps, with OpenSSH and Git from Debian, and Git repositories over SSH.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Stdio};

use depot_ground::engine::state_folder;
use depot_ground::fixtures::Context;
use depot_ground::ssh::{SshServer, SshTools};
use local_depot::Scenario;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::place::{Place, with_place};
use super::program::{Program, Run};

static TOOLS: OnceCell<SshTools> = OnceCell::const_new();

async fn tools() -> &'static SshTools {
    let fetch = async || SshTools::fetch(&state_folder()).await.unwrap();
    TOOLS.get_or_init(fetch).await
}

/// The beginning of a Dockerfile with OpenSSH, Git, and a repository at `ssh://root@127.0.0.1:2222/lib`. `serve` starts the server.
const BASE: &str = r#"FROM scratch AS base
COPY busybox /bin/busybox
SHELL ["/bin/busybox", "sh", "-c"]
RUN /bin/busybox --install -s /bin
COPY tools /
RUN mkdir -p -m 755 /run/sshd /root /etc /tmp && \
    printf 'root:x:0:0::/root:/bin/sh\nsshd:x:33:33::/run/sshd:/bin/false\n' > /etc/passwd && \
    printf '#!/bin/sh\n/usr/sbin/sshd -f /dev/null -p 2222 -h /etc/host_key -o UsePAM=no -o PidFile=none -o StrictModes=no -o AuthorizedKeysFile=/etc/keys\n' > /bin/serve && \
    chmod 755 /bin/serve && ssh-keygen -q -t ed25519 -N '' -f /etc/host_key
RUN git init -q --template= -b main /lib && cd /lib && echo 'content of lib' > file && git add file && \
    git -c user.name=test -c user.email=test@example.com commit -q -m lib
ENV GIT_SSH_COMMAND="ssh -o StrictHostKeyChecking=no -o LogLevel=ERROR"
"#;

/// Clones the repository into a folder, and prints its content.
const CLONE: &str = "serve && git clone -q ssh://root@127.0.0.1:2222/lib /clone && cat /clone/file";

/// A clone with a Dockerfile of [`BASE`] and these lines. Its server knows no key.
async fn clone(place: &Place, lines: &str) -> Context {
    // New in each test, so that no step comes from the cache: keys are not part of it.
    let mark = Uuid::new_v4();
    let context = Context::new(&format!(
        "{BASE}ARG MARK={mark}\nCOPY public /etc/keys\n{lines}\n"
    ))
    .unwrap();
    fs::copy(place.busybox.path(), context.path().join("busybox")).unwrap();
    tools()
        .await
        .copy_into(&context.path().join("tools"))
        .unwrap();
    context.file("public", "").unwrap();
    context
}

/// Makes a key in the clone.
async fn make_key(context: &Context, name: &str, kind: &[&str]) -> String {
    let path = context.path().join(name);
    tools().await.make_key(&path, kind).unwrap();
    fs::read_to_string(path.with_extension("pub")).unwrap()
}

/// The fingerprint of a public key, as `ssh-add -l` prints it.
async fn fingerprint(context: &Context, name: &str) -> String {
    let mut command = tools().await.command("ssh-keygen").unwrap();
    command.arg("-lf").arg(context.path().join(name));
    let output = command.output().unwrap();
    let line = String::from_utf8(output.stdout).unwrap();
    line.split(' ').nth(1).unwrap().to_owned()
}

async fn run(place: &Place, context: &Context, variables: &[(&str, &str)]) -> Run {
    let depot = place.depot(Scenario::default()).await;
    let program = Program::of(&depot, context.path());
    let variables = variables.iter();
    let program = variables.fold(program, |program, (name, value)| program.set(name, value));
    let run = program.run().await;
    depot.check().unwrap();
    run
}

#[test]
fn every_kind_of_key_is_listed_and_clones_a_repository() {
    with_place(async |place| {
        let lines = format!("RUN --mount=type=ssh,required=true ssh-add -l && {CLONE}");
        for (kind, form) in [
            (&["ed25519"][..], ""),
            (&["ecdsa", "-b", "256"], "PEM"),
            (&["ecdsa", "-b", "384"], ""),
            (&["rsa", "-b", "2048"], ""),
            (&["rsa", "-b", "4096"], "PEM"),
            (&["rsa", "-b", "3072"], "PKCS8"),
        ] {
            let context = clone(place, &lines).await;
            let public = make_key(&context, "deploy", kind).await;
            context.file("public", public).unwrap();
            let print = fingerprint(&context, "deploy.pub").await;
            if !form.is_empty() {
                let mut command = tools().await.command("ssh-keygen").unwrap();
                command.args(["-q", "-p", "-N", "", "-m", form, "-f"]);
                let changed = command.arg(context.path().join("deploy")).output().unwrap();
                assert!(changed.status.success(), "{changed:?}");
            }
            let run = run(place, &context, &[("SSH", "deploy")]).await;
            run.expect(0, &[&print, "content of lib"]);
            run.without("hint: ");
        }
    });
}

#[test]
fn a_step_cannot_change_the_keys_and_several_steps_use_them_at_once() {
    with_place(async |place| {
        let lines = "FROM base AS one\n\
             RUN --mount=type=ssh,id=a \\\n\
             \x20   printf '#!/bin/sh\\necho x\\n' > /bin/typist; chmod 755 /bin/typist; export SSH_ASKPASS_REQUIRE=force SSH_ASKPASS=/bin/typist; \\\n\
             \x20   for option in -D -x -X '-d /etc/keys'; do ssh-add $option && echo changed-$((1 + 1)) $option; done; \\\n\
             \x20   ssh-add /etc/host_key && echo added-$((1 + 1)); ssh-add -l && CLONE && echo one-$((1 + 1))\n\
             FROM base AS two\n\
             RUN --mount=type=ssh,id=a --mount=type=ssh,id=b \\\n\
             \x20   for number in 1 2 3 4 5 6 7 8; do ssh-add -l > /list$number & done; wait; \\\n\
             \x20   cat /list? | sort | uniq -c; CLONE && echo two-$((1 + 1))\n\
             FROM scratch\n\
             COPY --from=one /clone/file /one\n\
             COPY --from=two /clone/file /two";
        let context = clone(place, &lines.replace("CLONE", CLONE)).await;
        let mut publics = String::new();
        for (name, kind) in [("key-a", "ed25519"), ("key-b", "rsa")] {
            publics += &make_key(&context, name, &[kind]).await;
        }
        context.file("public", publics).unwrap();
        let prints = [
            fingerprint(&context, "key-a.pub").await,
            fingerprint(&context, "key-b.pub").await,
        ];
        let run = run(place, &context, &[("SSH", "a=key-a\nb=key-b")]).await;
        run.expect(
            0,
            &[
                &prints[0],
                "one-2",
                "two-2",
                &format!("8 256 {}", prints[0]),
            ],
        );
        run.without("changed-2")
            .without("added-2")
            .without(&prints[1]);
    });
}

#[test]
fn a_mount_without_a_key_behaves_as_without_an_agent() {
    with_place(async |place| {
        let lines = "RUN --mount=type=ssh echo \"agent: ${SSH_AUTH_SOCK:-none}\"; ssh-add -l; echo \"code $?\"\n\
                     RUN --mount=type=ssh,id=other echo \"other: ${SSH_AUTH_SOCK:-none}\"; ssh-add -l; echo \"code $?\"";
        let context = clone(place, lines).await;
        let without = run(place, &context, &[]).await;
        without.expect(0, &["code 2"]);
        assert_eq!(without.log.matches("code 2").count(), 2, "{}", without.log);
        make_key(&context, "deploy", &["ed25519"]).await;
        context.file("public", "changed").unwrap();
        let run = run(place, &context, &[("SSH", "deploy")]).await;
        run.expect(0, &["code 0", "code 2"]);
        let off = [("SSH", "false")];
        context.file("public", "changed again").unwrap();
        super::ssh::run(place, &context, &off)
            .await
            .expect(0, &["code 2"])
            .without("code 0");
    });
}

/// An agent of OpenSSH with its socket in a clone. Ends when it is dropped.
struct SshAgent(Child);

impl SshAgent {
    async fn start(context: &Context, socket: &Path) -> Self {
        let mut command = tools().await.command("ssh-agent").unwrap();
        command
            .args(["-D", "-a"])
            .arg(socket)
            .current_dir(context.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let agent = Self(child);
        // It prints the path of its socket once it listens.
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        assert!(line.contains("SSH_AUTH_SOCK"), "{line}");
        let mut command = tools().await.command("ssh-add").unwrap();
        let key = context.path().join("deploy");
        command.arg("-q").arg(key).env("SSH_AUTH_SOCK", socket);
        let added = command.output().unwrap();
        assert!(added.status.success(), "{added:?}");
        agent
    }
}

impl Drop for SshAgent {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _status = self.0.wait();
    }
}

#[test]
fn the_socket_of_an_agent_is_used_and_protected_in_the_same_way() {
    with_place(async |place| {
        let lines = format!(
            "RUN --mount=type=ssh,required=true (ssh-add -D; ssh-add /etc/host_key) && echo changed-$((1 + 1)); ssh-add -l && {CLONE}\n\
             COPY . /context\nRUN echo \"files: $(ls /context)\" && test ! -e /context/agent.sock && test ! -e /context/deploy.key"
        );
        let context = clone(place, &lines).await;
        let public = make_key(&context, "deploy", &["ed25519"]).await;
        context.file("public", public).unwrap();
        let print = fingerprint(&context, "deploy.pub").await;
        let socket = context.path().join("agent.sock");
        let agent = SshAgent::start(&context, &socket).await;
        let first = run(place, &context, &[("SSH", "agent.sock")]).await;
        first
            .expect(0, &[&print, "content of lib"])
            .without("changed-2");
        drop(agent);
        // Its socket is left over.
        drop(UnixListener::bind(context.path().join("left.sock")).unwrap());
        let depot = place.depot(Scenario::default()).await;
        let program = Program::of(&depot, context.path()).set("SSH", "left.sock");
        let late = program.run().await;
        late.expect(
            2,
            &[
                "SSH: the agent cannot be used",
                "could not connect to the SSH agent at `",
                "hint: start `ssh-agent -a PATH`",
            ],
        );
        assert!(depot.record().last_build().is_none());
    });
}

#[test]
fn the_key_of_the_step_is_used() {
    with_place(async |place| {
        let lines = format!("RUN --mount=type=ssh,required=true {CLONE}");
        let context = clone(place, &lines).await;
        let elsewhere = tempfile::tempdir().unwrap();
        let path = elsewhere.path().join("id_rsa");
        tools()
            .await
            .make_key(&path, &["rsa", "-m", "PEM"])
            .unwrap();
        context
            .file("public", fs::read(path.with_extension("pub")).unwrap())
            .unwrap();
        let variables = [
            ("SSH", "true"),
            ("BITBUCKET_SSH_KEY_FILE", path.to_str().unwrap()),
        ];
        run(place, &context, &variables)
            .await
            .expect(0, &["content of lib"]);
    });
}

#[test]
fn keys_are_in_no_context_log_or_image() {
    with_place(async |place| {
        let lines = "COPY . /context\n\
                     RUN --mount=type=ssh ls /context; ls -R /run /tmp /root 2>/dev/null | grep -c PRIVATE; env\n\
                     RUN --mount=type=bind,target=/source ls /source/keys; test ! -e /source/keys/deploy\n\
                     COPY --from=named . /named\nRUN test ! -e /named/deploy && test -e /named/deploy.pub && echo absent-$((1 + 1))";
        let context = clone(place, lines).await;
        fs::create_dir(context.path().join("keys")).unwrap();
        make_key(&context, "keys/deploy", &["rsa"]).await;
        let key = fs::read_to_string(context.path().join("keys/deploy")).unwrap();
        let image = place.image("of-ssh");
        let depot = place.depot(Scenario::default()).await;
        let program = Program::of(&depot, context.path()).push(&image, &place.registry);
        let program = program
            .set("SSH", "keys/deploy")
            .set("BUILD_CONTEXTS", "named=keys");
        let run = program.set("DEBUG", "true").run().await;
        run.expect(0, &["absent-2"]);
        for line in key.lines().filter(|line| !line.starts_with('-')) {
            run.without(line);
        }
    });
}

#[test]
fn a_printed_key_is_masked_line_by_line() {
    with_place(async |place| {
        // The same key under another name, which the pipe does not know to be a key.
        let lines = "COPY keys/copy /copy\nRUN cat /copy; echo \"one line: $(grep -v '^-' /copy | tr -d '\\n')\"; cut -c 1-40 /copy";
        let context = clone(place, lines).await;
        fs::create_dir(context.path().join("keys")).unwrap();
        make_key(&context, "keys/deploy", &["rsa"]).await;
        let key = fs::read_to_string(context.path().join("keys/deploy")).unwrap();
        context.file("keys/copy", &key).unwrap();
        let run = run(place, &context, &[("SSH", "keys/deploy")]).await;
        run.expect(0, &["one line: ***"]);
        let lines = key
            .lines()
            .filter(|line| !line.starts_with('-') && line.len() > 8);
        for line in lines {
            let part = &line[..line.len().min(32)];
            run.without(part);
        }
    });
}

#[test]
fn a_repository_over_ssh_is_a_context_or_a_named_context() {
    with_place(async |place| {
        // Another engine may run in another network.
        if place.internet().is_none() {
            return;
        }
        let files = Context::new("FROM scratch\nCOPY only-in-git /file\n").unwrap();
        files
            .file("only-in-git", Uuid::new_v4().to_string())
            .unwrap();
        let clone = place.busybox_context(
            "COPY --from=lib only-in-git /\nRUN echo \"copied $(cat /only-in-git)\"",
        );
        let public = make_key(&clone, "deploy", &["ed25519"]).await;
        let server = SshServer::start(tools().await, files.path(), &public)
            .await
            .unwrap();
        let content = fs::read_to_string(files.path().join("only-in-git")).unwrap();

        let lib = format!("lib={}#main", server.scp_address());
        let named = run(
            place,
            &clone,
            &[("SSH", "deploy"), ("BUILD_CONTEXTS", &lib)],
        )
        .await;
        named.expect(0, &[&format!("copied {content}")]);
        let lib = format!("lib={}", server.url());
        let named = run(
            place,
            &clone,
            &[("SSH", "deploy"), ("BUILD_CONTEXTS", &lib)],
        )
        .await;
        named.expect(0, &[]);

        for address in [server.scp_address(), server.url()] {
            let address = format!("{address}#main");
            let built = run(place, &clone, &[("SSH", "deploy"), ("CONTEXT", &address)]).await;
            built.expect(0, &["COPY only-in-git /file"]);
        }

        // A key that the server does not know.
        make_key(&clone, "other", &["ed25519"]).await;
        files.file("unused", "").unwrap();
        let second = SshServer::start(tools().await, files.path(), &public)
            .await
            .unwrap();
        let lib = format!("lib={}", second.scp_address());
        let refused = run(place, &clone, &[("SSH", "other"), ("BUILD_CONTEXTS", &lib)]).await;
        refused.expect(
            1,
            &["hint: the SSH server rejected the keys in SSH: add the public key"],
        );
    });
}

#[test]
fn both_machines_of_an_image_use_the_keys() {
    with_place(async |place| {
        let lines =
            format!("RUN --mount=type=ssh,required=true {CLONE} && echo \"cloned-$((1 + 1))\"");
        let context = clone(place, &lines).await;
        let public = make_key(&context, "deploy", &["ecdsa", "-b", "256"]).await;
        context.file("public", public).unwrap();
        let depot = place.depot_of_two(Scenario::default()).await;
        let program = Program::of(&depot, context.path()).set("SSH", "deploy");
        let run = program
            .set("PLATFORMS", "linux/amd64, linux/arm64")
            .run()
            .await;
        run.expect(0, &[]);
        assert_eq!(run.log.matches("cloned-2").count(), 2, "{}", run.log);
        depot.check().unwrap();
    });
}

#[test]
fn a_signal_ends_a_run_whose_agent_does_not_respond() {
    with_place(async |place| {
        let lines = "RUN --mount=type=ssh,required=true ssh-add -l";
        let context = clone(place, lines).await;
        let listener = tokio::net::UnixListener::bind(context.path().join("agent.sock")).unwrap();
        let depot = place.depot(Scenario::default()).await;
        let program = Program::of(&depot, context.path()).set("SSH", "agent.sock");
        let running = program.start();
        // The agent lists its keys once, for the check before the build.
        let (mut first, _) = listener.accept().await.unwrap();
        first.read_exact(&mut [0; 5]).await.unwrap();
        let no_keys = [0, 0, 0, 5, 12, 0, 0, 0, 0];
        first.write_all(&no_keys).await.unwrap();
        // The step waits for the response to this request.
        let (mut second, _) = listener.accept().await.unwrap();
        let mut request = [0; 5];
        second.read_exact(&mut request).await.unwrap();
        assert_eq!(request, [0, 0, 0, 1, 11]);
        running.signal("TERM").await;
        running.end().await.expect(143, &[]);
        // Its connection has ended with the run.
        assert_eq!(second.read(&mut request).await.unwrap(), 0);
    });
}
