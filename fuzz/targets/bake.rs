#![no_main]

use std::path::Path;

use depot_bake::Request;
use libfuzzer_sys::fuzz_target;

// The first byte chooses the kind of the definition, the rest is its content.
fuzz_target!(|bytes: &[u8]| {
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
            Err(std::io::ErrorKind::NotFound.into())
        }
    };
    let mut request = Request::new(&variable, &read_file);
    request.files.push(name.to_owned());
    request.overrides.push("*.args.A=b".to_owned());
    match depot_bake::read(&request) {
        Ok(definition) => drop(definition.to_json().to_string()),
        Err(error) => drop(error.to_string()),
    }
});
