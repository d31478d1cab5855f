//! Targets as plans, and faults of definitions.

use std::ffi::OsString;
use std::path::Path;

use secrecy::ExposeSecret;

use crate::config::plan::{ContextPlan, DockerfileSource, NamedContext, Network, Plan};
use crate::config::{ConfigError, Warning, read};

/// Reads a definition in `docker-bake.hcl` with these variables.
fn bake(definition: &str, variables: &[(&str, &str)]) -> Result<(Plan, Vec<Warning>), ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    };
    file("Dockerfile", "FROM scratch\n");
    file("app/prod/Dockerfile", "FROM scratch\n");
    file("docker-bake.hcl", definition);
    read_in(folder.path(), variables)
}

fn read_in(folder: &Path, variables: &[(&str, &str)]) -> Result<(Plan, Vec<Warning>), ConfigError> {
    let always = [
        ("DEPOT_TOKEN", "secret-token"),
        ("DEPOT_PROJECT_ID", "p"),
        ("TARGETS", "default"),
    ];
    // The first value of a name is used.
    let all = variables.iter().chain(&always);
    let all = all.map(|(name, value)| (OsString::from(name), OsString::from(value)));
    read(all, folder)
}

fn plan(definition: &str, variables: &[(&str, &str)]) -> Plan {
    let (plan, warnings) = bake(definition, variables).unwrap();
    assert_eq!(warnings, []);
    plan
}

fn fault(definition: &str, variables: &[(&str, &str)]) -> String {
    bake(definition, variables).unwrap_err().to_string()
}

#[test]
fn every_attribute_of_a_target_is_part_of_the_plan() {
    let definition = r#"
target "default" {
  context    = "app"
  dockerfile = "prod/Dockerfile"
  target     = "release"
  args       = { LIST = "a,b\nc", EMPTY = "", NOTHING = null }
  contexts   = { alpine = "docker-image://alpine:3" }
  labels     = { team = "web, mobile" }
  tags       = ["acme/app:1", "x.example/app:2"]
  platforms  = ["linux/amd64", "linux/arm64"]
  output     = ["type=registry"]
  no-cache-filter = ["base"]
  network    = "none"
  shm-size   = "64m"
  pull       = true
  ulimits    = ["nofile=1024:2048"]
  extra-hosts = { db = "10.0.0.5" }
  entitlements = ["network.host"]
  secret     = ["id=npm,env=NPM_TOKEN"]
  cache-from = ["acme/cache:1"]
  attest     = ["type=provenance,mode=max,builder-id=https://ci.example.com/1"]
}
"#;
    let plan = plan(definition, &[("NPM_TOKEN", "npm-secret")]);
    assert!(plan.is_bake());
    let [image] = &plan.images[..] else {
        panic!("{plan:#?}");
    };
    let build = &image.build;
    let ContextPlan::Directory(context, dockerfile) = &build.context else {
        panic!("{build:#?}");
    };
    assert!(context.path.ends_with("app"));
    assert!(
        matches!(&dockerfile.source, DockerfileSource::File(path) if path.ends_with("app/prod/Dockerfile"))
    );
    assert_eq!(build.target.as_deref(), Some("release"));
    let arguments: Vec<_> = build.build_args.iter().collect();
    assert_eq!(arguments, [("EMPTY", ""), ("LIST", "a,b\nc")]);
    assert!(matches!(
        &build.contexts[..],
        [NamedContext::Address(name, address, _)]
            if name == "alpine" && address.expose_secret() == "docker-image://alpine:3"
    ));
    assert_eq!(build.platforms.len(), 2);
    let names = image.destinations.references.iter();
    let names: Vec<String> = names.map(ToString::to_string).collect();
    assert_eq!(names, ["docker.io/acme/app:1", "x.example/app:2"]);
    assert!(image.destinations.push && !image.destinations.load);
    let secrets = build.secrets.values().iter();
    let secrets: Vec<_> = secrets
        .map(|(id, value)| (id.as_str(), value.expose_secret()))
        .collect();
    assert_eq!(secrets, [("npm", "npm-secret")]);
    assert_eq!(image.caches.imports.len(), 1);
    let provenance = image.metadata.provenance.as_ref().unwrap();
    let provenance = format!("{provenance:?}");
    assert!(
        provenance.contains("max") && provenance.contains("https://ci.example.com/1"),
        "{provenance}"
    );
    let steps = format!("{:?}", build.steps);
    for part in ["67108864", "nofile", "10.0.0.5", "NetworkHost"] {
        assert!(steps.contains(part), "{steps}");
    }
}

#[test]
fn a_definition_gets_no_variables_of_the_pipe() {
    let definition = r#"
variable "DEPOT_TOKEN" { default = "default" }
variable "PUSH" { default = "default" }
variable "BITBUCKET_STEP_OIDC_TOKEN" { default = "default" }
variable "BITBUCKET_COMMIT" { default = "default" }
variable "OWN" { default = "default" }
target "default" {
  args = { VALUES = "${DEPOT_TOKEN} ${PUSH} ${BITBUCKET_STEP_OIDC_TOKEN} ${BITBUCKET_COMMIT} ${OWN}" }
}
"#;
    let variables = [
        ("PUSH", "false"),
        ("BITBUCKET_STEP_OIDC_TOKEN", "identity-token"),
        ("BITBUCKET_COMMIT", "0123456"),
        ("BAKE_VARS", "OWN=mine"),
        ("SOURCE_DATE_EPOCH", "1"),
    ];
    let plan = plan(definition, &variables);
    let arguments: Vec<_> = plan.images[0].build.build_args.iter().collect();
    assert_eq!(
        arguments[0],
        ("VALUES", "default default default 0123456 mine")
    );
}

#[test]
fn flags_of_the_run_are_for_all_targets() {
    let definition = r#"
group "default" { targets = ["a", "b"] }
target "a" { tags = ["acme/a:1"] }
target "b" {
  tags   = ["acme/b:1"]
  output = ["type=cacheonly"]
}
"#;
    let variables = [
        ("PUSH", "true"),
        ("LOAD", "true"),
        ("NO_CACHE", "true"),
        ("PLATFORMS", "linux/arm64"),
        ("SAVE", "true"),
        ("SECRETS", "shared=shared-value"),
    ];
    let plan = plan(definition, &variables);
    for (image, is_delivered) in plan.images.iter().zip([true, false]) {
        let destinations = &image.destinations;
        assert_eq!(destinations.push, is_delivered, "{}", image.name);
        assert_eq!(destinations.load, is_delivered, "{}", image.name);
        assert!(destinations.save.is_some());
        assert!(image.build.no_cache);
        assert_eq!(image.build.platforms.len(), 1);
        assert!(image.build.secrets.has("shared"));
    }
}

#[test]
fn faults_are_one_line_each_with_the_place() {
    let definition = "target \"default\" {\n  tags = [nope]\n}\n";
    let error = bake(definition, &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "bake definition: docker-bake.hcl:2:11: no variable `nope`"
    );
    let excerpt = error.faults()[0].excerpt().unwrap();
    assert_eq!(excerpt, "    tags = [nope]\n            ^");
    for (definition, variables, expected) in [
        ("", &[("TARGETS", "x")][..], "TARGETS: no target `x`"),
        (
            "target \"default\" {}",
            &[("BAKE_SET", "*.nope=1")],
            "BAKE_SET: override `nope`: unknown key `nope`",
        ),
        (
            "target \"default\" {}",
            &[("BAKE_SET", "zzz.tags=1")],
            "BAKE_SET: override `zzz.tags=1`: no target matches `zzz`",
        ),
        (
            "",
            &[("BAKE_FILES", "missing.hcl")],
            "BAKE_FILES: `missing.hcl` does not exist",
        ),
        (
            "",
            &[("BAKE_FILES", "-")],
            "BAKE_FILES: `-` is the standard input",
        ),
        (
            "target \"default\" {}",
            &[("BAKE_VARS", "=x")],
            "BAKE_VARS: entry 1 does not start with a name",
        ),
        (
            "target \"default\" { secret = [\"id=npm,env=NPM_TOKEN\"] }",
            &[],
            "target `default`: secret: the secret `npm` is in the variable NPM_TOKEN",
        ),
        (
            "target \"default\" { platforms = [\"windows\"] }",
            &[],
            "target `default`: platforms: `windows` ",
        ),
        (
            "target \"default\" { tags = [\"acme/app:1 acme/app:2\"] }",
            &[("PUSH", "true")],
            "target `default`: tags: has an entry with white space or a comma",
        ),
        (
            "target \"default\" { args = { A = \"x\\u0000B=y\" } }",
            &[],
            "target `default`: args: contains a zero byte",
        ),
        (
            "group \"default\" { targets = [\"a\", \"b\"] }\n\
             target \"a\" { tags = [\"acme/app\"] }\ntarget \"b\" { tags = [\"docker.io/acme/app:latest\"] }",
            &[("PUSH", "true")],
            "target `b`: tags: the target `a` is pushed as `docker.io/acme/app:latest`, too",
        ),
        (
            "group \"default\" { targets = [\"a\", \"b\"] }\n\
             target \"a\" { output = [\"type=tar,dest=out.tar\"] }\ntarget \"b\" { inherits = [\"a\"] }",
            &[],
            "target `b`: output: the target `a` writes `out.tar`, too",
        ),
        (
            "target \"default\" {}",
            &[("CONTEXT", "app")],
            "CONTEXT: describes a single image",
        ),
    ] {
        let error = fault(definition, variables);
        assert!(error.starts_with(expected), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn a_file_outside_of_the_clone_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let clone = folder.path().join("clone");
    std::fs::create_dir(&clone).unwrap();
    std::fs::write(folder.path().join("other.hcl"), "target \"default\" {}").unwrap();
    std::os::unix::fs::symlink("../other.hcl", clone.join("link.hcl")).unwrap();
    for name in ["../other.hcl", "link.hcl"] {
        let error = read_in(&clone, &[("BAKE_FILES", name)]).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("outside of the clone"), "{error}");
    }
}

#[test]
fn attributes_without_an_effect_are_one_warning_each() {
    let definition = "target \"default\" {\n  platfrms = [\"linux/amd64\"]\n}\n";
    let (_, warnings) = bake(definition, &[]).unwrap();
    let [warning] = &warnings[..] else {
        panic!("{warnings:?}");
    };
    let text = warning.to_string();
    assert!(
        text.starts_with("docker-bake.hcl:2:3: unknown attribute `platfrms` has no effect"),
        "{text}"
    );
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn a_target_has_the_privileges_and_the_names_of_its_links() {
    let definition = r#"
target "default" { contexts = { "alpine:latest" = "target:middle" } }
target "middle" { contexts = { Base = "target:base" } }
target "base" { entitlements = ["security.insecure"], network = "host" }
"#;
    let definition = definition
        .replace("], ", "]\n  ")
        .replace("{ entitle", "{\n  entitle");
    let definition = definition.replace("\"host\" }", "\"host\"\n}");
    let plan = plan(&definition, &[]);
    assert_eq!(plan.images.len(), 1);
    assert_eq!(plan.inputs.len(), 2);
    for image in plan.built() {
        let privileges = format!("{:?}", image.build.steps.privileges);
        assert!(
            privileges.contains("SecurityInsecure"),
            "{}: {privileges}",
            image.name
        );
        assert!(
            privileges.contains("NetworkHost"),
            "{}: {privileges}",
            image.name
        );
        let is_host = image.build.steps.network == Network::Host;
        assert_eq!(is_host, image.name == "base");
    }
    let names = |image: &str| -> Vec<String> {
        let mut images = plan.built().filter(|other| other.name == image);
        let contexts = &images.next().unwrap().build.contexts;
        contexts
            .iter()
            .map(|context| context.name().to_owned())
            .collect()
    };
    assert_eq!(names("default"), ["alpine"]);
    assert_eq!(names("middle"), ["base"]);
}
