//! Tables of good and bad references, and properties of every text.

use proptest::prelude::*;

use super::{Reference, ReferenceError};

const SHA256: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn parsed(text: &str) -> Reference {
    Reference::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn short_forms_stand_for_full_ones() {
    for (text, full) in [
        ("app", "docker.io/library/app:latest"),
        ("app:1", "docker.io/library/app:1"),
        ("acme/app", "docker.io/acme/app:latest"),
        ("docker.io/app", "docker.io/library/app:latest"),
        ("docker.io/library/app:2", "docker.io/library/app:2"),
        ("index.docker.io/app", "docker.io/library/app:latest"),
        ("index.docker.io/acme/app", "docker.io/acme/app:latest"),
        ("library/deep/app", "docker.io/library/deep/app:latest"),
        ("localhost", "docker.io/library/localhost:latest"),
        ("localhost:5000", "docker.io/library/localhost:5000"),
        ("localhost/app", "localhost/app:latest"),
        ("localhost:5000/app", "localhost:5000/app:latest"),
        ("example.com/app", "example.com/app:latest"),
        ("example.com:5000/a/b/c:v1.2", "example.com:5000/a/b/c:v1.2"),
        ("app:5000/x", "app:5000/x:latest"),
        ("Acme/app", "Acme/app:latest"),
        ("127.0.0.1:5000/app:X_1.y-Z", "127.0.0.1:5000/app:X_1.y-Z"),
        ("[::1]/app", "[::1]/app:latest"),
        ("[2001:db8::1]:5000/app:1", "[2001:db8::1]:5000/app:1"),
        ("xn--7o8h.com/app", "xn--7o8h.com/app:latest"),
        ("a.b/a_b/a__b/a--b/a.b/0", "a.b/a_b/a__b/a--b/a.b/0:latest"),
        ("a----c/app", "docker.io/a----c/app:latest"),
        (
            "123.dkr.ecr.eu-west-1.amazonaws.com/a:_",
            "123.dkr.ecr.eu-west-1.amazonaws.com/a:_",
        ),
    ] {
        let reference = parsed(text);
        assert_eq!(reference.to_string(), full, "{text}");
    }
}

#[test]
fn the_parts_are_separated() {
    let reference = parsed(&format!("registry.example.com:5000/acme/app:1.0@{SHA256}"));
    assert_eq!(reference.host(), "registry.example.com:5000");
    assert_eq!(reference.repository(), "acme/app");
    assert_eq!(reference.tag(), "1.0");
    assert_eq!(reference.digest(), Some(SHA256));

    let untagged = parsed(&format!("acme/app@{SHA256}"));
    assert_eq!(untagged.to_string(), format!("docker.io/acme/app@{SHA256}"));
    assert_eq!(untagged.tag(), "latest");
}

#[test]
fn each_invalid_reference_has_its_own_error() {
    use ReferenceError as Error;
    let host = |host: &str| Error::Host { host: host.into() };
    let path = |path: &str| Error::Repository { path: path.into() };
    let tag = |tag: &str| Error::Tag { tag: tag.into() };
    let upper = |lower_case: &str| Error::UpperCase {
        lower_case: lower_case.into(),
    };
    let two = |first: &str, second: &str| Error::TwoTags {
        first: first.into(),
        second: second.into(),
    };
    for (text, error) in [
        ("", Error::Empty),
        ("https://example.com/app", Error::Scheme),
        (
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            Error::Identifier,
        ),
        ("/app", path("/app")),
        ("acme//app", path("acme//app")),
        ("acme/app/", path("acme/app/")),
        ("example.com/", Error::NoRepository),
        (":tag", Error::NoRepository),
        ("@sha256:aaaa", Error::NoRepository),
        ("-app", path("-app")),
        ("app-", path("app-")),
        ("a..b", path("a..b")),
        ("a___b", path("a___b")),
        ("a._b", path("a._b")),
        ("acme/ap p", path("acme/ap p")),
        (" app", path(" app")),
        ("acme/äpp", path("acme/äpp")),
        ("acme/$APP:1", path("acme/$APP")),
        ("example.com./app", host("example.com.")),
        ("-example.com/app", host("-example.com")),
        ("example.com-/app", host("example.com-")),
        ("exa_mple.com/app", host("exa_mple.com")),
        ("example.com:port/app", host("example.com:port")),
        ("example.com:/app", host("example.com:")),
        ("example.com:0/app", host("example.com:0")),
        ("example.com:65536/app", host("example.com:65536")),
        ("example.com:+80/app", host("example.com:+80")),
        ("example.com:80:80/app", host("example.com:80:80")),
        ("::1/app", host("::1")),
        ("[::1/app", host("[::1")),
        ("[]:5000/app", host("[]:5000")),
        ("[::1]5000/app", host("[::1]5000")),
        ("[fe80::1%eth0]:5000/app", host("[fe80::1%eth0]:5000")),
        ("user:word@example.com/app", host("user:word@example.com")),
        ("App", upper("app")),
        ("App:V1", upper("app:V1")),
        ("acme/App:V1", upper("acme/app:V1")),
        ("Acme/App", upper("acme/app")),
        (
            "Example.com:5000/Acme/App:V1",
            upper("example.com:5000/acme/app:V1"),
        ),
        ("app:", Error::EmptyTag),
        ("example.com/app:", Error::EmptyTag),
        ("app:1:2", two("1", "2")),
        ("app:latest:", two("latest", "")),
        ("example.com:5000/app:1:2:3", two("1", "2:3")),
        ("app:-1", tag("-1")),
        ("app:.1", tag(".1")),
        ("app:a+b", tag("a+b")),
        ("acme/app:feature/x", tag("feature/x")),
        ("app@", Error::Digest),
        ("app@sha256:abc", Error::Digest),
        ("app@md5:9f86d081884c7d659a2feaa0c55ad015", Error::Digest),
        (
            "app@sha256:9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08",
            Error::Digest,
        ),
    ] {
        assert_eq!(Reference::parse(text), Err(error), "{text:?}");
    }
}

#[test]
fn lengths_have_limits() {
    let tag = |length: usize| format!("app:{}", "t".repeat(length));
    assert!(Reference::parse(&tag(128)).is_ok());
    assert_eq!(
        Reference::parse(&tag(129)),
        Err(ReferenceError::TagTooLong { length: 129 })
    );

    let name = |length: usize| format!("example.com/{}", "n".repeat(length - "example.com/".len()));
    assert!(Reference::parse(&name(255)).is_ok());
    assert_eq!(
        Reference::parse(&name(256)),
        Err(ReferenceError::NameTooLong { length: 256 })
    );

    let short = "s".repeat(255 - "docker.io/library/".len());
    assert!(Reference::parse(&short).is_ok());
    assert_eq!(
        Reference::parse(&format!("{short}s")),
        Err(ReferenceError::NameTooLong { length: 256 })
    );
}

#[test]
fn a_push_target_has_no_digest() {
    assert_eq!(
        Reference::parse_push_target("acme/app:1"),
        Reference::parse("acme/app:1")
    );
    assert_eq!(
        Reference::parse_push_target(&format!("acme/app:1@{SHA256}")),
        Err(ReferenceError::DigestInPushTarget {
            without: "acme/app:1".into()
        })
    );
}

#[test]
fn a_host_with_only_upper_case_letters_is_recognised() {
    for (text, bare) in [
        ("Acme/app", true),
        ("acme/app", false),
        ("localhost/app", false),
        ("Acme:5000/app", false),
    ] {
        assert_eq!(parsed(text).host_is_bare_word(), bare, "{text}");
    }
}

proptest! {
    #[test]
    fn every_valid_reference_survives_being_written_out(
        host in prop_oneof![
            Just(String::new()),
            "[a-z0-9]{1,5}(-[a-z0-9]{1,5})?\\.[A-Za-z]{1,3}(:[1-9][0-9]{0,3})?/",
            "\\[[0-9a-f]{0,4}:[0-9a-f:]{0,8}\\](:[1-9][0-9]{0,3})?/",
        ],
        // A dot in the first component would make it a host.
        path in "[a-z0-9]{1,8}((_|__|-{1,3})[a-z0-9]{1,4}){0,2}(/[a-z0-9]{1,8}((\\.|_|__|-{1,3})[a-z0-9]{1,4}){0,2}){0,3}",
        tag in "(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,20})?",
        digest in prop_oneof![3 => Just(String::new()), 1 => Just(format!("@{SHA256}"))],
    ) {
        let text = format!("{host}{path}{tag}{digest}");
        let reference = Reference::parse(&text).map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
        prop_assert_eq!(Reference::parse(&reference.to_string()), Ok(reference));
    }

    #[test]
    fn no_text_panics_and_what_is_accepted_is_stable(text in "([A-Za-z0-9._:/@\\[\\]$ -]|\\PC){0,40}") {
        if let Ok(reference) = Reference::parse(&text) {
            prop_assert_eq!(Reference::parse(&reference.to_string()), Ok(reference));
        }
    }

    #[test]
    fn a_suggested_lower_case_form_has_no_upper_case_fault(text in "[A-Za-z.:/]{1,30}") {
        if let Err(ReferenceError::UpperCase { lower_case }) = Reference::parse(&text) {
            let upper_case = matches!(Reference::parse(&lower_case), Err(ReferenceError::UpperCase { .. }));
            prop_assert!(!upper_case, "{} -> {}", text, lower_case);
        }
    }
}
