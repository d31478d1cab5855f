//! Output of steps.

use super::*;
use crate::report::mask::Masker;

fn started() -> Log {
    let mut build = Log::default();
    build.vertexes(0, [running("a", "RUN", 0)]);
    build.text.clear();
    build
}

#[test]
fn split_lines_are_joined_and_streams_are_not_mixed() {
    let mut build = started();
    build.logs(
        10,
        [
            log("a", 10, "out o"),
            VertexLog {
                stream: 2,
                ..log("a", 20, "err o")
            },
        ],
    );
    assert_eq!(build.text, "");
    build.logs(
        30,
        [
            log("a", 30, "ne\n\nout two"),
            VertexLog {
                stream: 2,
                ..log("a", 40, "ne\n")
            },
        ],
    );
    insta::assert_snapshot!(build.finish(), @"
    #1 0.010 out one
    #1 0.030
    #1 0.020 err one
    #1 0.030 out two
    ");
}

#[test]
fn an_unfinished_line_is_printed_when_it_stops_growing() {
    let mut build = started();
    build.logs(10, [log("a", 10, "Continue? [y/N] ")]);
    build.tick(3000);
    assert_eq!(build.text, "");
    build.tick(3010).tick(9000);
    assert_eq!(build.text, "#1 0.010 Continue? [y/N] \n");
    build.logs(12_345, [log("a", 12_345, "y\n")]);
    assert_eq!(build.text, "#1 0.010 Continue? [y/N] \n#1 12.35 y\n");
}

#[test]
fn the_last_state_of_a_progress_bar_is_printed() {
    let mut build = started();
    for percent in 0..=100 {
        build.logs(10, [log("a", 10, format!("\r\x1b[K{percent}% "))]);
    }
    build.logs(20, [log("a", 20, "\r\nok\n")]);
    assert_eq!(build.finish(), "#1 0.010 100% \n#1 0.020 ok\n");
}

#[test]
fn a_progress_bar_that_changes_constantly_is_printed_every_few_seconds() {
    let mut build = started();
    for second in 0..14_u32 {
        let chunk = format!("\r{second} of 14");
        build.logs(
            u64::from(second) * 1000,
            [log("a", i64::from(second) * 1000, chunk)],
        );
        build.tick(u64::from(second) * 1000 + 500);
    }
    build.logs(14_000, [log("a", 14_000, "\rdone\n")]);
    assert_eq!(
        build.finish(),
        "#1 5.000 5 of 14\n#1 10.00 10 of 14\n#1 14.00 done\n"
    );
}

#[test]
fn a_line_that_grows_after_a_progress_bar_is_not_split() {
    let mut build = started();
    build.logs(0, [log("a", 0, "\r50%\r100%\n")]).text.clear();
    for second in 1..10_u32 {
        build.logs(u64::from(second) * 1000, [log("a", 1000, ".")]);
        build.tick(u64::from(second) * 1000 + 500);
    }
    assert_eq!(build.text, "");
    assert_eq!(build.finish(), "#1 1.000 .........\n");
}

#[test]
fn a_long_line_is_printed_in_pieces() {
    let mut build = started();
    for _ in 0..40 {
        build.logs(10, [log("a", 10, "x".repeat(10_000))]);
        assert!(
            build.progress.held() < 200_000,
            "held {}",
            build.progress.held()
        );
    }
    let text = build.finish();
    let pieces: Vec<_> = text
        .lines()
        .map(|line| line.strip_prefix("#1 0.010 ").unwrap().len())
        .collect();
    assert_eq!(
        (pieces.iter().sum::<usize>(), pieces.first()),
        (400_000, Some(&LINE_BYTES))
    );
}

#[test]
fn terminal_control_is_removed_from_output_and_names() {
    let mut build = Log::default();
    build.vertexes(0, [running("a", "RUN \x1b[2J<<EOF\nsecond\r\n", 0)]);
    build.logs(
        1,
        [log(
            "a",
            1,
            b"\x1b]0;title\x07\x1b[1;31mred\xff\x1b[2K\nstill\n".as_slice(),
        )],
    );
    build.statuses(2, [ended(status("a", "id\x1b[1A\nid", 0, 0, 0, 2))]);
    build.vertexes(3, [failed("a", "RUN", 0, 3, "first\x1b[2J\nsecond\x07\n")]);
    insta::assert_snapshot!(build.finish(), @"
    #1 RUN <<EOF second
    #1 0.001 red�
    #1 0.001 still
    #1 id id done
    #1 ERROR: first
    #1 second
    ");
}

#[test]
fn colours_are_kept_if_they_are_on() {
    let mut options = OutputOptions::default();
    options.paint.colour = true;
    let mut build = Log {
        progress: Progress::new(options),
        ..Log::default()
    };
    build
        .vertexes(0, [running("a", "RUN", 0)])
        .logs(1, [log("a", 1, "\x1b[31mred\nstill\n")]);
    assert!(
        build
            .text
            .ends_with("#1 0.001 \x1b[31mred\x1b[0m\n#1 0.001 \x1b[31mstill\x1b[0m\n"),
        "{:?}",
        build.text
    );
}

#[test]
fn a_secret_is_found_at_every_place_of_a_long_line() {
    let masker = Masker::default();
    masker.add("correct-horse");
    for before in LINE_BYTES - 15..LINE_BYTES + 2 {
        let options = OutputOptions {
            masker: masker.clone(),
            ..OutputOptions::default()
        };
        let mut build = Log {
            progress: Progress::new(options),
            ..Log::default()
        };
        build.vertexes(0, [running("a", "RUN", 0)]);
        build.logs(
            1,
            [log(
                "a",
                1,
                format!("{}correct-horse{}", "x".repeat(before), "y".repeat(100)),
            )],
        );
        let shown = masker.mask(build.finish());
        assert_eq!(shown.matches("***").count(), 1, "at {before}");
        assert!(
            !shown.contains("horse") && !shown.contains("correct"),
            "at {before}"
        );
    }
}

#[test]
fn split_logs_are_printed_before_the_end_of_the_step() {
    let mut build = started();
    let line = "x".repeat(999) + "\n";
    let first = StatusResponse {
        vertexes: vec![done("a", "RUN", 0, 50)],
        logs: vec![log("a", 10, line.repeat(1100))],
        ..StatusResponse::default()
    };
    build.apply(&first);
    // One log per message, cut anywhere. A tick in between changes nothing.
    build.tick(55).logs(60, [log("a", 20, "se")]).tick(65);
    build.logs(70, [log("a", 20, "cond\nla")]).tick(75);
    build.logs(80, [log("a", 20, "st\n")]);
    let text = build.finish();
    let end = "xxx\n#1 0.020 second\n#1 0.020 last\n#1 DONE 0.1s\n";
    assert!(text.ends_with(end), "{text}");
    assert_eq!(text.lines().count(), 1103);
}

#[test]
fn the_end_of_a_step_does_not_wait_for_split_logs_forever() {
    let mut build = started();
    let first = StatusResponse {
        vertexes: vec![done("a", "RUN", 0, 50)],
        logs: vec![log("a", 10, "x".repeat(999).repeat(1100) + "\n")],
        ..StatusResponse::default()
    };
    // No message follows.
    let text = build.apply(&first).tick(300).tick(600).shown();
    assert!(text.ends_with("#1 DONE 0.1s\n"), "{text}");
    // Another message follows.
    let mut build = started();
    build.apply(&first).vertexes(60, [running("b", "COPY", 60)]);
    assert!(build.shown().contains("\n#1 DONE 0.1s\n"));
}

#[test]
fn warnings_are_printed_once_after_the_progress() {
    let warning = |short: &str| VertexWarning {
        vertex: "a".into(),
        level: 1,
        short: short.into(),
        detail: vec![b"The 'as' keyword should match the case of 'FROM'".to_vec()],
        url: "https://docs.docker.com/go/dockerfile/rule/from-as-casing/".into(),
        info: Some(pb::SourceInfo {
            filename: "Dockerfile".into(),
            data: b"FROM scratch as a\nCOPY a /\n".to_vec(),
            ..Default::default()
        }),
        ranges: vec![pb::Range {
            start: Some(pb::Position {
                line: 1,
                character: 0,
            }),
            end: None,
        }],
    };
    let mut build = started();
    let plain = VertexWarning {
        short: b"Bad\x1b[2J base\nname".to_vec(),
        ..VertexWarning::default()
    };
    let warnings = vec![warning("FromAsCasing"), plain, warning("FromAsCasing")];
    build.apply(&StatusResponse {
        warnings,
        ..StatusResponse::default()
    });
    build.vertexes(1, [done("a", "RUN", 0, 1)]);
    insta::assert_snapshot!(build.finish(), @"
    #1 DONE 0.0s

    2 warnings found:
     - FromAsCasing
       The 'as' keyword should match the case of 'FROM'
       https://docs.docker.com/go/dockerfile/rule/from-as-casing/
    Dockerfile:1
    --------------------
       1 | >>> FROM scratch as a
       2 |     COPY a /
    --------------------
     - Bad base name
    ");
}

#[test]
fn further_warnings_are_only_counted() {
    let mut build = Log::default();
    let warnings = (0..1000).map(|number| VertexWarning {
        short: format!("{number}").into(),
        ..VertexWarning::default()
    });
    build.apply(&StatusResponse {
        warnings: warnings.collect(),
        ..StatusResponse::default()
    });
    let text = build.finish();
    assert!(
        text.starts_with("\n1000 warnings found:\n - 0\n")
            && text.ends_with(" - 49\n - and 950 more\n"),
        "{text}"
    );
}
