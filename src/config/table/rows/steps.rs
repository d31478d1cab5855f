//! The environment of the steps of the Dockerfile.

use super::super::{Fallback, Kind, Topic, Variable};

pub(super) const ROWS: &[Variable] = &[
    Variable::new(
        Topic::Steps,
        "NETWORK",
        Kind::Text,
        Fallback::Value("default"),
        "Network of every `RUN` step: `default`, `none`, or `host` for the network of the builder, \
         which the builder must allow.",
    ),
    Variable::new(
        Topic::Steps,
        "ADD_HOSTS",
        Kind::Words,
        Fallback::None,
        "Lines for `/etc/hosts` of every `RUN` step, as `NAME:IP` or `NAME=IP`, in the same forms as \
         `IMAGE`.",
    ),
    Variable::new(
        Topic::Steps,
        "SHM_SIZE",
        Kind::Text,
        Fallback::Described("that of the builder"),
        "Size of `/dev/shm` in every `RUN` step, such as `256m` or `1g`; a number alone is in bytes.",
    ),
    Variable::new(
        Topic::Steps,
        "ULIMITS",
        Kind::Words,
        Fallback::Described("those of the builder"),
        "Limits of the processes in every `RUN` step, as `NAME=SOFT:HARD` or `NAME=BOTH`, such as \
         `nofile=1024:2048`, in the same forms as `IMAGE`. `-1` is unlimited.",
    ),
    Variable::new(
        Topic::Steps,
        "CGROUP_PARENT",
        Kind::Text,
        Fallback::None,
        "Parent cgroup of every `RUN` step on the builder.",
    ),
    Variable::new(
        Topic::Steps,
        "ALLOW",
        Kind::Words,
        Fallback::None,
        "Privileges that `RUN` steps may request, if the builder grants them: `network.host` for `RUN \
         --network=host`, `security.insecure` for `RUN --security=insecure`.",
    ),
];
