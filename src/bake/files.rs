//! The files of a definition: which are read, and the kind of each.

use std::io;
use std::path::Path;

use crate::{Error, Part, Request};

/// The files that are read when the caller names none, in this order. All that exist are read.
const DEFAULT_FILES: [&str; 8] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
    "docker-bake.json",
    "docker-bake.hcl",
    "docker-bake.override.json",
    "docker-bake.override.hcl",
];

/// A file of a definition.
pub(crate) struct File {
    /// The name as the user wrote it.
    pub(crate) name: String,
    pub(crate) content: Vec<u8>,
}

/// Reads the files of a request.
pub(crate) fn read(request: &Request<'_>) -> Result<Vec<File>, Error> {
    let mut files = Vec::new();
    if request.files.is_empty() {
        for name in DEFAULT_FILES {
            match (request.read_file)(Path::new(name)) {
                Ok(content) => files.push(File {
                    name: name.to_owned(),
                    content,
                }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(unreadable(name, &error)),
            }
        }
        if files.is_empty() {
            let names = DEFAULT_FILES.join("`, `");
            let message = format!("none of `{names}` exists in the working directory");
            return Err(Error::of(Part::Files, message));
        }
        return Ok(files);
    }
    for name in &request.files {
        let name = name.strip_prefix("cwd://").unwrap_or(name);
        let content =
            (request.read_file)(Path::new(name)).map_err(|error| unreadable(name, &error))?;
        files.push(File {
            name: name.to_owned(),
            content,
        });
    }
    Ok(files)
}

fn unreadable(name: &str, error: &io::Error) -> Error {
    let message = if error.kind() == io::ErrorKind::NotFound {
        format!("`{name}` does not exist")
    } else {
        format!("cannot read `{name}`: {error}")
    };
    Error::of(Part::Files, message)
}
