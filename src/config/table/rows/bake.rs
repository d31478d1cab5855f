//! Several images from a definition.

use super::super::{Fallback, Kind, Topic, Variable};

pub(super) const ROWS: &[Variable] = &[
    Variable::new(
        Topic::Bake,
        "BAKE_FILES",
        Kind::Words,
        Fallback::Described(
            "the default files of `depot bake` that exist, if another variable of this section is set",
        ),
        "Files with the definition of the images, in their order: HCL, JSON or compose files in the clone, relative to the \
         working directory. See [Bake](#markdown-header-bake).",
    ),
    Variable::new(
        Topic::Bake,
        "TARGETS",
        Kind::Words,
        Fallback::Described("`default`"),
        "Targets and groups of the definition to build, in the same forms as `IMAGE`.",
    ),
    Variable::new(
        Topic::Bake,
        "BAKE_SET",
        Kind::Lines,
        Fallback::None,
        "Overrides of the definition, as in `--set`: a list, or a text with one `TARGET.KEY=VALUE` on each line. `*` in TARGET \
         stands for any characters, and `+=` adds to a list.",
    ),
    Variable::new(
        Topic::Bake,
        "BAKE_VARS",
        Kind::Pairs,
        Fallback::None,
        "Values for the variables of the definition, in the same forms as `BUILD_ARGS`. The definition also gets all `BITBUCKET_…` \
         variables of the pipe, and no others.",
    ),
    Variable::new(
        Topic::Bake,
        "BAKE_PRINT",
        Kind::Boolean,
        Fallback::Value("false"),
        "Print the resolved definition as JSON to the standard output, and build nothing. Needs no token.",
    ),
];
