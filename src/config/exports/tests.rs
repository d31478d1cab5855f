//! Entries of `OUTPUTS`, and the faults of wrong ones.

use std::fs;
use std::os::unix::fs::symlink;

use proptest::prelude::*;

use super::entry::FORMS;
use super::*;
use crate::registry::reference::Reference;

/// A clone with files, directories and links.
struct Clone(tempfile::TempDir);

impl Clone {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join("clone").join(name);
        for directory in [
            ".git/hooks",
            "taken/inner",
            "module",
            "apps/web",
            ".bitbucket",
        ] {
            fs::create_dir_all(path(directory)).unwrap();
        }
        fs::create_dir_all(folder.path().join("outside")).unwrap();
        fs::write(path("file"), "").unwrap();
        fs::write(path("module/.git"), "gitdir: ../.git/modules/module").unwrap();
        symlink("taken", path("link")).unwrap();
        symlink("../outside", path("out")).unwrap();
        crate::io::bounded_file::make_fifo(&path("fifo"));
        Self(folder)
    }

    fn path(&self) -> PathBuf {
        self.0.path().canonicalize().unwrap().join("clone")
    }

    /// Reads the variable from the directory `apps/web` of the clone, or from the clone. Returns the plans and the faults.
    fn read(&self, value: &str, variables: Variables<'_>) -> (Vec<ExportPlan>, String) {
        let clone = self.path();
        let mut findings = Findings::default();
        let directory = clone.join(variables.directory);
        let places = Places::new(&directory, Some(clone.as_os_str()), &mut findings);
        let platforms = variables.platforms.iter();
        let platforms: Vec<_> = platforms.map(|platform| Platform::of(platform)).collect();
        let names = variables.names.iter();
        let image = Destinations {
            references: names.map(|name| Reference::parse(name).unwrap()).collect(),
            ..Destinations::default()
        };
        let outputs = OutputsPlan {
            shell: Some(clone.join("image.env")),
            ..OutputsPlan::default()
        };
        let inputs = [(clone.join("Dockerfile"), "the Dockerfile")];
        let sboms = [clone.join("sboms/sbom.spdx.json")];
        let source = Source {
            sboms: &sboms,
            inputs: &inputs,
            platforms: &platforms,
            machine: variables.machine,
            image: &image,
            outputs: &outputs,
        };
        let variable = ExportVariables {
            outputs: Some(value.to_owned()),
        };
        let plans = read(&variable, &places, source, &mut findings);
        let error = findings.into_error().to_string();
        (plans, error.replace(&clone.display().to_string(), "CLONE"))
    }
}

/// The other variables.
#[derive(Clone, Copy, Default)]
struct Variables<'a> {
    directory: &'a str,
    platforms: &'a [&'a str],
    machine: Option<Architecture>,
    names: &'a [&'a str],
}

/// Kind, path in the clone and attributes of each plan.
fn shown(value: &str, variables: Variables<'_>) -> Vec<String> {
    let clone = Clone::new();
    let (plans, error) = clone.read(value, variables);
    assert_eq!(error, "", "{value}");
    let plans = plans.into_iter().map(|plan| {
        let path = plan
            .place
            .path
            .strip_prefix(clone.path())
            .unwrap()
            .display()
            .to_string();
        assert_eq!(plan.place.root, clone.path());
        let parent = plan.place.staging.parent().unwrap();
        assert!(
            parent.is_dir() && plan.place.path.starts_with(parent),
            "{:?}",
            plan.place
        );
        let attributes = plan.attributes.iter();
        let attributes: Vec<_> = attributes
            .map(|(name, value)| format!(" {name}={value}"))
            .collect();
        let folder = if plan.has_platform_folder {
            " folder"
        } else {
            ""
        };
        format!("{} {path}{}{folder}", plan.kind.name(), attributes.concat())
    });
    plans.collect()
}

#[test]
fn every_form_of_an_entry_is_read() {
    let value = "dist\n type=local,dest=new/deep \n\"type=tar\",\"dest=a,b.tar\"\nTYPE=oci,Dest=image.tar\ntype=docker,dest=./x/../d.tar\n\
                 type=local,dest=taken\ntype=tar,dest=file";
    let expected = [
        "local dist",
        "local new/deep",
        "tar a,b.tar",
        "oci image.tar",
        "docker d.tar",
        "local taken",
        "tar file",
    ];
    assert_eq!(shown(value, Variables::default()), expected);
    assert_eq!(
        shown("\0dist\0type=tar,dest=x.tar", Variables::default()),
        ["local dist", "tar x.tar"]
    );
    let below = Variables {
        directory: "apps/web",
        ..Variables::default()
    };
    assert_eq!(
        shown("reports\n../../dist", below),
        ["local apps/web/reports", "local dist"]
    );
    // A link to a directory of the clone is resolved.
    assert_eq!(shown("link/new", Variables::default()), ["local taken/new"]);
    // The file for variables is written after the directory that contains it.
    assert_eq!(
        shown(".env/image\nresult", Variables::default()),
        ["local .env/image", "local result"]
    );
}

#[test]
fn attributes_are_checked_and_passed_on() {
    let value = "type=oci,dest=a,compression=zstd,compression-level=19,force-compression=1,oci-mediatypes=T,tar=true\n\
                 \"type=docker\",dest=b,\"name=acme/app:1,acme/app:2\"\n\
                 type=local,dest=c,platform-split=true,attestation-prefix=x-\n\
                 type=tar,dest=d,platform-split=false,source-date-epoch=0";
    let names = Variables {
        names: &["acme/app:1.0", "acme/app:latest"],
        ..Variables::default()
    };
    assert_eq!(
        shown(value, names),
        [
            "oci a compression=zstd compression-level=19 force-compression=true oci-mediatypes=true \
             name=docker.io/acme/app:1.0,docker.io/acme/app:latest",
            "docker b name=docker.io/acme/app:1,docker.io/acme/app:2",
            "local c attestation-prefix=x- folder",
            "tar d source-date-epoch=0",
        ]
    );
}

/// An entry, the problem, and the advice.
const WRONG_ENTRIES: &[(&str, &str, &str)] = &[
    (
        "type=local",
        "entry 1 has no `dest` for `type=local`",
        FORMS,
    ),
    ("dest=dist", "entry 1 has no `type`", FORMS),
    ("type=,dest=x", "entry 1 has an unknown type ``", FORMS),
    (
        "type=zip,dest=x",
        "entry 1 has an unknown type `zip`",
        FORMS,
    ),
    (
        "type=Local,dest=x",
        "entry 1 has an unknown type `Local`",
        FORMS,
    ),
    (
        "type=image,name=acme/app",
        "entry 1 has `type=image`, which is not a file",
        "set IMAGE and `PUSH: 'true'`",
    ),
    (
        "type=registry",
        "entry 1 has `type=registry`, which is not a file",
        "set IMAGE and `PUSH: 'true'`",
    ),
    (
        "type=docker",
        "entry 1 has `type=docker` without `dest`",
        "set `LOAD: 'true'`",
    ),
    (
        "type=cacheonly",
        "entry 1 has `type=cacheonly`, which exports nothing",
        "remove it",
    ),
    (
        "-",
        "entry 1 writes to standard output",
        "write the path of a file",
    ),
    (
        "type=tar,dest=-",
        "entry 1 writes to standard output",
        "write the path of a file",
    ),
    ("type=tar,dest=", "entry 1 has an empty `dest`", FORMS),
    (
        "type=tar,dest=a,dest=b",
        "entry 1 sets `dest` more than once",
        "write each attribute once",
    ),
    (
        "a,b",
        "entry 1 is not valid: field 1 is not of the form `name=value`",
        FORMS,
    ),
    (
        "type=tar,dest=a\"b",
        "entry 1 is not valid: field 2 contains a `\"`",
        FORMS,
    ),
    (
        "\"type=tar,dest=a",
        "entry 1 is not valid: field 1 has no closing quote",
        FORMS,
    ),
    (
        "dist\ntype=tar,=x",
        "entry 2 is not valid: field 2 has no name before its `=`",
        FORMS,
    ),
    (
        "type=local,dest=x,mode=delete",
        "entry 1 has the attribute `mode`, which `type=local` does not have",
        "remove it",
    ),
    (
        "type=local,dest=x,name=a",
        "has the attribute `name`, which `type=local` does not have",
        "remove it",
    ),
    (
        "type=oci,dest=x,push=true",
        "has the attribute `push`, which `type=oci` does not have",
        "remove it",
    ),
    (
        "type=oci,dest=x,platform-split=true",
        "has the attribute `platform-split`",
        "remove it",
    ),
    (
        "type=oci,dest=x,tar=false",
        "entry 1 has `tar=false`",
        "the result is an archive",
    ),
    (
        "type=oci,dest=x,tar=no",
        "entry 1 has `no` in `tar`",
        "write `true` or `false`",
    ),
    (
        "type=oci,dest=x,compression=lz4",
        "entry 1 has `lz4` in `compression`",
        "`estargz` or `zstd`",
    ),
    (
        "type=oci,dest=x,compression-level=23",
        "entry 1 has `23` in `compression-level`",
        "from 0 to 22",
    ),
    (
        "type=oci,dest=x,compression-level=10",
        "entry 1 has the `compression-level` 10, which `gzip` does not have",
        "write a number from 0 to 9",
    ),
    (
        "type=oci,dest=x,compression=uncompressed,compression-level=1",
        "entry 1 has a `compression-level`, but `uncompressed` has no levels",
        "remove it",
    ),
    (
        "type=oci,dest=x,name=user:hunter2pass@reg.example.com/x",
        "entry 1 has the name `***@reg.example.com/x`, which contains a login",
        "write the name without it",
    ),
    (
        "type=tar,dest=sboms",
        "`sboms` overlaps with SBOM_DIR",
        "write another path",
    ),
    (
        "type=tar,dest=sboms/sbom.spdx.json",
        "`sboms/sbom.spdx.json` overlaps with SBOM_DIR",
        "write another path",
    ),
    (
        "type=tar,dest=Dockerfile",
        "`Dockerfile` would replace the Dockerfile",
        "write another path",
    ),
    (
        "type=oci,dest=x,compression-level=high",
        "entry 1 has `high` in `compression-level`",
        "from 0 to 22",
    ),
    (
        "type=oci,dest=x,name=Acme/App",
        "entry 1 has the name `Acme/App`:",
        "write `acme/app`",
    ),
    (
        "type=tar,dest=x,source-date-epoch=now",
        "entry 1 has `now` in `source-date-epoch`",
        "seconds since 1970",
    ),
    (
        "type=oci,dest=x,annotation.a=b",
        "entry 1 sets an annotation",
        "set ANNOTATIONS",
    ),
    // Destinations.
    (
        ".",
        "`CLONE` contains the whole clone",
        "a directory in the clone",
    ),
    ("..", "contains the whole clone", "a directory in the clone"),
    (
        "/",
        "`/` contains the whole clone",
        "a directory in the clone",
    ),
    (
        "../outside",
        "is outside of the clone directory `CLONE`",
        "a directory in the clone",
    ),
    (
        "/etc/dist",
        "`/etc/dist` is outside of the clone directory `CLONE`",
        "a directory in the clone",
    ),
    (
        "out/x",
        "is outside of the clone directory `CLONE`",
        "a directory in the clone",
    ),
    ("link", "`CLONE/link` is a link", "a directory in the clone"),
    (
        "type=tar,dest=out",
        "`CLONE/out` is a link",
        "a file in the clone",
    ),
    (
        "file",
        "`CLONE/file` is a file, not a directory",
        "a directory in the clone",
    ),
    (
        "file/x",
        "`CLONE/file/x` has a parent that is a file, not a directory",
        "a directory in the clone",
    ),
    (
        "type=tar,dest=taken",
        "`CLONE/taken` is a directory",
        "a file in the clone",
    ),
    (
        "type=oci,dest=fifo",
        "`CLONE/fifo` is not a regular file",
        "a file in the clone",
    ),
    (
        ".git",
        "`.git` is in a directory `.git`, which the result must not change",
        "another directory",
    ),
    (
        ".git/hooks",
        "`.git/hooks` is in a directory `.git`",
        "another directory",
    ),
    (
        "type=tar,dest=.bitbucket/x",
        "is in a directory `.bitbucket`",
        "another directory",
    ),
    ("module", "`module` contains a `.git`", "another directory"),
    (
        "module/.git/x",
        "has a parent that is a file, not a directory",
        "a directory in the clone",
    ),
    (
        "dist\ntype=tar,dest=dist",
        "`dist` overlaps with the destination `dist` of another entry",
        "not inside each other",
    ),
    (
        "dist\ndist/x",
        "`dist/x` overlaps with the destination `dist`",
        "not inside each other",
    ),
    (
        "taken/x\ntaken",
        "`taken` overlaps with the destination `taken/x`",
        "not inside each other",
    ),
    (
        "type=tar,dest=image.env",
        "`image.env` overlaps with OUTPUT_FILE",
        "write another path",
    ),
];

#[test]
fn wrong_entries_are_reported_with_the_correction() {
    let clone = Clone::new();
    for (value, problem, advice) in WRONG_ENTRIES {
        let (_, error) = clone.read(value, Variables::default());
        let [line] = &error.lines().collect::<Vec<_>>()[..] else {
            panic!("{value}: not one fault:\n{error}");
        };
        assert!(line.starts_with("OUTPUTS: "), "{line}");
        assert!(line.contains(problem), "{value}: no `{problem}` in: {line}");
        assert!(line.contains(advice), "{value}: no `{advice}` in: {line}");
    }
    // All at once.
    let (plans, error) = clone.read("-\ndist\ntype=zip\nlink", Variables::default());
    assert_eq!((plans.len(), error.lines().count()), (1, 3), "{error}");
}

#[test]
fn a_form_that_the_platforms_do_not_allow_is_reported() {
    let clone = Clone::new();
    let on_two = ["linux/amd64", "linux/arm64"];
    let on_one = ["linux/amd64", "linux/386"];
    for (form, platforms, machine, problem) in [
        ("local", &on_two, None, None),
        ("tar", &on_two, None, Some("is built on two builders")),
        ("oci", &on_two, None, Some("is built on two builders")),
        ("docker", &on_two, None, Some("an image for one platform")),
        ("tar", &on_two, Some(Architecture::Amd64), None),
        ("oci", &on_two, Some(Architecture::Arm64), None),
        ("docker", &on_one, None, Some("an image for one platform")),
        ("oci", &on_one, None, None),
        ("tar", &on_one, None, None),
    ] {
        let variables = Variables {
            platforms,
            machine,
            ..Variables::default()
        };
        let (_, error) = clone.read(&format!("type={form},dest=new"), variables);
        match problem {
            Some(problem) => assert!(error.contains(problem), "{form}: {error}"),
            None => assert_eq!(error, "", "{form}"),
        }
    }
}

proptest! {
    #[test]
    fn no_value_panics_and_every_destination_is_below_the_clone(value in "(type=(local|tar|oci),?|dest=|,|\"|\\.\\.|/|[a-z.=\\n]){0,12}") {
        let clone = Clone::new();
        let (plans, _) = clone.read(&value, Variables::default());
        for plan in plans {
            let below = plan.place.path.strip_prefix(clone.path()).unwrap().to_owned();
            prop_assert!(below.components().next().is_some());
            prop_assert!(!below.starts_with(".git"));
        }
    }
}
