//! Secrets and keys for the build.

use super::super::{Fallback, Kind, Topic, Variable};

pub(super) const ROWS: &[Variable] = &[
    Variable::new(
        Topic::Secrets,
        "SECRETS",
        Kind::Pairs,
        Fallback::SameName,
        "Secrets for `RUN --mount=type=secret,id=ID`: a list of `ID=VALUE`, or a text with one \
         `ID=VALUE` or `ID: VALUE` on each line. `ID` without a value takes the value of that \
         variable of the pipe. Store the values as secured variables.",
    )
    .secret(),
    Variable::new(
        Topic::Secrets,
        "SECRET_FILES",
        Kind::Pairs,
        Fallback::None,
        "Secrets in files: a list of `ID=PATH`, or a text with one on each line. Each path is \
         relative to the working directory and in the clone; a file has at most 500 KiB. These \
         files are not part of the build context.",
    ),
    Variable::new(
        Topic::Secrets,
        "SSH",
        Kind::Pairs,
        Fallback::None,
        "SSH keys for `RUN --mount=type=ssh` and for Git repositories over SSH: `true` for the \
         step's own key, or a list or text with one `ID=PATH` on each line. A PATH alone has the \
         id `default`. PATH is a private key without a passphrase, or the socket of an SSH agent, \
         in the clone or in Bitbucket's folder for SSH keys.",
    ),
    Variable::new(
        Topic::Secrets,
        "GIT_AUTH_TOKEN",
        Kind::Text,
        Fallback::SameName,
        "Token for private Git repositories over HTTPS in `CONTEXT`, `BUILD_CONTEXTS` and `ADD`. \
         Every Git host of the build can get it; `SECRETS` can set a token for one host. Store it \
         as a secured variable.",
    )
    .secret(),
];
