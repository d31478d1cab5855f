//! Files and variables for the rest of the pipeline.

use super::super::{Fallback, Kind, Topic, Variable};

pub(super) const ROWS: &[Variable] = &[
    Variable::new(
        Topic::Outputs,
        "OUTPUTS",
        Kind::Lines,
        Fallback::None,
        "Files of the result to write into the clone, one on each line or as a list, in the form \
         of `--output`: `type=local,dest=DIR` (or `DIR` alone) for the files of the last stage, \
         `type=tar,dest=FILE` for the same as an archive, `type=oci,dest=FILE` or \
         `type=docker,dest=FILE` for the image as an archive. See \
         [Files of the result](#markdown-header-files-of-the-result).",
    ),
    Variable::new(
        Topic::Outputs,
        "OUTPUT_FILE",
        Kind::Text,
        Fallback::None,
        "File in the clone, relative to the working directory, for shell assignments with the \
         image's names and digests and the build's id and address. Load it with `. ./FILE`.",
    ),
    Variable::new(
        Topic::Outputs,
        "OUTPUT_VARIABLES",
        Kind::Words,
        Fallback::None,
        "Names of those assignments that become environment variables of later steps, such as \
         `DEPOT_BUILD_IMAGE_DIGEST`. List the same names under the step's `output-variables:`.",
    ),
    Variable::new(
        Topic::Outputs,
        "METADATA_FILE",
        Kind::Text,
        Fallback::None,
        "File in the clone for the builder's metadata of the image, as JSON in the format of \
         `depot build --metadata-file`.",
    ),
    Variable::new(
        Topic::Outputs,
        "IID_FILE",
        Kind::Text,
        Fallback::None,
        "File in the clone for the image's id in the daemon, or its digest if it is not loaded.",
    ),
    Variable::new(
        Topic::Outputs,
        "SUMMARY_FILE",
        Kind::Text,
        Fallback::None,
        "File in the clone for the figures at the end of the log, as JSON: names and sizes, the \
         time of each phase, slow and cached steps, and the bytes that were sent. See \
         [The summary](#markdown-header-the-summary).",
    ),
    Variable::new(
        Topic::Outputs,
        "CODE_INSIGHTS",
        Kind::Boolean,
        Fallback::Value("false"),
        "Publish a report on the commit with the result, and annotations at the lines of \
         warnings and of a failed step. See [Code Insights](#markdown-header-code-insights).",
    ),
];
