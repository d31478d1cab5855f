//! Repeated messages, and vertices that run again.

use super::*;

fn small_build() -> Vec<StatusResponse> {
    let vertexes = |vertexes: Vec<Vertex>| StatusResponse {
        vertexes,
        ..StatusResponse::default()
    };
    vec![
        vertexes(vec![vertex("a", "A"), vertex("b", "B")]),
        vertexes(vec![running("a", "A", 0)]),
        vertexes(vec![done("a", "A", 0, 500), running("b", "B", 500)]),
        StatusResponse {
            statuses: vec![ended(status("b", "exporting layers", 10, 10, 500, 600))],
            ..StatusResponse::default()
        },
        vertexes(vec![failed("b", "B", 500, 900, "broken")]),
    ]
}

#[test]
fn a_repeated_message_is_not_printed_again() {
    let (mut once, mut often) = (Log::default(), Log::default());
    for status in small_build() {
        once.apply(&status);
        often.apply(&status).apply(&status).tick(1).apply(&status);
    }
    for status in small_build() {
        often.apply(&status);
    }
    assert_eq!(often.finish(), once.finish());
    assert_eq!(often.progress.failed_step(), once.progress.failed_step());
}

#[test]
fn a_failed_step_that_is_reported_again_keeps_its_tail() {
    let mut build = Log::default();
    build
        .vertexes(0, [running("a", "A", 0)])
        .logs(1, [log("a", 1, "words\n")]);
    build
        .vertexes(2, [failed("a", "A", 0, 2, "broken")])
        .vertexes(3, [failed("a", "A", 0, 2, "broken")]);
    assert_eq!(build.progress.failed_step().unwrap().tail, ["0.001 words"]);
    build.logs(4, [log("a", 4, "late words\n")]);
    assert_eq!(
        build.progress.failed_step().unwrap().tail,
        ["0.001 words", "0.004 late words"]
    );
}

#[test]
fn a_step_that_fails_and_then_succeeds_is_not_a_failed_step() {
    let mut build = Log::default();
    build
        .vertexes(0, [failed("a", "A", 0, 2, "broken")])
        .vertexes(3, [done("a", "A", 3, 4)]);
    assert_eq!(build.progress.failed_step(), None);
    insta::assert_snapshot!(build.finish(), @"
    #1 A
    #1 ERROR: broken

    #1 A
    #1 DONE 0.0s
    ");
}

#[test]
fn the_run_for_the_cache_key_is_not_printed_twice() {
    let mut build = Log::default();
    // The first run computes the cache key, the second run finds the step in the cache.
    build
        .vertexes(0, [running("a", "[1/2] FROM base", 0)])
        .vertexes(1, [done("a", "[1/2] FROM base", 0, 1)]);
    build.vertexes(2, [cached("a", "[1/2] FROM base", 2)]);
    // Reported as cached when a dependent step ran. Then it really ran, in no time.
    build
        .vertexes(3, [cached("b", "[2/2] RUN true", 3)])
        .vertexes(4, [done("b", "[2/2] RUN true", 4, 5)]);
    insta::assert_snapshot!(build.finish(), @"
    #1 [1/2] FROM base
    #1 DONE 0.0s

    #2 [2/2] RUN true
    #2 CACHED
    ");
}

#[test]
fn a_dockerfile_is_never_shown_as_cached() {
    let mut build = Log::default();
    let name = "[internal] load build definition from Dockerfile";
    build.vertexes(0, [cached("a", name, 0)]);
    build.vertexes(1, [cached("b", "[1/1] COPY a /", 1)]);
    insta::assert_snapshot!(build.finish(), @"
    #1 [internal] load build definition from Dockerfile
    #1 DONE 0.0s

    #2 [1/1] COPY a /
    #2 CACHED
    ");
}

#[test]
fn a_second_run_with_output_is_printed_with_the_total_time() {
    let mut build = Log::default();
    build.vertexes(0, [done("a", "[1/2] FROM base", 0, 200)]);
    build.vertexes(1000, [running("a", "[1/2] FROM base", 1000)]);
    build.statuses(
        2000,
        [ended(status(
            "a",
            "sha256:abc",
            3_000_000,
            3_000_000,
            1000,
            1900,
        ))],
    );
    build.vertexes(2100, [done("a", "[1/2] FROM base", 1000, 2000)]);
    insta::assert_snapshot!(build.finish(), @"
    #1 [1/2] FROM base
    #1 DONE 0.2s

    #1 [1/2] FROM base
    #1 sha256:abc 3MB / 3MB 0.9s done
    #1 DONE 1.2s
    ");
}

#[test]
fn a_long_second_run_without_output_is_printed() {
    let mut build = Log::default();
    build
        .vertexes(0, [done("a", "A", 0, 100)])
        .vertexes(500, [running("a", "A", 500)]);
    build.tick(1400);
    insta::assert_snapshot!(build.text, @"
    #1 A
    #1 DONE 0.1s
    ");
    build.tick(1500).vertexes(9000, [done("a", "A", 500, 9000)]);
    insta::assert_snapshot!(build.finish(), @"
    #1 A
    #1 DONE 0.1s

    #1 A
    #1 DONE 8.6s
    ");
}
