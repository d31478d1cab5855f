//! The attributes of compose files and the shapes of their values. An attribute that compose does not know is an error.

use super::shape::{INTEGER, Names, Object, Shape};
use Shape::{Any, Bool, Date, Either, Form, List, Map, Null, Number, Set, Text, Word};

/// An object that allows `x-…`.
const fn object(attributes: &'static [(&'static str, Shape)]) -> Object {
    Object {
        attributes,
        required: &[],
        extensions: true,
    }
}

/// An object with nothing but its attributes.
const fn closed(attributes: &'static [(&'static str, Shape)]) -> Object {
    Object {
        attributes,
        required: &[],
        extensions: false,
    }
}

const TEXTS: Shape = List(&Text);
const TEXT_SET: Shape = Set(&Text);
const TEXT_OR_SET: Shape = Either(&[Text, TEXT_SET]);
const FLAG: Shape = Either(&[Bool, Text]);
const WHOLE: Shape = Either(&[INTEGER, Text]);
const AMOUNT: Shape = Either(&[Number, Text]);
const SCALARS: Shape = Map(Names::Any, &Either(&[Text, Number, Bool, Null, Date]));
const PAIRS: Shape = Either(&[SCALARS, TEXT_SET]);
const OPTIONS: Shape = Map(Names::Any, &Either(&[Number, Text, Date]));
const COMMAND: Shape = Either(&[Null, Text, TEXTS]);
const HOSTS: Shape = Either(&[Map(Names::Any, &Either(&[Text, TEXTS])), TEXT_SET]);

const ULIMITS: Shape = Map(
    Names::LowerChecked,
    &Either(&[INTEGER, Text, Shape::Object(&ULIMIT)]),
);
const ULIMIT: Object = Object {
    attributes: &[("hard", WHOLE), ("soft", WHOLE)],
    required: &["soft", "hard"],
    extensions: true,
};
const MOUNTS: Shape = List(&Either(&[Text, Shape::Object(&MOUNT)]));
const MOUNT: Object = object(&[
    ("source", Text),
    ("target", Text),
    ("uid", Text),
    ("gid", Text),
    ("mode", AMOUNT),
]);

/// A file.
pub(crate) const FILE: Shape = Shape::Object(&object(&[
    ("version", Text),
    ("name", Text),
    ("include", List(&INCLUDE)),
    ("services", Map(Names::Plain, &SERVICE)),
    ("models", Map(Names::PlainChecked, &MODEL)),
    ("networks", Map(Names::PlainChecked, &NETWORK)),
    ("volumes", Map(Names::Plain, &VOLUME)),
    ("secrets", Map(Names::Plain, &SECRET)),
    ("configs", Map(Names::Plain, &CONFIG)),
]));

const INCLUDE: Shape = Either(&[
    Text,
    Shape::Object(&closed(&[
        ("path", TEXT_OR_SET),
        ("env_file", TEXT_OR_SET),
        ("project_directory", Text),
    ])),
]);

const MODEL: Shape = Shape::Object(&Object {
    attributes: &[
        ("name", Text),
        ("model", Text),
        ("context_size", INTEGER),
        ("runtime_flags", TEXTS),
    ],
    required: &["model"],
    extensions: true,
});

const EXTERNAL: Shape = Either(&[Bool, Text, Shape::Object(&object(&[("name", Text)]))]);
const LOOSE_EXTERNAL: Shape = Either(&[Bool, Text, Map(Names::Any, &Any)]);

const NETWORK: Shape = Either(&[
    Null,
    Shape::Object(&object(&[
        ("name", Text),
        ("driver", Text),
        ("driver_opts", OPTIONS),
        (
            "ipam",
            Shape::Object(&object(&[
                ("driver", Text),
                (
                    "config",
                    List(&Shape::Object(&object(&[
                        ("subnet", Text),
                        ("ip_range", Text),
                        ("gateway", Text),
                        ("aux_addresses", Map(Names::Any, &Text)),
                    ]))),
                ),
                ("options", Map(Names::Any, &Text)),
            ])),
        ),
        ("external", EXTERNAL),
        ("internal", FLAG),
        ("enable_ipv4", FLAG),
        ("enable_ipv6", FLAG),
        ("attachable", FLAG),
        ("labels", PAIRS),
    ])),
]);

const VOLUME: Shape = Either(&[
    Null,
    Shape::Object(&object(&[
        ("name", Text),
        ("driver", Text),
        ("driver_opts", OPTIONS),
        ("external", EXTERNAL),
        ("labels", PAIRS),
    ])),
]);

const SECRET: Shape = Shape::Object(&object(&[
    ("name", Text),
    ("environment", Text),
    ("file", Text),
    ("external", LOOSE_EXTERNAL),
    ("labels", PAIRS),
    ("driver", Text),
    ("driver_opts", OPTIONS),
    ("template_driver", Text),
]));

const CONFIG: Shape = Shape::Object(&object(&[
    ("name", Text),
    ("content", Text),
    ("environment", Text),
    ("file", Text),
    ("external", LOOSE_EXTERNAL),
    ("labels", PAIRS),
    ("template_driver", Text),
]));

const BUILD: Shape = Either(&[
    Text,
    Shape::Object(&object(&[
        ("context", Text),
        ("dockerfile", Text),
        ("dockerfile_inline", Text),
        ("entitlements", TEXTS),
        ("args", PAIRS),
        ("ssh", PAIRS),
        ("labels", PAIRS),
        ("cache_from", TEXTS),
        ("cache_to", TEXTS),
        ("no_cache", FLAG),
        ("no_cache_filter", TEXT_OR_SET),
        ("additional_contexts", PAIRS),
        ("network", Text),
        ("provenance", FLAG),
        ("sbom", FLAG),
        ("pull", FLAG),
        ("target", Text),
        ("shm_size", WHOLE),
        ("extra_hosts", HOSTS),
        ("isolation", Text),
        ("privileged", FLAG),
        ("secrets", MOUNTS),
        ("tags", TEXTS),
        ("ulimits", ULIMITS),
        ("platforms", TEXTS),
    ])),
]);

const LIMITED: Shape = List(&Shape::Object(&closed(&[("path", Text), ("rate", WHOLE)])));
const WEIGHTED: Shape = List(&Shape::Object(&closed(&[
    ("path", Text),
    ("weight", WHOLE),
])));

const SERVICE: Shape = Shape::Object(&object(&[
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

const DEVICE_REQUEST: &[(&str, Shape)] = &[
    ("capabilities", TEXT_SET),
    ("count", WHOLE),
    ("device_ids", TEXT_SET),
    ("driver", Text),
    ("options", PAIRS),
];

const HEALTHCHECK: Shape = Shape::Object(&object(&[
    ("disable", FLAG),
    ("interval", Text),
    ("retries", AMOUNT),
    ("test", Either(&[Text, TEXTS])),
    ("timeout", Text),
    ("start_period", Text),
    ("start_interval", Text),
]));

const HOOK: Shape = Shape::Object(&Object {
    attributes: &[
        ("command", COMMAND),
        ("user", Text),
        ("privileged", FLAG),
        ("working_dir", Text),
        ("environment", PAIRS),
    ],
    required: &["command"],
    extensions: true,
});

const SERVICE_VOLUME: Object = Object {
    attributes: &[
        (
            "type",
            Word(&["bind", "volume", "tmpfs", "cluster", "npipe", "image"]),
        ),
        ("source", Text),
        ("target", Text),
        ("read_only", FLAG),
        ("consistency", Text),
        (
            "bind",
            Shape::Object(&object(&[
                ("propagation", Text),
                ("create_host_path", FLAG),
                (
                    "recursive",
                    Word(&["enabled", "disabled", "writable", "readonly"]),
                ),
                ("selinux", Word(&["z", "Z"])),
            ])),
        ),
        (
            "volume",
            Shape::Object(&object(&[
                ("labels", PAIRS),
                ("nocopy", FLAG),
                ("subpath", Text),
            ])),
        ),
        (
            "tmpfs",
            Shape::Object(&object(&[
                ("size", Either(&[Shape::Integer(0, i128::MAX), Text])),
                ("mode", AMOUNT),
            ])),
        ),
        ("image", Shape::Object(&object(&[("subpath", Text)]))),
    ],
    required: &["type"],
    extensions: true,
};

const DEVELOP: Shape = Either(&[
    Null,
    Shape::Object(&object(&[(
        "watch",
        List(&Shape::Object(&Object {
            attributes: &[
                ("ignore", TEXT_OR_SET),
                ("include", TEXT_OR_SET),
                ("path", Text),
                (
                    "action",
                    Word(&["rebuild", "sync", "restart", "sync+restart", "sync+exec"]),
                ),
                ("target", Text),
                ("exec", HOOK),
                ("initial_sync", Bool),
            ],
            required: &["path", "action"],
            extensions: true,
        })),
    )])),
]);

const ROLLOUT: Shape = Shape::Object(&object(&[
    ("parallelism", WHOLE),
    ("delay", Text),
    ("failure_action", Text),
    ("monitor", Text),
    ("max_failure_ratio", AMOUNT),
    ("order", Word(&["start-first", "stop-first"])),
]));

const DEPLOY: Shape = Either(&[
    Null,
    Shape::Object(&object(&[
        ("mode", Text),
        ("endpoint_mode", Text),
        ("replicas", WHOLE),
        ("labels", PAIRS),
        ("rollback_config", ROLLOUT),
        ("update_config", ROLLOUT),
        (
            "resources",
            Shape::Object(&object(&[
                (
                    "limits",
                    Shape::Object(&object(&[
                        ("cpus", AMOUNT),
                        ("memory", Text),
                        ("pids", WHOLE),
                    ])),
                ),
                (
                    "reservations",
                    Shape::Object(&object(&[
                        ("cpus", AMOUNT),
                        ("memory", Text),
                        (
                            "generic_resources",
                            List(&Shape::Object(&object(&[(
                                "discrete_resource_spec",
                                Shape::Object(&object(&[("kind", Text), ("value", AMOUNT)])),
                            )]))),
                        ),
                        (
                            "devices",
                            List(&Shape::Object(&Object {
                                attributes: DEVICE_REQUEST,
                                required: &["capabilities"],
                                extensions: true,
                            })),
                        ),
                    ])),
                ),
            ])),
        ),
        (
            "restart_policy",
            Shape::Object(&object(&[
                ("condition", Text),
                ("delay", Text),
                ("max_attempts", WHOLE),
                ("window", Text),
            ])),
        ),
        (
            "placement",
            Shape::Object(&object(&[
                ("constraints", TEXTS),
                (
                    "preferences",
                    List(&Shape::Object(&object(&[("spread", Text)]))),
                ),
                ("max_replicas_per_node", WHOLE),
            ])),
        ),
    ])),
]);

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
