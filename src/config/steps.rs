//! The environment of the `RUN` steps: network, host names, limits and privileges.
//!
//! The values are those of the options of `docker buildx build` with the same names. They are validated here, because a
//! builder reports an invalid one only after the build was created, and without the name of a variable.

pub(crate) mod hosts;
pub(crate) mod privileges;
mod size;
#[cfg(test)]
mod tests;
pub(crate) mod ulimits;

use serde::Deserialize;

use self::hosts::ExtraHost;
pub(super) use self::privileges::Privilege;
use self::ulimits::Ulimit;
use super::fault::Fault;
use super::findings::Findings;

/// The variables of the steps.
#[derive(Default, Deserialize)]
pub(super) struct StepVariables {
    pub(super) network: Option<String>,
    pub(super) add_hosts: Option<String>,
    pub(super) shm_size: Option<String>,
    pub(super) ulimits: Option<String>,
    pub(super) cgroup_parent: Option<String>,
    pub(super) allow: Option<String>,
}

/// The environment of every `RUN` step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct StepsPlan {
    /// The network.
    pub(crate) network: Network,
    /// Entries of `/etc/hosts`, in the order of the variable, each once.
    pub(crate) hosts: Vec<ExtraHost>,
    /// The size of `/dev/shm` in bytes; `None` for that of the builder.
    pub(crate) shm_size: Option<u64>,
    /// Limits of processes, in the order of the variable, each name once.
    pub(crate) ulimits: Vec<Ulimit>,
    /// The parent cgroup.
    pub(crate) cgroup_parent: Option<String>,
    /// The privileges that steps may request, each once. Contains the one that `network` requires.
    pub(crate) privileges: Vec<Privilege>,
}

/// The network of every `RUN` step that does not set its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Network {
    /// That of the builder's configuration.
    #[default]
    Default,
    /// Only loopback.
    None,
    /// The network of the builder itself.
    Host,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "default" => Some(Self::Default),
            "none" => Some(Self::None),
            "host" => Some(Self::Host),
            _ => None,
        }
    }
}

/// Reads all variables, and reports all faults.
pub(super) fn read(variables: &StepVariables, findings: &mut Findings) -> StepsPlan {
    let network = variables.network.as_deref();
    let network = network.and_then(|value| read_network(value, findings));
    let network = network.unwrap_or_default();
    let hosts = variables.add_hosts.as_deref();
    let hosts = hosts.map(|value| hosts::read(value, findings));
    let shm_size = variables.shm_size.as_deref();
    let shm_size = shm_size.and_then(|value| read_shm_size(value, findings));
    let ulimits = variables.ulimits.as_deref();
    let ulimits = ulimits.map(|value| ulimits::read(value, findings));
    let cgroup_parent = variables.cgroup_parent.as_deref();
    let cgroup_parent = cgroup_parent.and_then(|value| read_cgroup_parent(value, findings));
    let privileges = variables.allow.as_deref();
    let privileges = privileges.map(|value| privileges::read(value, findings));
    let mut privileges = privileges.unwrap_or_default();
    if network == Network::Host && !privileges.contains(&Privilege::NetworkHost) {
        privileges.push(Privilege::NetworkHost);
    }
    StepsPlan {
        network,
        hosts: hosts.unwrap_or_default(),
        shm_size,
        ulimits: ulimits.unwrap_or_default(),
        cgroup_parent,
        privileges,
    }
}

/// The plan and all faults, for tests.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn outcome(name: &str, value: &str) -> (StepsPlan, String) {
    let mut variables = StepVariables::default();
    let field = match name {
        "NETWORK" => &mut variables.network,
        "ADD_HOSTS" => &mut variables.add_hosts,
        "SHM_SIZE" => &mut variables.shm_size,
        "ULIMITS" => &mut variables.ulimits,
        "CGROUP_PARENT" => &mut variables.cgroup_parent,
        _ => &mut variables.allow,
    };
    *field = Some(value.to_owned());
    let mut findings = Findings::default();
    let plan = read(&variables, &mut findings);
    (plan, findings.into_error().to_string())
}

fn read_network(value: &str, findings: &mut Findings) -> Option<Network> {
    let value = value.trim();
    let network = Network::parse(value);
    if network.is_none() {
        let problem = format!(
            "{} is not a network mode of builders",
            findings.shown(value)
        );
        let advice = "write `default`, `none`, or `host` for the network of the builder";
        findings.fault(Fault::new("NETWORK", problem, advice));
    }
    network
}

fn read_shm_size(value: &str, findings: &mut Findings) -> Option<u64> {
    let value = value.trim();
    let problem = match size::parse(value) {
        Some(0) => "is an empty size",
        Some(size) => return Some(size),
        None => "is not a size",
    };
    let problem = format!("{} {problem}", findings.shown(value));
    let advice =
        "write a number of bytes with an optional unit of 1024, such as `256m`, `1g` or `1.5g`";
    findings.fault(Fault::new("SHM_SIZE", problem, advice));
    None
}

/// The longest path of a cgroup. Linux limits paths to this length.
const CGROUP_LIMIT_BYTES: usize = 4096;

fn read_cgroup_parent(value: &str, findings: &mut Findings) -> Option<String> {
    let value = value.trim();
    let is_other = |character: char| character.is_whitespace() || character.is_control();
    let problem = if value.contains(is_other) {
        "contains white space, which is not allowed in the name of a cgroup"
    } else if value.split('/').any(|name| name == "..") {
        "contains `..`"
    } else if value.len() > CGROUP_LIMIT_BYTES {
        "is too long"
    } else {
        return Some(value.to_owned());
    };
    let problem = format!("{} {problem}", findings.shown(value));
    let advice = "write the path of a cgroup of the builder, such as `/builds`";
    findings.fault(Fault::new("CGROUP_PARENT", problem, advice));
    None
}
