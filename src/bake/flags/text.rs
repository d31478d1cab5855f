//! Caches, outputs, attestations, secrets and SSH keys as text, which the parsers read back.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use super::{Attestation, Cache, Export, Secret, Ssh};

/// The reference alone for a cache in a registry, else `type=…,…`.
impl Display for Cache {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        if self.kind == "registry"
            && self.attributes.len() == 1
            && let Some(reference) = self.attributes.get("ref")
            && !reference.contains([',', '=', '"', '\n', '\r'])
            && !reference.is_empty()
        {
            return formatter.write_str(reference);
        }
        write(formatter, [("type", &*self.kind)], &self.attributes)
    }
}

impl Display for Export {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let pairs = [("type", &*self.kind), ("dest", &*self.destination)];
        write(formatter, pairs, &self.attributes)
    }
}

impl Display for Attestation {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let disabled = if self.disabled { "true" } else { "" };
        let pairs = [("type", &*self.kind), ("disabled", disabled)];
        write(formatter, pairs, &self.attributes)
    }
}

impl Display for Secret {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let pairs = [
            ("id", &*self.id),
            ("src", &*self.path),
            ("env", &*self.variable),
        ];
        write(formatter, pairs, &BTreeMap::new())
    }
}

/// `ID` or `ID=PATH,PATH`; a path with a comma has no text.
impl Display for Ssh {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.id)?;
        if self.paths.is_empty() {
            return Ok(());
        }
        write!(formatter, "={}", self.paths.join(","))
    }
}

/// Writes pairs that are not empty, then the attributes. Quotes are around those that need them.
fn write<const COUNT: usize>(
    formatter: &mut Formatter<'_>,
    pairs: [(&str, &str); COUNT],
    attributes: &BTreeMap<String, String>,
) -> fmt::Result {
    let attributes = attributes
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()));
    let pairs = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    for (index, (key, value)) in pairs.chain(attributes).enumerate() {
        if index > 0 {
            formatter.write_str(",")?;
        }
        let pair = format!("{key}={value}");
        if pair.contains([',', '"', '\n', '\r']) {
            write!(formatter, "\"{}\"", pair.replace('"', "\"\""))?;
        } else {
            formatter.write_str(&pair)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_back() {
        for text in [
            "type=provenance,mode=max",
            "type=sbom,disabled=true",
            "type=sbom,\"x=a,\"\"b\"\"\"",
        ] {
            assert_eq!(Attestation::parse(text).unwrap().to_string(), text);
        }
        for text in ["a", "type=gha,scope=x", "type=registry,\"ref=a,b\""] {
            let caches = Cache::parse_all(&[text]).unwrap();
            assert_eq!(caches[0].to_string(), text);
        }
        for text in ["type=local,dest=out", "type=image,push=true"] {
            assert_eq!(Export::parse(text).unwrap().to_string(), text);
        }
        for text in ["id=a,src=p", "id=a,env=E", "id=a,\"src=p,q\""] {
            assert_eq!(Secret::parse(text).unwrap().to_string(), text);
        }
        for text in ["default", "default=a,b"] {
            assert_eq!(Ssh::parse(text).to_string(), text);
        }
    }
}
