//! The pipeline that this run belongs to.
//!
//! Every value is optional: a run outside of a pipeline has none of them.

use std::path::{Path, PathBuf};

/// The pipeline and its shared files; values that are not set are `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pipeline {
    /// The workspace's name in URLs.
    pub(crate) workspace: Option<String>,
    /// The repository's name in URLs.
    pub(crate) repo_slug: Option<String>,
    /// `workspace/repository`.
    pub(crate) repo_full_name: Option<String>,
    /// The directory that this pipe shares with its later runs in the same pipeline. Below [`GENERATED_FOLDER`] on
    /// Bitbucket's own runners.
    ///
    /// [`GENERATED_FOLDER`]: super::GENERATED_FOLDER
    pub(crate) storage_dir: Option<PathBuf>,
    /// The directory that all pipes of the pipeline share.
    pub(crate) shared_storage_dir: Option<PathBuf>,
    /// The file whose lines `NAME=value` become variables of later steps, if their names are in the step's
    /// `output-variables:`.
    pub(crate) variables_path: Option<PathBuf>,
}

impl Pipeline {
    /// The files and directories that pipes share. They can contain secrets of other pipes.
    pub(crate) fn storage(&self) -> impl Iterator<Item = &Path> {
        let folders = [&self.storage_dir, &self.shared_storage_dir];
        let paths = folders.into_iter().chain([&self.variables_path]);
        paths.flatten().map(PathBuf::as_path)
    }

    /// `workspace/repository`, from `repo_full_name` or else from its two parts.
    #[must_use]
    pub(crate) fn repository(&self) -> Option<String> {
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
