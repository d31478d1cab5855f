//! The name that a mistyped one probably stands for.

/// The most changed characters of a mistyped name.
const MAX_DISTANCE: usize = 2;

/// The longest name that is compared.
const MAX_LENGTH: usize = 64;

/// The candidate with the fewest changes, if these are few.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let allowed = MAX_DISTANCE.min(name.chars().count() / 3);
    let candidates = candidates
        .into_iter()
        .map(|candidate| (distance(name, candidate), candidate));
    let (distance, candidate) = candidates.min()?;
    (distance <= allowed).then_some(candidate)
}

/// The number of characters to insert, remove or replace.
fn distance(left: &str, right: &str) -> usize {
    if left.len() > MAX_LENGTH || right.len() > MAX_LENGTH {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=right.chars().count()).collect();
    for (index, left) in left.chars().enumerate() {
        let mut diagonal = index;
        let mut before = index + 1;
        for (place, right) in row.iter_mut().skip(1).zip(right.chars()) {
            let replaced = diagonal + usize::from(left != right);
            diagonal = *place;
            before = replaced.min(*place + 1).min(before + 1);
            *place = before;
        }
        if let Some(first) = row.first_mut() {
            *first = index + 1;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found() {
        let names = ["platforms", "tags", "dockerfile"];
        assert_eq!(nearest("platform", names), Some("platforms"));
        assert_eq!(nearest("dokcerfile", names), Some("dockerfile"));
        assert_eq!(nearest("tag", names), Some("tags"));
        assert_eq!(nearest("x", names), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
