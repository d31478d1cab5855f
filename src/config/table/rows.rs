//! The rows of the table.

use super::{DEFAULT_API_URL, Fallback, Kind, Topic, Variable};

/// All variables, in the order in which they are documented: topic by topic.
pub const VARIABLES: [Variable; 37] = [
    Variable::new(
        Topic::Depot,
        "DEPOT_TOKEN",
        Kind::Text,
        Fallback::SameName,
        "Depot token, preferably a project token. Store it as a secured variable and omit it in \
         the step.",
    )
    .required()
    .secret(),
    Variable::new(
        Topic::Depot,
        "DEPOT_PROJECT_ID",
        Kind::Text,
        Fallback::SameName,
        "Id of the Depot project. If it is not set, the `id` in `depot.json`, `depot.yml` or \
         `depot.yaml` is used: the nearest one in the directory of the Dockerfile or above, \
         else in the context or above.",
    ),
    Variable::new(
        Topic::Image,
        "IMAGE",
        Kind::Words,
        Fallback::None,
        "Names of the image, such as `acme/app:1.0`: a list, or a text separated by commas, \
         spaces or line breaks.",
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
        "Tags of the image in Depot's registry, in the same forms as `IMAGE`. Requires `SAVE`.",
    ),
    Variable::new(
        Topic::Source,
        "CONTEXT",
        Kind::Text,
        Fallback::Described("the working directory"),
        "Directory to build from, relative to the working directory. After links are resolved \
         it must be inside the clone (`BITBUCKET_CLONE_DIR`, or the working directory if that \
         is not set).",
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
         pipe, such as `BITBUCKET_COMMIT`. Not for secrets.",
    ),
    Variable::new(
        Topic::Source,
        "BUILD_CONTEXTS",
        Kind::Pairs,
        Fallback::None,
        "Named build contexts (`--build-context`), as a list of `NAME=VALUE` or a text with one \
         on each line. NAME is a stage or image in the Dockerfile; VALUE replaces it: a \
         directory of the clone, `docker-image://REFERENCE`, or the `https://` address of a Git \
         repository.",
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
        "NO_CACHE",
        Kind::Boolean,
        Fallback::Value("false"),
        "Run every step of the Dockerfile again.",
    ),
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
         USER, password: PASSWORD}` on each line, or a list of such entries without the dash.",
    )
    .secret(),
    Variable::new(
        Topic::Registries,
        "DOCKER_CONFIG",
        Kind::Text,
        Fallback::None,
        "Directory that contains a Docker `config.json`, or the path of that file, relative to \
         the working directory. Its `auths` are used for hosts that no other variable has a \
         login for. Credential helpers (`credHelpers`, `credsStore`) cannot run in the pipe.",
    ),
    Variable::new(
        Topic::Registries,
        "REGISTRY_INSECURE",
        Kind::Words,
        Fallback::None,
        "Hosts of registries whose TLS certificate is not verified on a push, in the same forms \
         as `IMAGE`.",
    ),
    Variable::new(
        Topic::Amazon,
        "AWS_ACCESS_KEY_ID",
        Kind::Text,
        Fallback::SameName,
        "Id of an access key. Requires `AWS_SECRET_ACCESS_KEY`.",
    ),
    Variable::new(
        Topic::Amazon,
        "AWS_SECRET_ACCESS_KEY",
        Kind::Text,
        Fallback::SameName,
        "Secret access key. Store it as a secured variable.",
    )
    .secret(),
    Variable::new(
        Topic::Amazon,
        "AWS_SESSION_TOKEN",
        Kind::Text,
        Fallback::SameName,
        "Session token of a temporary access key.",
    )
    .secret(),
    Variable::new(
        Topic::Amazon,
        "AWS_OIDC_ROLE_ARN",
        Kind::Text,
        Fallback::SameName,
        "ARN of the IAM role to assume with the step's OIDC token. Requires `oidc: true` in the \
         step. Takes precedence over an access key.",
    ),
    Variable::new(
        Topic::Amazon,
        "AWS_ENDPOINT_URL",
        Kind::Text,
        Fallback::None,
        "Endpoint for all calls of the AWS API (STS and ECR), for example for tests.",
    ),
    Variable::new(
        Topic::Amazon,
        "ECR_CREATE_REPOSITORY",
        Kind::Boolean,
        Fallback::Value("false"),
        "Create the repositories of `IMAGE` that do not exist in Amazon ECR.",
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
        Topic::Rest,
        "SSL_CERT_FILE",
        Kind::Text,
        Fallback::None,
        "PEM file with certificates to trust in addition to the public authorities, relative to \
         the working directory and inside the clone. It applies to the connections of the pipe, \
         not to those of the builders.",
    ),
    Variable::new(
        Topic::Rest,
        "TIMEOUT",
        Kind::Text,
        Fallback::None,
        "Maximum duration of the run, such as `90s`, `45m` or `1h30m`; a number alone is in \
         seconds.",
    ),
    Variable::new(
        Topic::Rest,
        "DEPOT_API_URL",
        Kind::Text,
        Fallback::Value(DEFAULT_API_URL),
        "Address of Depot's API.",
    ),
    Variable::new(
        Topic::Rest,
        "DEBUG",
        Kind::Boolean,
        Fallback::Value("false"),
        "Log details for troubleshooting.",
    ),
];
