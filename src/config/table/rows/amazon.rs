//! Logins to Amazon ECR.

use super::super::{Fallback, Kind, Topic, Variable};

pub(super) const ROWS: &[Variable] = &[
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
];
