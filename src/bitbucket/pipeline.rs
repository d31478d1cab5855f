//! The pipeline that this run belongs to.
//!
//! Every value is optional: branch builds have no tag, tag builds no branch, and a run on somebody's own machine has
//! none of them. A commit can be shortened to 12 characters, and UUIDs stand in braces. The texts are passed on as
//! they came: a branch may have any name, so whoever prints or sends one must escape it.

use std::path::{Path, PathBuf};

/// The facts of one pipeline step, as far as they were given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pipeline {
    /// The commit's hash, perhaps shortened.
    pub commit: Option<String>,
    /// The branch, in builds of a branch.
    pub branch: Option<String>,
    /// The tag, in builds of a tag.
    pub tag: Option<String>,
    /// The number of the pull request, in builds of one.
    pub pull_request: Option<String>,
    /// The workspace's name in addresses.
    pub workspace: Option<String>,
    /// The repository's name in addresses.
    pub repo_slug: Option<String>,
    /// Workspace and repository, with a slash between.
    pub repo_full_name: Option<String>,
    /// Counts this repository's pipelines.
    pub build_number: Option<String>,
    /// The pipeline, in braces.
    pub pipeline_uuid: Option<String>,
    /// The step, in braces.
    pub step_uuid: Option<String>,
    /// What this pipe leaves here is there for its later runs in the same pipeline.
    pub storage_dir: Option<PathBuf>,
    /// The same for all pipes.
    pub shared_storage_dir: Option<PathBuf>,
    /// Lines `NAME=value` in this file are variables of later steps.
    pub variables_path: Option<PathBuf>,
}

impl Pipeline {
    /// The files and folders that pipes share, which may hold secrets of other pipes.
    pub fn storage(&self) -> impl Iterator<Item = &Path> {
        let folders = [&self.storage_dir, &self.shared_storage_dir];
        let paths = folders.into_iter().chain([&self.variables_path]);
        paths.flatten().map(PathBuf::as_path)
    }

    /// `workspace/repository`, from whichever of the variables tell it.
    #[must_use]
    pub fn repository(&self) -> Option<String> {
        self.repo_full_name.clone().or_else(|| {
            Some(format!(
                "{}/{}",
                self.workspace.as_ref()?,
                self.repo_slug.as_ref()?
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_known_by_either_name() {
        let parts = Pipeline {
            workspace: Some("acme".into()),
            repo_slug: Some("app".into()),
            ..Pipeline::default()
        };
        assert_eq!(parts.repository().as_deref(), Some("acme/app"));
        let full = Pipeline {
            repo_full_name: Some("other/name".into()),
            ..parts
        };
        assert_eq!(full.repository().as_deref(), Some("other/name"));
        assert_eq!(
            Pipeline {
                workspace: Some("acme".into()),
                ..Pipeline::default()
            }
            .repository(),
            None
        );
    }
}
