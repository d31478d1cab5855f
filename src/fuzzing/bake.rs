//! Bake definitions.

use std::io;
use std::path::Path;

use depot_bake::Request;

/// Reads a definition. The first byte selects its kind, the rest is its content.
pub fn bake(bytes: &[u8]) {
    let Some((kind, content)) = bytes.split_first() else {
        return;
    };
    let name = match kind % 4 {
        0 => "docker-bake.hcl",
        1 => "docker-bake.json",
        2 => "compose.yaml",
        _ => "definition",
    };
    let variable = |name: &str| (name.len() % 2 == 1).then(|| name.to_owned());
    let read_file = |path: &Path| {
        if path == Path::new(name) {
            Ok(content.to_vec())
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    };
    let request = Request {
        files: vec![name.to_owned()],
        overrides: vec!["*.args.A=b".to_owned()],
        ..Request::new(&variable, &read_file)
    };
    match depot_bake::read(&request) {
        Ok(definition) => assert!(definition.to_json().is_object()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
