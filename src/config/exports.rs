//! Files of the result that are written into the clone: `OUTPUTS`, in the form of `--output` of `docker buildx build`.

mod entry;
mod held;

use std::path::{Path, PathBuf};

use serde::Deserialize;
use uuid::Uuid;

use self::entry::{Entry, Problem, problem};
use super::build::{BuildPlan, ContextPlan};
use super::compression;
use super::fault::Fault;
use super::findings::Findings;
use super::images::Destinations;
use super::metadata::MetadataPlan;
use super::outputs::{OutputsPlan, unwritable};
use super::paths::Places;
use super::values::entries;
use super::warning::Warning;
use crate::destination::Place;
use crate::platform::{Architecture, Platform};

/// The variable for exported files.
#[derive(Default, Deserialize)]
pub(super) struct ExportVariables {
    pub(super) outputs: Option<String>,
}

/// One entry of `OUTPUTS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExportPlan {
    /// The form of the result.
    pub(crate) kind: ExportKind,
    /// The destination as written, for messages.
    pub(crate) label: String,
    /// The directory or the file.
    pub(crate) place: Place,
    /// The attributes of the exporter, in the order of the entry.
    pub(crate) attributes: Vec<(String, String)>,
    /// Whether the only platform has a folder of its own. Several platforms always have one each.
    pub(crate) has_platform_folder: bool,
}

impl ExportPlan {
    /// Whether the entry sets a compression of its own.
    pub(crate) fn has_compression(&self) -> bool {
        let mut attributes = self.attributes.iter();
        attributes.any(|(name, _)| name == "compression")
    }
}

/// The form of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExportKind {
    /// The files of the last stage, in a directory.
    Local,
    /// The same files, in a tar archive.
    Tar,
    /// The image, as a tar archive of an OCI layout.
    Oci,
    /// The image, as a tar archive for `docker load`.
    Docker,
}

impl ExportKind {
    const ALL: [Self; 4] = [Self::Local, Self::Tar, Self::Oci, Self::Docker];

    /// The name of the exporter.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Tar => "tar",
            Self::Oci => "oci",
            Self::Docker => "docker",
        }
    }

    /// Whether the result is an image, which has names and attestations.
    pub(crate) fn is_image(self) -> bool {
        matches!(self, Self::Oci | Self::Docker)
    }
}

const VARIABLE: &str = "OUTPUTS";

/// Paths for which the clone has other uses. A builder must not replace hooks or the files of other pipes.
const RESERVED: [&str; 2] = [".git", ".bitbucket"];

/// The parts of an image's plan that its exports depend on.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) platforms: &'a [Platform],
    /// The architecture of the builder for all platforms, if there is one.
    pub(super) machine: Option<Architecture>,
    pub(super) image: &'a Destinations,
    pub(super) outputs: &'a OutputsPlan,
    /// The files for SBOMs.
    pub(super) sboms: &'a [PathBuf],
    /// Files of the build, with the words for them in messages.
    pub(super) inputs: &'a [(PathBuf, &'static str)],
}

/// The files of the build that no result may replace, with the words for them, and the files for SBOMs.
fn reserved_files(
    build: Option<&BuildPlan>,
    outputs: &OutputsPlan,
) -> (Vec<(PathBuf, &'static str)>, Vec<PathBuf>) {
    let Some(build) = build else {
        return (Vec::new(), Vec::new());
    };
    let dockerfile = match &build.context {
        ContextPlan::Directory(_, dockerfile) => {
            let file = dockerfile.file().map(Path::to_owned);
            file.map(|file| (file, "the Dockerfile"))
        }
        ContextPlan::Git(_) => None,
    };
    let secrets = build.secrets.files().iter();
    let secrets = secrets.map(|file| (file.path.clone(), "a file of SECRET_FILES"));
    let sboms = outputs.sboms.as_ref();
    let sboms = sboms.map(|folder| folder.files(&build.built_platforms()));
    (
        dockerfile.into_iter().chain(secrets).collect(),
        sboms.unwrap_or_default(),
    )
}

/// Reads the exports of an image. `build` is `None` if its variables are wrong.
pub(super) fn of_image(
    variables: &ExportVariables,
    places: &Places<'_>,
    build: Option<&BuildPlan>,
    (image, outputs, metadata): (&Destinations, &OutputsPlan, &MetadataPlan),
    findings: &mut Findings,
) -> Vec<ExportPlan> {
    let (inputs, sboms) = reserved_files(build, outputs);
    let source = Source {
        platforms: build.map_or(&[], |build| &build.platforms),
        machine: build.and_then(|build| build.machine),
        image,
        outputs,
        sboms: &sboms,
        inputs: &inputs,
    };
    let exports = read(variables, places, source, findings);
    if let Some(build) = build {
        held::check(&exports, image, build, metadata, findings);
    }
    exports
}

/// Reads all entries, and reports each fault.
fn read(
    variables: &ExportVariables,
    places: &Places<'_>,
    source: Source<'_>,
    findings: &mut Findings,
) -> Vec<ExportPlan> {
    let mut plans: Vec<ExportPlan> = Vec::new();
    let image = source.image;
    let lines = variables.outputs.iter().flat_map(|value| entries(value));
    for (index, line) in lines.enumerate() {
        let number = index + 1;
        let read = entry::read(line, findings).and_then(|entry| {
            check_platforms(&entry, source)?;
            Ok(entry)
        });
        let entry = match read {
            Ok(entry) => entry,
            Err(Problem { problem, advice }) => {
                let problem = format!("entry {number} {problem}");
                findings.fault(Fault::new(VARIABLE, problem, advice));
                continue;
            }
        };
        let is_directory = entry.kind == ExportKind::Local;
        let Some(path) = places.export(VARIABLE, &entry.dest, is_directory, findings) else {
            continue;
        };
        if let Err(problem) = check_path(&path, is_directory, places.clone_directory())
            .and_then(|()| check_other_paths(&path, is_directory, &plans, source))
        {
            let shown = findings.shown(&entry.dest);
            let fault = format!("{shown} {}", problem.problem);
            findings.fault(Fault::new(VARIABLE, fault, problem.advice));
            continue;
        }
        plans.push(plan(entry, path, places.clone_directory(), image));
    }
    if plans.iter().any(|plan| plan.kind.is_image()) {
        // The names are used.
        findings.withdraw(|warning| matches!(warning, Warning::NamedButNotPushed { .. }));
    }
    let mut images = plans.iter().filter(|plan| plan.kind.is_image()).peekable();
    if images.peek().is_some()
        && findings.withdraw(|warning| *warning == compression::NO_EFFECT)
        && images.all(ExportPlan::has_compression)
    {
        findings.warn(compression::NO_EFFECT_ON_ARCHIVES);
    }
    plans
}

fn plan(entry: Entry, path: PathBuf, clone: &Path, image: &Destinations) -> ExportPlan {
    let Entry {
        kind,
        dest,
        mut attributes,
        has_platform_folder,
    } = entry;
    let has_name = attributes.iter().any(|(name, _)| name == "name");
    if kind.is_image() && !has_name && !image.references.is_empty() {
        let names = image.references.iter().map(ToString::to_string);
        let names = names.collect::<Vec<_>>().join(",");
        attributes.push(("name".into(), names));
    }
    // The directory itself if it exists: it can be another file system than its parent.
    let existing = path.ancestors().find(|path| path.is_dir());
    let staging = format!(".depot-build-{}", Uuid::new_v4().simple());
    let place = Place {
        root: clone.to_owned(),
        staging: existing.unwrap_or(clone).join(staging),
        path,
    };
    ExportPlan {
        kind,
        label: dest,
        place,
        attributes,
        has_platform_folder,
    }
}

/// Checks the form against the platforms of the build.
fn check_platforms(entry: &Entry, source: Source<'_>) -> Result<(), Problem> {
    let several = source.platforms.len() > 1;
    let mut builders = source
        .platforms
        .iter()
        .map(|platform| source.machine.unwrap_or(platform.builder()));
    let first = builders.next();
    let has_several_builders = builders.any(|builder| Some(builder) != first);
    match entry.kind {
        ExportKind::Docker if several => Err(problem(
            "has `type=docker`, which holds an image for one platform, but PLATFORMS has several",
            "write `type=local` or `type=oci`, or one platform",
        )),
        ExportKind::Tar if has_several_builders => Err(problem(
            "has `type=tar`, but PLATFORMS is built on two builders, and each would send an archive of its own",
            "write `type=local`, or set `BUILD_PLATFORM: linux/amd64` to build all platforms on one builder",
        )),
        ExportKind::Oci if has_several_builders => Err(problem(
            "has `type=oci`, but PLATFORMS is built on two builders, and each would send an archive of its own",
            "push the image, or set `BUILD_PLATFORM: linux/amd64` to build all platforms on one builder",
        )),
        ExportKind::Local | ExportKind::Tar | ExportKind::Oci | ExportKind::Docker => Ok(()),
    }
}

/// The directory of `clone` that has another use and contains `path`.
pub(super) fn reserved_directory(path: &Path, clone: &Path) -> Option<&'static str> {
    let relative = path.strip_prefix(clone).unwrap_or(path);
    let mut names = relative.components().map(std::path::Component::as_os_str);
    names.find_map(|name| RESERVED.into_iter().find(|reserved| name == *reserved))
}

/// Checks that a path is not for something else, and can be written.
fn check_path(path: &Path, is_directory: bool, clone: &Path) -> Result<(), Problem> {
    const ADVICE: &str = "write another directory of the clone";
    if let Some(reserved) = reserved_directory(path, clone) {
        let what = format!("is in a directory `{reserved}`, which the result must not change");
        return Err(problem(what, ADVICE));
    }
    if is_directory && path.join(".git").symlink_metadata().is_ok() {
        return Err(problem(
            "contains a `.git`, which the result must not change",
            ADVICE,
        ));
    }
    // A file in an existing directory, or the path itself.
    let written = if path.is_dir() {
        path.join("x")
    } else {
        path.to_owned()
    };
    match unwritable(&written) {
        Some(why) => Err(problem(
            why,
            "write a path in a writable directory of the clone",
        )),
        None => Ok(()),
    }
}

/// Checks that nothing else is written to the same path, or above or below it.
fn check_other_paths(
    path: &Path,
    is_directory: bool,
    plans: &[ExportPlan],
    Source {
        outputs,
        sboms,
        inputs,
        ..
    }: Source<'_>,
) -> Result<(), Problem> {
    let is_near = |other: &Path| path.starts_with(other) || other.starts_with(path);
    if let Some(other) = plans.iter().find(|plan| is_near(&plan.place.path)) {
        let other = &other.label;
        let what = format!("overlaps with the destination `{other}` of another entry");
        return Err(problem(
            what,
            "write destinations that are not inside each other",
        ));
    }
    let files = [
        ("OUTPUT_FILE", &outputs.shell),
        ("METADATA_FILE", &outputs.metadata),
        ("IID_FILE", &outputs.image_id),
    ];
    let files = files.into_iter();
    let files = files.filter_map(|(variable, file)| Some((variable, file.clone()?)));
    let sboms = sboms.iter().map(|file| ("SBOM_DIR", file.clone()));
    for (variable, file) in files.chain(sboms) {
        // A file in an exported directory is possible: it is written afterwards.
        if path.starts_with(&file) || (!is_directory && file.starts_with(path)) {
            return Err(problem(
                format!("overlaps with {variable}"),
                "write another path",
            ));
        }
    }
    if let Some((_, what)) = inputs.iter().find(|(input, _)| input == path) {
        return Err(problem(
            format!("would replace {what}"),
            "write another path",
        ));
    }
    Ok(())
}

#[cfg(test)]
#[path = "exports/tests.rs"]
mod tests;
