//! The documented rules again, by trying every possibility: slow, but easy to verify.
//!
//! Supports `*`, `?`, `**`, `!`, one-character escapes and plain classes; tests use nothing else.

/// Whether the list of patterns matches the path.
pub(super) fn list_matches(patterns: &[String], path: &str) -> bool {
    let mut matched = false;
    for pattern in patterns {
        let (is_exception, pattern) = pattern
            .strip_prefix('!')
            .map_or((false, &**pattern), |rest| (true, rest));
        let pattern: Vec<char> = pattern.chars().collect();
        let parts: Vec<&str> = path.split('/').collect();
        let applies = (1..=parts.len()).any(|depth| {
            let prefix: Vec<char> = parts[..depth].join("/").chars().collect();
            whole(&pattern, &prefix)
        });
        if applies {
            matched = !is_exception;
        }
    }
    matched
}

/// Stars directly before plain text, without a slash, also match the end of a name.
fn whole(pattern: &[char], path: &[char]) -> bool {
    if let ['*', '*', rest @ ..] = pattern
        && !rest.iter().any(|character| "*?[]\\".contains(*character))
    {
        return path.ends_with(rest) || rest.strip_prefix(&['/']) == Some(path);
    }
    glob(pattern, path)
}

fn glob(pattern: &[char], path: &[char]) -> bool {
    match pattern {
        [] => path.is_empty(),
        ['*', '*', rest @ ..] => {
            let rest = rest.strip_prefix(&['/']).unwrap_or(rest);
            let starts = (0..=path.len()).filter(|&start| start == 0 || path[start - 1] == '/');
            rest.is_empty() || starts.into_iter().any(|start| glob(rest, &path[start..]))
        }
        ['*', rest @ ..] => {
            let length = path
                .iter()
                .take_while(|&&character| character != '/')
                .count();
            (0..=length).any(|length| glob(rest, &path[length..]))
        }
        ['?', rest @ ..] => {
            matches!(path, [character, path @ ..] if *character != '/' && glob(rest, path))
        }
        ['[', rest @ ..] => {
            let end = rest.iter().position(|&character| character == ']').unwrap();
            let (class, rest) = (&rest[..end], &rest[end + 1..]);
            let [first, path @ ..] = path else {
                return false;
            };
            let (negated, class) = class
                .strip_prefix(&['^'])
                .map_or((false, class), |class| (true, class));
            let inside = match class {
                [low, '-', high] => (low..=high).contains(&first),
                class => class.contains(first),
            };
            inside != negated && glob(rest, path)
        }
        ['\\', escaped, rest @ ..] | [escaped, rest @ ..] => path
            .split_first()
            .is_some_and(|(first, path)| first == escaped && glob(rest, path)),
    }
}
