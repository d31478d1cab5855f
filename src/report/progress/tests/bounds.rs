//! For every input: no panic, bounded memory, no lost output.

use proptest::prelude::*;

use super::*;
use table::STEPS;

#[test]
fn steps_are_bounded_and_finished_steps_are_forgotten() {
    let mut build = Log::default();
    for number in 0..STEPS + 500 {
        let (digest, name) = (format!("sha256:{number}"), format!("step {number}"));
        build.vertexes(0, [done(&digest, &name, 0, 1)]);
        build.text.clear();
    }
    assert!(
        build.progress.held() < STEPS * 2000,
        "held {}",
        build.progress.held()
    );
    build.vertexes(0, [failed("last", "last", 0, 1, "broken")]);
    assert_eq!(
        build.finish(),
        format!("\n#{0} last\n#{0} ERROR: broken\n", STEPS + 501)
    );
}

/// A vertex of a group, with long digests and a long error.
fn of_group(group: usize, member: usize, is_over: bool) -> Vertex {
    let digest = format!("{group}-{member}-").repeat(20);
    let error = "x".repeat(4000);
    let mut vertex = if is_over {
        failed(&digest, "member", 0, 1, &error)
    } else {
        running(&digest, "member", 0)
    };
    vertex.progress_group = Some(pb::ProgressGroup {
        id: format!("group {group}"),
        name: "n".repeat(1000),
        weak: false,
    });
    vertex
}

#[test]
fn names_digests_and_errors_are_bounded_in_bytes() {
    for is_over in [true, false] {
        let mut build = Log::default();
        for group in 0..if is_over { 40 } else { 200 } {
            let members = (0..500).map(|member| of_group(group, member, is_over));
            build.vertexes(0, members.collect::<Vec<_>>());
            build.text.clear();
            let held = build.progress.held();
            assert!(held < 2 * table::BYTES, "held {held}");
        }
        // Steps that have ended are forgotten.
        build.vertexes(0, [failed("last", "last", 0, 1, "broken")]);
        assert_eq!(build.finish().contains(" last\n"), is_over);
    }
}

#[test]
fn a_step_without_room_for_its_error_is_reported_as_failed() {
    let mut build = Log::default();
    build.vertexes(0, [running("a", "RUN make", 0)]);
    let mut group = 0;
    while build.progress.table.skipped == 0 {
        let members = (0..500).map(|member| of_group(group, member, false));
        build.vertexes(0, members.collect::<Vec<_>>());
        build.text.clear();
        group += 1;
        assert!(group < 1000);
    }
    build.vertexes(0, [failed("a", "RUN make", 0, 1, &"y".repeat(4000))]);
    assert!(build.finish().contains("ERROR: failed\n"));
}

#[test]
fn a_step_that_runs_again_is_not_forgotten() {
    let mut build = Log::default();
    build
        .vertexes(0, [done("a", "again", 0, 1)])
        .vertexes(1, [running("a", "again", 2)]);
    let others: Vec<_> = (0..STEPS)
        .map(|number| done(&number.to_string(), "other", 0, 1))
        .collect();
    for other in others {
        build.vertexes(2, [other]);
    }
    build.text.clear();
    build.vertexes(3, [failed("a", "again", 2, 3, "broken")]);
    assert_eq!(build.finish(), "\n#1 again\n#1 ERROR: broken\n");
}

#[test]
fn new_steps_are_skipped_if_no_step_has_ended() {
    let mut build = Log::default();
    let vertexes: Vec<_> = (0..STEPS + 3)
        .map(|number| running(&number.to_string(), "RUN", 0))
        .collect();
    build.vertexes(0, vertexes);
    assert!(
        build
            .finish()
            .ends_with("\n3 further steps were not shown\n")
    );
}

#[test]
fn many_steps_with_output_share_the_memory() {
    let mut build = Log::default();
    let digests: Vec<_> = (0..1000).map(|number| number.to_string()).collect();
    build.vertexes(
        0,
        digests
            .iter()
            .map(|digest| running(digest, "RUN", 0))
            .collect::<Vec<_>>(),
    );
    let mut printed = 0;
    for round in 0..20 {
        let line = "x".repeat(1500) + "\ny";
        build.logs(
            round,
            digests
                .iter()
                .map(|digest| log(digest, 0, &line))
                .collect::<Vec<_>>(),
        );
        printed += build.text.len();
        build.text.clear();
    }
    let held = build.progress.held();
    assert!(held < 4 * HELD_BYTES, "held {held}");
    assert!(
        printed + build.finish().len() > 20 * 1000 * 1500,
        "printed {printed}"
    );
}

#[test]
fn statuses_are_bounded() {
    let mut build = Log::default();
    for step in 0..30 {
        let digest = step.to_string();
        build.vertexes(0, [running(&digest, "RUN", 0)]);
        build.statuses(
            0,
            (0..1000)
                .map(|id| status(&digest, &format!("{id:0300}"), 0, 9, 0, 0))
                .collect::<Vec<_>>(),
        );
    }
    assert!(
        build.progress.held() < 20 << 20,
        "held {}",
        build.progress.held()
    );
    let all = (0..30)
        .map(|step| done(&step.to_string(), "RUN", 0, 1))
        .collect::<Vec<_>>();
    build.vertexes(0, all).text.clear();
    build.vertexes(1, [running("new", "PUSH", 0)]);
    build.statuses(1, [ended(status("new", "pushing layers", 0, 0, 0, 100))]);
    assert!(build.finish().contains("pushing layers 0.1s done"));
}

#[test]
fn endless_groups_and_names_are_bounded() {
    let mut build = Log::default();
    let group = Some(pb::ProgressGroup {
        id: "group".into(),
        name: "n".repeat(1 << 20),
        weak: false,
    });
    for number in 0..5000 {
        let digest = number.to_string();
        build.vertexes(
            0,
            [Vertex {
                progress_group: group.clone(),
                ..running(&digest, "", number)
            }],
        );
    }
    build.vertexes(0, [running(&"d".repeat(1 << 20), "ignored", 0)]);
    build.vertexes(
        0,
        [failed(
            "x",
            &"n".repeat(1 << 20),
            0,
            1,
            &"e".repeat(1 << 20),
        )],
    );
    assert!(
        build.progress.held() < 1 << 20,
        "held {}",
        build.progress.held()
    );
    assert!(build.finish().len() < 20_000);
}

fn any_digest() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "c", "unknown"])
}

fn any_time() -> impl Strategy<Value = Option<Timestamp>> {
    let milliseconds = prop_oneof![0..5000_i64, Just(i64::MIN / 1000), Just(i64::MAX / 2000)];
    prop::option::of(milliseconds.prop_map(|milliseconds| Timestamp {
        seconds: milliseconds / 1000,
        nanos: i32::try_from(milliseconds % 1000).unwrap() * 1_000_000,
    }))
}

fn any_vertex() -> impl Strategy<Value = Vertex> {
    let fields = (
        any_digest(),
        any_time(),
        any_time(),
        any::<bool>(),
        "[a-z \\n]{0,5}|x: context canceled",
    );
    fields.prop_map(|(digest, started, completed, cached, error)| {
        let group = (digest == "c").then(|| pb::ProgressGroup {
            id: "g".into(),
            name: "group".into(),
            weak: cached,
        });
        Vertex {
            started,
            completed,
            cached,
            error,
            progress_group: group,
            ..vertex(digest, digest)
        }
    })
}

fn any_status() -> impl Strategy<Value = VertexStatus> {
    let fields = (
        any_digest(),
        "[xy]",
        any::<i64>(),
        any::<i64>(),
        any_time(),
        any_time(),
        any_time(),
    );
    fields.prop_map(
        |(digest, id, current, total, timestamp, started, completed)| VertexStatus {
            timestamp,
            started,
            completed,
            ..status(digest, &id, current, total, 0, 0)
        },
    )
}

fn any_log() -> impl Strategy<Value = VertexLog> {
    let fields = (
        any_digest(),
        any_time(),
        any::<i64>(),
        prop::collection::vec(any::<u8>(), 0..50),
    );
    fields.prop_map(|(vertex, timestamp, stream, msg)| VertexLog {
        vertex: vertex.into(),
        timestamp,
        stream,
        msg,
    })
}

/// Messages about a few steps, in any order and with unusual times.
fn messages() -> impl Strategy<Value = Vec<(u64, StatusResponse)>> {
    let message = (
        prop::collection::vec(any_vertex(), 0..3),
        prop::collection::vec(any_status(), 0..3),
        prop::collection::vec(any_log(), 0..3),
    )
        .prop_map(|(vertexes, statuses, logs)| StatusResponse {
            vertexes,
            statuses,
            logs,
            warnings: Vec::new(),
        });
    prop::collection::vec((0..3000_u64, message), 0..30)
}

proptest! {
    #[test]
    fn every_message_is_accepted(messages in messages()) {
        let mut build = Log::default();
        let mut now = 0;
        for (later, message) in messages {
            now += later;
            build.to(now).apply(&message);
            build.tick(now + 100);
            prop_assert!(build.progress.held() < 100_000);
        }
        let text = build.finish();
        prop_assert!(text.is_empty() || text.ends_with('\n'));
        for line in text.lines() {
            prop_assert!(line.is_empty() || line.starts_with('#'), "{line:?}");
            prop_assert!(!line.chars().any(|char| char.is_control() && char != '\t'), "{line:?}");
        }
    }

    #[test]
    fn output_of_concurrent_steps_is_neither_lost_nor_repeated_nor_mixed(
        chunks in prop::collection::vec((0..3_usize, "[a-zä\\n]{0,40}", 0..2000_u64), 0..60),
    ) {
        let digests = ["a", "b", "c"];
        let mut build = Log::default();
        build.vertexes(0, digests.map(|digest| running(digest, digest, 0)));
        let mut said = [const { String::new() }; 3];
        let mut now = 0;
        for (step, text, later) in chunks {
            now += later;
            said.get_mut(step).unwrap().push_str(&text);
            build.logs(now, [log(digests.get(step).unwrap(), 0, text)]);
            build.tick(now + 50);
        }
        let text = build.finish();
        for (digest, said) in digests.iter().zip(said) {
            let name = text.lines().find_map(|line| line.strip_suffix(&format!(" {digest}")).filter(|number| !number.contains(' ')));
            let number = format!("{} 0.000", name.unwrap());
            let shown: String = text.lines().filter_map(|line| line.strip_prefix(&number)).map(str::trim_start).collect();
            prop_assert_eq!(shown, said.replace('\n', ""));
        }
    }
}
