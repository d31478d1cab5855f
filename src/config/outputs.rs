//! Files that the run writes for the rest of the pipeline.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::Access;

use super::{
    fault::Fault,
    findings::Findings,
    paths::Places,
    plan::{Destinations, OutputsPlan},
    values::words,
    variables::OutputVariables,
};

/// The longest path that a system call takes, its end not counted.
const PATH_MAX_BYTES: usize = 4095;

/// The longest name on most file systems; the limit of a folder's own is used if it is known.
const NAME_MAX_BYTES: u64 = 255;

/// Reads where they are to be.
pub(super) fn read(
    variables: &OutputVariables,
    places: &Places<'_>,
    image: &Destinations,
    findings: &mut Findings,
) -> OutputsPlan {
    let has_image = image.push || image.load || image.save.is_some();
    let mut taken: Vec<(&'static str, PathBuf)> = Vec::new();
    let mut path = |variable: &'static str, value: &Option<String>| {
        let path = places.output(variable, value.as_deref()?, findings)?;
        if let Some(problem) = unwritable(&path) {
            let problem = format!("{} {problem}", findings.shown(&path.to_string_lossy()));
            let advice = "write the path of a file in a folder of the clone that may be written";
            findings.fault(Fault::new(variable, problem, advice));
            return None;
        }
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
        let problem = format!("{} is not an output of the pipe", findings.shown(name));
        let advice = "write names such as `DEPOT_BUILD_IMAGE_DIGEST`, and list them under the step's `output-variables:` too";
        findings.fault(Fault::new("OUTPUT_VARIABLES", problem, advice));
    }
    if plan.image_id.is_some() && !has_image {
        findings.fault(Fault::new(
            "IID_FILE",
            "set, but the image is neither pushed, loaded nor saved, so it has no id",
            "write `PUSH: 'true'` or `LOAD: 'true'` too, or neither",
        ));
    }
    plan
}

/// Why a file cannot be written at this absolute path, as far as that is known before it is.
///
/// The file is written beside its place and renamed, so its folder must be writable; a file that exists need not be.
fn unwritable(path: &Path) -> Option<String> {
    let folders = path.ancestors().skip(1);
    let folder = folders.into_iter().find(|folder| folder.exists())?;
    let bytes = path.as_os_str().len();
    if bytes > PATH_MAX_BYTES {
        return Some(format!(
            "is longer than the {PATH_MAX_BYTES} bytes that a path may have: it has {bytes}"
        ));
    }
    let limit = rustix::fs::statvfs(folder).map_or(NAME_MAX_BYTES, |stat| stat.f_namemax);
    let new = path.strip_prefix(folder).unwrap_or(path).components();
    let mut lengths = new.map(|name| name.as_os_str().len() as u64);
    if let Some(length) = lengths.find(|&length| length > limit) {
        return Some(format!(
            "has a name of {length} bytes in it, and the file system takes {limit}"
        ));
    }
    let access = rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK);
    let error = io::Error::from(access.err()?);
    Some(format!(
        "cannot be written: `{}` is not writable: {error}",
        folder.display()
    ))
}

/// Whether it is the name of something that the pipe tells: a known one, or of the digest of some platform.
fn is_output(name: &str) -> bool {
    crate::bitbucket::outputs::NAMES.contains(&name) || name.starts_with("DEPOT_BUILD_DIGEST_")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

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
        let image = Destinations {
            push: has_image,
            ..Destinations::default()
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
    fn a_name_that_the_file_system_does_not_take_is_a_fault() {
        let name = "x".repeat(255);
        let (_, error) = read_from([&name, &format!("new/{name}/{name}"), "file"], true);
        assert_eq!(error, "");
        let long = "x".repeat(256);
        for value in [long.clone(), format!("new/{long}/a"), format!("{long}/a")] {
            for variable in 0..3 {
                let mut values = [""; 3];
                values[variable] = &value;
                let (_, error) = read_from(values, true);
                let problem = "has a name of 256 bytes in it, and the file system takes 255";
                assert!(error.contains(problem), "{error}");
            }
        }
        let deep = "new/".repeat(1024);
        let (_, error) = read_from([&format!("{deep}x"), "", ""], true);
        assert!(error.contains("is longer than the 4095 bytes"), "{error}");
    }

    #[test]
    fn a_folder_that_may_not_be_written_is_a_fault() {
        // Nobody may write there, root included.
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
    fn each_file_is_another_and_an_id_needs_an_image() {
        let (_, error) = read_from(["a", "x/../a", "b"], true);
        assert!(
            error.starts_with("METADATA_FILE: names the same file as OUTPUT_FILE"),
            "{error}"
        );
        let (_, error) = read_from(["", "", "b"], false);
        assert!(error.starts_with("IID_FILE: set, but"), "{error}");
    }
}
