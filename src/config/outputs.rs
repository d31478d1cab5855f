//! Files that the run writes for the rest of the pipeline.

use std::path::PathBuf;

use super::{
    fault::Fault,
    findings::Findings,
    paths::Places,
    plan::{ImagePlan, OutputsPlan},
    values::words,
    variables::OutputVariables,
};

/// Reads where they are to be.
pub(super) fn read(
    variables: &OutputVariables,
    places: &Places<'_>,
    image: &ImagePlan,
    findings: &mut Findings,
) -> OutputsPlan {
    let has_image = image.push || image.load.is_some() || image.save.is_some();
    let mut taken: Vec<(&'static str, PathBuf)> = Vec::new();
    let mut path = |variable: &'static str, value: &Option<String>| {
        let path = places.output(variable, value.as_deref()?, findings)?;
        if let Some((other, _)) = taken.iter().find(|(_, other)| *other == path) {
            let problem = format!("names the same file as {other}");
            findings.fault(Fault::new(variable, problem, "write another one"));
            return None;
        }
        taken.push((variable, path.clone()));
        Some(path)
    };
    let mut plan = OutputsPlan {
        shell: path("OUTPUT_FILE", &variables.output_file),
        variables: Vec::new(),
        metadata: path("METADATA_FILE", &variables.metadata_file),
        image_id: path("IID_FILE", &variables.iid_file),
    };
    let names = variables.output_variables.iter();
    for name in names.flat_map(|value| words(value)) {
        if is_output(name) {
            plan.variables.push(name.to_owned());
            continue;
        }
        let problem = format!("{} is nothing that the pipe tells", findings.shown(name));
        let advice = "write names such as `DEPOT_BUILD_IMAGE_DIGEST`, which the step's `output-variables:` has to list as well";
        findings.fault(Fault::new("OUTPUT_VARIABLES", problem, advice));
    }
    if plan.image_id.is_some() && !has_image {
        findings.fault(Fault::new(
            "IID_FILE",
            "given, though the image goes nowhere where it would have an id",
            "write `PUSH: 'true'` or `LOAD: 'true'` too, or neither",
        ));
    }
    plan
}

/// Whether it is the name of something that the pipe tells: a known one, or of the digest of some platform.
fn is_output(name: &str) -> bool {
    crate::bitbucket::outputs::NAMES.contains(&name) || name.starts_with("DEPOT_BUILD_DIGEST_")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn read_from(values: [&str; 3], has_image: bool) -> (OutputsPlan, String) {
        let folder = tempfile::tempdir().unwrap();
        let clone = folder.path().canonicalize().unwrap().join("clone");
        fs::create_dir_all(clone.join("taken")).unwrap();
        fs::write(clone.join("file"), "").unwrap();
        std::os::unix::fs::symlink("/", clone.join("out")).unwrap();
        let given = |value: &str| (!value.is_empty()).then(|| value.to_owned());
        let [output_file, metadata_file, iid_file] = values.map(given);
        let variables = OutputVariables {
            output_file,
            output_variables: None,
            metadata_file,
            iid_file,
        };
        let mut findings = Findings::default();
        let places = Places::new(&clone, Some(clone.as_os_str()), &mut findings);
        let image = ImagePlan {
            references: Vec::new(),
            push: has_image,
            load: None,
            save: None,
        };
        let plan = read(&variables, &places, &image, &mut findings);
        let error = findings.into_error().to_string();
        let clone = clone.display().to_string();
        (plan, error.replace(&clone, "CLONE"))
    }

    #[test]
    fn files_lie_in_the_clone() {
        let (plan, error) = read_from(["new/deep/image.env", "./file", ""], false);
        assert_eq!(error, "");
        assert!(plan.shell.unwrap().ends_with("clone/new/deep/image.env"));
        assert!(plan.metadata.unwrap().ends_with("clone/file"));
        for (value, problem) in [
            (
                "../x",
                "`CLONE/../x` lies outside of the clone directory `CLONE`",
            ),
            (
                "/etc/x",
                "`/etc/x` lies outside of the clone directory `CLONE`",
            ),
            ("out/etc/x", "lies outside of the clone directory `CLONE`"),
            ("taken", "`CLONE/taken` is a directory"),
            (
                "file/x",
                "`CLONE/file/x` leads through a file as if it were a directory",
            ),
        ] {
            let (_, error) = read_from([value, "", ""], false);
            assert!(error.starts_with("OUTPUT_FILE: "), "{error}");
            let parent = problem.replace("CLONE/../x", "");
            assert!(
                error.contains(problem) || (value == "../x" && error.contains("lies outside")),
                "{error} {parent}"
            );
        }
    }

    #[test]
    fn each_file_is_another_and_an_id_needs_an_image() {
        let (_, error) = read_from(["a", "x/../a", "b"], true);
        assert!(
            error.starts_with("METADATA_FILE: names the same file as OUTPUT_FILE"),
            "{error}"
        );
        let (_, error) = read_from(["", "", "b"], false);
        assert!(error.starts_with("IID_FILE: given, though"), "{error}");
    }
}
