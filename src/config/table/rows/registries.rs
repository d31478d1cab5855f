//! Logins and settings of registries.

use super::super::{Fallback, Kind, Topic, Variable};

pub(super) const ROWS: &[Variable] = &[
    Variable::new(
        Topic::Registries,
        "DOCKERHUB_USERNAME",
        Kind::Text,
        Fallback::SameName,
        "User name for Docker Hub. Requires `DOCKERHUB_TOKEN`.",
    ),
    Variable::new(
        Topic::Registries,
        "DOCKERHUB_TOKEN",
        Kind::Text,
        Fallback::SameName,
        "Access token or password for Docker Hub. Store it as a secured variable.",
    )
    .secret(),
    Variable::new(
        Topic::Registries,
        "BITBUCKET_PACKAGES_USERNAME",
        Kind::Text,
        Fallback::SameName,
        "User name for Bitbucket Packages, `crg.apkg.io`. Bitbucket sets it in every step.",
    ),
    Variable::new(
        Topic::Registries,
        "BITBUCKET_PACKAGES_TOKEN",
        Kind::Text,
        Fallback::SameName,
        "Token for Bitbucket Packages. Bitbucket sets it in every step.",
    )
    .secret(),
    Variable::new(
        Topic::Registries,
        "REGISTRY",
        Kind::Text,
        Fallback::SameName,
        "Host that `REGISTRY_USERNAME` and `REGISTRY_PASSWORD` belong to, such as \
         `registry.example.com:5000`, without `https://` and without a path.",
    ),
    Variable::new(
        Topic::Registries,
        "REGISTRY_USERNAME",
        Kind::Text,
        Fallback::SameName,
        "User name for `REGISTRY`.",
    ),
    Variable::new(
        Topic::Registries,
        "REGISTRY_PASSWORD",
        Kind::Text,
        Fallback::SameName,
        "Password or token for `REGISTRY`. Store it as a secured variable.",
    )
    .secret(),
    Variable::new(
        Topic::Registries,
        "REGISTRIES",
        Kind::List,
        Fallback::SameName,
        "Logins for any number of registries: a text with one `- {registry: HOST, username: \
         USER, password: PASSWORD}` on each line, or a list of such entries without the dash. With `HOST/PREFIX` a login is \
         only for the repositories below that name; the longest one is used.",
    )
    .secret(),
    Variable::new(
        Topic::Registries,
        "DOCKER_CONFIG",
        Kind::Text,
        Fallback::None,
        "Directory that contains a Docker `config.json`, or the path of that file, relative to \
         the working directory. Its `auths` are used for hosts that no other variable has a \
         login for, and its `proxies` become build arguments. Credential helpers (`credHelpers`, `credsStore`) cannot run in the pipe.",
    ),
    Variable::new(
        Topic::Registries,
        "REGISTRY_INSECURE",
        Kind::Words,
        Fallback::None,
        "Hosts of registries whose TLS certificate is not verified on a push, in the same forms \
         as `IMAGE`.",
    ),
];
