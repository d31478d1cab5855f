//! Secrets in files of the clone, which are read when a builder requests them.

use std::path::PathBuf;

use super::{SecretsPlan, is_id};
use crate::buildkit::session::SECRET_LIMIT_BYTES;
use crate::config::fault::Fault;
use crate::config::findings::Findings;
use crate::config::pairs;
use crate::config::paths::Places;
use crate::config::ssh::contains_key;
use crate::config::values::is_set;
use crate::io::bounded_file;

const VARIABLE: &str = "SECRET_FILES";

const ADVICE: &str = "write `ID=PATH`; the path is relative to the working directory, and an id contains no white space, comma or `=`";

/// The limit for all files together: they are read once to mask their lines in the log.
const TOTAL_LIMIT_BYTES: usize = 4 << 20;

/// A secret in a file.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SecretFile {
    pub(crate) id: String,
    /// Inside the clone. Absolute and without links.
    pub(crate) path: PathBuf,
    /// The secret in a message.
    pub(crate) label: String,
}

/// Adds the files to the plan, and reports each fault.
pub(super) fn read(
    value: &str,
    places: &Places<'_>,
    plan: &mut SecretsPlan,
    findings: &mut Findings,
) {
    let named = pairs::named(value).unwrap_or_else(|_| {
        let problem = "not a YAML mapping of ids to paths";
        findings.fault(Fault::new(VARIABLE, problem, ADVICE));
        Vec::new()
    });
    let mut total = 0;
    for (index, (id, path)) in named.into_iter().enumerate() {
        let entry = if is_id(&id) && id.len() <= 40 {
            findings.shown(&id)
        } else {
            format!("entry {}", index + 1)
        };
        let id = id.trim_end().to_owned();
        if let Err((problem, advice)) = check(plan, &id, path.as_deref()) {
            findings.fault(Fault::new(VARIABLE, format!("{entry} {problem}"), advice));
            continue;
        }
        let written = path.unwrap_or_default();
        if is_secret_text(&written) && !places.has_file(&written) {
            findings.keep_secret_text(&written);
            let problem = format!(
                "{entry} has a value that looks like a secret, not like the path of a file"
            );
            let advice = "write the path of a file, or set the value in SECRETS";
            findings.fault(Fault::new(VARIABLE, problem, advice));
            continue;
        }
        let limit = SECRET_LIMIT_BYTES as u64;
        let Some(path) = places.secret_file(VARIABLE, &written, limit, findings) else {
            continue;
        };
        // The check has reported a file that cannot be read. One that has changed since then is reported when it is used.
        let content = bounded_file::read(&path, limit).unwrap_or_default();
        total += content.len();
        if total > TOTAL_LIMIT_BYTES {
            let problem = format!("the files have more than {TOTAL_LIMIT_BYTES} bytes together");
            findings.fault(Fault::new(VARIABLE, problem, "list fewer files"));
            return;
        }
        mask(&content, plan);
        let label = format!("the secret `{id}` (`{}` in {VARIABLE})", written.trim());
        plan.files.push(SecretFile { id, path, label });
    }
}

/// Whether a value is a key or a token in place of a path. It must not be shown.
fn is_secret_text(value: &str) -> bool {
    const TOKEN_CHARACTERS: usize = 20;
    let value = value.trim();
    contains_key(value) || (value.len() >= TOKEN_CHARACTERS && !value.contains(['/', '.']))
}

/// Problem and advice of an invalid entry.
fn check(
    plan: &SecretsPlan,
    id: &str,
    path: Option<&str>,
) -> Result<(), (&'static str, &'static str)> {
    match path {
        _ if !is_id(id) => Err(("does not start with an id and `=`", ADVICE)),
        None => Err(("has no `=`", ADVICE)),
        Some(path) if path.trim().is_empty() => Err(("has no path after its `=`", ADVICE)),
        Some(path) if !is_set(path) => Err((
            "refers to a variable that is not set in this pipeline",
            "set that variable, or remove the entry",
        )),
        Some(path) if matches!(id, "id" | "type") && path.contains(',') => {
            Err(("has the form of the option `--secret`", "write `ID=PATH`"))
        }
        Some(_) if plan.values.iter().any(|(known, _)| known == id) => Err((
            "has the same id as an entry of SECRETS",
            "write each id once, in SECRETS or in SECRET_FILES",
        )),
        Some(_) if plan.has(id) => {
            Err(("has the same id as an earlier entry", "write each id once"))
        }
        Some(_) => Ok(()),
    }
}

/// Masks a text, or the lines of another file that are text.
fn mask(content: &[u8], plan: &mut SecretsPlan) {
    if let Ok(text) = str::from_utf8(content) {
        plan.mask(text);
        return;
    }
    let lines = content.split(|&byte| matches!(byte, b'\n' | b'\r' | b'\0'));
    let lines = lines.filter_map(|line| str::from_utf8(line).ok());
    let lines = lines.filter(|line| !line.trim().is_empty());
    plan.masked.extend(lines.map(Into::into));
}
