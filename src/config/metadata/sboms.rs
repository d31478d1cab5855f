//! `SBOM_DIR`: the files with the SBOM of an image.
//!
//! Their names are those of `depot build --sbom-dir` and `depot bake --sbom-dir` (`pkg/sbom` in the released CLI).

use std::path::{Path, PathBuf};

use super::{MetadataVariables, SbomPlan};
use crate::config::build::BuildPlan;
use crate::config::exports::reserved_directory;
use crate::config::fault::Fault;
use crate::config::findings::Findings;
use crate::config::outputs::{OutputsPlan, unwritable};
use crate::config::paths::Places;
use crate::platform::Platform;

const VARIABLE: &str = "SBOM_DIR";

/// The directory for the SBOMs of a run. Absolute; it may not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SbomFolder(PathBuf);

impl SbomFolder {
    /// The file for one SBOM. `image`: the name of the image, if the run has several. `platform`: the platform, if the image has
    /// several.
    pub(crate) fn file(&self, image: Option<&str>, platform: Option<&str>) -> PathBuf {
        let platform = platform.map(|platform| platform.replace('/', "_"));
        let name = match (image, platform) {
            (None, None) => "sbom".to_owned(),
            (None, Some(platform)) => platform,
            (Some(image), None) => image.to_owned(),
            (Some(image), Some(platform)) => format!("{image}_{platform}"),
        };
        self.0.join(format!("{name}.spdx.json"))
    }

    /// The files of the only image of a run.
    pub(in crate::config) fn files(&self, platforms: &[Platform]) -> Vec<PathBuf> {
        match platforms {
            [] | [_] => vec![self.file(None, None)],
            several => {
                let several = several.iter().map(ToString::to_string);
                several
                    .map(|platform| self.file(None, Some(&platform)))
                    .collect()
            }
        }
    }
}

/// Reads `SBOM_DIR`. `others` are the other files that the run writes.
pub(in crate::config) fn folder(
    variables: &MetadataVariables,
    sbom: Option<&SbomPlan>,
    build: Option<&BuildPlan>,
    others: &OutputsPlan,
    places: &Places<'_>,
    findings: &mut Findings,
) -> Option<SbomFolder> {
    let value = variables.sbom_dir.as_deref()?;
    let path = places.output_folder(VARIABLE, value, findings)?;
    let folder = SbomFolder(path);
    let platforms = build.map(BuildPlan::built_platforms).unwrap_or_default();
    let mut files = folder.files(&platforms).into_iter();
    let advice = "write the path of another directory in the clone";
    let problem = files.find_map(|file| {
        let shown = |file: &Path| findings.shown(&file.to_string_lossy());
        if let Some(reserved) = reserved_directory(&file, places.clone_directory()) {
            return Some(format!("{} is in a directory `{reserved}`", shown(&file)));
        }
        if file.is_dir() {
            return Some(format!("{} is a directory", shown(&file)));
        }
        if others.files().any(|other| other == file) {
            return Some(format!("{} is the file of another variable", shown(&file)));
        }
        let problem = unwritable(&file)?;
        Some(format!("{} {problem}", shown(&file)))
    });
    if let Some(problem) = problem {
        findings.fault(Fault::new(VARIABLE, problem, advice));
        return None;
    }
    if sbom.is_none() && variables.sbom.is_some() && findings.has_no_fault_of("SBOM") {
        let problem = "set, but SBOM is false";
        let advice = "set `SBOM: 'true'`, or remove SBOM_DIR";
        findings.fault(Fault::new(VARIABLE, problem, advice));
        return None;
    }
    Some(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_after_the_image_and_the_platform_if_there_are_several() {
        let folder = SbomFolder("/clone/out".into());
        let name = |image, platform| {
            let file = folder.file(image, platform);
            file.file_name().unwrap().to_str().unwrap().to_owned()
        };
        assert_eq!(name(None, None), "sbom.spdx.json");
        assert_eq!(name(None, Some("linux/arm/v7")), "linux_arm_v7.spdx.json");
        assert_eq!(name(Some("web"), None), "web.spdx.json");
        assert_eq!(
            name(Some("web"), Some("linux/amd64")),
            "web_linux_amd64.spdx.json"
        );
        assert_eq!(folder.files(&[]).len(), 1);
    }
}
