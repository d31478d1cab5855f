//! Paths in a temporary clone: what is taken, and what is refused with which words.

use std::os::unix::fs::symlink;

use super::*;

/// A clone with some of everything, and a directory beside it.
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
        Places::new(&self.root, self.root.to_str())
    }

    fn context(&self, value: Option<&str>) -> Result<PathBuf, String> {
        let (places, mut findings) = (self.places(), Findings::default());
        let path = places.context_as_typed(value);
        let context = places.context(value, &path, &mut findings);
        context.ok_or_else(|| findings.into_error().to_string())
    }

    fn dockerfile(
        &self,
        context: &str,
        value: Option<&str>,
    ) -> (Result<PathBuf, String>, Vec<Warning>) {
        let (places, mut findings) = (self.places(), Findings::default());
        let path = places.dockerfile_as_typed(
            value,
            &places.context_as_typed(Some(context)),
            &mut findings,
        );
        match places.dockerfile(&path, &mut findings) {
            Some(dockerfile) => (Ok(dockerfile), findings.into_warnings()),
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
fn a_context_that_cannot_be_used_is_told_with_its_path() {
    let clone = Clone::new();
    for (value, problem) in [
        (
            "missing",
            "/clone/missing` does not exist; write a directory of the clone",
        ),
        ("Dockerfile", "/clone/Dockerfile` is no directory; "),
        (
            "Dockerfile/sub",
            "/clone/Dockerfile/sub` leads through a file",
        ),
        (
            "dangling",
            "/clone/dangling` is a link that leads nowhere; ",
        ),
        ("loop", "/clone/loop` cannot be read: "),
        ("..", "` lies outside of the clone directory `"),
        (
            "../outside",
            "/outside` lies outside of the clone directory `",
        ),
        ("out", "/outside` lies outside of the clone directory `"),
        ("/", "CONTEXT: `/` lies outside of the clone directory `"),
        (
            "https://me:word@example.com/a.git",
            "CONTEXT: `***@example.com/a.git` is an address, not a directory; ",
        ),
        (
            "git@example.com:a.git",
            "CONTEXT: `***@example.com:a.git` is an address, not a directory; ",
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
fn without_a_clone_directory_any_directory_will_do() {
    let clone = Clone::new();
    for clone_dir in [None, Some("/does/not/exist")] {
        let places = Places::new(&clone.root, clone_dir);
        let path = places.context_as_typed(Some("../outside"));
        assert_eq!(
            places.context(None, &path, &mut Findings::default()),
            Some(clone.outside.clone())
        );
    }
}

#[test]
fn what_lies_outside_comes_with_a_hint() {
    let clone = Clone::new();
    let (places, mut findings) = (clone.places(), Findings::default());
    assert_eq!(places.context(None, &clone.outside, &mut findings), None);
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
fn two_dockerfiles_of_one_name_are_warned_of() {
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
fn a_dockerfile_that_cannot_be_used_is_told_with_its_path() {
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
        (
            ".",
            Some("dangling"),
            "/clone/dangling` is a link that leads nowhere; ",
        ),
        (
            ".",
            Some("out/Dockerfile"),
            "/outside/Dockerfile` lies outside of the clone directory `",
        ),
        (
            ".",
            Some("device"),
            "`/dev/null` lies outside of the clone directory `",
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
fn a_dockerfile_that_is_no_file_is_not_opened() {
    let (places, mut findings) = (Places::new(Path::new("/"), None), Findings::default());
    assert_eq!(
        places.dockerfile(Path::new("/dev/null"), &mut findings),
        None
    );
    assert!(
        findings
            .into_error()
            .to_string()
            .contains("`/dev/null` is no regular file")
    );
}
