//! The paths that must be included so that the builder can read some paths through their symbolic links.
//!
//! Links are resolved as text: an absolute target, or a target above the root, is relative to the root
//! of the folder, as it will be inside an image. Nothing outside of the folder is read. Each link is
//! followed once, so loops end.
//!
//! As in builders, a link that was already followed is not followed again for another path below it,
//! and a name with wildcards is expanded only to find links, but remains a pattern.

use std::collections::BTreeSet;
use std::os::fd::AsFd;

use rustix::fs::{FileType, OFlags, readlinkat};
use rustix::io::Errno;

use super::error::{WalkError, shown};
use super::lexical::{join, split_name};
use super::listing::Listing;
use super::patterns::glob::{glob_matches, has_wildcard};
use super::tree::Tree;

/// The limit for lookups of names per selection. Each lookup takes a few microseconds.
const MAX_LOOKUPS: usize = 200_000;

/// The limit for the total length of all link targets. Each is stored several times until it is a pattern.
const MAX_TOTAL_BYTES: usize = 8 << 20;

/// The longest path after its links are resolved.
const MAX_FOLLOWED_BYTES: usize = 16 * super::MAX_PATH_BYTES;

/// The paths and the targets of all links in them, sorted, as include patterns.
///
/// `None` if one of them is the root: then everything is included.
pub(super) fn resolve(tree: &Tree, paths: &[String]) -> Result<Option<Vec<String>>, WalkError> {
    let mut resolver = Resolver {
        tree,
        resolved: BTreeSet::new(),
        pending: Vec::new(),
        lookups: 0,
        total_bytes: 0,
        buffer: Vec::new(),
    };
    for path in paths {
        resolver.pending.push(join(".", path));
        while let Some(path) = resolver.pending.pop() {
            resolver.follow(&path)?;
        }
    }
    Ok(without_nested(resolver.resolved))
}

/// Removes each path that is below the path before it; `None` if one of the paths is the root.
///
/// Complete only for sorted paths. Builders also apply it to unsorted paths, which removes an absolute
/// path at the start of the list; nothing would have matched it.
pub(super) fn without_nested(paths: impl IntoIterator<Item = String>) -> Option<Vec<String>> {
    let mut kept: Vec<String> = Vec::new();
    for path in paths {
        if path == "." {
            return None;
        }
        let last = kept.last().map_or("", String::as_str);
        if !path
            .strip_prefix(last)
            .is_some_and(|below| below.starts_with('/'))
        {
            kept.push(path);
        }
    }
    Some(kept)
}

struct Resolver<'tree> {
    tree: &'tree Tree,
    resolved: BTreeSet<String>,
    /// Paths to follow, the next one last.
    pending: Vec<String>,
    lookups: usize,
    total_bytes: usize,
    buffer: Vec<u8>,
}

impl Resolver<'_> {
    /// Follows a clean relative path down to the first link.
    fn follow(&mut self, path: &str) -> Result<(), WalkError> {
        self.total_bytes += path.len();
        if path.len() > MAX_FOLLOWED_BYTES || self.total_bytes > MAX_TOTAL_BYTES {
            return Err(too_far(path));
        }
        let mut current = String::from(".");
        let mut rest = path;
        loop {
            let (name, below) = rest.split_once('/').unwrap_or((rest, ""));
            current = join(&current, name);
            rest = below;
            let targets = self.targets(&current)?;
            if (rest.is_empty() || targets.is_some()) && self.resolved.contains(&current) {
                return Ok(());
            }
            if let Some(targets) = targets {
                self.pending.extend(
                    targets
                        .iter()
                        .rev()
                        .map(|target| join(".", &join(target, rest))),
                );
                self.resolved.insert(current);
                return Ok(());
            }
            if rest.is_empty() {
                self.resolved.insert(current);
                return Ok(());
            }
        }
    }

    /// The targets of the last name of the path, one for each link that it matches; `None` if there are none.
    fn targets(&mut self, path: &str) -> Result<Option<Vec<String>>, WalkError> {
        self.lookups += 1;
        if self.lookups > MAX_LOOKUPS {
            return Err(too_far(path));
        }
        // Nothing above the root is read; such a path matches nothing.
        if path == "."
            || path == ".."
            || path.starts_with("../")
            || self.tree.withholds(path.as_bytes())
        {
            return Ok(None);
        }
        let failed = |error: Errno| WalkError::Follow {
            path: shown(path.as_bytes()),
            source: error.into(),
        };
        let (parent, name) = split_name(path);
        let expand = has_wildcard(name);
        let flags = if expand { OFlags::RDONLY } else { OFlags::PATH };
        let directory = match self.tree.open_directory(parent.as_bytes(), flags) {
            Ok((directory, _)) => directory,
            Err(error) if is_absent(error) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mut targets = Vec::new();
        if expand {
            let mut listing = Listing::read(directory.as_fd(), &mut self.buffer).map_err(failed)?;
            while let Some((found, kind)) = listing.next() {
                if kind == FileType::Symlink && glob_matches(name, found) == Ok(true) {
                    self.lookups += 1;
                    let target = target(&directory, found, parent).map_err(failed)?;
                    self.total_bytes += target.as_ref().map_or(0, String::len);
                    if self.total_bytes > MAX_TOTAL_BYTES {
                        return Err(too_far(path));
                    }
                    targets.extend(target);
                }
            }
        } else {
            targets.extend(target(&directory, name.as_bytes(), parent).map_err(failed)?);
        }
        Ok(Some(targets).filter(|targets| !targets.is_empty()))
    }
}

/// The target of the link, as an absolute path inside the root; `None` if it is not a link.
///
/// A target that is not UTF-8 is ignored here: it is reported when the link is listed.
fn target(directory: impl AsFd, name: &[u8], parent: &str) -> Result<Option<String>, Errno> {
    let target = match readlinkat(directory, name, Vec::new()) {
        Ok(target) => target,
        Err(error) if error == Errno::INVAL || is_absent(error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let inside = |target: &str| {
        if target.starts_with('/') {
            join("/", target)
        } else {
            join("/", &format!("{parent}/{target}"))
        }
    };
    Ok(target.to_str().ok().map(inside))
}

fn is_absent(error: Errno) -> bool {
    matches!(error, Errno::NOENT | Errno::NOTDIR | Errno::LOOP)
}

fn too_far(path: &str) -> WalkError {
    let start: String = path.chars().take(80).collect();
    WalkError::FollowTooFar {
        path: shown(start.as_bytes()),
    }
}
