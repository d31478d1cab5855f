//! A service.

use super::build::BUILD;
use super::deploy::{DEPLOY, DEVELOP, DEVICE_REQUEST, HEALTHCHECK, HOOK, SERVICE_VOLUME};
use super::{
    AMOUNT, COMMAND, FLAG, HOSTS, MOUNTS, OPTIONS, PAIRS, TEXT_OR_SET, TEXT_SET, TEXTS, ULIMITS,
    WHOLE, closed, object,
};
use crate::compose::shape::{Names, Object, Shape};
use Shape::{Any, Bool, Either, Form, List, Map, Null, Number, Set, Text, Word};

const LIMITED: Shape = List(&Shape::Object(&closed(&[("path", Text), ("rate", WHOLE)])));
const WEIGHTED: Shape = List(&Shape::Object(&closed(&[
    ("path", Text),
    ("weight", WHOLE),
])));

/// A service.
pub(super) const SERVICE: Shape = Shape::Object(&object(&[
    ("develop", DEVELOP),
    ("deploy", DEPLOY),
    ("annotations", PAIRS),
    ("attach", FLAG),
    ("build", BUILD),
    (
        "blkio_config",
        Shape::Object(&closed(&[
            ("device_read_bps", LIMITED),
            ("device_read_iops", LIMITED),
            ("device_write_bps", LIMITED),
            ("device_write_iops", LIMITED),
            ("weight", WHOLE),
            ("weight_device", WEIGHTED),
        ])),
    ),
    ("cap_add", TEXT_SET),
    ("cap_drop", TEXT_SET),
    ("cgroup", Word(&["host", "private"])),
    ("cgroup_parent", Text),
    ("command", COMMAND),
    ("configs", MOUNTS),
    (
        "container_name",
        Form(
            is_container_name,
            "two or more letters, digits, `_`, `.` and `-`",
        ),
    ),
    ("cpu_count", Either(&[Text, Shape::Integer(0, i128::MAX)])),
    ("cpu_percent", Either(&[Text, Shape::Integer(0, 100)])),
    ("cpu_shares", AMOUNT),
    ("cpu_quota", AMOUNT),
    ("cpu_period", AMOUNT),
    ("cpu_rt_period", AMOUNT),
    ("cpu_rt_runtime", AMOUNT),
    ("cpus", AMOUNT),
    ("cpuset", Text),
    (
        "credential_spec",
        Shape::Object(&object(&[
            ("config", Text),
            ("file", Text),
            ("registry", Text),
        ])),
    ),
    (
        "depends_on",
        Either(&[TEXT_SET, Map(Names::Plain, &DEPENDENCY)]),
    ),
    ("device_cgroup_rules", TEXT_SET),
    ("devices", List(&Either(&[Text, DEVICE]))),
    ("dns", TEXT_OR_SET),
    ("dns_opt", TEXT_SET),
    ("dns_search", TEXT_OR_SET),
    ("domainname", Text),
    ("entrypoint", COMMAND),
    (
        "env_file",
        Either(&[Text, List(&Either(&[Text, ENV_FILE]))]),
    ),
    ("label_file", Either(&[Text, TEXTS])),
    ("environment", PAIRS),
    ("expose", Set(&AMOUNT)),
    ("extends", Either(&[Text, EXTENDS])),
    ("provider", PROVIDER),
    ("external_links", TEXT_SET),
    ("extra_hosts", HOSTS),
    (
        "gpus",
        Either(&[
            Word(&["all"]),
            List(&Shape::Object(&object(DEVICE_REQUEST))),
        ]),
    ),
    ("group_add", Set(&AMOUNT)),
    ("healthcheck", HEALTHCHECK),
    ("hostname", Text),
    ("image", Text),
    ("init", FLAG),
    ("ipc", Text),
    ("isolation", Text),
    ("labels", PAIRS),
    ("links", TEXT_SET),
    (
        "logging",
        Shape::Object(&object(&[
            ("driver", Text),
            ("options", Map(Names::Any, &Either(&[Text, Number, Null]))),
        ])),
    ),
    ("mac_address", Text),
    ("mem_limit", AMOUNT),
    ("mem_reservation", WHOLE),
    ("mem_swappiness", WHOLE),
    ("memswap_limit", AMOUNT),
    ("network_mode", Text),
    (
        "models",
        Either(&[
            TEXT_SET,
            Map(
                Names::PlainChecked,
                &Either(&[
                    Null,
                    Shape::Object(&object(&[("endpoint_var", Text), ("model_var", Text)])),
                ]),
            ),
        ]),
    ),
    (
        "networks",
        Either(&[
            TEXT_SET,
            Map(
                Names::Plain,
                &Either(&[
                    Null,
                    Shape::Object(&object(&[
                        ("aliases", TEXT_SET),
                        ("interface_name", Text),
                        ("ipv4_address", Text),
                        ("ipv6_address", Text),
                        ("link_local_ips", TEXT_SET),
                        ("mac_address", Text),
                        ("driver_opts", OPTIONS),
                        ("priority", Number),
                        ("gw_priority", Number),
                    ])),
                ]),
            ),
        ]),
    ),
    ("oom_kill_disable", FLAG),
    (
        "oom_score_adj",
        Either(&[Text, Shape::Integer(-1000, 1000)]),
    ),
    ("pid", Either(&[Text, Null])),
    ("pids_limit", AMOUNT),
    ("platform", Text),
    (
        "ports",
        Set(&Either(&[
            Number,
            Text,
            Shape::Object(&object(&[
                ("name", Text),
                ("mode", Text),
                ("host_ip", Text),
                ("target", WHOLE),
                ("published", WHOLE),
                ("protocol", Text),
                ("app_protocol", Text),
            ])),
        ])),
    ),
    (
        "pre_start",
        List(&Shape::Object(&object(&[
            ("command", COMMAND),
            ("image", Text),
            ("user", Text),
            ("privileged", FLAG),
            ("working_dir", Text),
            ("environment", PAIRS),
            ("per_replica", FLAG),
        ]))),
    ),
    ("post_start", List(&HOOK)),
    ("pre_stop", List(&HOOK)),
    ("privileged", FLAG),
    ("profiles", TEXT_SET),
    (
        "pull_policy",
        Form(
            is_pull_policy,
            "a policy such as always, missing or every_1d",
        ),
    ),
    ("pull_refresh_after", Text),
    ("read_only", FLAG),
    ("restart", Text),
    ("runtime", Text),
    ("scale", WHOLE),
    ("security_opt", TEXT_SET),
    ("shm_size", AMOUNT),
    ("secrets", MOUNTS),
    ("sysctls", PAIRS),
    ("stdin_open", FLAG),
    ("stop_grace_period", Text),
    ("stop_signal", Text),
    ("storage_opt", Map(Names::Any, &Any)),
    ("tmpfs", TEXT_OR_SET),
    ("tty", FLAG),
    ("ulimits", ULIMITS),
    ("use_api_socket", Bool),
    ("user", Text),
    ("uts", Text),
    ("userns_mode", Text),
    (
        "volumes",
        Set(&Either(&[Text, Shape::Object(&SERVICE_VOLUME)])),
    ),
    ("volumes_from", TEXT_SET),
    ("working_dir", Text),
]));

const DEPENDENCY: Shape = Shape::Object(&Object {
    attributes: &[
        ("restart", FLAG),
        ("required", Bool),
        (
            "condition",
            Word(&[
                "service_started",
                "service_healthy",
                "service_completed_successfully",
            ]),
        ),
    ],
    required: &["condition"],
    extensions: true,
});

const DEVICE: Shape = Shape::Object(&Object {
    attributes: &[("source", Text), ("target", Text), ("permissions", Text)],
    required: &["source"],
    extensions: true,
});

const ENV_FILE: Shape = Shape::Object(&Object {
    attributes: &[("path", Text), ("format", Text), ("required", FLAG)],
    required: &["path"],
    extensions: false,
});

const EXTENDS: Shape = Shape::Object(&Object {
    attributes: &[("service", Text), ("file", Text)],
    required: &["service"],
    extensions: false,
});

const PROVIDER: Shape = Shape::Object(&Object {
    attributes: &[
        ("type", Text),
        (
            "options",
            Map(
                Names::Any,
                &Either(&[Text, Number, Bool, List(&Either(&[Text, Number, Bool]))]),
            ),
        ),
    ],
    required: &["type"],
    extensions: true,
});

/// A letter or digit and one more character are somewhere in the name.
fn is_container_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.windows(2).any(|pair| {
        matches!(pair, [first, second]
            if first.is_ascii_alphanumeric() && (second.is_ascii_alphanumeric() || b"_.-".contains(second)))
    })
}

/// One of the words is somewhere in the text.
fn is_pull_policy(text: &str) -> bool {
    const WORDS: [&str; 8] = [
        "always",
        "never",
        "build",
        "if_not_present",
        "missing",
        "refresh",
        "daily",
        "weekly",
    ];
    let is_every = text.split("every_").skip(1).any(|rest| {
        let unit = rest.trim_start_matches(|character: char| character.is_ascii_digit());
        unit.len() < rest.len() && unit.starts_with(['w', 'd', 'h', 'm', 's'])
    });
    is_every || WORDS.iter().any(|word| text.contains(word))
}
