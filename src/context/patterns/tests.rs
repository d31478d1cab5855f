use proptest::prelude::*;

use super::{MAX_PATTERN_BYTES, Matcher, PatternError, Scratch, model};

fn matches(patterns: &[&str], path: &str) -> bool {
    Matcher::new(patterns.iter().copied())
        .unwrap()
        .matches(path.as_bytes())
        .unwrap()
}

/// One line a pattern: the pattern, what it matches, what it does not.
#[test]
fn single_patterns_match_as_documented() {
    let table: &[(&str, &[&str], &[&str])] = &[
        // Plain paths, and all below them.
        (
            "file",
            &["file", "file/below/it"],
            &["files", "a/file", "fil"],
        ),
        ("a/b", &["a/b", "a/b/c"], &["a", "b", "a/bc", "x/a/b"]),
        ("a/b/", &["a/b", "a/b/c"], &["a"]),
        ("./a/../b", &["b", "b/c"], &["a", "a/b"]),
        ("  a  ", &["a"], &[" a"]),
        ("a b", &["a b"], &["a"]),
        // The frontend removes a leading slash; here it matches nothing.
        ("/a", &[], &["a", "/b"]),
        // One level.
        ("*", &["a", "a/b", ".hidden"], &[]),
        (
            "*.go",
            &["x.go", ".go", "x.go/below"],
            &["x.gob", "xgo", "a/x.go"],
        ),
        (
            "*/temp*",
            &["a/temp", "a/tempx", "a/temp/b"],
            &["temp", "a/b/temp"],
        ),
        ("*/*/temp*", &["a/b/temp.txt"], &["a/temp", "a/b/c/temp"]),
        (
            "temp?",
            &["tempa", "tempé", "temp?"],
            &["temp", "tempab", "temp/"],
        ),
        ("a*b*c", &["abc", "axbyc", "abbcc"], &["ab/c", "acb"]),
        // Any number of levels.
        ("**", &["a", "a/b/c"], &[]),
        ("**/*", &["a", "a/b/c"], &[]),
        (
            "**/foo",
            &["foo", "a/foo", "a/b/foo", "foo/below"],
            &["xfoo", "a/xfoo", "foox"],
        ),
        ("**foo", &["foo", "xfoo", "a/xfoo"], &["foox"]),
        ("**fo?", &["foo", "a/fox"], &["xfoo"]),
        ("**/*.go", &["x.go", "a/b/x.go"], &["x.gob"]),
        ("a/**", &["a/b", "a/b/c"], &["a", "ab"]),
        (
            "a/**/b",
            &["a/b", "a/x/b", "a/x/y/b/z"],
            &["ab", "a/xb", "b"],
        ),
        ("a**", &["a", "ab", "a/b", "ab/c"], &["ba"]),
        ("a**b", &["ab", "ax/b"], &["axb"]),
        ("**/a/**", &["a/x", "b/a/x"], &["a", "b/a"]),
        ("**/a/*/b", &["a/x/b", "c/a/x/b"], &["a/b", "a/x/y/b"]),
        ("***", &["a"], &[]),
        // Classes and escapes.
        ("[a-c]x", &["ax", "cx"], &["dx", "x", "-x"]),
        ("[^a-c]x", &["dx", "/x"], &["ax"]),
        ("[abc]*", &["a", "bcd"], &["d"]),
        ("a[.]b", &["a.b"], &["axb"]),
        ("a]b", &["a]b"], &["ab"]),
        ("a\\*b", &["a*b"], &["axb", "a\\*b"]),
        ("a\\\\b", &["a\\b"], &["ab"]),
        ("\\!a", &["!a"], &["a"]),
        ("[\\]]", &["]"], &["\\"]),
        // Nothing of an expression's own syntax is special.
        ("a.b", &["a.b"], &["axb"]),
        ("*a.b+(c){d}$", &["xa.b+(c){d}$"], &["aab"]),
        ("a{2}", &["a{2}"], &["aa"]),
        // Names with odd characters.
        ("*\n*", &["a\nb"], &["ab"]),
        ("é*", &["été", "é"], &["e"]),
    ];
    for (pattern, yes, no) in table {
        for path in *yes {
            assert!(matches(&[pattern], path), "{pattern:?} must match {path:?}");
        }
        for path in *no {
            assert!(
                !matches(&[pattern], path),
                "{pattern:?} must not match {path:?}"
            );
        }
    }
}

/// The results of the builders' rewriting for unusual patterns.
#[test]
fn quirks_of_builders_are_kept() {
    let table: &[(&str, &[&str], &[&str])] = &[
        ("[a*]", &["aa]", "]", "[a]", "^]"], &["a", "*"]),
        ("[a?]", &["a]", "[]", "^]"], &["a", "?"]),
        ("[a**]", &["a", "*", "(", "."], &["b"]),
        ("\\d", &["7"], &["d"]),
        ("[\\w]-", &["a-", "_-"], &["--"]),
        ("[[:digit:]]x", &["1x"], &["ax", ":x"]),
        ("a\\x2e", &["a."], &["ax2e"]),
        ("\\Q*", &[], &["*", "a"]),
        ("^a*", &["ab"], &["^ab"]),
        ("a^b", &["a^b"], &["ab"]),
        ("a^*", &[], &["a^b", "ab"]),
        ("!./a", &[], &["a"]),
        ("a*[]b]", &["ax]", "ab"], &["a"]),
        ("\u{feff}a?", &["ab"], &["\u{feff}ab"]),
        ("\u{feff}a", &["\u{feff}a"], &["a"]),
        ("x**/**", &["x", "xa", "x/a"], &["xa\nb/c"]),
        ("\\ba*", &["ab"], &["\\bab"]),
        ("a|b", &["a|b"], &["a", "b"]),
        ("x*|b", &["xyz", "xy/z", "ab"], &["ax", "bx"]),
        ("a{2}?", &["aax"], &["a{2}x", "aa"]),
        ("*a{,2}", &["xa{,2}"], &["xaa"]),
        ("?a{0,1}b{2,}", &["xbb", "xabbb"], &["xab", "xaabb"]),
        ("{0}?", &["x", "xyz", "{0}"], &[]),
    ];
    for (pattern, yes, no) in table {
        for path in *yes {
            assert!(matches(&[pattern], path), "{pattern:?} must match {path:?}");
        }
        for path in *no {
            assert!(
                !matches(&[pattern], path),
                "{pattern:?} must not match {path:?}"
            );
        }
    }
}

#[test]
fn the_last_pattern_that_applies_decides() {
    let table: &[(&[&str], &[&str], &[&str])] = &[
        (
            &["*", "!README.md"],
            &["a", "docs/README.md"],
            &["README.md"],
        ),
        (
            &["*.md", "!README*.md", "README-secret.md"],
            &["a.md", "README-secret.md"],
            &["README.md", "a/a.md"],
        ),
        (
            &["*.md", "README-secret.md", "!README*.md"],
            &["a.md"],
            &["README-secret.md"],
        ),
        (
            &["dir", "!dir/keep"],
            &["dir", "dir/a"],
            &["dir/keep", "dir/keep/b"],
        ),
        (&["!a", "a"], &["a"], &[]),
        (&["a", "!a", "a/b"], &["a/b", "a/b/c"], &["a", "a/c"]),
        (&["**", "!**/*.rs"], &["a", "a/b.c"], &["x.rs", "a/x.rs"]),
        (&["", " ", "a"], &["a"], &["b"]),
        (&[], &[], &["a"]),
    ];
    for (patterns, yes, no) in table {
        for path in *yes {
            assert!(matches(patterns, path), "{patterns:?} must match {path:?}");
        }
        for path in *no {
            assert!(
                !matches(patterns, path),
                "{patterns:?} must not match {path:?}"
            );
        }
    }
}

#[test]
fn a_walk_downwards_forgets_a_directory_that_an_exception_was_not_compared_with() {
    let matcher = Matcher::new(["a/b", "!a"]).unwrap();
    assert!(
        !matcher.matches(b"a/b").unwrap(),
        "with its parents compared, the exception wins"
    );
    let (mut marks, mut scratch) = (Vec::new(), Scratch::default());
    assert!(
        !matcher
            .matches_below(b"a", None, Some(&mut marks), &mut scratch)
            .unwrap()
    );
    assert_eq!(marks, [false, false]);
    assert!(
        matcher
            .matches_below(b"a/b", Some(&marks), None, &mut scratch)
            .unwrap()
    );
}

#[test]
fn an_invalid_pattern_is_named() {
    for pattern in [
        "[", "a/[", "!", "!/[", "a\\", "[]a]", "[a-]", "[-a]", "[^]", "!a[",
    ] {
        let error = Matcher::new(["fine", pattern]).unwrap_err();
        assert!(
            error.to_string().contains(&format!("`{pattern}`")),
            "{error}"
        );
    }
}

#[test]
fn a_pattern_that_cannot_be_compiled_is_named_when_it_is_needed() {
    for pattern in [
        "[b-a]",
        "x[[:nothing:]]",
        "\\y",
        "\\pL",
        "a*[",
        "\\1",
        "\\x{110000}",
        "?{1001}",
        "?{2,1}",
        "*{2}",
        "?|{2}",
        "?{2}\\Q\\E{2}",
        "\\é",
    ] {
        let matcher = Matcher::new(["fine", pattern]).unwrap();
        assert!(
            matcher.matches(b"fine").unwrap(),
            "the first pattern has matched already"
        );
        let error = matcher.matches(b"other").unwrap_err();
        assert!(
            error.to_string().contains(&format!("`{pattern}`")),
            "{error}"
        );
    }
}

#[test]
fn a_pattern_that_is_too_long_is_rejected() {
    let long = "é".repeat(MAX_PATTERN_BYTES);
    let error = Matcher::new([&*long]).unwrap_err();
    assert_eq!(
        error,
        PatternError::TooLong {
            start: "é".repeat(40),
            length: long.len()
        }
    );
}

#[test]
fn a_name_that_is_not_utf8_can_be_matched() {
    let matcher = Matcher::new(["cache/*", "a?b"]).unwrap();
    assert!(matcher.matches(b"cache/\xff\xfe").unwrap());
    assert!(matcher.matches(b"a\xffb").unwrap());
    assert!(
        !matcher.matches(b"a\xff\xffb").unwrap(),
        "each such byte is a character of its own"
    );
}

/// Backtracking would take practically forever.
#[test]
fn hostile_patterns_end() {
    let path = format!("{}b", "a".repeat(400));
    for pattern in [
        "*a".repeat(300),
        "**/a*".repeat(300),
        "**a".repeat(300),
        "*[^/]?".repeat(100),
    ] {
        assert!(
            !matches(&[&format!("{pattern}[c]")], &path),
            "{}",
            pattern.len()
        );
    }
    let deep = "a/".repeat(40) + "b";
    assert!(!matches(&[&("**/a/*/".repeat(40) + "[c]")], &deep));
}

fn pattern() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => Just("a"), 3 => Just("b"), 4 => Just("/"), 3 => Just("*"), 2 => Just("**/"), 1 => Just("/**"), 1 => Just("**"),
        2 => Just("?"), 1 => Just("[ab]"), 1 => Just("[^a]"), 1 => Just("[a-b]"), 1 => Just("\\*"), 1 => Just("."),
    ];
    (any::<bool>(), prop::collection::vec(piece, 1..6)).prop_map(|(is_exception, pieces)| {
        let cleaned = super::clean(&pieces.concat());
        format!("{}{cleaned}", if is_exception { "!" } else { "" })
    })
}

#[test]
fn the_size_of_repeats_is_bounded() {
    let judge = |patterns: &[String]| {
        let patterns = patterns.iter().map(String::as_str);
        Matcher::new(patterns).unwrap().matches(b"b/c")
    };
    let alternatives = |count| format!("?{}", "a{1000}|".repeat(count));
    assert_eq!(
        judge(&[alternatives(60)]),
        Ok(true),
        "the last alternative is empty"
    );
    let refused = judge(&[alternatives(70)]).unwrap_err();
    assert!(refused.to_string().contains("too many steps"), "{refused}");
    let long = format!("?{}", "a{1000}".repeat(60));
    assert_eq!(judge(&vec![long.clone(); 30]), Ok(false));
    let refused = judge(&vec![long; 40]).unwrap_err();
    assert!(refused.to_string().contains("too many steps"), "{refused}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn lists_match_as_the_model_does(patterns in prop::collection::vec(pattern(), 1..4), path in "[ab.*]{1,3}(/[ab]{1,2}){0,3}") {
        // The `!` in front is cleaned together with its pattern; the model does not know that case.
        prop_assume!(patterns.iter().all(|pattern| super::clean(pattern) == *pattern));
        let matcher = Matcher::new(patterns.iter().map(String::as_str)).unwrap();
        prop_assert_eq!(matcher.matches(path.as_bytes()).unwrap(), model::list_matches(&patterns, &path));
    }

    #[test]
    fn nothing_makes_it_panic(patterns in prop::collection::vec(any::<String>(), 0..4), odd in "[\\[\\]*?!^\\\\/a.QEdxb:-]{0,12}", path in any::<Vec<u8>>()) {
        let patterns = patterns.iter().map(String::as_str).chain([&*odd]);
        if let Ok(matcher) = Matcher::new(patterns) {
            let _either_way = matcher.matches(&path);
        }
    }
}
