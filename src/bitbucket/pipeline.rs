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
    /// The address of the repository, as Bitbucket sets it. It can contain a login.
    pub(crate) git_http_origin: Option<String>,
    /// The commit: 40 hexadecimal digits, or 12 in some builds of pull requests.
    pub(crate) commit: Option<String>,
    /// The tag; only in builds of a tag.
    pub(crate) tag: Option<String>,
    /// The branch, in builds of a pull request its source; not in builds of a tag.
    pub(crate) branch: Option<String>,
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

    /// The address of the repository without a login; `None` if it is not an HTTP address.
    #[must_use]
    pub(crate) fn source(&self) -> Option<String> {
        let origin = self.git_http_origin.as_deref()?.trim();
        let (scheme, rest) = origin.split_once("://")?;
        if !matches!(scheme, "http" | "https")
            || rest.contains(|c: char| c.is_whitespace() || c.is_control())
        {
            return None;
        }
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, ""),
        };
        let host = authority.rsplit('@').next().unwrap_or_default();
        // Bitbucket's variable has `http`, which its server redirects.
        let scheme = match host {
            "bitbucket.org" => "https",
            _ => scheme,
        };
        (!host.is_empty()).then(|| format!("{scheme}://{host}{path}"))
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
    fn the_source_has_no_login() {
        let source = |origin: &str| {
            let pipeline = Pipeline {
                git_http_origin: Some(origin.into()),
                ..Pipeline::default()
            };
            pipeline.source()
        };
        for (origin, expected) in [
            (
                "https://bitbucket.org/acme/app",
                Some("https://bitbucket.org/acme/app"),
            ),
            (
                "http://me:w@rd@bitbucket.org/acme/app.git?x#y",
                Some("https://bitbucket.org/acme/app.git"),
            ),
            (
                "https://x-token-auth:secret@bitbucket.org",
                Some("https://bitbucket.org"),
            ),
            ("http://git.test/acme/app", Some("http://git.test/acme/app")),
            ("git@bitbucket.org:acme/app.git", None),
            ("ssh://git@bitbucket.org/acme/app", None),
            ("https://", None),
            ("https://a b/c", None),
        ] {
            assert_eq!(source(origin).as_deref(), expected, "{origin}");
        }
        assert_eq!(Pipeline::default().source(), None);
    }

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
