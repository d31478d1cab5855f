//! The files, arguments and platforms of the build.

use super::super::{Fallback, Kind, Topic, Variable};

pub(super) const ROWS: &[Variable] = &[
    Variable::new(
        Topic::Source,
        "CONTEXT",
        Kind::Text,
        Fallback::Described("the working directory"),
        "Directory to build from, relative to the working directory. After links are resolved \
         it must be inside the clone (`BITBUCKET_CLONE_DIR`, or the working directory if that \
         is not set). Or the address of a Git repository: `https://HOST/PATH.git#REF:DIRECTORY`, \
         or `git@HOST:PATH#REF:DIRECTORY` with `SSH`.",
    ),
    Variable::new(
        Topic::Source,
        "DOCKERFILE",
        Kind::Text,
        Fallback::Described("`Dockerfile` in the context"),
        "Path of the Dockerfile, relative to the working directory; if no such file exists, \
         relative to the context. It may be outside the context.",
    ),
    Variable::new(
        Topic::Source,
        "TARGET",
        Kind::Text,
        Fallback::Described("the last stage"),
        "Stage of the Dockerfile to build.",
    ),
    Variable::new(
        Topic::Source,
        "BUILD_ARGS",
        Kind::Pairs,
        Fallback::None,
        "Build arguments: a list of `NAME=VALUE`, or a text with one `NAME=VALUE` or `NAME: \
         VALUE` on each line. `NAME` without a value takes the value of that variable of the \
         pipe, such as `BITBUCKET_COMMIT`. Not for secrets; use `SECRETS`.",
    ),
    Variable::new(
        Topic::Source,
        "BUILD_CONTEXTS",
        Kind::Pairs,
        Fallback::None,
        "Named build contexts (`--build-context`), as a list of `NAME=VALUE` or a text with one \
         on each line. NAME is a stage or image in the Dockerfile; VALUE replaces it: a \
         directory of the clone, `docker-image://REFERENCE`, or the address of a Git repository \
         (`https://…`, or `git@HOST:PATH` with `SSH`).",
    ),
    Variable::new(
        Topic::Source,
        "CONTEXT_TIMES",
        Kind::Text,
        Fallback::Value("clone"),
        "Modification times of the files in the contexts. `clone`: those of the clone, which are \
         new in every step, so that a builder requests all files again. `content`: times derived \
         from content and path, so that it requests only changed files; not for steps that \
         compare times, such as make or cargo with a cache mount.",
    ),
    Variable::new(
        Topic::Source,
        "PLATFORMS",
        Kind::Words,
        Fallback::Described("the platform of the step's machine"),
        "Platforms to build for, such as `linux/amd64, linux/arm64`. Each is built on a builder \
         of its architecture, at the same time, and the result is one image.",
    ),
    Variable::new(
        Topic::Source,
        "BUILD_PLATFORM",
        Kind::Text,
        Fallback::Value("dynamic"),
        "Architecture of the builder for all platforms: `linux/amd64` or `linux/arm64`. \
         `dynamic` uses a builder of each platform's own architecture.",
    ),
    Variable::new(
        Topic::Source,
        "SOURCE_DATE_EPOCH",
        Kind::Text,
        Fallback::Described("the time of the build"),
        "Time in the image, as seconds since 1970, for reproducible builds. The Dockerfile can read \
         it with `ARG SOURCE_DATE_EPOCH`. A value in `BUILD_ARGS` takes precedence.",
    ),
];
