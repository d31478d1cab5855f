//! Parts of a Git checkout that can be incomplete: files stored with Git LFS, and submodules.

/// The start of every Git LFS pointer (`docs/spec.md` of Git LFS).
const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/v1\n";

/// The smallest and the largest pointer that are recognized, in bytes. One without extensions has about 130; the specification limits
/// pointers to 1024.
pub(crate) const POINTER_BYTES: std::ops::Range<u64> = 100..1024;

/// The maximum number of submodules that are read.
const MAX_SUBMODULES: usize = 1000;

/// Whether `content`, the start of a file, is that of a Git LFS pointer.
pub(crate) fn is_pointer(content: &[u8]) -> bool {
    let rest = content.strip_prefix(POINTER);
    // Extensions may precede the digest.
    rest.is_some_and(|rest| rest.starts_with(b"oid ") || rest.starts_with(b"ext-"))
}

/// Whether a `.gitattributes` stores files with Git LFS.
pub(crate) fn uses_lfs(attributes: &[u8]) -> bool {
    let mut lines = attributes.split(|&byte| byte == b'\n');
    lines.any(|line| {
        let line = line.trim_ascii();
        let mut words = line.split(u8::is_ascii_whitespace).skip(1);
        !line.starts_with(b"#") && words.any(|word| word == b"filter=lfs")
    })
}

/// The paths of the submodules in a `.gitmodules`, relative to the checkout. Paths that leave it are skipped.
pub(crate) fn submodules(modules: &str) -> Vec<String> {
    let paths = modules.lines().filter_map(|line| {
        let (name, value) = line.split_once('=')?;
        let value = value.trim().trim_matches('"').trim_end_matches('/');
        let mut names = value.split('/');
        let is_inside = names.all(|name| !matches!(name, "" | "." | ".."));
        (name.trim().eq_ignore_ascii_case("path") && is_inside).then(|| value.to_owned())
    });
    paths.take(MAX_SUBMODULES).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pointers_are_recognized_by_their_first_lines() {
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
        assert!(is_pointer(pointer));
        let extended =
            b"version https://git-lfs.github.com/spec/v1\next-0-foo sha256:1\noid sha256:4d7a\n";
        assert!(is_pointer(extended));
        for other in [
            &b""[..],
            b"version https://git-lfs.github.com/spec/v1\n",
            b"version https://git-lfs.github.com/spec/v1\r\noid sha256:4d7a\n",
            b"# version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n",
        ] {
            assert!(!is_pointer(other));
        }
    }

    #[test]
    fn attributes_with_the_filter_of_lfs_are_recognized() {
        let uses = |text: &str| uses_lfs(text.as_bytes());
        assert!(uses(
            "*.txt text\n*.bin filter=lfs diff=lfs merge=lfs -text\n"
        ));
        assert!(uses("  *.bin\tdiff=lfs filter=lfs\r\n"));
        for text in [
            "",
            "*.bin -filter=lfs",
            "# *.bin filter=lfs",
            "filter=lfs text",
            "*.bin filter=lfs2",
        ] {
            assert!(!uses(text), "{text}");
        }
    }

    #[test]
    fn the_paths_of_submodules_are_read() {
        let modules = "[submodule \"a\"]\n\tpath = libs/a\n\turl = ../a.git\n[submodule \"b\"]\n\
                       path=\"libs/b c/\"\n\tbranch = path\n[submodule \"c\"]\n\tpath = ../out\n\tPath = c\n\
                       pathspec = d\npath = /etc\npath =\n";
        assert_eq!(submodules(modules), ["libs/a", "libs/b c", "c"]);
    }

    proptest! {
        #[test]
        fn submodules_stay_in_the_checkout(modules in "([ \t]*(path|url)[ =]{0,3}[a./\"]{0,6}\n?){0,8}") {
            for path in submodules(&modules) {
                prop_assert!(!path.is_empty() && !path.starts_with('/'));
                prop_assert!(path.split('/').all(|name| !matches!(name, "" | "." | "..")));
            }
        }

        #[test]
        fn any_bytes_are_accepted(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _any = (is_pointer(&bytes), uses_lfs(&bytes));
        }
    }
}
