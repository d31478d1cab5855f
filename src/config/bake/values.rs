//! Values for the variables of a definition.

use std::collections::BTreeMap;

use crate::config::build::argument_fault;
use crate::config::environment::Environment;
use crate::config::findings::Findings;
use crate::config::pairs;
use crate::config::secret_names;

const VARIABLE: &str = "BAKE_VARS";

/// The prefix of the variables of a pipeline.
const OF_PIPELINE: &str = "BITBUCKET_";

/// Words in the names of those that hold a secret, such as `BITBUCKET_STEP_OIDC_TOKEN`.
const SECRETS: [&str; 3] = ["TOKEN", "PASSWORD", "SECRET"];

/// The values by name: those in `BAKE_VARS`, and the variables of the pipeline. No other variable of the pipe is among them.
pub(super) fn read(
    value: Option<&str>,
    environment: &Environment,
    findings: &mut Findings,
) -> BTreeMap<String, String> {
    let mut values: BTreeMap<String, String> = environment
        .names()
        .filter(|name| name.starts_with(OF_PIPELINE))
        .filter(|name| !SECRETS.iter().any(|word| name.contains(word)))
        .filter_map(|name| {
            let value = environment.lookup(name)?.to_str()?;
            Some((name.to_owned(), value.to_owned()))
        })
        .collect();
    match pairs::read(value.unwrap_or_default(), |name| environment.lookup(name)) {
        Ok(pairs) => {
            for (name, value) in pairs {
                for secret in secret_names::search(&name, &value).secrets {
                    findings.keep_secret(&secret);
                }
                values.insert(name, value);
            }
        }
        Err(faults) => {
            for fault in faults {
                findings.fault(argument_fault(VARIABLE, fault));
            }
        }
    }
    values
}
