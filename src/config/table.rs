//! The one table of the pipe's variables.
//!
//! A test compares it with everything else that names them: the structs that `envy` fills, `pipe.yml`, and the
//! README. A new variable is added here, in its struct in `variables`, and in those two files.

/// Depot's API, unless `DEPOT_API_URL` is set.
pub const DEFAULT_API_URL: &str = "https://api.depot.dev";

/// How a variable's value is read, and whether it can be a Bitbucket array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One text.
    Text,
    /// `true` or `false`.
    Boolean,
    /// A list whose entries contain no commas and no white space, so that both are separators.
    Words,
    /// Names and values: lines, an array, or a YAML mapping.
    Pairs,
    /// A list of YAML mappings: one YAML text, or an array of texts.
    List,
}

impl Kind {
    /// Whether the value can be a Bitbucket array (`NAME_COUNT`, `NAME_0` …).
    #[must_use]
    pub const fn takes_array(self) -> bool {
        matches!(self, Self::Words | Self::Pairs | Self::List)
    }
}

/// The value of a variable that is not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// Nothing.
    None,
    /// This value, which is also the default in `pipe.yml`.
    Value(&'static str),
    /// The repository's or workspace's variable of the same name, which is the default in `pipe.yml`.
    SameName,
    /// A value that depends on the step, described in words.
    Described(&'static str),
}

/// One variable of the pipe.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// Its name. Names are case-sensitive.
    pub name: &'static str,
    /// Whether it must be set.
    pub required: bool,
    /// Whether its value must never be printed.
    pub secret: bool,
    /// How its value is read.
    pub kind: Kind,
    /// The value if it is not set.
    pub fallback: Fallback,
    /// Its purpose, in one line.
    pub description: &'static str,
}

impl Variable {
    const fn new(
        name: &'static str,
        kind: Kind,
        fallback: Fallback,
        description: &'static str,
    ) -> Self {
        Self {
            name,
            required: false,
            secret: false,
            kind,
            fallback,
            description,
        }
    }

    const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// The default in `pipe.yml`; `None` if it has none.
    #[must_use]
    pub fn pipe_default(&self) -> Option<String> {
        match self.fallback {
            Fallback::Value(value) => Some(value.to_owned()),
            Fallback::SameName => Some(format!("${}", self.name)),
            Fallback::None | Fallback::Described(_) => None,
        }
    }

    /// The default as the README words it.
    #[must_use]
    pub fn default_text(&self) -> String {
        match self.fallback {
            Fallback::None => "none".to_owned(),
            Fallback::Described(words) => words.to_owned(),
            Fallback::Value(_) | Fallback::SameName => {
                format!("`{}`", self.pipe_default().unwrap_or_default())
            }
        }
    }
}

/// All variables, in the order in which they are documented.
pub const VARIABLES: [Variable; 37] = [
    Variable::new(
        "DEPOT_TOKEN",
        Kind::Text,
        Fallback::SameName,
        "Depot token, preferably a project token.",
    )
    .required()
    .secret(),
    Variable::new(
        "DEPOT_PROJECT_ID",
        Kind::Text,
        Fallback::SameName,
        "Id of the Depot project; if it is not set, the `id` in `depot.json`, `depot.yml` or `depot.yaml` is used.",
    ),
    Variable::new("IMAGE", Kind::Words, Fallback::None, "Names of the image."),
    // No default in `pipe.yml`: a name without PUSH causes a warning, a name with `PUSH: 'false'` does not.
    Variable::new(
        "PUSH",
        Kind::Boolean,
        Fallback::Described("`false`"),
        "Push the image under every name in `IMAGE`.",
    ),
    Variable::new(
        "LOAD",
        Kind::Boolean,
        Fallback::Value("false"),
        "Load the image into the step's Docker daemon.",
    ),
    Variable::new(
        "SAVE",
        Kind::Boolean,
        Fallback::Value("false"),
        "Keep the image in Depot's registry.",
    ),
    Variable::new(
        "SAVE_TAGS",
        Kind::Words,
        Fallback::Described("the build's id"),
        "Tags of the image in Depot's registry.",
    ),
    Variable::new(
        "CONTEXT",
        Kind::Text,
        Fallback::Described("the working directory"),
        "Directory to build from.",
    ),
    Variable::new(
        "DOCKERFILE",
        Kind::Text,
        Fallback::Described("`Dockerfile` in the context"),
        "Path of the Dockerfile.",
    ),
    Variable::new(
        "TARGET",
        Kind::Text,
        Fallback::Described("the last stage"),
        "Stage of the Dockerfile to build.",
    ),
    Variable::new(
        "BUILD_ARGS",
        Kind::Pairs,
        Fallback::None,
        "Build arguments.",
    ),
    Variable::new(
        "BUILD_CONTEXTS",
        Kind::Pairs,
        Fallback::None,
        "Named build contexts, which replace stages and images of the Dockerfile.",
    ),
    Variable::new(
        "PLATFORMS",
        Kind::Words,
        Fallback::Described("the platform of the step's machine"),
        "Platforms to build for.",
    ),
    Variable::new(
        "BUILD_PLATFORM",
        Kind::Text,
        Fallback::Value("dynamic"),
        "Architecture of the builder for all platforms.",
    ),
    Variable::new(
        "NO_CACHE",
        Kind::Boolean,
        Fallback::Value("false"),
        "Run every step of the Dockerfile again.",
    ),
    Variable::new(
        "DOCKERHUB_USERNAME",
        Kind::Text,
        Fallback::SameName,
        "User name for Docker Hub.",
    ),
    Variable::new(
        "DOCKERHUB_TOKEN",
        Kind::Text,
        Fallback::SameName,
        "Access token or password for Docker Hub.",
    )
    .secret(),
    Variable::new(
        "REGISTRY",
        Kind::Text,
        Fallback::SameName,
        "Host that `REGISTRY_USERNAME` and `REGISTRY_PASSWORD` belong to.",
    ),
    Variable::new(
        "REGISTRY_USERNAME",
        Kind::Text,
        Fallback::SameName,
        "User name for `REGISTRY`.",
    ),
    Variable::new(
        "REGISTRY_PASSWORD",
        Kind::Text,
        Fallback::SameName,
        "Password or token for `REGISTRY`.",
    )
    .secret(),
    Variable::new(
        "REGISTRIES",
        Kind::List,
        Fallback::SameName,
        "Logins for any number of registries.",
    )
    .secret(),
    Variable::new(
        "DOCKER_CONFIG",
        Kind::Text,
        Fallback::None,
        "Directory or path of a Docker `config.json` with logins.",
    ),
    Variable::new(
        "REGISTRY_INSECURE",
        Kind::Words,
        Fallback::None,
        "Hosts of registries whose TLS certificate is not verified on a push.",
    ),
    Variable::new(
        "AWS_ACCESS_KEY_ID",
        Kind::Text,
        Fallback::SameName,
        "Id of an access key for Amazon ECR.",
    ),
    Variable::new(
        "AWS_SECRET_ACCESS_KEY",
        Kind::Text,
        Fallback::SameName,
        "Secret access key.",
    )
    .secret(),
    Variable::new(
        "AWS_SESSION_TOKEN",
        Kind::Text,
        Fallback::SameName,
        "Session token of a temporary access key.",
    )
    .secret(),
    Variable::new(
        "AWS_OIDC_ROLE_ARN",
        Kind::Text,
        Fallback::SameName,
        "ARN of the IAM role to assume with the step's OIDC token, for Amazon ECR.",
    ),
    Variable::new(
        "AWS_ENDPOINT_URL",
        Kind::Text,
        Fallback::None,
        "Endpoint for all calls of the AWS API.",
    ),
    Variable::new(
        "ECR_CREATE_REPOSITORY",
        Kind::Boolean,
        Fallback::Value("false"),
        "Create repositories that do not exist in Amazon ECR.",
    ),
    Variable::new(
        "OUTPUT_FILE",
        Kind::Text,
        Fallback::None,
        "File for shell assignments with the image's names and digests and the build's address.",
    ),
    Variable::new(
        "OUTPUT_VARIABLES",
        Kind::Words,
        Fallback::None,
        "Names of those assignments that become environment variables of later steps.",
    ),
    Variable::new(
        "METADATA_FILE",
        Kind::Text,
        Fallback::None,
        "File for the builder's metadata of the image, as JSON.",
    ),
    Variable::new(
        "IID_FILE",
        Kind::Text,
        Fallback::None,
        "File for the image's id in the daemon, or its digest if it is not loaded.",
    ),
    Variable::new(
        "SSL_CERT_FILE",
        Kind::Text,
        Fallback::None,
        "PEM file with certificates to trust in addition to the public authorities.",
    ),
    Variable::new(
        "TIMEOUT",
        Kind::Text,
        Fallback::None,
        "Maximum duration of the run.",
    ),
    Variable::new(
        "DEPOT_API_URL",
        Kind::Text,
        Fallback::Value(DEFAULT_API_URL),
        "Address of Depot's API.",
    ),
    Variable::new(
        "DEBUG",
        Kind::Boolean,
        Fallback::Value("false"),
        "Log details that help to find a fault.",
    ),
];

/// The directory of the clone. It is read separately, because a path need not be UTF-8.
pub const CLONE_DIR: &str = "BITBUCKET_CLONE_DIR";

/// Variables that Bitbucket sets in every pipe, as far as they are read. Users do not set them.
pub const CONTEXT_VARIABLES: [&str; 13] = [
    "BITBUCKET_COMMIT",
    "BITBUCKET_BRANCH",
    "BITBUCKET_TAG",
    "BITBUCKET_PR_ID",
    "BITBUCKET_WORKSPACE",
    "BITBUCKET_REPO_SLUG",
    "BITBUCKET_REPO_FULL_NAME",
    "BITBUCKET_BUILD_NUMBER",
    "BITBUCKET_PIPELINE_UUID",
    "BITBUCKET_STEP_UUID",
    "BITBUCKET_PIPE_STORAGE_DIR",
    "BITBUCKET_PIPE_SHARED_STORAGE_DIR",
    "BITBUCKET_PIPELINES_VARIABLES_PATH",
];

/// Identities of the step, or of the machine that it runs on. Users do not set them, and they are never printed.
pub const IDENTITY_VARIABLES: [&str; 5] = [
    "BITBUCKET_STEP_OIDC_TOKEN",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
];

/// The address of the step's Docker daemon. Docker's own variables, which Bitbucket sets.
pub const DAEMON_VARIABLES: [&str; 3] = ["DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"];
