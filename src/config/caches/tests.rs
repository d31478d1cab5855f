use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::*;

/// Type and attributes of each cache.
fn shown(caches: &[CachePlan]) -> Vec<String> {
    let shown = caches.iter().map(|cache| {
        let attributes = cache.attributes.iter();
        let attributes: Vec<_> = attributes
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        format!("{} {}", cache.kind.name(), attributes.join(" "))
    });
    shown.collect()
}

#[test]
fn an_entry_has_a_type_and_attributes_or_only_references() {
    let (plan, error) = read_texts(
        Some(
            "acme/app:cache, ghcr.io/acme/base\n\"type=registry\",\"ref=acme/app:1\"\nacme/app:cache",
        ),
        Some(
            "Type=registry, REF=acme/app:cache ,mode=max,ignore-error=yes,image-manifest=1\n\
             type=s3,bucket=b,region=eu-west-1,name=a;b,use_path_style=on,touch_refresh=24h,mode=min\n\
             type=azblob,account_url=https://acme.blob.core.windows.net,container=c\ntype=inline\ntype=inline,mode=min",
        ),
    );
    assert_eq!(error, "");
    assert_eq!(
        shown(&plan.imports),
        [
            "registry ref=docker.io/acme/app:cache",
            "registry ref=ghcr.io/acme/base:latest",
            "registry ref=docker.io/acme/app:1"
        ]
    );
    assert_eq!(
        shown(&plan.exports),
        [
            "registry ignore-error=true image-manifest=true mode=max ref=docker.io/acme/app:cache",
            "s3 bucket=b mode=min name=a;b region=eu-west-1 touch_refresh=24h use_path_style=true",
            "azblob account_url=https://acme.blob.core.windows.net container=c"
        ]
    );
    assert!(plan.inline);
    assert!(!plan.exports[0].must_succeed() && plan.exports[1].must_succeed());
    assert!(plan.exports[1].lacks_keys() && !plan.exports[2].lacks_keys());
    let places: Vec<_> = plan.exports.iter().map(ToString::to_string).collect();
    assert_eq!(
        places,
        [
            "docker.io/acme/app:cache",
            "s3://b/ (a;b)",
            "https://acme.blob.core.windows.net/c"
        ]
    );
}

fn assert_reported(variable: &str, value: &str, expected: &str) {
    let (from, to) = match variable {
        "CACHE_FROM" => (Some(value), None),
        _ => (None, Some(value)),
    };
    let (_, error) = read_texts(from, to);
    assert!(
        error.starts_with(&format!("{variable}: ")),
        "{value}: {error}"
    );
    assert!(error.contains(expected), "{value}: {error}");
    assert!(!error.contains("hunter22"), "{error}");
}

#[test]
fn each_invalid_entry_is_reported_with_the_correction() {
    for (value, expected) in [
        (
            "type=registry",
            "entry 1 has no `ref`, which `type=registry` requires; add `ref=VALUE`",
        ),
        ("ref=acme/app", "entry 1 has no `type`; add `type=registry`"),
        (
            "bucket=b",
            "entry 1 has no `type`; write `type=registry,ref=REFERENCE`",
        ),
        (
            "acme/ok\ntype=registri,ref=acme/app",
            "entry 2 has the unknown type `registri`; did you mean `registry`?",
        ),
        (
            "type=redis,host=x",
            "entry 1 has the unknown type `redis`; write `registry`, `inline`",
        ),
        (
            "type=gha",
            "entry 1 has the type `gha`: the cache of GitHub Actions exists only in its own runners; remove",
        ),
        (
            "type=local,dest=out",
            "entry 1 has the type `local`: a directory of the step is removed with the step",
        ),
        (
            "type=registry,ref=acme/app,mod=max",
            "unknown attribute `mod` for `type=registry`; did you mean `mode`?",
        ),
        (
            "type=registry,ref=acme/app,bucket=b",
            "unknown attribute `bucket` for `type=registry`; write one of ref, ",
        ),
        (
            "type=registry,ref=acme/app,mode=full",
            "sets `mode`: `full` is not a mode; write `min`",
        ),
        (
            "type=registry,ref=acme/app,ignore-error=maybe",
            "sets `ignore-error`: `maybe` is neither true nor false",
        ),
        ("type=registry,ref=Acme/App:1", "sets `ref`: "),
        ("type=registry,ref=https://acme/app", "sets `ref`: "),
        ("acme/app:fix/branch", "sets `ref`: `acme/app:fix/branch` "),
        ("type=registry,ref=acme/app:$BITBUCKET_TAG", "sets `ref`: "),
        (
            "type=registry,ref=$CACHE",
            "sets `ref` to `$CACHE`, a variable that is not set in this pipeline",
        ),
        (
            "type=registry,ref=",
            "has no value for `ref`; write `ref=VALUE`",
        ),
        (
            "type=registry,ref=acme/app,ref=acme/b",
            "has `ref` twice; write each attribute once",
        ),
        (
            "type=registry,ref=acme/app,compression=zst",
            "sets `compression`: `zst` is not a compression of layers",
        ),
        (
            "type=registry,ref=acme/app,compression-level=23",
            "sets `compression-level`: `23` is not a level",
        ),
        (
            "type=registry,\"ref=acme/app",
            "entry 1 cannot be read: field 2 has no closing quote",
        ),
        (
            "type=registry,max",
            "entry 1 cannot be read: field 2 is not of the form `name=value`",
        ),
    ] {
        assert_reported("CACHE_TO", value, expected);
    }
}

#[test]
fn each_invalid_entry_of_another_storage_is_reported_with_the_correction() {
    for (value, expected) in [
        (
            "type=inline,mode=max",
            "`max` is not a mode of an inline cache, which holds only the steps of the image",
        ),
        (
            "type=inline,ref=acme/app",
            "unknown attribute `ref` for `type=inline`",
        ),
        (
            "type=s3,bucket=b",
            "has no `region`, which `type=s3` requires",
        ),
        (
            "type=s3,bucket=b,region=r,access_key_id=A",
            "has only one of `access_key_id` and `secret_access_key`",
        ),
        (
            "type=s3,bucket=b,region=r,session_token=hunter22",
            "has a `session_token` without keys",
        ),
        (
            "type=s3,bucket=b,region=r,acces_key_id=x",
            "did you mean `access_key_id`?",
        ),
        (
            "type=s3,bucket=b,region=r,upload_parallelism=0",
            "sets `upload_parallelism`: `0` is not a count",
        ),
        (
            "type=s3,bucket=b,region=r,touch_refresh=1d",
            "sets `touch_refresh`: `1d` is not a duration",
        ),
        (
            "type=s3,bucket=b,region=r,endpoint_url=http://me:hunter22@x",
            "sets `endpoint_url`: its value is not the address",
        ),
        (
            "type=s3,bucket=b,region=a.example/x",
            "sets `region`: `a.example/x` is not a region",
        ),
        (
            "type=azblob,container=c",
            "has no `account_url`, which `type=azblob` requires",
        ),
        (
            "type=azblob,account_url=acme.blob.core.windows.net",
            "sets `account_url`: its value is not the address",
        ),
        (
            "type=azblob,account_url=https://x/?sig=hunter22",
            "without a login and without a query",
        ),
        (
            "acme/app@sha256:0000000000000000000000000000000000000000000000000000000000000000",
            "a digest is known only after the export",
        ),
        (
            "acme/app:c\ntype=registry,ref=docker.io/acme/app:c,mode=max",
            "two entries write to `docker.io/acme/app:c`",
        ),
    ] {
        assert_reported("CACHE_TO", value, expected);
    }
}

#[test]
fn an_entry_that_can_only_be_exported_is_reported() {
    for (value, expected) in [
        (
            "type=inline",
            "has the type `inline`, but an inline cache is read from its image; write `type=registry",
        ),
        (
            "type=registry,ref=acme/app,mode=max",
            "has `mode`, which applies only to CACHE_TO; remove it",
        ),
        ("type=gha,scope=main", "has the type `gha`"),
        ("type=local,src=in", "has the type `local`"),
        ("a b", "sets `ref`: `a b` "),
        (",", "has no value for `ref`"),
    ] {
        assert_reported("CACHE_FROM", value, expected);
    }
}

#[test]
fn all_faults_of_all_entries_are_reported_at_once() {
    let (plan, error) = read_texts(Some("type=gha\nacme/ok"), Some("type=s3\nacme/A:x/y"));
    let count = error.matches("CACHE_").count();
    // The region and the bucket are separate faults.
    assert!(count >= 4, "{error}");
    assert_eq!(plan.imports.len(), 1);
}

#[test]
fn keys_are_masked_in_the_log_and_in_messages_of_other_entries() {
    let to = "type=s3,bucket=hunter22,region=r,access_key_id=A,\"secret_access_key=hunter22\",session_token=to,ken=33";
    let (plan, error) = read_texts(Some("type=hunter22"), Some(to));
    assert!(
        error.contains("`***`") && !error.contains("hunter22"),
        "{error}"
    );
    assert!(plan.exports.is_empty());
    let to = "type=s3,bucket=b,region=r,access_key_id=A,secret_access_key=hunter22,session_token=token33";
    let (plan, error) = read_texts(None, Some(to));
    assert_eq!(error, "");
    let secrets: Vec<_> = plan
        .secrets
        .iter()
        .map(ExposeSecret::expose_secret)
        .collect();
    assert_eq!(secrets, ["hunter22", "token33"]);
    let debug = format!("{plan:?}");
    assert!(
        !debug.contains("hunter22") && debug.contains("secret_access_key"),
        "{debug}"
    );
    assert!(!plan.exports[0].lacks_keys());
}

#[test]
fn a_builder_of_several_has_a_place_of_its_own() {
    let (plan, _) = read_texts(
        Some("acme/app@sha256:0000000000000000000000000000000000000000000000000000000000000000"),
        Some(
            "acme/app\ntype=s3,bucket=b,region=r\ntype=azblob,account_url=https://x.example,name=a;b",
        ),
    );
    let suffixed = plan
        .exports
        .iter()
        .map(|cache| cache.suffixed("linux-arm64").unwrap());
    assert_eq!(
        shown(&suffixed.collect::<Vec<_>>()),
        [
            "registry ref=docker.io/acme/app:latest-linux-arm64",
            "s3 bucket=b name=buildkit-linux-arm64 region=r",
            "azblob account_url=https://x.example name=a-linux-arm64;b-linux-arm64"
        ]
    );
    assert_eq!(plan.imports[0].suffixed("linux-arm64"), None);
}

#[test]
fn a_tag_that_is_too_long_for_the_suffix_is_reported() {
    let tag = "x".repeat(TAG_MAX_CHARACTERS - SUFFIX_CHARACTERS + 1);
    let (plan, _) = read_texts(None, Some(&format!("acme/app:{tag}")));
    let report = |has_several_builders| {
        let mut findings = Findings::default();
        report_overwritten(&plan.exports, has_several_builders, &mut findings);
        findings.into_error().to_string()
    };
    assert_eq!(report(false), "");
    assert!(
        report(true).contains("write a tag of at most 116 characters"),
        "{}",
        report(true)
    );
}

#[test]
fn an_inline_cache_without_a_push_has_no_effect() {
    let variables = CacheVariables {
        cache_from: None,
        cache_to: Some("type=inline".into()),
    };
    let mut findings = Findings::default();
    let plan = read(&variables, None, &Destinations::default(), &mut findings);
    assert!(!plan.inline && plan.exports.is_empty());
    let [warning] = &findings.into_warnings()[..] else {
        panic!("no warning")
    };
    assert!(
        warning
            .to_string()
            .starts_with("`type=inline` in CACHE_TO has no effect"),
        "{warning}"
    );
}

proptest! {
    #[test]
    fn a_cache_in_a_plan_has_what_its_type_requires(
        text in "(type=|registry|s3|azblob|inline|,|ref=|acme/app:1|mode=|max|bucket=b|region=r|\"|\n|x|=){0,10}",
        is_export in any::<bool>(),
    ) {
        let (from, to) = if is_export { (None, Some(&*text)) } else { (Some(&*text), None) };
        let (plan, error) = read_texts(from, to);
        for cache in plan.imports.iter().chain(&plan.exports) {
            for attribute in cache.kind.attributes() {
                prop_assert!(!attribute.is_required || cache.attributes.contains_key(attribute.name));
            }
            prop_assert_eq!(cache.reference.is_some(), cache.kind == CacheType::Registry);
        }
        let is_empty = plan.imports.is_empty() && plan.exports.is_empty() && !plan.inline;
        prop_assert!(!is_empty || !error.is_empty() || entries(&text).next().is_none());
    }

    #[test]
    fn no_secret_is_in_a_message(prefix in "(type=s3,|bucket=b,|,|\"|=|x){0,5}", suffix in "(,|\"|=|\n|region=r|x){0,5}") {
        let text = format!("{prefix}secret_access_key=hunter22{suffix}");
        let (plan, error) = read_texts(Some(&text), Some(&text));
        prop_assert!(!error.contains("hunter22"), "{}", error);
        let debug = format!("{plan:?}");
        prop_assert!(!debug.contains("hunter22"));
    }
}

#[test]
fn a_cache_in_the_place_of_an_image_or_of_another_cache_is_reported() {
    let report = |to: &str, has_several_builders| {
        let (plan, error) = read_texts(None, Some(to));
        let destinations = Destinations {
            references: vec![
                Reference::parse("acme/app").unwrap(),
                Reference::parse("acme/app:1-linux-arm64").unwrap(),
            ],
            push: true,
            ..Destinations::default()
        };
        let mut findings = Findings::default();
        report_replaced_images(
            &plan.exports,
            &destinations,
            has_several_builders,
            &mut findings,
        );
        format!("{error}{}", findings.into_error())
    };
    let image = "the cache in `docker.io/acme/app:latest` would replace the image of that name";
    assert!(report("acme/app", false).contains(image));
    assert_eq!(report("acme/app", true), "");
    assert!(report("acme/app:1", true).contains("app:1-linux-arm64` would replace"));
    assert_eq!(report("acme/app:buildcache", false), "");
    let twice = "type=s3,bucket=b,region=r\ntype=s3,bucket=b,region=r,mode=max";
    assert!(report(twice, false).contains("two entries write to `s3://b/`"));
    let named = "type=s3,bucket=b,region=r\ntype=s3,bucket=b,region=r,name=other";
    assert_eq!(report(named, false), "");
    let level = "acme/a:1\ntype=registry,ref=acme/a:2,compression=gzip,compression-level=22";
    assert!(report(level, false).contains("entry 2 has the `compression-level` 22"));
}

#[test]
fn a_login_in_a_reference_is_not_shown() {
    for value in [
        "user:hunter2pass@reg.example.com/x",
        "type=registry,ref=user:hunter2pass@reg.example.com/x",
    ] {
        let (_, error) = read_texts(Some(value), Some(value));
        assert!(
            error.contains("contains a login; write the name without it"),
            "{error}"
        );
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn a_key_in_the_place_of_a_type_is_not_shown() {
    for entry in [
        "type=secret_access_key=hunter2pass",
        "type=hunter2-pass",
        "type=s3 secret_access_key=hunter2",
    ] {
        let (_, error) = read_texts(None, Some(entry));
        assert!(
            error.contains("entry 1 has an unknown type; write `registry`"),
            "{error}"
        );
        assert!(!error.contains("hunter2"), "{error}");
    }
}
