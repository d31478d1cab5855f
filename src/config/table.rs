//! The one table of the pipe's variables.
//!
//! Everything else that names them is held against it by a test: the structs that `envy` fills, `pipe.yml`, and the
//! README. A variable is added here, in its struct in `variables`, and in those two files.

/// Where builds are asked for unless `DEPOT_API_URL` says otherwise.
pub const DEFAULT_API_URL: &str = "https://api.depot.dev";

/// How a variable's value is read, and whether Bitbucket's arrays are taken for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One text.
    Text,
    /// `true` or `false`.
    Boolean,
    /// A list whose entries hold neither commas nor white space, so that both separate.
    Words,
    /// Names and values: lines, an array, or a YAML mapping.
    Pairs,
    /// A list of YAML mappings: one YAML text, or an array of such.
    List,
}

impl Kind {
    /// Whether a Bitbucket array (`NAME_COUNT`, `NAME_0` …) is one way to give it.
    #[must_use]
    pub const fn takes_array(self) -> bool {
        matches!(self, Self::Words | Self::Pairs | Self::List)
    }
}

/// What holds where a variable is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// Nothing.
    None,
    /// This value; it stands in `pipe.yml` too.
    Value(&'static str),
    /// The repository's or workspace's variable of the same name, which `pipe.yml` asks Bitbucket for.
    SameName,
    /// Something that depends on the step, in words.
    Described(&'static str),
}

/// One variable of the pipe.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// Its name, in the only spelling that is read.
    pub name: &'static str,
    /// Whether no build is possible without it.
    pub required: bool,
    /// Whether its value may never be shown.
    pub secret: bool,
    /// How its value is read.
    pub kind: Kind,
    /// What holds without it.
    pub fallback: Fallback,
    /// What it is for, in one line.
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

    /// What `pipe.yml` gives as the default; `None` where it gives none.
    #[must_use]
    pub fn pipe_default(&self) -> Option<String> {
        match self.fallback {
            Fallback::Value(value) => Some(value.to_owned()),
            Fallback::SameName => Some(format!("${}", self.name)),
            Fallback::None | Fallback::Described(_) => None,
        }
    }

    /// The default as the documentation words it.
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
        "Depot token, best one of the project.",
    )
    .required()
    .secret(),
    Variable::new(
        "DEPOT_PROJECT_ID",
        Kind::Text,
        Fallback::SameName,
        "Depot project; without it the `id` in `depot.json`, `depot.yml` or `depot.yaml` counts.",
    ),
    Variable::new(
        "IMAGE",
        Kind::Words,
        Fallback::None,
        "One or more references to name the image by.",
    ),
    // No default in `pipe.yml`: a name without a word on pushing is warned of, a name with `false` is not.
    Variable::new(
        "PUSH",
        Kind::Boolean,
        Fallback::Described("`false`"),
        "Whether to push the image under every `IMAGE`.",
    ),
    Variable::new(
        "LOAD",
        Kind::Boolean,
        Fallback::Value("false"),
        "Whether to load the image into the step's Docker daemon.",
    ),
    Variable::new(
        "SAVE",
        Kind::Boolean,
        Fallback::Value("false"),
        "Whether Depot's registry keeps the image.",
    ),
    Variable::new(
        "SAVE_TAGS",
        Kind::Words,
        Fallback::Described("the build's id"),
        "Tags for the image in Depot's registry.",
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
        "What stands in place of stages and images that the Dockerfile names.",
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
        "Machine that builds for all platforms.",
    ),
    Variable::new(
        "NO_CACHE",
        Kind::Boolean,
        Fallback::Value("false"),
        "Whether to run every step anew.",
    ),
    Variable::new(
        "DOCKERHUB_USERNAME",
        Kind::Text,
        Fallback::SameName,
        "User name at Docker Hub.",
    ),
    Variable::new(
        "DOCKERHUB_TOKEN",
        Kind::Text,
        Fallback::SameName,
        "Access token or password at Docker Hub.",
    )
    .secret(),
    Variable::new(
        "REGISTRY",
        Kind::Text,
        Fallback::SameName,
        "Host that user name and password are for.",
    ),
    Variable::new(
        "REGISTRY_USERNAME",
        Kind::Text,
        Fallback::SameName,
        "User name at the registry.",
    ),
    Variable::new(
        "REGISTRY_PASSWORD",
        Kind::Text,
        Fallback::SameName,
        "Password or token at the registry.",
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
        "Folder of a Docker `config.json` to take logins from.",
    ),
    Variable::new(
        "REGISTRY_INSECURE",
        Kind::Words,
        Fallback::None,
        "Registries to trust without a look at their certificates.",
    ),
    Variable::new(
        "AWS_ACCESS_KEY_ID",
        Kind::Text,
        Fallback::SameName,
        "Id of an access key, for Amazon ECR.",
    ),
    Variable::new(
        "AWS_SECRET_ACCESS_KEY",
        Kind::Text,
        Fallback::SameName,
        "The access key itself.",
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
        "Role that the step takes by its own identity, for Amazon ECR.",
    ),
    Variable::new(
        "AWS_ENDPOINT_URL",
        Kind::Text,
        Fallback::None,
        "One address in place of all of Amazon's.",
    ),
    Variable::new(
        "ECR_CREATE_REPOSITORY",
        Kind::Boolean,
        Fallback::Value("false"),
        "Whether repositories that Amazon ECR lacks are made.",
    ),
    Variable::new(
        "OUTPUT_FILE",
        Kind::Text,
        Fallback::None,
        "File to write the image's names, digests and the build's address to, as lines for a shell.",
    ),
    Variable::new(
        "OUTPUT_VARIABLES",
        Kind::Words,
        Fallback::None,
        "Which of the lines of OUTPUT_FILE later steps get as variables.",
    ),
    Variable::new(
        "METADATA_FILE",
        Kind::Text,
        Fallback::None,
        "File to write what the builder told of the image to, as JSON.",
    ),
    Variable::new(
        "IID_FILE",
        Kind::Text,
        Fallback::None,
        "File to write the image's id in the daemon to, or its digest where it is not loaded.",
    ),
    Variable::new(
        "SSL_CERT_FILE",
        Kind::Text,
        Fallback::None,
        "File of certificates to trust beside the public authorities.",
    ),
    Variable::new(
        "TIMEOUT",
        Kind::Text,
        Fallback::None,
        "How long the run may take.",
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
        "Whether to log what helps to find a fault of the pipe.",
    ),
];

/// The directory of the clone. Read apart from the others, since a path need not be UTF-8.
pub const CLONE_DIR: &str = "BITBUCKET_CLONE_DIR";

/// What Bitbucket itself tells every pipe, as far as it is read. Nobody documents or checks these but Bitbucket.
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

/// What proves who the step is, or the machine that it runs on. None of these is the user's to give, and none is shown.
pub const IDENTITY_VARIABLES: [&str; 5] = [
    "BITBUCKET_STEP_OIDC_TOKEN",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
];

/// Where the step's Docker daemon is. Docker's own variables, which Bitbucket sets.
pub const DAEMON_VARIABLES: [&str; 3] = ["DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"];
