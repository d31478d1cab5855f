//! Network and the rest.

use super::super::{DEFAULT_API_URL, Fallback, Kind, Topic, Variable};

pub(super) const ROWS: &[Variable] = &[
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
