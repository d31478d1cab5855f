//! Hints after a refused privilege of a step.

use crate::buildkit::Refusal;
use crate::config::Plan;
use crate::config::plan::Network;

/// `name` is that of the privilege in BuildKit.
pub(super) fn privilege_hint(refusal: Refusal, name: &str, plan: &Plan) -> String {
    let option = option(name);
    let mut builds = plan.built().map(|image| &image.build);
    let is_by_network =
        name == "network.host" && builds.any(|build| build.steps.network == Network::Host);
    match refusal {
        Refusal::ByBuilder if is_by_network => {
            "the builder does not grant its network to steps: remove `NETWORK: host`, and `network.host` from ALLOW".into()
        }
        Refusal::ByBuilder => format!(
            "the builder does not grant `{name}` to steps: remove it from ALLOW, and `RUN {option}` from the Dockerfile"
        ),
        Refusal::NotRequested => format!(
            "a step with `RUN {option}` requires a privilege: add `{name}` to ALLOW, which the builder must grant"
        ),
    }
}

/// The option of a `RUN` that requires a privilege.
fn option(name: &str) -> &'static str {
    match name {
        "network.host" => "--network=host",
        _ => "--security=insecure",
    }
}
