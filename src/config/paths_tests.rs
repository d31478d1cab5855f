//! Paths in a temporary clone: which are accepted, and the messages for the others.

use std::os::unix::fs::symlink;

use super::*;

/// A clone with files, directories and links, and a directory next to it.
struct Clone {
    _directory: tempfile::TempDir,
    root: PathBuf,
    outside: PathBuf,
}

impl Clone {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let top = fs::canonicalize(directory.path()).unwrap();
        let (root, outside) = (top.join("clone"), top.join("outside"));
        for directory in ["clone/app/sub", "clone/web", "outside"] {
            fs::create_dir_all(top.join(directory)).unwrap();
        }
        for file in [
            "clone/Dockerfile",
            "clone/app/Dockerfile",
            "clone/app/only.app",
            "outside/Dockerfile",
        ] {
            fs::write(top.join(file), "FROM scratch\n").unwrap();
        }
        fs::write(root.join("empty"), "").unwrap();
        for (target, link) in [
            ("app", "app-link"),
            ("app/Dockerfile", "file-link"),
            ("nowhere", "dangling"),
            ("loop", "loop"),
            ("../outside", "out"),
            ("/dev/null", "device"),
        ] {
            symlink(target, root.join(link)).unwrap();
        }
        Self {
            _directory: directory,
            root,
            outside,
        }
    }

    fn places(&self) -> Places<'_> {
        let clone_dir = Some(self.root.as_os_str());
        Places::new(&self.root, clone_dir, &mut Findings::default())
    }

    fn context(&self, value: Option<&str>) -> Result<PathBuf, String> {
        let (places, mut findings) = (self.places(), Findings::default());
        let path = places.context_as_written(value);
        let dockerfile = path.join("Dockerfile");
        let context = places.context(&path, &dockerfile, &mut findings);
        context
            .map(|context| context.path)
            .ok_or_else(|| findings.into_error().to_string())
    }

    fn dockerfile(
        &self,
        context: &str,
        value: Option<&str>,
    ) -> (Result<PathBuf, String>, Vec<Warning>) {
        let (places, mut findings) = (self.places(), Findings::default());
        let path = places.dockerfile_as_written(
            value,
            &places.context_as_written(Some(context)),
            &mut findings,
        );
        match places.dockerfile(&path, &mut findings) {
            Some(dockerfile) => {
                let file = dockerfile.file().unwrap().to_owned();
                (Ok(file), findings.into_warnings())
            }
            None => (Err(findings.into_error().to_string()), Vec::new()),
        }
    }
}

#[test]
fn a_context_is_a_real_directory_of_the_clone() {
    let clone = Clone::new();
    let app = clone.root.join("app");
    for (value, expected) in [
        (None, &clone.root),
        (Some("."), &clone.root),
        (Some("app"), &app),
        (Some(" ./app/ "), &app),
        (Some("app/sub/.."), &app),
        (Some("web/../app"), &app),
        (Some("app-link"), &app),
        (app.to_str(), &app),
    ] {
        assert_eq!(clone.context(value).as_ref(), Ok(expected), "{value:?}");
    }
}

#[test]
fn an_unusable_context_is_reported_with_its_path() {
    let clone = Clone::new();
    for (value, problem) in [
        (
            "missing",
            "/clone/missing` does not exist; write a directory of the clone",
        ),
        ("Dockerfile", "/clone/Dockerfile` is not a directory; "),
        (
            "Dockerfile/sub",
            "/clone/Dockerfile/sub` has a parent that is a file",
        ),
        ("dangling", "/clone/dangling` is a broken link; "),
        ("loop", "/clone/loop` cannot be read: "),
        ("..", "` is outside of the clone directory `"),
        (
            "../outside",
            "/outside` is outside of the clone directory `",
        ),
        ("out", "/outside` is outside of the clone directory `"),
        ("/", "CONTEXT: `/` is outside of the clone directory `"),
        (
            "packages/@scope/app",
            "/clone/packages/@scope/app` does not exist; ",
        ),
    ] {
        let error = clone.context(Some(value)).unwrap_err();
        assert!(
            error.starts_with("CONTEXT: ") && error.contains(problem),
            "{value}: {error}"
        );
    }
}

#[test]
fn without_the_variable_the_working_directory_bounds_the_paths() {
    let clone = Clone::new();
    let mut findings = Findings::default();
    let places = Places::new(&clone.root, None, &mut findings);
    let path = places.context_as_written(Some("../outside"));
    let dockerfile = path.join("Dockerfile");
    assert_eq!(places.context(&path, &dockerfile, &mut findings), None);
    let error = findings.into_error();
    assert!(
        error
            .to_string()
            .contains("is outside of the clone directory")
    );
    assert_eq!(error.hint(), Some(NO_VARIABLE_HINT));
}

#[test]
fn a_clone_directory_that_cannot_be_used_is_a_fault() {
    use std::os::unix::ffi::OsStrExt;
    let clone = Clone::new();
    for clone_dir in [&b"/does/not/exist"[..], b"/not/\xff/utf-8"] {
        let mut findings = Findings::default();
        let _places = Places::new(
            &clone.root,
            Some(OsStr::from_bytes(clone_dir)),
            &mut findings,
        );
        let error = findings.into_error().to_string();
        assert!(error.starts_with("BITBUCKET_CLONE_DIR: `/"), "{error}");
        assert!(error.contains("does not exist"), "{error}");
    }
}

#[test]
fn paths_outside_of_the_clone_are_reported_with_a_hint() {
    let clone = Clone::new();
    let (places, mut findings) = (clone.places(), Findings::default());
    let dockerfile = clone.outside.join("Dockerfile");
    assert_eq!(
        places.context(&clone.outside, &dockerfile, &mut findings),
        None
    );
    assert_eq!(findings.into_error().hint(), Some(CLONE_HINT));
}

#[test]
fn a_dockerfile_is_looked_for_in_the_working_directory_and_then_in_the_context() {
    let clone = Clone::new();
    for (context, value, expected) in [
        (".", None, "Dockerfile"),
        ("app", None, "app/Dockerfile"),
        ("app", Some("app/Dockerfile"), "app/Dockerfile"),
        ("app", Some("only.app"), "app/only.app"),
        ("web", Some("Dockerfile"), "Dockerfile"),
        ("web", Some("../app/only.app"), "app/only.app"),
        ("web", Some("file-link"), "app/Dockerfile"),
        ("app-link", None, "app/Dockerfile"),
        ("missing", Some("Dockerfile"), "Dockerfile"),
    ] {
        let (dockerfile, warnings) = clone.dockerfile(context, value);
        assert_eq!(
            dockerfile,
            Ok(clone.root.join(expected)),
            "{context} {value:?}"
        );
        assert_eq!(warnings, [], "{context} {value:?}");
    }
    let absolute = clone.root.join("app/Dockerfile");
    assert_eq!(clone.dockerfile("web", absolute.to_str()).0, Ok(absolute));
}

#[test]
fn two_dockerfiles_with_one_name_cause_a_warning() {
    let clone = Clone::new();
    let (used, ignored) = (
        clone.root.join("Dockerfile"),
        clone.root.join("app/Dockerfile"),
    );
    let (dockerfile, warnings) = clone.dockerfile("app", Some("Dockerfile"));
    assert_eq!(dockerfile.as_ref(), Ok(&used));
    assert_eq!(warnings, [Warning::TwoDockerfiles { used, ignored }]);
    assert_eq!(clone.dockerfile(".", Some("Dockerfile")).1, []);
}

#[test]
fn an_unusable_dockerfile_is_reported_with_its_path() {
    let clone = Clone::new();
    for (context, value, problem) in [
        (
            "web",
            None,
            "/clone/web/Dockerfile` does not exist; write the path of a Dockerfile",
        ),
        (".", Some("missing"), "/clone/missing` does not exist; "),
        (".", Some("empty"), "/clone/empty` is empty; "),
        (".", Some("app"), "/clone/app` is a directory; "),
        (".", Some("dangling"), "/clone/dangling` is a broken link; "),
        (
            ".",
            Some("out/Dockerfile"),
            "/outside/Dockerfile` is outside of the clone directory `",
        ),
        (
            ".",
            Some("device"),
            "`/dev/null` is outside of the clone directory `",
        ),
    ] {
        let error = clone.dockerfile(context, value).0.unwrap_err();
        assert!(
            error.starts_with("DOCKERFILE: ") && error.contains(problem),
            "{value:?}: {error}"
        );
    }
}

#[test]
fn a_dockerfile_that_is_not_a_file_is_not_opened() {
    let mut findings = Findings::default();
    let places = Places::new(Path::new("/"), None, &mut findings);
    assert_eq!(
        places.dockerfile(Path::new("/dev/null"), &mut findings),
        None
    );
    assert!(
        findings
            .into_error()
            .to_string()
            .contains("`/dev/null` is not a regular file")
    );
}

#[test]
fn names_are_kept_and_ignore_files_are_found_next_to_them() {
    let clone = Clone::new();
    let root = &clone.root;
    let (places, mut findings) = (clone.places(), Findings::default());
    fs::write(root.join("file-link.dockerignore"), "x").unwrap();
    fs::write(root.join("app/Dockerfile.dockerignore"), "y").unwrap();
    symlink("../file-link.dockerignore", root.join("app/.dockerignore")).unwrap();
    fs::write(root.join("web/.dockerignore"), "z").unwrap();
    let dockerfile = places.dockerfile(&root.join("file-link"), &mut findings);
    assert_eq!(
        dockerfile,
        Some(DockerfilePlan {
            name: "file-link".into(),
            source: DockerfileSource::File(root.join("app/Dockerfile")),
            ignore_file: Some(root.join("file-link.dockerignore")),
        })
    );
    for (folder, dockerfile, ignore_file) in [
        ("app", "Dockerfile", Some("file-link.dockerignore")),
        // The ignore file of the Dockerfile takes precedence.
        ("app", "app/Dockerfile", None),
        // A file that is not a link is sent with its directory.
        ("web", "Dockerfile", None),
    ] {
        let (path, dockerfile) = (root.join(folder), root.join(dockerfile));
        let context = places.context(&path, &dockerfile, &mut findings);
        assert_eq!(
            context.unwrap().ignore_file,
            ignore_file.map(|file| root.join(file)),
            "{folder}"
        );
    }
    assert!(findings.is_faultless());
}

#[test]
fn an_ignore_file_that_cannot_be_used_is_a_fault() {
    for (what, problem) in [
        ("nowhere", "is a broken link"),
        (".dockerignore", "cannot be read"),
        ("app", "is a directory"),
        ("../outside/Dockerfile", "is outside of the clone directory"),
        ("/dev/null", "is outside of the clone directory"),
    ] {
        let clone = Clone::new();
        let (places, mut findings) = (clone.places(), Findings::default());
        let dockerfile = clone.root.join("Dockerfile");
        symlink(what, clone.root.join(".dockerignore")).unwrap();
        assert_eq!(
            places.context(&clone.root, &dockerfile, &mut findings),
            None
        );
        symlink(what, clone.root.join("Dockerfile.dockerignore")).unwrap();
        assert_eq!(places.dockerfile(&dockerfile, &mut findings), None);
        // Not used, so not checked.
        let context = places.context(&clone.root, &dockerfile, &mut findings);
        assert!(context.is_some());
        let error = findings.into_error().to_string();
        let lines: Vec<_> = error.lines().collect();
        assert_eq!(lines.len(), 2, "{error}");
        for (line, variable) in lines.iter().zip(["CONTEXT: ", "DOCKERFILE: "]) {
            assert!(line.starts_with(variable), "{line}");
            assert!(line.contains(problem), "{line}");
        }
    }
}

#[test]
fn a_dockerfile_in_lower_case_is_found_and_other_names_are_suggested() {
    let clone = Clone::new();
    let root = &clone.root;
    fs::write(root.join("web/dockerfile"), "FROM scratch\n").unwrap();
    for value in [None, Some("web/Dockerfile")] {
        let (dockerfile, _) = clone.dockerfile("web", value);
        assert_eq!(dockerfile, Ok(root.join("web/dockerfile")), "{value:?}");
    }
    fs::create_dir(root.join("pod")).unwrap();
    fs::write(root.join("pod/Containerfile"), "FROM scratch\n").unwrap();
    for (context, value, name) in [
        ("pod", None, "Containerfile"),
        (".", Some("DOCKERFILE"), "Dockerfile"),
        (".", Some("app/ONLY.app"), "only.app"),
    ] {
        let error = clone.dockerfile(context, value).0.unwrap_err();
        let suggestion = format!("does not exist, but `{name}` exists next to it");
        assert!(error.contains(&suggestion), "{error}");
    }
}
