//! Annotations of an image: texts on its manifests, on the entries of its index, and on the index itself.

use std::fmt;

use crate::platform::Platform;

/// The place of an annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// The manifest of a platform.
    Manifest,
    /// The entry of a platform in the index.
    ManifestDescriptor,
    /// The index.
    Index,
}

/// The name in buildx and BuildKit.
impl fmt::Display for Level {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Manifest => "manifest",
            Self::ManifestDescriptor => "manifest-descriptor",
            Self::Index => "index",
        })
    }
}

/// One annotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Annotation {
    pub(crate) level: Level,
    /// The only platform that it is for; `None` for all. Always `None` for the index.
    pub(crate) platform: Option<Platform>,
    pub(crate) name: String,
    pub(crate) value: String,
}

/// Annotations, each name once for a place and a platform.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Annotations(Vec<Annotation>);

impl Annotations {
    /// Adds an annotation, or replaces the value of an earlier one. Returns whether it replaced one.
    pub(crate) fn set(&mut self, annotation: Annotation) -> bool {
        let mut known = self.0.iter_mut();
        let earlier = known.find(|earlier| {
            (earlier.level, &earlier.platform, &earlier.name)
                == (annotation.level, &annotation.platform, &annotation.name)
        });
        match earlier {
            Some(earlier) => {
                earlier.value = annotation.value;
                true
            }
            None => {
                self.0.push(annotation);
                false
            }
        }
    }

    /// Adds an annotation, unless one exists with the same place, platform and name.
    pub(crate) fn set_default(&mut self, annotation: Annotation) {
        let is_known = self.0.iter().any(|one| {
            (one.level, &one.platform, &one.name)
                == (annotation.level, &annotation.platform, &annotation.name)
        });
        if !is_known {
            self.0.push(annotation);
        }
    }

    /// Those for all platforms, then those for one platform, which take precedence.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Annotation> {
        let general = self.0.iter().filter(|one| one.platform.is_none());
        general.chain(self.0.iter().filter(|one| one.platform.is_some()))
    }

    /// Those of one level that apply to `platform`, in the order in which later ones take precedence.
    pub(crate) fn of(
        &self,
        level: Level,
        platform: Option<&Platform>,
    ) -> impl Iterator<Item = (&str, &str)> {
        let all = self.iter().filter(move |one| {
            one.level == level && (one.platform.is_none() || one.platform.as_ref() == platform)
        });
        all.map(|one| (one.name.as_str(), one.value.as_str()))
    }

    /// The first one that only an index can hold.
    pub(crate) fn first_of_index(&self) -> Option<&Annotation> {
        self.0.iter().find(|one| one.level != Level::Manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_annotation_for_one_platform_takes_precedence() {
        let one = |platform: Option<&str>, value: &str| Annotation {
            level: Level::Manifest,
            platform: platform.map(Platform::of),
            name: "a".into(),
            value: value.into(),
        };
        let mut annotations = Annotations::default();
        assert!(!annotations.set(one(Some("linux/arm64"), "of arm")));
        assert!(!annotations.set(one(None, "of all")));
        assert!(annotations.set(one(Some("linux/arm64"), "replaced")));
        let of = |platform: &str| {
            let platform = Platform::of(platform);
            let all = annotations.of(Level::Manifest, Some(&platform));
            all.map(|(_, value)| value.to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(of("linux/arm64"), ["of all", "replaced"]);
        assert_eq!(of("linux/amd64"), ["of all"]);
        assert_eq!(annotations.of(Level::Index, None).count(), 0);
        assert_eq!(annotations.first_of_index(), None);
    }
}
