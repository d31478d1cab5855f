//! The larger attributes of a service.

use super::{AMOUNT, COMMAND, FLAG, PAIRS, TEXT_OR_SET, TEXT_SET, TEXTS, WHOLE, object};
use crate::compose::shape::{Object, Shape};
use Shape::{Bool, Either, List, Null, Text, Word};

pub(super) const DEVICE_REQUEST: &[(&str, Shape)] = &[
    ("capabilities", TEXT_SET),
    ("count", WHOLE),
    ("device_ids", TEXT_SET),
    ("driver", Text),
    ("options", PAIRS),
];

pub(super) const HEALTHCHECK: Shape = Shape::Object(&object(&[
    ("disable", FLAG),
    ("interval", Text),
    ("retries", AMOUNT),
    ("test", Either(&[Text, TEXTS])),
    ("timeout", Text),
    ("start_period", Text),
    ("start_interval", Text),
]));

pub(super) const HOOK: Shape = Shape::Object(&Object {
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

pub(super) const SERVICE_VOLUME: Object = Object {
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

pub(super) const DEVELOP: Shape = Either(&[
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

pub(super) const DEPLOY: Shape = Either(&[
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
