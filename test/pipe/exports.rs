//! `OUTPUTS`: files of the result, alone and together with the other destinations.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::Command;

use depot_ground::daemon::Release;
use depot_ground::engine::state_folder;
use depot_ground::fixtures::Context;
use depot_ground::skopeo::Skopeo;
use local_depot::{Architecture, BuildState, LocalDepot, Machine, Method, Request, Scenario};

use super::loading::{layers, noise};
use super::machines::slow;
use super::place::{Place, small_context, with_place};
use super::program::{Program, Run};

/// Every entry below a directory: kind and permissions, time, and content or target.
fn entries(root: &Path) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    add_entries(root, root, &mut all);
    all
}

fn add_entries(root: &Path, folder: &Path, all: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = path.symlink_metadata().unwrap();
        let content = if metadata.is_symlink() {
            format!("-> {}", fs::read_link(&path).unwrap().display())
        } else if metadata.is_dir() {
            add_entries(root, &path, all);
            format!("{:o}", metadata.mode())
        } else {
            let content = fs::read(&path).unwrap();
            let text = String::from_utf8_lossy(&content).into_owned();
            format!("{:o} {} {text}", metadata.mode(), metadata.nlink())
        };
        let name = path.strip_prefix(root).unwrap().to_string_lossy();
        all.insert(name.into_owned(), content);
    }
}

/// Files of every kind in the stage `files`.
fn files_of_every_kind(place: &Place) -> Context {
    let context = place.busybox_context(
        "RUN mkdir -p /r/deep/er /r/closed && echo one > /r/deep/file && echo two > /r/deep/er/file \
         && ln /r/deep/file /r/hard && ln -s /etc/passwd /r/absolute && ln -s ../../../outside /r/up && ln -s deep/file /r/link \
         && echo three > /r/program && chmod 4755 /r/program && chmod 1777 /r/deep/er && : > /r/empty \
         && echo four > /r/closed/file && chmod 500 /r/closed && mkfifo /r/fifo \
         && touch -h -d '2020-01-02 03:04:05' /r/deep/file /r/link /r/deep\nFROM scratch AS files\nCOPY --from=0 /r /",
    );
    context.file("outside/file", "kept").unwrap();
    context.file(".dockerignore", "outside\ndist\n").unwrap();
    context
}

/// A program without a push, with these outputs.
fn exporting(depot: &LocalDepot, context: &Context, outputs: &str) -> Program {
    Program::of(depot, context.path()).set("OUTPUTS", outputs)
}

/// Fails the test if an incomplete result remains in the clone.
#[track_caller]
fn assert_no_staging(root: &Path) {
    let names = entries(root).into_keys();
    let left: Vec<_> = names.filter(|name| name.contains(".depot-build")).collect();
    assert!(left.is_empty(), "{left:?}");
}

fn list_of(archive: &Path) -> Vec<String> {
    let output = Command::new("tar")
        .arg("-tf")
        .arg(archive)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let mut names: Vec<_> = text.lines().map(str::to_owned).collect();
    names.sort();
    names
}

#[test]
fn files_of_every_kind_are_written_and_other_files_remain() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = files_of_every_kind(place);
        let dist = context.path().join("dist");
        fs::create_dir_all(dist.join("deep")).unwrap();
        fs::write(dist.join("deep/kept"), "kept").unwrap();
        symlink(context.path().join("outside"), dist.join("closed")).unwrap();
        symlink("../outside/file", dist.join("program")).unwrap();
        let run = exporting(&depot, &context, "dist").run().await;
        run.expect(
            0,
            &[
                "exporting to client directory",
                "[export] writing dist",
                "built and exported in ",
                "exported to dist: 9 files",
                "OUTPUTS: `dist` lacks 1 devices, fifos or sockets of the result, which are not exported: the first is `fifo`",
            ],
        );
        let found = entries(&dist);
        let expected = [
            ("absolute", "-> /etc/passwd"),
            ("closed", "40500"),
            ("closed/file", "100644 1 four\n"),
            ("deep", "40755"),
            ("deep/er", "41777"),
            ("deep/er/file", "100644 1 two\n"),
            ("deep/file", "100644 2 one\n"),
            ("deep/kept", "100644 1 kept"),
            ("empty", "100644 1 "),
            ("hard", "100644 2 one\n"),
            ("link", "-> deep/file"),
            ("program", "100755 1 three\n"),
            ("up", "-> ../../../outside"),
        ];
        let expected = expected.map(|(name, content)| (name.to_owned(), content.to_owned()));
        assert_eq!(found, BTreeMap::from(expected));
        for name in ["deep", "deep/file", "link"] {
            let metadata = dist.join(name).symlink_metadata().unwrap();
            assert_eq!(metadata.mtime(), 1_577_934_245, "{name}");
        }
        assert_eq!(
            fs::read_to_string(context.path().join("outside/file")).unwrap(),
            "kept"
        );
        assert_eq!(
            fs::read_dir(context.path().join("outside"))
                .unwrap()
                .count(),
            1
        );
        assert_no_staging(context.path());
        // Depot's page shows the output.
        let record = depot.record();
        let call = record.calls_of(Method::CreateBuild).next().unwrap();
        let Some(Request::CreateBuild(request)) = &call.request else {
            panic!("{call:?}");
        };
        let kinds: Vec<_> = request.options[0]
            .outputs
            .iter()
            .map(|output| &*output.kind)
            .collect();
        assert_eq!(kinds, ["local"]);
        assert_eq!(record.last_build().unwrap().state, BuildState::Succeeded);
        depot.check().unwrap();
    });
}

#[test]
fn a_second_result_never_writes_through_the_links_of_the_first() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = place.busybox_context(
            "RUN mkdir -p /r /s/into /s/up/outside && ln -s /tmp /r/into && ln -s .. /r/up && ln -s ../outside/file /r/file \
             && echo new > /s/into/depot-build-escaped && echo new > /s/up/outside/file && echo new > /s/file\n\
             FROM scratch AS first\nCOPY --from=0 /r /\nFROM scratch AS second\nCOPY --from=0 /s /",
        );
        context.file("outside/file", "kept").unwrap();
        for target in ["first", "second"] {
            let run = exporting(&depot, &context, "dist")
                .set("TARGET", target)
                .run()
                .await;
            run.expect(0, &["exported to dist: 3 files"]);
        }
        assert_eq!(
            fs::read_to_string(context.path().join("outside/file")).unwrap(),
            "kept"
        );
        assert!(!Path::new("/tmp/depot-build-escaped").exists());
        let found = entries(&context.path().join("dist"));
        assert_eq!(found["into/depot-build-escaped"], "100644 1 new\n");
        assert_eq!(found["up/outside/file"], "100644 1 new\n");
        assert_eq!(found["file"], "100644 1 new\n");
        depot.check().unwrap();
    });
}

#[test]
fn every_form_is_written_together_with_a_push_and_a_load_from_one_build() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let daemon = place.daemon(Release::Docker26).await;
        let context = place.busybox_context("RUN head -c 16 /dev/urandom | md5sum > /when");
        let image = place.image("exports-all");
        let run = Program::of(&depot, context.path())
            .load(&image, &daemon.docker_host())
            .push(&image, &place.registry)
            .set("NO_CACHE", "true")
            .set("OUTPUTS", "out/files\ntype=tar,dest=out/files.tar\ntype=oci,dest=out/image.tar\ntype=docker,dest=out/daemon.tar")
            .run()
            .await;
        run.expect(
            0,
            &[
                "built, pushed, loaded and exported",
                "exported to out/files: ",
                "exported to out/files.tar: ",
                "exported to out/image.tar: ",
                "exported to out/daemon.tar: ",
            ],
        );
        let out = context.path().join("out");
        // The step ran once, whatever NO_CACHE says.
        let when = fs::read_to_string(out.join("files/when")).unwrap();
        let unpacked = Command::new("tar")
            .arg("-xOf")
            .arg(out.join("files.tar"))
            .arg("when")
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(unpacked.stdout).unwrap(), when);
        let layout = list_of(&out.join("image.tar"));
        assert!(
            layout.contains(&"index.json".to_owned()) && layout.contains(&"oci-layout".to_owned()),
            "{layout:?}"
        );
        let archive = list_of(&out.join("daemon.tar"));
        assert!(archive.contains(&"manifest.json".to_owned()), "{archive:?}");
        // It is the pushed image.
        let pushed = place
            .registry
            .manifest("exports-all", "test")
            .await
            .unwrap();
        let pushed = pushed.json().unwrap();
        let digest = pushed["manifests"][0]["digest"].as_str().unwrap();
        let blob = format!("blobs/{}", digest.replace(':', "/"));
        assert!(layout.contains(&blob), "{blob} {layout:?}");
        match Skopeo::fetch(&state_folder()).await {
            Ok(skopeo) => {
                let read = skopeo
                    .read_archive(&format!("oci-archive:{}", out.join("image.tar").display()))
                    .await
                    .unwrap();
                assert!(
                    read["manifests"].is_array() || read["layers"].is_array(),
                    "{read:#}"
                );
                skopeo
                    .read_archive(&format!(
                        "docker-archive:{}",
                        out.join("daemon.tar").display()
                    ))
                    .await
                    .unwrap();
            }
            // Without Debian's packages. CI has them.
            Err(error) => assert!(std::env::var_os("CI").is_none(), "no skopeo: {error:?}"),
        }
        daemon.remove(&image).await.unwrap();
        assert_no_staging(context.path());
        depot.check().unwrap();
    });
}

#[test]
fn two_machines_write_one_directory_each() {
    with_place(async |place| {
        let depot = place.depot_of_two(Scenario::default()).await;
        let context =
            Context::new("FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /arch\n").unwrap();
        context.file("amd64", "of amd64").unwrap();
        context.file("arm64", "of arm64").unwrap();
        let image = place.image("exports-two");
        for push in [false, true] {
            let program = exporting(&depot, &context, "dist/files");
            let program = if push {
                program.push(&image, &place.registry)
            } else {
                program
            };
            let run = program
                .set("PLATFORMS", "linux/amd64, linux/arm64")
                .run()
                .await;
            run.expect(0, &["exported to dist/files: 2 files (16B)"]);
            let found = entries(&context.path().join("dist/files"));
            assert_eq!(found["linux_amd64/arch"], "100644 1 of amd64");
            assert_eq!(found["linux_arm64/arch"], "100644 1 of arm64");
            assert_eq!(found.len(), 4, "{found:?}");
            fs::remove_dir_all(context.path().join("dist")).unwrap();
        }
        depot.check().unwrap();
    });
}

#[test]
fn several_platforms_of_one_machine_have_one_directory_each_and_one_archive() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = small_context();
        let run = exporting(
            &depot,
            &context,
            "files\ntype=tar,dest=files.tar\ntype=oci,dest=image.tar",
        )
        .set("PLATFORMS", "linux/amd64, linux/arm64")
        .set("BUILD_PLATFORM", "linux/amd64")
        .run()
        .await;
        run.expect(
            0,
            &["exported to files: 2 files", "exported to image.tar: "],
        );
        let found = entries(&context.path().join("files"));
        assert_eq!(found["linux_amd64/file"], found["linux_arm64/file"]);
        let names = list_of(&context.path().join("files.tar"));
        assert!(names.contains(&"linux_arm64/file".to_owned()), "{names:?}");
        // A directory for a single platform.
        let run = exporting(
            &depot,
            &context,
            "type=local,dest=single,platform-split=true",
        )
        .run()
        .await;
        run.expect(0, &[]);
        assert!(context.path().join("single/linux_amd64/file").is_file());
        depot.check().unwrap();
    });
}

#[test]
fn results_are_not_part_of_the_context_of_their_own_run() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = Context::new("FROM scratch\nCOPY . /\n").unwrap();
        context.file("dist/from before", "x").unwrap();
        let image = place.image("exports-context");
        for push in [false, true] {
            let program = exporting(&depot, &context, "dist\ntype=tar,dest=files.tar\nnew/copy");
            let program = if push {
                program.push(&image, &place.registry)
            } else {
                program
            };
            let run = program.run().await;
            run.expect(0, &[]);
            let dist = entries(&context.path().join("dist"));
            assert_eq!(dist["dist/from before"], "100644 1 x");
            // All results are of the same files.
            let copy = entries(&context.path().join("new/copy"));
            let without = |name: &&String| name.as_str() != "from before";
            let names: Vec<_> = dist.keys().filter(without).collect();
            assert_eq!(names, copy.keys().collect::<Vec<_>>());
            let files = list_of(&context.path().join("files.tar"));
            assert_eq!(files.len(), copy.len(), "{files:?}");
            for name in copy.keys().chain(&files) {
                assert!(
                    !name.contains(".depot-build")
                        && !name.contains("files.tar")
                        && !name.contains("new/"),
                    "{name}"
                );
            }
            fs::remove_dir_all(context.path().join("new")).unwrap();
            fs::remove_dir_all(context.path().join("dist")).unwrap();
            fs::remove_file(context.path().join("files.tar")).unwrap();
            context.file("dist/from before", "x").unwrap();
        }
        depot.check().unwrap();
    });
}

#[test]
fn a_failed_build_leaves_the_destination_as_it_was() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = place.busybox_context("RUN exit 7\n");
        context.file("dist/kept", "kept").unwrap();
        let run = exporting(&depot, &context, "dist\ntype=oci,dest=new/image.tar")
            .run()
            .await;
        run.expect(1, &["failed to build"]);
        let left = entries(context.path());
        assert_eq!(left["dist/kept"], "100644 1 kept");
        assert!(!left.contains_key("new"), "{left:?}");
        assert_no_staging(context.path());
        depot.check().unwrap();
    });
}

#[test]
fn a_failed_output_leaves_the_others_unwritten() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = small_context();
        let image = place.image("exports-failed");
        // The archive of a daemon cannot hold an index, which the builder reports after the build. The pipe does not read this form
        // of `true`, which Go does.
        let run = exporting(&depot, &context, "dist\ntype=docker,dest=image.tar")
            .push(&image, &place.registry)
            .set("BUILD_ARGS", "BUILDKIT_MULTI_PLATFORM=t")
            .run()
            .await;
        assert_ne!(run.code, 0, "{}", run.log);
        run.expect(
            run.code,
            &["manifest list", &format!("already pushed: {image}")],
        );
        assert!(!context.path().join("dist").exists());
        assert_no_staging(context.path());
        depot.check().unwrap();
    });
}

/// Runs the program with a destination on a small disk. `None` without the permission to mount one.
async fn run_with_full_disk(place: &Place, outputs: &str) -> Option<(Run, Context)> {
    let depot = place.depot(Scenario::default()).await;
    let context = layers(&[("large", noise("full", 4 << 20))]);
    let full = context.path().join("full");
    fs::create_dir(&full).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
        .arg(&full)
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        return None;
    }
    let run = exporting(&depot, &context, outputs).run().await;
    let left = entries(&full);
    let unmounted = Command::new("umount").arg(&full).status();
    assert!(unmounted.unwrap().success());
    assert!(left.is_empty(), "{left:?}");
    depot.check().unwrap();
    Some((run, context))
}

#[test]
fn a_full_disk_is_reported_with_a_hint() {
    with_place(async |place| {
        for (outputs, path) in [
            ("full", "cannot write `large`"),
            ("type=tar,dest=full/x.tar", "cannot write `full/x.tar`"),
        ] {
            let Some((run, _context)) = run_with_full_disk(place, outputs).await else {
                return;
            };
            run.expect(
                1,
                &[
                    "failed to write the output",
                    path,
                    "No space left on device",
                    "the disk of the step is full",
                ],
            );
        }
    });
}

#[test]
fn a_stop_during_a_transfer_leaves_nothing_behind() {
    with_place(async |place| {
        for outputs in ["dist", "type=tar,dest=dist/files.tar"] {
            // Slow enough that the transfer is not at its end.
            let depot = place.depot(Scenario::default().machines(slow())).await;
            let context = layers(&[("large", noise("stop", 32 << 20))]);
            let mut running = exporting(&depot, &context, outputs).start();
            running.until("exporting to client").await;
            running.signal("TERM").await;
            running.end().await.expect(143, &[]);
            assert!(!context.path().join("dist").exists());
            assert_no_staging(context.path());
        }
    });
}

#[test]
fn a_machine_that_is_lost_during_a_transfer_sends_the_result_again() {
    with_place(async |place| {
        let context = layers(&[
            ("large", noise("lost", 32 << 20)),
            ("small", b"small".to_vec()),
        ]);
        for outputs in ["dist", "type=tar,dest=dist/files.tar"] {
            let depot = place.depot(Scenario::default().machines(slow())).await;
            let mut running = exporting(&depot, &context, outputs).start();
            running.until("exporting to client").await;
            Machine::cut(depot.machine(Architecture::Amd64));
            let run = running.end().await;
            run.expect(0, &["connecting again (1 of 2)", "exported to dist"]);
            assert_no_staging(context.path());
            fs::remove_dir_all(context.path().join("dist")).unwrap();
        }
    });
}

#[test]
fn wrong_outputs_are_reported_before_anything_is_started() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = small_context();
        symlink("/tmp", context.path().join("link")).unwrap();
        let run = exporting(
            &depot,
            &context,
            "link\ntype=tar\ntype=image\n-\n.git/hooks",
        )
        .run()
        .await;
        run.expect(2, &[]);
        let faults = run.log.matches("OUTPUTS: ").count();
        assert_eq!(faults, 5, "{}", run.log);
        assert_eq!(depot.record().calls.len(), 0);
    });
}

#[test]
fn an_oci_archive_has_the_annotations_that_it_can_hold() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let (image, registry) = (place.image("annotated-archive"), &place.registry);
        for (provenance, has_index) in [(None, false), (Some("min"), true)] {
            let context = small_context();
            let mut program = exporting(
                &depot,
                &context,
                "type=oci,dest=image.tar,compression=gzip,force-compression=true",
            )
            .push(&image, registry)
            .set("COMPRESSION", "uncompressed")
            .set("OCI_LABELS", "true")
            .set("BITBUCKET_COMMIT", "0123456789abcdef")
            .set("ANNOTATIONS", "com.acme.compression=kept");
            if let Some(provenance) = provenance {
                program = program.set("PROVENANCE", provenance);
            }
            let run = program.run().await;
            run.expect(0, &["built, pushed and exported"]);
            let folder = context.path().join("layout");
            fs::create_dir(&folder).unwrap();
            let archive = context.path().join("image.tar");
            let mut tar = Command::new("tar");
            tar.arg("-xf").arg(&archive).arg("-C").arg(&folder);
            assert!(tar.status().unwrap().success());
            let text = texts_of_blobs(&folder);
            assert!(text.contains("com.acme.compression"), "{text}");
            assert!(text.contains("tar+gzip"), "{text}");
            let is_index = text.contains("attestation-manifest");
            assert_eq!(is_index, has_index, "{text}");
        }
    });
}

/// The documents in an OCI layout, without its layers.
fn texts_of_blobs(folder: &Path) -> String {
    let blobs = fs::read_dir(folder.join("blobs/sha256")).unwrap();
    let texts = blobs.filter_map(|blob| fs::read_to_string(blob.unwrap().path()).ok());
    texts.filter(|text| text.starts_with('{')).collect()
}
