//! The hosts that a build names, of Amazon's registries and of registries on this machine.
//!
//! A builder gets a login for these hosts only: a login made from the step's identity opens every registry that this
//! identity may read, and a builder could request any of them.
//!
//! A registry is named by a host that is written out in a text of the build: the names of the image, named contexts,
//! build arguments, and the Dockerfile, comments included. In the Dockerfile variables are replaced by every value that
//! they can have: the defaults of `ARG`, the values of `ENV`, and build arguments. Operators that change a value
//! (`${NAME#…}`, `${NAME%…}`, `${NAME/…}`) are not applied.
//!
//! A registry on this machine may have its token server here too, so a builder that makes up such a registry could have the
//! step send requests to its own services. Such a host must be that of an image: in a named context, after `FROM` or `from=`,
//! or in a `# syntax=` line. An address in a command, such as that of a health check, names no registry.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};

use crate::http::zones::{Zone, host_zone};
use crate::registry::credentials::canonical_host;
use crate::registry::ecr::EcrHost;
use crate::registry::reference::Reference;
use crate::registry::token::NamedImage;

/// The maximum number of values to which one word of a Dockerfile is expanded.
const EXPANSIONS_LIMIT: usize = 64;

/// The longest expansion, in bytes; no name of an image is longer.
const EXPANSION_LIMIT_BYTES: usize = 1024;

/// The maximum depth of variables in values of variables.
const DEPTH_LIMIT: usize = 8;

/// The maximum number of words with variables that are expanded.
const WORDS_LIMIT: usize = 10_000;

/// The hosts and images that a build names.
#[derive(Debug, Default)]
pub(in crate::pipe) struct Named {
    /// Hosts of Amazon's registries and of registries on this machine, in lower case.
    pub(in crate::pipe) hosts: BTreeSet<String>,
    /// Images that may be pulled. Stages are among them, as images of Docker Hub.
    pub(in crate::pipe) images: BTreeSet<NamedImage>,
}

/// The maximum number of images that are stored.
const IMAGES_LIMIT: usize = 1000;

impl Named {
    fn add_image(&mut self, text: &str) {
        let reference = text.strip_prefix("docker-image://").unwrap_or(text);
        if let Ok(reference) = Reference::parse(reference)
            && self.images.len() < IMAGES_LIMIT
        {
            self.images.insert(NamedImage::new(&reference, false));
        }
        collect_local(text, &mut self.hosts);
    }
}

/// Reads these texts, of named contexts, and a Dockerfile.
pub(super) fn read<'a>(
    texts: impl IntoIterator<Item = &'a str>,
    arguments: impl IntoIterator<Item = (&'a str, &'a str)>,
    dockerfile: &'a str,
) -> Named {
    let mut named = Named::default();
    let mut variables = Variables::default();
    for text in texts {
        collect(text, &mut named.hosts);
        named.add_image(text);
    }
    for (name, value) in arguments {
        collect(value, &mut named.hosts);
        if name == "BUILDKIT_SYNTAX" {
            named.add_image(value);
        }
        variables.add(name, value);
    }
    collect(dockerfile, &mut named.hosts);
    variables.read(dockerfile);
    let words = dockerfile.split(|character: char| {
        character.is_whitespace() || matches!(character, '"' | '\'' | ',' | '=')
    });
    for word in words.filter(|word| word.contains('$')).take(WORDS_LIMIT) {
        for expanded in variables.expand(word, 0) {
            collect(&expanded, &mut named.hosts);
        }
    }
    for word in images(dockerfile).take(WORDS_LIMIT) {
        for expanded in variables.expand(word, 0) {
            named.add_image(&expanded);
        }
    }
    named
}

/// The words of a Dockerfile that may be names of images.
fn images(dockerfile: &str) -> impl Iterator<Item = &str> {
    dockerfile.lines().flat_map(|line| {
        let first = line.split_whitespace().next().unwrap_or_default();
        let is_from = first.eq_ignore_ascii_case("FROM");
        let is_syntax = is_syntax(line);
        let words = line.split(|character: char| character.is_whitespace() || character == ',');
        words.filter_map(move |word| {
            let image = if is_from {
                word
            } else if is_syntax {
                word.split_once('=').map_or(word, |(_, image)| image)
            } else {
                word.split_once("from=")?.1
            };
            Some(image.trim_matches(['"', '\'']))
        })
    })
}

/// Whether a line may name the frontend: `# syntax=…`.
fn is_syntax(line: &str) -> bool {
    let comment = line.trim_start().strip_prefix('#');
    comment.is_some_and(|comment| comment.trim_start().starts_with("syntax"))
}

/// Adds the host of an image or of an address, if it is on this machine or on its own link.
fn collect_local(text: &str, hosts: &mut BTreeSet<String>) {
    let image = text.split_once("://").map_or(text, |(_, image)| image);
    let Some((host, _)) = image.split_once('/') else {
        return;
    };
    if host_zone(host) != Zone::Elsewhere {
        hosts.insert(canonical_host(host));
    }
}

/// Adds the hosts of Amazon's registries in a text, which is split at characters that a host cannot contain.
fn collect(text: &str, hosts: &mut BTreeSet<String>) {
    let is_of_host =
        |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_');
    for host in text.split(|character| !is_of_host(character)) {
        let host = host.trim_end_matches('.');
        if EcrHost::parse(host).is_some() {
            hosts.insert(host.to_ascii_lowercase());
        }
    }
}

/// The limit for replaced variables in a Dockerfile. Without it, values that refer to each other would be expanded endlessly.
const WORK_LIMIT: usize = 100_000;

/// The values that variables can have. A value may hold variables itself.
#[derive(Default)]
struct Variables<'a> {
    values: HashMap<&'a str, Vec<&'a str>>,
    /// The number of replaced variables.
    work: Cell<usize>,
}

impl<'a> Variables<'a> {
    fn add(&mut self, name: &'a str, value: &'a str) {
        let values = self.values.entry(name).or_default();
        if values.len() < EXPANSIONS_LIMIT && !values.contains(&value) {
            values.push(value);
        }
    }

    /// Adds the defaults of `ARG` and the values of `ENV`.
    fn read(&mut self, dockerfile: &'a str) {
        for line in dockerfile.lines() {
            let mut words = line.split_whitespace();
            let instruction = words.next().unwrap_or_default();
            let is_env = instruction.eq_ignore_ascii_case("ENV");
            // Lines that continue such an instruction have nothing but pairs.
            let first = instruction.split_once('=').map(|_| instruction);
            if !is_env && !instruction.eq_ignore_ascii_case("ARG") && first.is_none() {
                continue;
            }
            let mut rest = words.clone();
            for word in first.into_iter().chain(words) {
                if let Some((name, value)) = word.split_once('=') {
                    self.add(name, value.trim_matches(['"', '\'']));
                }
            }
            // `ENV NAME VALUE`
            if is_env
                && let (Some(name), Some(value)) = (rest.next(), rest.next())
                && !name.contains('=')
            {
                self.add(name, value.trim_matches(['"', '\'']));
            }
        }
    }

    /// The values that `text` can have.
    fn expand(&self, text: &str, depth: usize) -> Vec<String> {
        let mut expanded = vec![String::new()];
        let mut rest = text;
        while let Some((plain, after)) = rest.split_once('$') {
            append(&mut expanded, &[plain.to_owned()]);
            let (values, after) = self.values(after, depth);
            append(&mut expanded, &values);
            rest = after;
        }
        append(&mut expanded, &[rest.to_owned()]);
        expanded
    }

    /// The values of the variable at the beginning of `text`, and the text behind it.
    fn values<'text>(&self, text: &'text str, depth: usize) -> (Vec<String>, &'text str) {
        let (inner, after) = match text.strip_prefix('{') {
            Some(braced) => match closing(braced) {
                Some(end) => (
                    braced.get(..end).unwrap_or_default(),
                    braced.get(end + 1..).unwrap_or_default(),
                ),
                None => (braced, ""),
            },
            None => text.split_at(name_length(text)),
        };
        let (name, operator) = inner.split_at(name_length(inner));
        let mut values = Vec::new();
        if depth < DEPTH_LIMIT {
            for value in self.values.get(name).into_iter().flatten() {
                self.work.set(self.work.get() + 1);
                if self.work.get() > WORK_LIMIT {
                    break;
                }
                values.extend(self.expand(value, depth + 1));
                values.truncate(EXPANSIONS_LIMIT);
            }
            let operator = operator.strip_prefix(':').unwrap_or(operator);
            if let Some(other) = operator.strip_prefix(['-', '+']) {
                values.extend(self.expand(other, depth + 1));
                values.truncate(EXPANSIONS_LIMIT);
            }
        }
        if values.is_empty() {
            values.push(String::new());
        }
        (values, after)
    }
}

/// Combines each of `texts` with each of `ends`, up to the limits.
fn append(texts: &mut Vec<String>, ends: &[String]) {
    let combined = texts.iter().flat_map(|text| {
        ends.iter()
            .filter(|end| text.len() + end.len() <= EXPANSION_LIMIT_BYTES)
            .map(move |end| format!("{text}{end}"))
    });
    *texts = combined.take(EXPANSIONS_LIMIT).collect();
}

fn name_length(text: &str) -> usize {
    text.find(|character: char| !character.is_ascii_alphanumeric() && character != '_')
        .unwrap_or(text.len())
}

/// The position of the closing brace, if the brace before `text` is open.
fn closing(text: &str) -> Option<usize> {
    let mut open = 1;
    for (at, character) in text.char_indices() {
        match character {
            '{' => open += 1,
            '}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOST: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";

    fn of_dockerfile(dockerfile: &str, arguments: &[(&str, &str)]) -> Vec<String> {
        hosts([], arguments, dockerfile)
    }

    fn hosts<const COUNT: usize>(
        texts: [&str; COUNT],
        arguments: &[(&str, &str)],
        dockerfile: &str,
    ) -> Vec<String> {
        let named = read(texts, arguments.iter().copied(), dockerfile);
        named.hosts.into_iter().collect()
    }

    #[test]
    fn a_host_is_named_wherever_it_is_written_out() {
        for dockerfile in [
            "FROM 123456789012.dkr.ecr.eu-central-1.amazonaws.com/base:1\n",
            "FROM --platform=$BUILDPLATFORM 123456789012.DKR.ecr.eu-central-1.amazonaws.com/base AS a",
            "COPY --from=123456789012.dkr.ecr.eu-central-1.amazonaws.com/base@sha256:0 /a /a",
            "RUN --mount=type=bind,from=123456789012.dkr.ecr.eu-central-1.amazonaws.com/base,target=/x x",
            "# syntax=123456789012.dkr.ecr.eu-central-1.amazonaws.com/frontend:1",
            "ARG BASE=\"123456789012.dkr.ecr.eu-central-1.amazonaws.com/base\"\nFROM ${BASE}",
        ] {
            assert_eq!(of_dockerfile(dockerfile, &[]), [HOST], "{dockerfile}");
        }
        let argument = [(
            "BASE",
            "123456789012.dkr.ecr.eu-central-1.amazonaws.com/base",
        )];
        assert_eq!(of_dockerfile("FROM $BASE", &argument), [HOST]);
        let texts = ["docker-image://123456789012.dkr.ecr.eu-central-1.amazonaws.com/x"];
        assert_eq!(hosts(texts, &[], ""), [HOST]);
    }

    #[test]
    fn a_host_may_be_made_of_variables() {
        for (dockerfile, arguments) in [
            (
                "ARG ACCOUNT=123456789012\nARG REGION\nFROM ${ACCOUNT}.dkr.ecr.${REGION}.amazonaws.com/base:${TAG:-1}",
                &[("REGION", "eu-central-1")][..],
            ),
            (
                "ARG REGISTRY=$ACCOUNT.dkr.ecr.${REGION:-eu-central-1}.amazonaws.com\nFROM $REGISTRY/base",
                &[("ACCOUNT", "123456789012")],
            ),
            (
                "ARG A=1 \\\n    ACCOUNT=123456789012\nENV REGION eu-central-1\nENV HOST=dkr.ecr\n\
                 COPY --from=${ACCOUNT}.${HOST}.$REGION.amazonaws.com/base /a /a",
                &[],
            ),
            (
                "ARG B=${A}\nARG A=123456789012\nFROM ${B:-${C}}.dkr.ecr.eu-central-1.amazonaws.com/x",
                &[],
            ),
        ] {
            assert_eq!(of_dockerfile(dockerfile, arguments), [HOST], "{dockerfile}");
        }
        // A build argument replaces the default, but both values are used.
        let both = of_dockerfile(
            "ARG R=eu-central-1\nFROM 123456789012.dkr.ecr.$R.amazonaws.com/x",
            &[("R", "us-east-1")],
        );
        assert_eq!(both.len(), 2);
    }

    #[test]
    fn a_registry_on_this_machine_is_named_by_its_images() {
        for (dockerfile, arguments, host) in [
            ("FROM localhost:5000/app", &[][..], "localhost:5000"),
            (
                "from --platform=linux/amd64 127.0.0.1:1/a AS b",
                &[],
                "127.0.0.1:1",
            ),
            ("COPY --from=[::1]:5000/app /a /a", &[], "[::1]:5000"),
            (
                "RUN --mount=type=bind,from=localhost/app,target=/x x",
                &[],
                "localhost",
            ),
            ("# syntax=localhost:5000/frontend:1", &[], "localhost:5000"),
            ("ARG R=localhost\nFROM ${R}:5000/app", &[], "localhost:5000"),
            (
                "ARG R\nFROM \"$R/app\"",
                &[("R", "localhost:7")],
                "localhost:7",
            ),
            (
                "",
                &[("BUILDKIT_SYNTAX", "localhost:5000/x")],
                "localhost:5000",
            ),
        ] {
            assert_eq!(of_dockerfile(dockerfile, arguments), [host], "{dockerfile}");
        }
        let texts = ["docker-image://localhost:5000/app:1"];
        assert_eq!(hosts(texts, &[], ""), ["localhost:5000"]);
        for dockerfile in [
            "HEALTHCHECK CMD curl http://localhost:8080/health",
            "RUN curl http://127.0.0.1:8080/x",
            "ENV URL=http://localhost:8080/x",
            "# see http://localhost:8080/x",
            "FROM app:0.1",
            "FROM 0.1",
            "FROM registry.example.com/localhost/app",
        ] {
            assert_eq!(
                of_dockerfile(dockerfile, &[]),
                Vec::<String>::new(),
                "{dockerfile}"
            );
        }
        let argument = [("URL", "http://localhost:8080/x")];
        assert_eq!(of_dockerfile("FROM a", &argument), Vec::<String>::new());
    }

    #[test]
    fn the_images_of_a_build_are_named() {
        let dockerfile = "# syntax=r.example/frontend:1\nARG R=r.example\nFROM ${R}/team/base:1 AS build\n\
                          COPY --from=r.example:5000/tools:1 /a /a\nRUN curl https://r.example/x/y\n";
        let texts = ["docker-image://r.example/context", "https://r.example/git"];
        let named = read(texts, [], dockerfile);
        let images = named
            .images
            .iter()
            .filter(|image| image.host != "docker.io");
        let images = images.map(|image| format!("{} {}", image.host, image.repository));
        assert_eq!(
            images.collect::<Vec<_>>(),
            [
                "r.example context",
                "r.example frontend",
                "r.example team/base",
                "r.example:5000 tools",
            ]
        );
    }

    #[test]
    fn other_hosts_are_not_named() {
        for dockerfile in [
            "",
            "FROM 999.dkr.ecr.eu-central-1.amazonaws.com/base",
            "FROM 123456789012.dkr.ecr.eu-central-1.amazonaws.com.evil.example/base",
            "FROM x-123456789012.dkr.ecr.eu-central-1.amazonaws.com/base",
            "FROM x.123456789012.dkr.ecr.eu-central-1.amazonaws.com/base",
            "FROM ${ACCOUNT}.dkr.ecr.eu-central-1.amazonaws.com/base",
        ] {
            assert_eq!(
                of_dockerfile(dockerfile, &[]),
                Vec::<String>::new(),
                "{dockerfile}"
            );
        }
    }

    #[test]
    fn no_dockerfile_takes_long() {
        let circle = "ARG A=$A$A$B\nARG B=$A$B\nFROM $A$A$A$B";
        assert_eq!(of_dockerfile(circle, &[]), Vec::<String>::new());
        let many: Vec<_> = (0..100).map(|number| format!("ARG A={number}\n")).collect();
        let many = many.concat() + &format!("FROM {}", "$A".repeat(1000));
        assert_eq!(of_dockerfile(&many, &[]), Vec::<String>::new());
        let wide: Vec<_> = (0..64)
            .map(|number| format!("ARG A={number}$A$A\n"))
            .collect();
        let wide = wide.concat() + "FROM $A.dkr.ecr.$A";
        assert_eq!(of_dockerfile(&wide, &[]), Vec::<String>::new());
        let open = "${".repeat(10_000);
        assert_eq!(of_dockerfile(&open, &[]), Vec::<String>::new());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[A-C=${}:+ \\-\nARGENV\"é]{0,200}") {
            of_dockerfile(&text, &[("A", "$B"), ("B", "${A:-x}")]);
        }
    }
}
