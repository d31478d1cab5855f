//! Wrong values of all variables of the steps, and the plans of right ones.

use super::*;

/// Name, value, and words of the message.
const WRONG: &[(&str, &str, &str)] = &[
    (
        "NETWORK",
        "bridge",
        "NETWORK: `bridge` is not a network mode of builders; write `default`, `none`, or `host`",
    ),
    ("NETWORK", "container:db", "NETWORK: `container:db` is not"),
    ("NETWORK", "none host", "NETWORK: `none host` is not"),
    (
        "ADD_HOSTS",
        "db",
        "ADD_HOSTS: `db` has no address; write `NAME:IP`",
    ),
    ("ADD_HOSTS", "10.0.0.1", "ADD_HOSTS: `10.0.0.1` has no name"),
    ("ADD_HOSTS", "::1", "ADD_HOSTS: `::1` has no name"),
    (
        "ADD_HOSTS",
        "=10.0.0.1",
        "ADD_HOSTS: `=10.0.0.1` has no name",
    ),
    (
        "ADD_HOSTS",
        "db:",
        "ADD_HOSTS: `db:` does not end with an IP address",
    ),
    (
        "ADD_HOSTS",
        "db:10.0.0.256",
        "does not end with an IP address",
    ),
    ("ADD_HOSTS", "db:10.0.0", "does not end with an IP address"),
    (
        "ADD_HOSTS",
        "db:010.0.0.1",
        "does not end with an IP address",
    ),
    (
        "ADD_HOSTS",
        "db:fe80::1%eth0",
        "does not end with an IP address",
    ),
    (
        "ADD_HOSTS",
        "db=other.example.com",
        "does not end with an IP address",
    ),
    (
        "ADD_HOSTS",
        "db:10.0.0.1:5432",
        "does not end with an IP address",
    ),
    ("ADD_HOSTS", "db:[::1", "does not end with an IP address"),
    (
        "ADD_HOSTS",
        "https://db:10.0.0.1",
        "does not end with an IP address",
    ),
    (
        "ADD_HOSTS",
        "d\"b:10.0.0.1",
        "does not begin with the name of a host",
    ),
    (
        "ADD_HOSTS",
        "*.example.com:10.0.0.1",
        "does not begin with the name of a host",
    ),
    (
        "ADD_HOSTS",
        "-db:10.0.0.1",
        "does not begin with the name of a host",
    ),
    (
        "ADD_HOSTS",
        "host.docker.internal:host-gateway",
        "refers to the host of a Docker daemon, which does not exist for steps on Depot's builders; write the IP address",
    ),
    (
        "SHM_SIZE",
        "64mm",
        "SHM_SIZE: `64mm` is not a size; write a number of bytes",
    ),
    ("SHM_SIZE", "lots", "SHM_SIZE: `lots` is not a size"),
    ("SHM_SIZE", "-1", "SHM_SIZE: `-1` is not a size"),
    ("SHM_SIZE", "1,5g", "SHM_SIZE: `1,5g` is not a size"),
    ("SHM_SIZE", "1e9", "SHM_SIZE: `1e9` is not a size"),
    (
        "SHM_SIZE",
        "9999999999g",
        "SHM_SIZE: `9999999999g` is not a size",
    ),
    ("SHM_SIZE", "0", "SHM_SIZE: `0` is an empty size"),
    (
        "SHM_SIZE",
        "0.0001k",
        "SHM_SIZE: `0.0001k` is an empty size",
    ),
    (
        "ULIMITS",
        "nofile",
        "ULIMITS: `nofile` has no limit; write `NAME=SOFT:HARD`",
    ),
    ("ULIMITS", "nofile:1024", "has no limit"),
    (
        "ULIMITS",
        "nofiles=1024",
        "does not begin with the name of a limit; write `nofile`",
    ),
    (
        "ULIMITS",
        "NOFILE=1024",
        "does not begin with the name of a limit; write `nofile`",
    ),
    (
        "ULIMITS",
        "as=1024",
        "does not begin with the name of a limit; write one of core, cpu, data",
    ),
    (
        "ULIMITS",
        "=1024",
        "does not begin with the name of a limit",
    ),
    ("ULIMITS", "nofile=", "has a limit that is not a number"),
    ("ULIMITS", "nofile=1k", "has a limit that is not a number"),
    (
        "ULIMITS",
        "nofile=-2",
        "has a limit that is not a number; write `NAME=SOFT:HARD`, or `NAME=BOTH`, such as `nofile=1024:2048`; `-1` is unlimited",
    ),
    (
        "ULIMITS",
        "nofile=unlimited",
        "has a limit that is not a number",
    ),
    ("ULIMITS", "nofile=+5", "has a limit that is not a number"),
    (
        "ULIMITS",
        "nofile=1:2:3",
        "has a limit that is not a number",
    ),
    (
        "ULIMITS",
        "nofile=9223372036854775808",
        "has a limit that is not a number",
    ),
    (
        "ULIMITS",
        "nofile=2:1",
        "has a soft limit above its hard limit; write the lower one first",
    ),
    (
        "ULIMITS",
        "nofile=-1:1",
        "has a soft limit above its hard limit",
    ),
    (
        "ULIMITS",
        "nofile=1 nofile=2",
        "`nofile=2` sets `nofile` a second time; write each limit once",
    ),
    (
        "CGROUP_PARENT",
        "my builds",
        "CGROUP_PARENT: `my builds` contains white space",
    ),
    (
        "CGROUP_PARENT",
        "/a/../b",
        "CGROUP_PARENT: `/a/../b` contains `..`; write the path of a cgroup",
    ),
    (
        "ALLOW",
        "network",
        "ALLOW: `network` is not a privilege of steps; write `network.host`",
    ),
    ("ALLOW", "insecure", "write `security.insecure`"),
    ("ALLOW", "security.insecur", "write `security.insecure`"),
    (
        "ALLOW",
        "Network.Host",
        "ALLOW: `Network.Host` is not a privilege of steps; write `network.host`",
    ),
    (
        "ALLOW",
        "fs.read=/",
        "ALLOW: `fs.read=/` is not a privilege of steps; write `network.host` or `security.insecure`",
    ),
    (
        "ALLOW",
        "device",
        "ALLOW: `device` is for devices of the builder's machine",
    ),
    (
        "ALLOW",
        "device=nvidia.com/gpu",
        "is for devices of the builder's machine",
    ),
    (
        "ALLOW",
        "true",
        "write `network.host` or `security.insecure`",
    ),
];

#[test]
fn a_wrong_value_is_reported_with_the_variable_and_the_correction() {
    for &(name, value, words) in WRONG {
        let (_, faults) = outcome(name, value);
        assert!(
            faults.starts_with(&format!("{name}: `")),
            "{name} {value}: {faults}"
        );
        assert!(faults.contains(words), "{name} {value}: {faults}");
        assert_eq!(faults.lines().count(), 1, "{faults}");
    }
}

#[test]
fn all_wrong_entries_of_a_list_are_reported() {
    let (plan, faults) = outcome("ADD_HOSTS", "a, b:1.2.3.4, c:x");
    assert_eq!(faults.lines().count(), 2, "{faults}");
    assert_eq!(plan.hosts.len(), 1);
    let (_, faults) = outcome("ULIMITS", "a=1, nofile=x, cpu=1");
    assert_eq!(faults.lines().count(), 2, "{faults}");
    let (_, faults) = outcome("ALLOW", "a, network.host, b");
    assert_eq!(faults.lines().count(), 2, "{faults}");
}

#[test]
fn networks_and_privileges_are_read() {
    for (value, network) in [
        ("default", Network::Default),
        (" none\n", Network::None),
        ("Host", Network::Host),
    ] {
        let (plan, faults) = outcome("NETWORK", value);
        assert_eq!((plan.network, &*faults), (network, ""), "{value}");
        let is_host = network == Network::Host;
        assert_eq!(plan.privileges.len(), usize::from(is_host), "{value}");
    }
    let (plan, faults) = outcome("ALLOW", "security.insecure, network.host security.insecure");
    assert_eq!(faults, "");
    assert_eq!(
        plan.privileges,
        [Privilege::SecurityInsecure, Privilege::NetworkHost]
    );
    let variables = StepVariables {
        network: Some("host".into()),
        allow: Some("network.host".into()),
        ..StepVariables::default()
    };
    let plan = read(&variables, &mut Findings::default());
    assert_eq!(plan.privileges, [Privilege::NetworkHost]);
}

#[test]
fn unset_variables_leave_the_environment_unchanged() {
    let plan = read(&StepVariables::default(), &mut Findings::default());
    assert_eq!(plan, StepsPlan::default());
    let (plan, faults) = outcome("CGROUP_PARENT", " /builds.slice \n");
    assert_eq!(
        (plan.cgroup_parent.as_deref(), &*faults),
        (Some("/builds.slice"), "")
    );
    let (plan, faults) = outcome("SHM_SIZE", " 64m\n");
    assert_eq!((plan.shm_size, &*faults), (Some(64 << 20), ""));
}
