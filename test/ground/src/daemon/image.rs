//! Images of a daemon: their description and their files.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;

/// A daemon's description of an image.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
pub struct Inspected {
    /// Its id.
    pub id: String,
    /// The architecture that it runs on.
    pub architecture: String,
    /// The size of its unpacked layers, in bytes.
    #[serde(default)]
    pub size: u64,
    /// The configuration of its containers.
    #[serde(default)]
    pub config: Config,
    /// All its names.
    #[serde(default)]
    pub repo_tags: Option<Vec<String>>,
    /// Its layers.
    #[serde(rename = "RootFS")]
    pub root_fs: RootFs,
}

/// The configuration of an image's containers.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
pub struct Config {
    /// The user; empty for root.
    #[serde(default)]
    pub user: String,
    /// The labels.
    #[serde(default)]
    pub labels: Option<BTreeMap<String, String>>,
}

impl Inspected {
    /// The user that its containers run as; empty for root.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.config.user
    }
}

/// The layers of an image.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
pub struct RootFs {
    /// Digests of the unpacked layers, the lowest first.
    #[serde(default)]
    pub layers: Vec<String>,
}

/// The names in a tar archive, without those that the daemon adds to every container.
pub(super) fn file_names(archive: &Bytes) -> Vec<String> {
    const OF_DOCKER: [&str; 10] = [
        ".dockerenv",
        "dev/",
        "dev/console",
        "dev/pts/",
        "dev/shm/",
        "etc/hostname",
        "etc/hosts",
        "etc/mtab",
        "etc/resolv.conf",
        "proc/",
    ];
    let mut names = Vec::new();
    let mut rest = archive.as_ref();
    while let Some(header) = rest.get(..512) {
        let field = |range: std::ops::Range<usize>| {
            let bytes = header.get(range).unwrap_or_default();
            String::from_utf8_lossy(bytes)
                .trim_matches(['\0', ' '])
                .to_owned()
        };
        let name = field(0..100);
        let size = usize::from_str_radix(&field(124..136), 8).unwrap_or(0);
        if !name.is_empty() && !OF_DOCKER.contains(&name.as_str()) && name != "sys/" {
            names.push(name);
        }
        rest = rest
            .get(512 + size.next_multiple_of(512)..)
            .unwrap_or_default();
    }
    names
}
