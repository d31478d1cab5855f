//! The names of an image, and the place of each.

use super::Result;
use super::failure::Failure;
use crate::config::plan::Destinations;
use crate::depot::Build;
use crate::registry::reference::Reference;

/// The longest part of a build's ID that a default tag takes over. A tag has at most 128 characters.
const TAG_CHARS: usize = 100;

/// The longest suffix of a tag in Depot's registry, and of a default tag.
const SUFFIX_CHARS: usize = 27;

/// The suffix of the tags of one of several images: its name, or its number in the plan if the name cannot be part of a tag.
pub(super) fn tag_suffix(image: &str, index: usize) -> String {
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if !image.is_empty() && image.len() <= SUFFIX_CHARS && image.bytes().all(is_valid) {
        return image.to_owned();
    }
    format!("image-{}", index + 1)
}

/// The name of an image without a name: that of this program, with the id of the build as its tag.
fn default_name(build: &Build, suffix: Option<&str>) -> Option<Reference> {
    let tag: String = build.id().chars().take(TAG_CHARS).collect();
    let tag = suffix.map_or(tag.clone(), |suffix| format!("{tag}-{suffix}"));
    let latest = suffix.unwrap_or("latest");
    let defaults = [
        format!("depot-build:{tag}"),
        format!("depot-build:{latest}"),
    ];
    defaults.iter().find_map(|name| Reference::parse(name).ok())
}

/// Where an image gets a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In a registry of the user.
    Registry,
    /// In Depot's registry, which keeps the image.
    Depot,
    /// In Depot's registry, only so that the daemon can pull the image from there.
    Pull,
    /// In the step's Docker daemon.
    Daemon,
}

/// One name of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) reference: Reference,
    pub(super) place: Place,
}

/// All names of an image. Names to push come in the order in which they are pushed: [`Place::Pull`] last.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    all: Vec<Name>,
    /// The name of the image in a store if the user has set none.
    default: Option<Reference>,
}

impl Names {
    /// The names of the image `image`. `suffix` is appended to its tags in Depot's registry, if the run has several images.
    ///
    /// # Errors
    /// [`Failure::SavedReference`] if Depot returned an invalid name.
    pub(super) fn new(
        destinations: &Destinations,
        build: &Build,
        suffix: Option<&str>,
    ) -> Result<Self> {
        let mut names = Self {
            all: Vec::new(),
            default: default_name(build, suffix),
        };
        for reference in destinations.pushed() {
            names.add(reference.clone(), Place::Registry);
        }
        // With several images, Depot's own name belongs to none of them, so a daemon does not pull it.
        let is_pulled = destinations.load && build.loads_by_registry() && suffix.is_none();
        for text in &build.saved().references {
            let text = match suffix {
                Some(suffix) => format!("{text}-{suffix}"),
                None => text.clone(),
            };
            let parsed = Reference::parse_push_target(&text);
            if destinations.save.is_some() {
                let reference = parsed.map_err(|source| Failure::SavedReference {
                    reference: text,
                    source,
                })?;
                names.add(reference, Place::Depot);
            } else if is_pulled && let Ok(reference) = parsed {
                names.add(reference, Place::Pull);
            }
        }
        if destinations.load {
            names.add_loaded(destinations);
        }
        Ok(names)
    }

    /// In the daemon, the image gets the names of the user, or a default name.
    fn add_loaded(&mut self, destinations: &Destinations) {
        let mut loaded = destinations.references.clone();
        if loaded.is_empty() {
            loaded.extend(self.default.clone());
        }
        for reference in loaded {
            self.all.push(Name {
                reference,
                place: Place::Daemon,
            });
        }
    }

    /// Adds a name to push, unless the image already has it.
    fn add(&mut self, reference: Reference, place: Place) {
        match self.all.iter_mut().find(|name| name.reference == reference) {
            // The user pushes to the name that Depot chose.
            Some(known) if place == Place::Depot => known.place = place,
            Some(_) => {}
            None => self.all.push(Name { reference, place }),
        }
    }

    /// The names to push.
    pub(super) fn pushed(&self) -> impl Iterator<Item = &Reference> {
        self.except(&[Place::Daemon])
    }

    /// The names to push that remain after the run.
    pub(super) fn kept(&self) -> impl Iterator<Item = &Reference> {
        self.except(&[Place::Daemon, Place::Pull])
    }

    /// The names in the daemon.
    pub(super) fn loaded(&self) -> Vec<Reference> {
        let loaded = self.all.iter().filter(|name| name.place == Place::Daemon);
        loaded.map(|name| name.reference.clone()).collect()
    }

    /// The names in Depot's registry, which keeps the image.
    pub(super) fn saved(&self) -> Vec<String> {
        let saved = self.all.iter().filter(|name| name.place == Place::Depot);
        saved.map(|name| name.reference.to_string()).collect()
    }

    /// The name in the store of a builder, for an image that has no other name there.
    pub(super) fn stored(&self) -> &[Reference] {
        self.default.as_slice()
    }

    /// Whether no name is pushed.
    pub(super) fn is_pushed_nowhere(&self) -> bool {
        self.pushed().next().is_none()
    }

    /// Whether the name exists only so that the daemon can pull the image.
    pub(super) fn is_for_pull(&self, reference: &Reference) -> bool {
        let mut pulls = self.all.iter().filter(|name| name.place == Place::Pull);
        pulls.any(|name| name.reference == *reference)
    }

    fn except<'a>(&'a self, places: &'static [Place]) -> impl Iterator<Item = &'a Reference> {
        let names = self.all.iter();
        let names = names.filter(move |name| !places.contains(&name.place));
        names.map(|name| &name.reference)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suffix_can_be_part_of_a_tag() {
        assert_eq!(tag_suffix("api", 0), "api");
        assert_eq!(tag_suffix("web-1.0_x", 0), "web-1.0_x");
        let long = "x".repeat(SUFFIX_CHARS + 1);
        for name in ["", "a/b", "a:b", "größe", &long] {
            assert_eq!(tag_suffix(name, 1), "image-2", "{name}");
        }
    }

    #[test]
    fn a_name_that_the_user_and_depot_use_is_pushed_once_and_saved() {
        let reference = Reference::parse("registry.depot.dev/p:1").unwrap();
        let mut names = Names::default();
        names.add(reference.clone(), Place::Registry);
        names.add(reference.clone(), Place::Depot);
        names.add(reference.clone(), Place::Pull);
        assert_eq!(names.pushed().collect::<Vec<_>>(), [&reference]);
        assert_eq!(names.saved(), ["registry.depot.dev/p:1"]);
        assert!(!names.is_for_pull(&reference));
    }
}
