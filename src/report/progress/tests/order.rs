//! The order of steps.

use super::*;
use crate::depot::own_step::OwnStep;

#[test]
fn a_small_build_is_printed_as_by_buildx() {
    let load = "[internal] load build definition from Dockerfile";
    let mut build = Log::default();
    build.vertexes(
        0,
        [
            vertex("a", load),
            vertex("b", "[1/2] FROM scratch"),
            vertex("c", "[2/2] RUN make"),
        ],
    );
    build.vertexes(5, [running("a", load, 0)]);
    let sent = status("a", "transferring dockerfile:", 312, 0, 2, 18);
    build.statuses(20, [ended(sent)]);
    build.vertexes(21, [done("a", load, 0, 19)]);
    build.vertexes(
        30,
        [
            cached("b", "[1/2] FROM scratch", 29),
            running("c", "[2/2] RUN make", 30),
        ],
    );
    build.logs(342, [log("c", 342, "compiling\nlinking\n")]);
    build.vertexes(1230, [done("c", "[2/2] RUN make", 30, 1230)]);
    insta::assert_snapshot!(build.finish(), @"
    #1 [internal] load build definition from Dockerfile
    #1 transferring dockerfile: 312B done
    #1 DONE 0.0s

    #2 [1/2] FROM scratch
    #2 CACHED

    #3 [2/2] RUN make
    #3 0.312 compiling
    #3 0.312 linking
    #3 DONE 1.2s
    ");
}

#[test]
fn the_current_step_keeps_the_column_until_it_pauses() {
    let mut build = Log::default();
    build.vertexes(
        0,
        [
            running("a", "[a 1/1] RUN one", 0),
            running("b", "[b 1/1] RUN two", 0),
        ],
    );
    build.logs(
        100,
        [log("b", 100, "two speaks\n"), log("a", 100, "one speaks\n")],
    );
    build.logs(900, [log("a", 900, "one goes on\n")]);
    build.logs(1800, [log("b", 1800, "two goes on\n")]);
    build.tick(1899);
    build.tick(1900);
    build.logs(2000, [log("a", 2000, "one is back\n")]);
    build.vertexes(2100, [done("a", "[a 1/1] RUN one", 0, 2100)]);
    build.logs(2200, [log("b", 2200, "two ends\n")]);
    build.vertexes(2300, [done("b", "[b 1/1] RUN two", 0, 2300)]);
    insta::assert_snapshot!(build.finish(), @"
    #1 [a 1/1] RUN one
    #1 0.100 one speaks
    #1 0.900 one goes on
    #1 ...

    #2 [b 1/1] RUN two
    #2 0.100 two speaks
    #2 1.800 two goes on
    #2 ...

    #1 [a 1/1] RUN one
    #1 2.000 one is back
    #1 DONE 2.1s

    #2 [b 1/1] RUN two
    #2 2.200 two ends
    #2 DONE 2.3s
    ");
}

#[test]
fn a_step_that_never_pauses_loses_the_column_after_some_seconds() {
    let mut build = Log::default();
    build.vertexes(
        0,
        [
            running("a", "[a] RUN one", 0),
            running("b", "[b] RUN two", 0),
        ],
    );
    for second in 0..12_u32 {
        let at = i64::from(second) * 1000;
        build.logs(
            u64::from(second) * 1000,
            [
                log("a", at, format!("one {second}\n")),
                log("b", at, format!("two {second}\n")),
            ],
        );
        build.tick(u64::from(second) * 1000 + 500);
        build.logs(
            u64::from(second) * 1000 + 600,
            [log("a", at, "-\n"), log("b", at, "-\n")],
        );
    }
    let text = build.finish();
    let switches: Vec<_> = text.lines().filter(|line| line.ends_with("...")).collect();
    // The last lines are printed at the end.
    assert_eq!(switches, ["#1 ...", "#2 ...", "#1 ..."], "{text}");
}

#[test]
fn a_lot_of_waiting_output_is_printed_at_once() {
    let mut build = Log::default();
    build.vertexes(0, [running("a", "RUN one", 0), running("b", "RUN two", 0)]);
    build.logs(
        1,
        [log("b", 1, "y".repeat(70_000) + "\n"), log("a", 1, "x\n")],
    );
    let shown = &build.text;
    assert!(shown.contains("#2 RUN two\n#2 0.001 yyyy"), "{shown}");
}

#[test]
fn steps_that_end_together_are_printed_in_the_order_of_their_ends() {
    let mut build = Log::default();
    build.vertexes(
        0,
        [
            running("a", "A", 0),
            running("b", "B", 0),
            running("c", "C", 0),
        ],
    );
    build.vertexes(
        100,
        [
            done("c", "C", 0, 30),
            done("b", "B", 0, 10),
            done("a", "A", 0, 60),
        ],
    );
    insta::assert_snapshot!(build.finish(), @"
    #1 A
    #1 DONE 0.1s

    #2 B
    #2 DONE 0.0s

    #3 C
    #3 DONE 0.0s
    ");
}

#[test]
fn errors_and_cancellations_are_printed() {
    let mut build = Log::default();
    build.vertexes(
        0,
        [
            running("a", "[1/2] RUN false", 0),
            running("b", "[2/2] RUN sleep", 0),
        ],
    );
    build.logs(10, [log("a", 10, "before\nlast words")]);
    build.vertexes(
        100,
        [
            failed(
                "a",
                "[1/2] RUN false",
                0,
                90,
                "process \"/bin/sh -c false\" did not complete successfully: exit code: 1",
            ),
            failed(
                "b",
                "[2/2] RUN sleep",
                0,
                95,
                "failed to solve: context canceled",
            ),
        ],
    );
    insta::assert_snapshot!(build.finish(), @r#"
    #1 [1/2] RUN false
    #1 0.010 before
    #1 0.010 last words
    #1 ERROR: process "/bin/sh -c false" did not complete successfully: exit code: 1

    #2 [2/2] RUN sleep
    #2 CANCELED
    "#);
    let step = build.progress.failed_step().unwrap();
    assert_eq!((step.number, step.name.as_str()), (1, "[1/2] RUN false"));
    assert_eq!(step.tail, ["0.010 before", "0.010 last words"]);
}

#[test]
fn the_failed_step_is_the_step_of_the_error() {
    let mut build = Log::default();
    build.vertexes(0, [failed("a", "importing cache", 0, 1, "cache not found")]);
    build.logs(1, [log("b", 1, "an error of another step\n")]);
    assert_eq!(
        build.progress.failed_step().unwrap().name,
        "importing cache"
    );
    build.vertexes(2, [failed("b", "COPY nope", 1, 2, "\"/nope\": not found")]);
    build.vertexes(3, [failed("c", "RUN late", 1, 3, "killed")]);
    let error = "failed to compute cache key: \"/nope\": not found";
    assert_eq!(
        build.progress.failed_step_behind(error).unwrap().name,
        "COPY nope"
    );
    assert_eq!(
        build
            .progress
            .failed_step_behind("something else")
            .unwrap()
            .name,
        "RUN late"
    );
}

#[test]
fn builds_for_two_platforms_share_the_step_numbers() {
    let mut build = Log::default();
    let arm = build.progress.add_source("linux/arm64");
    let amd = build.progress.add_source("linux/amd64");
    let own = OwnStep::begin("[depot] launching amd64 machine", std::time::UNIX_EPOCH);
    build
        .apply(&own.running())
        .apply(&own.done(std::time::UNIX_EPOCH + Duration::from_millis(1500)));
    for (source, file) in [(arm, "a"), (amd, "b")] {
        // The same digest in both, because builders are independent.
        let vertexes = vec![
            done("x", "[internal] load .dockerignore", 0, 10),
            done("y", "exporting to image", 0, 20),
        ];
        let logs = vec![log("y", 5, file)];
        let status = StatusResponse {
            vertexes,
            logs,
            ..StatusResponse::default()
        };
        build
            .progress
            .apply_from(Duration::ZERO, source, &status, &mut build.text);
    }
    insta::assert_snapshot!(build.finish(), @"
    #1 [depot] launching amd64 machine
    #1 DONE 1.5s

    #2 [linux/arm64 internal] load .dockerignore
    #2 DONE 0.0s

    #3 [linux/arm64] exporting to image
    #3 0.005 a
    #3 DONE 0.0s

    #4 [linux/amd64 internal] load .dockerignore
    #4 DONE 0.0s

    #5 [linux/amd64] exporting to image
    #5 0.005 b
    #5 DONE 0.0s
    ");
}

#[test]
fn a_group_of_vertices_is_one_step() {
    let member = |digest: &str, weak, vertex: Vertex| Vertex {
        digest: digest.into(),
        progress_group: Some(pb::ProgressGroup {
            id: "group".into(),
            name: "COPY --link a /a".into(),
            weak,
        }),
        ..vertex
    };
    let mut build = Log::default();
    build.vertexes(0, [member("weak", true, done("", "internal", 0, 40))]);
    assert_eq!(
        build.tick(5000).text,
        "",
        "a group is not shown for its weak members"
    );
    build.vertexes(6000, [member("strong", false, running("", "merge", 100))]);
    build.vertexes(6100, [member("strong", false, done("", "merge", 100, 200))]);
    build.logs(6200, [log("strong", 200, "late\n")]);
    insta::assert_snapshot!(build.finish(), @"
    #1 COPY --link a /a
    #1 DONE 0.1s

    #1 COPY --link a /a
    #1 0.100 late
    ");
}

#[test]
fn unfinished_steps_are_printed_at_the_end() {
    let mut build = Log::default();
    build.vertexes(
        0,
        [
            running("a", "A", 0),
            running("b", "B", 0),
            vertex("c", "never began"),
        ],
    );
    build.logs(10, [log("a", 10, "half a line"), log("b", 10, "words\n")]);
    build.statuses(20, [status("b", "pushing layers", 0, 0, 10, 20)]);
    insta::assert_snapshot!(build.finish(), @"
    #1 A
    #1 0.010 half a line
    #1 ...

    #2 B
    #2 0.010 words
    #2 pushing layers
    ");
    assert_eq!(build.finish(), "");
}
