//! Files that change while the context is sent.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use depot_ground::fixtures::Context;
use local_depot::Scenario;

use super::loading::noise;
use super::machines::slow;
use super::place::with_place;
use super::program::{Program, Run};

/// Repeats `change` while a build of the context runs.
async fn build_during(
    depot: &local_depot::LocalDepot,
    context: &Context,
    change: impl Fn(usize) + Send + 'static,
) -> Run {
    let is_done = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&is_done);
    let changing = std::thread::spawn(move || {
        for round in 0.. {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            change(round);
        }
    });
    let run = Program::of(depot, context.path()).run().await;
    is_done.store(true, Ordering::Relaxed);
    changing.join().unwrap();
    run
}

/// Files that take a second or two on a slow line.
fn large_files(context: &Context) {
    for index in 10..22 {
        let bytes = vec![index; 2 << 20];
        context.file(&format!("large{index}"), bytes).unwrap();
    }
}

fn replace(path: &Path, make: impl FnOnce(&Path)) {
    let beside = path.with_extension("new");
    make(&beside);
    fs::rename(&beside, path).unwrap();
}

#[test]
fn a_context_is_sent_again_without_a_file_that_vanished() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default().machines(slow())).await;
        let context = Context::new("FROM scratch\nCOPY . /c\n").unwrap();
        // The builder requests files in any order. Only a few of these are being sent when they vanish.
        let names: Vec<_> = (0..20).map(|index| format!("short-lived{index}")).collect();
        for name in &names {
            context.file(name, noise(name, 2 << 20)).unwrap();
        }
        let running = Program::of(&depot, context.path()).start();
        depot
            .wait_for("some of the context", Duration::from_secs(30), |record| {
                let mut connections = record.connections.iter();
                connections.any(|connection| connection.received.get() > 1 << 20)
            })
            .await
            .unwrap();
        for name in &names {
            fs::remove_file(context.path().join(name)).unwrap();
        }
        let run = running.end().await;
        run.expect(0, &["`short-lived", "sending the context again (2 of 3)"])
            .without("(3 of 3)");
    });
}

#[test]
fn files_that_repeatedly_become_links_end_the_build_after_three_transfers() {
    with_place(async |place| {
        // A transfer takes a second, in which the files change many times.
        let depot = place.depot(Scenario::default().machines(slow())).await;
        let context = Context::new("FROM scratch\nCOPY d /d\n").unwrap();
        for index in 0..100 {
            context
                .file(&format!("d/f{index}"), vec![b'x'; 128 << 10])
                .unwrap();
        }
        context.file("target", "outside of d").unwrap();
        let folder = context.path().join("d");
        let run = build_during(&depot, &context, move |round| {
            for index in 0..100 {
                let path = folder.join(format!("f{index}"));
                if (round + index) % 2 == 0 {
                    replace(&path, |new| symlink("../target", new).unwrap());
                } else {
                    replace(&path, |new| fs::write(new, vec![b'y'; 128 << 10]).unwrap());
                }
            }
        })
        .await;
        run.expect(
            1,
            &[
                "sending the context again (2 of 3)",
                "sending the context again (3 of 3)",
                "`d/f",
                "nothing else writes to the directory",
            ],
        );
    });
}

#[test]
fn a_log_that_grows_constantly_is_sent_with_a_warning() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default().machines(slow())).await;
        let context = Context::new("FROM scratch\nCOPY . /c\n").unwrap();
        large_files(&context);
        let folder = context.path().join("logs");
        for index in 0..50 {
            context
                .file(&format!("logs/{index}"), "first line\n")
                .unwrap();
        }
        let run = build_during(&depot, &context, move |_| {
            for index in 0..50 {
                let path = folder.join(index.to_string());
                let mut log = OpenOptions::new().append(true).open(path).unwrap();
                log.write_all(b"one more line\n").unwrap();
            }
        })
        .await;
        run.expect(
            0,
            &[
                "` changed while",
                "sending the context again (3 of 3)",
                "the image may contain any version of it",
            ],
        );
    });
}
