//! Targets of several Depot projects. Each project has a build of its own.

use crate::config::fault::Fault;
use crate::config::findings::Findings;
use crate::config::images::ImagePlan;
use crate::config::project::is_id;

/// Reports projects that cannot exist, and contexts that are targets of another project, whose builders have other results. `default`
/// is the project of the run.
pub(in super::super) fn report(
    images: &[ImagePlan],
    inputs: &[ImagePlan],
    default: &str,
    findings: &mut Findings,
) {
    for image in images.iter().chain(inputs) {
        if let Some(project) = image.project.as_deref().filter(|project| !is_id(project)) {
            let problem = format!("{} is not a project id", findings.shown(project));
            findings.fault(Fault::new(
                super::place(&image.name, "project_id"),
                problem,
                "write the id from the settings page of the project",
            ));
        }
    }
    for image in images {
        let project = image.project.as_deref().unwrap_or(default);
        let mut seen: Vec<&str> = Vec::new();
        let mut waiting = vec![image];
        while let Some(user) = waiting.pop() {
            for name in user
                .build
                .contexts
                .iter()
                .filter_map(|context| context.image())
            {
                if seen.contains(&name) {
                    continue;
                }
                seen.push(name);
                let mut requested = images.iter();
                let other = match requested.find(|other| other.name == name) {
                    Some(other) => Some((other, other.project.as_deref().unwrap_or(default))),
                    // An input without a project is built in those of its users.
                    None => inputs
                        .iter()
                        .find(|other| other.name == name)
                        .map(|other| (other, other.project.as_deref().unwrap_or(project))),
                };
                let Some((other, of_other)) = other else {
                    continue;
                };
                if of_other == project {
                    waiting.push(other);
                } else {
                    findings.fault(Fault::new(
                        super::place(&user.name, "contexts"),
                        format!("the target `{name}` belongs to another project, whose builders have its result"),
                        format!("use one `project_id` for both, or push `{name}` and write `docker-image://…`"),
                    ));
                }
            }
        }
    }
}
