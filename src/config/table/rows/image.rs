//! The names of the image, and its destinations.

use super::super::{Fallback, Kind, Topic, Variable};

pub(super) const ROWS: &[Variable] = &[
    Variable::new(
        Topic::Image,
        "IMAGE",
        Kind::Words,
        Fallback::None,
        "Names of the image, such as `acme/app:1.0`: a list, or a text separated by commas, \
         spaces or line breaks. A name without a tag gets those of `TAGS`, else `latest`.",
    ),
    Variable::new(
        Topic::Image,
        "TAGS",
        Kind::Words,
        Fallback::None,
        "Tags for every name in `IMAGE` without a tag, in the same forms as `IMAGE`. Placeholders such as `{branch}` stand for \
         values of the pipeline, see [Tags](#markdown-header-tags).",
    ),
    // No default in `pipe.yml`: a name without PUSH causes a warning, a name with `PUSH: 'false'` does not.
    Variable::new(
        Topic::Image,
        "PUSH",
        Kind::Boolean,
        Fallback::Described("`false`"),
        "Push the image under every name in `IMAGE`.",
    ),
    Variable::new(
        Topic::Image,
        "LOAD",
        Kind::Boolean,
        Fallback::Value("false"),
        "Load the image into the step's Docker daemon, under every name in `IMAGE` (without \
         `IMAGE`, as `depot-build:BUILD_ID`). Requires `services: - docker`.",
    ),
    Variable::new(
        Topic::Image,
        "SOURCE_IMAGE",
        Kind::Text,
        Fallback::None,
        "Existing image to copy to every name in `IMAGE`, unchanged and with all its platforms. Nothing is built. \
         A name, preferably with a digest, or `depot:BUILD_ID` for a build with `SAVE`. See \
         [Promote an image](#markdown-header-promote-an-image).",
    ),
    Variable::new(
        Topic::Image,
        "SKIP_IF_EXISTS",
        Kind::Boolean,
        Fallback::Value("false"),
        "Skip the build if all names in `IMAGE` exist and refer to the same image, as in a re-run of a pipeline. \
         Requires `PUSH`. See [Promote an image](#markdown-header-promote-an-image).",
    ),
    Variable::new(
        Topic::Image,
        "SAVE",
        Kind::Boolean,
        Fallback::Value("false"),
        "Keep the image in Depot's registry, independently of `PUSH`. The log shows the \
         commands to pull it.",
    ),
    Variable::new(
        Topic::Image,
        "SAVE_TAGS",
        Kind::Words,
        Fallback::Described("the build's id"),
        "Tags of the image in Depot's registry, in the same forms as `TAGS`. Requires `SAVE`.",
    ),
    Variable::new(
        Topic::Image,
        "COMPRESSION",
        Kind::Text,
        Fallback::Described("`gzip` for new layers; layers of the base image stay as they are"),
        "Compression of all layers of the image, including those of the base image: `gzip`, \
         `zstd`, `estargz` or `uncompressed`.",
    ),
    Variable::new(
        Topic::Image,
        "COMPRESSION_LEVEL",
        Kind::Text,
        Fallback::Described("the builder's choice"),
        "Level of `COMPRESSION`: 0 to 9 for `gzip` and `estargz`, 0 to 22 for `zstd`. A higher \
         level makes smaller layers and takes longer.",
    ),
];
