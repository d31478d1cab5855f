//! The end of the log, its JSON, and the warnings about what was sent.

use std::fs;

use depot_ground::daemon::Release;
use depot_ground::fixtures::Context;
use local_depot::{LocalDepot, MachinePlan, Scenario};
use serde_json::{Value, json};

use super::place::{small_context, with_place};
use super::program::{Program, Run};

/// A Git LFS pointer.
const POINTER: &str = "version https://git-lfs.github.com/spec/v1\n\
    oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n";

fn program(depot: &LocalDepot, context: &Context) -> Program {
    Program::of(depot, context.path())
        .set("BITBUCKET_CLONE_DIR", context.path())
        .set("SUMMARY_FILE", "out/summary.json")
}

fn summary(context: &Context) -> Value {
    let path = context.path().join("out/summary.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The lines from the success on.
fn end(run: &Run) -> Vec<&str> {
    let lines = run.log.lines();
    lines.skip_while(|line| !line.starts_with('✔')).collect()
}

#[test]
fn the_summary_has_names_sizes_phases_and_steps_of_two_platforms() {
    with_place(async |place| {
        let fork = MachinePlan {
            is_fork: true,
            ..MachinePlan::default()
        };
        let depot = place.depot_of_two(Scenario::default().machines(fork)).await;
        let context = small_context();
        let image = place.image("summary-of-two");
        let run = program(&depot, &context)
            .push(&image, &place.registry)
            .set("PLATFORMS", "linux/amd64,linux/arm64")
            .set("NO_CACHE", "true")
            .run()
            .await;
        run.expect(0, &["built and pushed"]);
        let end = end(&run);
        assert!(end.len() <= 20, "{end:?}");
        let line = |start: &str| end.iter().find(|line| line.starts_with(start));
        let sizes = line("  size     linux/amd64 ").unwrap();
        assert!(sizes.contains(", linux/arm64 "), "{sizes}");
        assert!(line("  time     machine ").is_some(), "{end:?}");
        assert_eq!(line("  steps    "), Some(&"  steps    2, 0 cached"));

        let summary = summary(&context);
        assert_eq!(summary["version"], 1);
        let record = depot.record();
        let build = record.last_build().unwrap();
        assert_eq!(
            summary["build"],
            json!({ "id": build.id, "project": depot.project_id(), "url": build.url })
        );
        let only = &summary["images"][0];
        let index = place
            .registry
            .manifest("summary-of-two", "test")
            .await
            .unwrap();
        assert_eq!(
            only["names"],
            json!([{ "name": image, "digest": index.digest }])
        );
        for (position, name) in ["linux/amd64", "linux/arm64"].into_iter().enumerate() {
            let platform = &only["platforms"][position];
            assert_eq!(platform["platform"], name);
            let digest = platform["digest"].as_str().unwrap();
            let manifest = place.registry.manifest("summary-of-two", digest).await;
            let layers = &manifest.unwrap().json().unwrap()["layers"];
            let layers = layers.as_array().unwrap().iter();
            let bytes: u64 = layers.map(|layer| layer["size"].as_u64().unwrap()).sum();
            assert_eq!(platform["bytes"], bytes);
        }
        assert_eq!(summary["steps"]["total"], 2);
        for phase in ["machine", "context", "build", "push"] {
            assert!(summary["phases"][phase].is_number(), "{summary}");
        }
        // The Dockerfile itself is not part of the context that the step copies.
        assert_eq!(summary["context"]["bytes"], "content\n".len());
        assert_eq!(summary["loaded_bytes"], Value::Null);
    });
}

#[test]
fn cached_steps_and_loaded_bytes_are_counted() {
    with_place(async |place| {
        let daemon = place.daemon(Release::Docker26).await;
        let depot = place.depot(Scenario::default()).await;
        let context = place.busybox_context("COPY unique /unique\nRUN cat /unique");
        let unique = context.path().display().to_string();
        context.file("unique", &unique).unwrap();
        // Builders keep the files of a context as long as its directories are the same.
        context.file("out/other", "").unwrap();
        let load = || program(&depot, &context).load("acme/summary:1", &daemon.docker_host());
        load().run().await.expect(0, &["built and loaded"]);
        let first = summary(&context);
        assert!(first["loaded_bytes"].as_u64().unwrap() > 0, "{first}");
        let total = first["steps"]["total"].as_u64().unwrap();
        assert!(
            first["steps"]["cached"].as_u64().unwrap() <= total - 2,
            "{first}"
        );

        let run = load().run().await;
        run.expect(0, &["built and loaded"]);
        let second = summary(&context);
        assert_eq!(second["loaded_bytes"], 0, "{second}");
        assert_eq!(
            second["steps"],
            json!({ "total": total, "cached": total, "slowest": [] })
        );
        assert!(second["images"][0]["loaded_id"].is_string(), "{second}");
        // The builder has all files.
        assert_eq!(second["context"]["sent_bytes"], 0, "{second}");
    });
}

#[test]
fn pointers_and_empty_submodules_in_the_context_are_warnings_in_every_run() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = Context::new("FROM scratch\nCOPY assets libs /all/\n").unwrap();
        context
            .file(".gitattributes", "*.bin filter=lfs\n")
            .unwrap();
        let modules = "[submodule \"one\"]\n\tpath = libs/one\n\turl = ../one.git\n";
        context.file(".gitmodules", modules).unwrap();
        context.file("assets/logo.bin", POINTER).unwrap();
        context.file("assets/text", "text\n").unwrap();
        fs::create_dir_all(context.path().join("libs/one")).unwrap();
        // The builder requests no file in the second run.
        for _ in 0..2 {
            let run = program(&depot, &context).run().await;
            run.expect(
                0,
                &[
                    "WARNING: the context contains the Git LFS pointer instead of the content of 1 file: `assets/logo.bin`",
                    "    lfs: true",
                    "WARNING: the context contains empty submodule folders: `libs/one`",
                    "  - git submodule update --init --recursive",
                ],
            );
        }
        // A file that the build does not use is not sent.
        context
            .file("Dockerfile", "FROM scratch\nCOPY assets/text /\n")
            .unwrap();
        let run = program(&depot, &context).run().await;
        run.expect(0, &["built in"]);
        assert!(!run.log.contains("WARNING"), "{}", run.log);
    });
}
