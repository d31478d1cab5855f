//! Statuses, such as byte counters.

use super::*;

#[test]
fn short_transfers_are_printed_once() {
    let mut build = Log::default();
    build.vertexes(0, [running("a", "[internal] load build context", 0)]);
    for moment in 1..40 {
        build.statuses(
            moment * 10,
            [status("a", "transferring context:", 30_000 * 10, 0, 0, 10)],
        );
    }
    build.statuses(
        450,
        [ended(status(
            "a",
            "transferring context:",
            1_200_000,
            0,
            0,
            450,
        ))],
    );
    build.vertexes(460, [done("a", "[internal] load build context", 0, 460)]);
    insta::assert_snapshot!(build.finish(), @"
    #1 [internal] load build context
    #1 transferring context: 1.2MB 0.5s done
    #1 DONE 0.5s
    ");
}

#[test]
fn long_transfers_are_printed_every_few_seconds_and_at_their_end() {
    let mut build = Log::default();
    build.vertexes(0, [running("a", "[1/2] FROM base", 0)]);
    for moment in 0..120_i64 {
        let at = moment * 100;
        build.statuses(
            at.unsigned_abs(),
            [status("a", "sha256:abc", at * 1000, 12_345_678, 0, at)],
        );
    }
    build.statuses(
        12_000,
        [ended(status(
            "a",
            "sha256:abc",
            12_345_678,
            12_345_678,
            0,
            12_000,
        ))],
    );
    build.statuses(
        12_001,
        [ended(status(
            "a",
            "sha256:abc",
            12_345_678,
            12_345_678,
            0,
            12_000,
        ))],
    );
    insta::assert_snapshot!(build.finish(), @"
    #1 [1/2] FROM base
    #1 sha256:abc 500kB / 12.3MB 0.5s
    #1 sha256:abc 5.6MB / 12.3MB 5.6s
    #1 sha256:abc 10.7MB / 12.3MB 10.7s
    #1 sha256:abc 12.3MB / 12.3MB 12.0s done
    ");
}

#[test]
fn long_work_without_bytes_is_printed() {
    let mut build = Log::default();
    let exporting = "exporting to image";
    build.vertexes(0, [running("a", exporting, 0)]);
    build.statuses(
        1,
        [
            ended(status("a", "exporting layers", 0, 0, 0, 200)),
            status("a", "pushing layers", 0, 0, 200, 200),
        ],
    );
    build.tick(500).tick(501).tick(9000);
    build.statuses(
        9100,
        [ended(status("a", "pushing layers", 0, 0, 200, 9300))],
    );
    build.vertexes(9101, [done("a", exporting, 0, 9400)]);
    insta::assert_snapshot!(build.finish(), @"
    #1 exporting to image
    #1 exporting layers 0.2s done
    #1 pushing layers
    #1 pushing layers 9.1s done
    #1 DONE 9.4s
    ");
}

#[test]
fn an_unchanged_counter_is_not_printed_again() {
    let mut build = Log::default();
    build.vertexes(0, [running("a", "A", 0)]);
    for second in 0..60 {
        build.statuses(second * 1000, [status("a", "sha256:abc", 5, 10, 0, 0)]);
    }
    insta::assert_snapshot!(build.finish(), @"
    #1 A
    #1 sha256:abc 5B / 10B
    ");
}

#[test]
fn a_transfer_that_waits_for_its_turn_is_not_printed() {
    let mut build = Log::default();
    build.vertexes(0, [running("a", "A", 0)]);
    build.statuses(
        1,
        [VertexStatus {
            started: None,
            ..status("a", "sha256:abc", 0, 10, 0, 0)
        }],
    );
    assert_eq!(build.tick(9000).finish(), "#1 A\n");
}
