//! The pipeline that this run belongs to.
//!
//! Every value is optional: branch builds have no tag, tag builds have no branch, and a run outside of a pipeline has
//! none of them. A commit can be shortened to 12 characters, and UUIDs are in braces. The values are unmodified: a
//! branch can have any name, so the caller must escape it before it prints or sends it.

use std::path::{Path, PathBuf};

/// The facts of one pipeline step; those that are not set are `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pipeline {
    /// The commit's hash, possibly shortened.
    pub commit: Option<String>,
    /// The branch, in builds of a branch.
    pub branch: Option<String>,
    /// The tag, in builds of a tag.
    pub tag: Option<String>,
    /// The number of the pull request, in builds of one.
    pub pull_request: Option<String>,
    /// The workspace's name in URLs.
    pub workspace: Option<String>,
    /// The repository's name in URLs.
    pub repo_slug: Option<String>,
    /// `workspace/repository`.
    pub repo_full_name: Option<String>,
    /// The number of the pipeline in its repository.
    pub build_number: Option<String>,
    /// The UUID of the pipeline, in braces.
    pub pipeline_uuid: Option<String>,
    /// The UUID of the step, in braces.
    pub step_uuid: Option<String>,
    /// The directory that this pipe shares with its later runs in the same pipeline.
    pub storage_dir: Option<PathBuf>,
    /// The directory that all pipes of the pipeline share.
    pub shared_storage_dir: Option<PathBuf>,
    /// The file whose lines `NAME=value` become variables of later steps.
    pub variables_path: Option<PathBuf>,
}

impl Pipeline {
    /// The files and directories that pipes share. They can contain secrets of other pipes.
    pub fn storage(&self) -> impl Iterator<Item = &Path> {
        let folders = [&self.storage_dir, &self.shared_storage_dir];
        let paths = folders.into_iter().chain([&self.variables_path]);
        paths.flatten().map(PathBuf::as_path)
    }

    /// `workspace/repository`, from `repo_full_name` or else from its two parts.
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
    fn the_repository_is_read_from_its_full_name_or_its_parts() {
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
