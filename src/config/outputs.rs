//! Files that the run writes for the rest of the pipeline.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::Access;
use serde::Deserialize;

use super::fault::Fault;
use super::findings::Findings;
use super::metadata::SbomFolder;
use super::paths::Places;
use super::read_boolean;
use super::values::words;
use super::warning::Warning;
use crate::bitbucket::Pipeline;
use crate::bitbucket::insights::Insights;

/// The variables for output files.
#[derive(Default, Deserialize)]
#[expect(
    clippy::struct_field_names,
    reason = "`envy` finds variables by the names of fields"
)]
pub(super) struct OutputVariables {
    pub(super) output_file: Option<String>,
    pub(super) output_variables: Option<String>,
    pub(super) metadata_file: Option<String>,
    pub(super) iid_file: Option<String>,
    pub(super) summary_file: Option<String>,
    pub(super) code_insights: Option<String>,
}

/// Files for the rest of the pipeline.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct OutputsPlan {
    /// The file for lines that a shell can source.
    pub(crate) shell: Option<PathBuf>,
    /// The names in these lines that become variables of later steps.
    pub(crate) variables: Vec<String>,
    /// The file for the builder's metadata of the image, as JSON.
    pub(crate) metadata: Option<PathBuf>,
    /// The file for the image's id in the daemon, or its digest.
    pub(crate) image_id: Option<PathBuf>,
    /// The file for the summary of the run, as JSON.
    pub(crate) summary: Option<PathBuf>,
    /// The directory for the SBOMs.
    pub(crate) sboms: Option<SbomFolder>,
}

impl OutputsPlan {
    /// The requested files.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        let files = [&self.shell, &self.metadata, &self.image_id, &self.summary];
        files.into_iter().flatten().map(PathBuf::as_path)
    }

    /// Whether a file lists the platforms of the image.
    pub(crate) fn need_platforms(&self) -> bool {
        self.shell.is_some() || self.summary.is_some()
    }
}

/// The longest path that a system call accepts, without the final zero byte.
const PATH_MAX_BYTES: usize = 4095;

/// The longest name on most file systems, used if the limit of the file system is not known.
const NAME_MAX_BYTES: u64 = 255;

/// Reads the paths.
pub(super) fn read(
    variables: &OutputVariables,
    places: &Places<'_>,
    has_image: bool,
    findings: &mut Findings,
) -> OutputsPlan {
    let mut taken: Vec<(&'static str, PathBuf)> = Vec::new();
    let mut path = |variable: &'static str, value: &Option<String>| {
        let path = places.output(variable, value.as_deref()?, findings)?;
        if let Some(problem) = unwritable(&path) {
            let problem = format!("{} {problem}", findings.shown(&path.to_string_lossy()));
            let advice = "write the path of a file in a writable directory of the clone";
            findings.fault(Fault::new(variable, problem, advice));
            return None;
        }
        if let Some((other, _)) = taken.iter().find(|(_, other)| *other == path) {
            let problem = format!("names the same file as {other}");
            findings.fault(Fault::new(variable, problem, "write another path"));
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
        summary: path("SUMMARY_FILE", &variables.summary_file),
        sboms: None,
    };
    let names = variables.output_variables.iter();
    for name in names.flat_map(|value| words(value)) {
        if is_output(name) {
            plan.variables.push(name.to_owned());
            continue;
        }
        let problem = format!("{} is not an output of the pipe", findings.shown(name));
        let advice = "write names such as `DEPOT_BUILD_IMAGE_DIGEST`, and list them under the step's `output-variables:` too";
        findings.fault(Fault::new("OUTPUT_VARIABLES", problem, advice));
    }
    if plan.image_id.is_some() && !has_image {
        findings.fault(Fault::new(
            "IID_FILE",
            "set, but the image is neither pushed, loaded nor saved, so it has no id",
            "set `PUSH: 'true'` or `LOAD: 'true'`, or remove IID_FILE",
        ));
    }
    plan
}

/// The commit for the report of `CODE_INSIGHTS`; `None` without a report.
pub(super) fn read_insights(
    variables: &OutputVariables,
    pipeline: &Pipeline,
    findings: &mut Findings,
) -> Option<Insights> {
    let value = variables.code_insights.as_deref();
    if !read_boolean("CODE_INSIGHTS", value, findings) {
        return None;
    }
    let repository = pipeline.repository();
    let commit = pipeline.commit.as_deref();
    let known = repository.zip(commit);
    let insights = known.and_then(|(repository, commit)| Insights::new(&repository, commit));
    if insights.is_none() {
        findings.warn(Warning::NoCommit);
    }
    insights
}

/// Why a file cannot be written to this absolute path, if that is known beforehand.
///
/// The file is written next to its final path and renamed, so the directory must be writable; an existing file need not be.
pub(super) fn unwritable(path: &Path) -> Option<String> {
    let folders = path.ancestors().skip(1);
    let folder = folders.into_iter().find(|folder| folder.exists())?;
    let bytes = path.as_os_str().len();
    if bytes > PATH_MAX_BYTES {
        return Some(format!(
            "has {bytes} bytes, but the limit for a path is {PATH_MAX_BYTES}"
        ));
    }
    let limit = rustix::fs::statvfs(folder).map_or(NAME_MAX_BYTES, |stat| stat.f_namemax);
    let new = path.strip_prefix(folder).unwrap_or(path).components();
    let mut lengths = new.map(|name| name.as_os_str().len() as u64);
    if let Some(length) = lengths.find(|&length| length > limit) {
        return Some(format!(
            "contains a name of {length} bytes, but the limit of the file system is {limit}"
        ));
    }
    let access = rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK);
    let error = io::Error::from(access.err()?);
    Some(format!(
        "cannot be written: `{}` is not writable: {error}",
        folder.display()
    ))
}

/// Whether it is the name of an output: one of the fixed names, or that of the digest of a platform.
fn is_output(name: &str) -> bool {
    let of_target = |name: &str| {
        let ends = ["_IMAGE", "_DIGEST", "_IMAGE_DIGEST", "_IMAGE_ID"];
        ends.iter().any(|end| name.ends_with(end))
    };
    crate::bitbucket::outputs::NAMES.contains(&name)
        || name.starts_with("DEPOT_BUILD_DIGEST_")
        || name.strip_prefix("DEPOT_BUILD_").is_some_and(of_target)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn read_from(values: [&str; 3], has_image: bool) -> (OutputsPlan, String) {
        let [first, second, third] = values;
        read_all([first, second, third, ""], has_image)
    }

    fn read_all(values: [&str; 4], has_image: bool) -> (OutputsPlan, String) {
        let folder = tempfile::tempdir().unwrap();
        let clone = folder.path().canonicalize().unwrap().join("clone");
        fs::create_dir_all(clone.join("taken")).unwrap();
        fs::write(clone.join("file"), "").unwrap();
        std::os::unix::fs::symlink("/", clone.join("out")).unwrap();
        let text = |value: &str| (!value.is_empty()).then(|| value.to_owned());
        let [output_file, metadata_file, iid_file, summary_file] = values.map(text);
        let variables = OutputVariables {
            output_file,
            output_variables: None,
            metadata_file,
            iid_file,
            summary_file,
            code_insights: None,
        };
        let mut findings = Findings::default();
        let places = Places::new(&clone, Some(clone.as_os_str()), &mut findings);
        let plan = read(&variables, &places, has_image, &mut findings);
        let error = findings.into_error().to_string();
        let clone = clone.display().to_string();
        (plan, error.replace(&clone, "CLONE"))
    }

    #[test]
    fn files_must_be_in_the_clone() {
        let (plan, error) = read_from(["new/deep/image.env", "./file", ""], false);
        assert_eq!(error, "");
        assert!(plan.shell.unwrap().ends_with("clone/new/deep/image.env"));
        assert!(plan.metadata.unwrap().ends_with("clone/file"));
        for (value, problem) in [
            (
                "../x",
                "`CLONE/../x` is outside of the clone directory `CLONE`",
            ),
            (
                "/etc/x",
                "`/etc/x` is outside of the clone directory `CLONE`",
            ),
            ("out/etc/x", "is outside of the clone directory `CLONE`"),
            ("taken", "`CLONE/taken` is a directory"),
            (
                "file/x",
                "`CLONE/file/x` has a parent that is a file, not a directory",
            ),
        ] {
            let (_, error) = read_from([value, "", ""], false);
            assert!(error.starts_with("OUTPUT_FILE: "), "{error}");
            let parent = problem.replace("CLONE/../x", "");
            assert!(
                error.contains(problem) || (value == "../x" && error.contains("is outside")),
                "{error} {parent}"
            );
        }
    }

    #[test]
    fn a_name_that_the_file_system_rejects_is_a_fault() {
        let name = "x".repeat(255);
        let (_, error) = read_from([&name, &format!("new/{name}/{name}"), "file"], true);
        assert_eq!(error, "");
        let long = "x".repeat(256);
        for value in [long.clone(), format!("new/{long}/a"), format!("{long}/a")] {
            for variable in 0..3 {
                let mut values = [""; 3];
                values[variable] = &value;
                let (_, error) = read_from(values, true);
                let problem =
                    "contains a name of 256 bytes, but the limit of the file system is 255";
                assert!(error.contains(problem), "{error}");
            }
        }
        let deep = "new/".repeat(1024);
        let (_, error) = read_from([&format!("{deep}x"), "", ""], true);
        assert!(
            error.contains("but the limit for a path is 4095"),
            "{error}"
        );
    }

    #[test]
    fn a_directory_that_is_not_writable_is_a_fault() {
        // Not even root can write there.
        let problem = unwritable(Path::new("/proc/self/none/file")).unwrap();
        assert!(
            problem.starts_with("cannot be written: `/proc/self` is not writable: "),
            "{problem}"
        );
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(unwritable(&folder.path().join("new/file")), None);
        // It is replaced.
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
        assert_eq!(unwritable(&file), None);
    }

    #[test]
    fn a_report_needs_the_commit_of_the_pipeline() {
        let commit = "0123456789abcdef";
        for (value, repository, commit, is_published, message) in [
            ("true", "acme/app", commit, true, ""),
            ("false", "acme/app", commit, false, ""),
            ("", "", "", false, ""),
            ("true", "", commit, false, "CODE_INSIGHTS is set, but"),
            ("yes", "acme/app", "", false, "CODE_INSIGHTS is set, but"),
            ("on", "app", commit, false, "CODE_INSIGHTS is set, but"),
            ("1", "acme/app", "main", false, "CODE_INSIGHTS is set, but"),
            (
                "maybe",
                "acme/app",
                commit,
                false,
                "CODE_INSIGHTS: `maybe` is neither true nor false",
            ),
            (
                "PASSED",
                "acme/app",
                commit,
                false,
                "CODE_INSIGHTS: `PASSED` is neither",
            ),
            (
                "2",
                "acme/app",
                commit,
                false,
                "CODE_INSIGHTS: `2` is neither",
            ),
        ] {
            let text = |value: &str| (!value.is_empty()).then(|| value.to_owned());
            let variables = OutputVariables {
                code_insights: text(value),
                ..OutputVariables::default()
            };
            let pipeline = Pipeline {
                repo_full_name: text(repository),
                commit: text(commit),
                ..Pipeline::default()
            };
            let mut findings = Findings::default();
            let insights = read_insights(&variables, &pipeline, &mut findings);
            assert_eq!(insights.is_some(), is_published, "{value}");
            let shown = if findings.is_faultless() {
                let warnings = findings.into_warnings();
                warnings.iter().map(ToString::to_string).collect()
            } else {
                findings.into_error().to_string()
            };
            assert_eq!(shown.is_empty(), message.is_empty(), "{value}: {shown}");
            assert!(shown.contains(message), "{value}: {shown}");
        }
    }

    #[test]
    fn wrong_paths_of_the_summary_are_faults() {
        let long = "x".repeat(256);
        for (value, words) in [
            ("../x", "is outside of the clone directory"),
            ("/etc/x", "is outside of the clone directory"),
            ("out/etc/x", "is outside of the clone directory"),
            ("taken", "is a directory"),
            ("file/x", "has a parent that is a file"),
            ("a", "names the same file as OUTPUT_FILE"),
            ("x/../a", "names the same file as OUTPUT_FILE"),
            ("b", "names the same file as METADATA_FILE"),
            (&*long, "contains a name of 256 bytes"),
            (".", "is a directory"),
        ] {
            let (_, error) = read_all(["a", "b", "", value], true);
            let is_named = error.starts_with("SUMMARY_FILE: ");
            assert!(is_named && error.contains(words), "{value}: {error}");
        }
        let (plan, error) = read_all(["a", "", "", "out.json"], false);
        assert_eq!(error, "");
        assert!(plan.files().any(|path| path.ends_with("clone/out.json")));
    }

    #[test]
    fn files_differ_and_an_id_needs_an_image() {
        let (_, error) = read_from(["a", "x/../a", "b"], true);
        assert!(
            error.starts_with("METADATA_FILE: names the same file as OUTPUT_FILE"),
            "{error}"
        );
        let (_, error) = read_from(["", "", "b"], false);
        assert!(error.starts_with("IID_FILE: set, but"), "{error}");
    }
}
