//! Sizes as Docker's options for memory take them (`RAMInBytes` of docker/go-units): a decimal number, an optional space, and
//! a unit of 1024 such as `k`, `kb` or `KiB`.

/// Powers of 1024.
const UNITS: [char; 5] = ['k', 'm', 'g', 't', 'p'];

/// More decimal places do not change a number of bytes. Also keeps the arithmetic below within its type.
const PLACES: usize = 18;

/// The number of bytes, rounded down. `None` if the text is not a size, or larger than BuildKit can represent.
pub(super) fn parse(text: &str) -> Option<u64> {
    let is_number = |character: char| character.is_ascii_digit() || character == '.';
    let (number, unit) = text.split_at(text.find(|c| !is_number(c)).unwrap_or(text.len()));
    let unit = unit.strip_prefix(' ').unwrap_or(unit);
    let shift = shift(&unit.to_ascii_lowercase())?;
    let (whole, places) = match number.split_once('.') {
        Some((whole, places)) if is_digits(places) => (whole, places),
        Some(_) => return None,
        None => (number, ""),
    };
    if !is_digits(whole) {
        return None;
    }
    let whole = whole.parse::<u64>().ok().map(u128::from)?;
    let places = places.get(..PLACES).unwrap_or(places);
    let scale = places.bytes().fold(1_u128, |scale, _| scale * 10);
    let places = places.parse::<u128>().unwrap_or_default();
    // Below 2^64 * 2^50 + 2^60 * 2^50.
    let bytes = (whole << shift) + (places << shift) / scale;
    i64::try_from(bytes)
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The power of two of a unit in lower case.
fn shift(unit: &str) -> Option<u32> {
    let (power, rest) = match unit.strip_prefix(UNITS) {
        Some(rest) => {
            let at = UNITS.iter().position(|&known| unit.starts_with(known))?;
            (u32::try_from(at).ok()? + 1, rest)
        }
        None => (0, unit),
    };
    matches!(rest, "" | "b" | "i" | "ib").then_some(10 * power)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_size_is_read_in_each_form_of_docker() {
        for (text, bytes) in [
            ("1", 1),
            ("1 ", 1),
            ("64", 64),
            ("0", 0),
            ("32b", 32),
            ("32B", 32),
            ("1i", 1),
            ("2k", 2 << 10),
            ("2K", 2 << 10),
            ("2kb", 2 << 10),
            ("2 KiB", 2 << 10),
            ("64m", 64 << 20),
            ("64MB", 64 << 20),
            ("64 mib", 64 << 20),
            ("1g", 1 << 30),
            ("1.5GiB", 3 << 29),
            ("0.1k", 102),
            ("1.0000000000000000000000000001k", 1024),
            ("3t", 3 << 40),
            ("1p", 1 << 50),
            ("008k", 8 << 10),
            ("9223372036854775807", i64::MAX.unsigned_abs()),
            ("8191p", 8191 << 50),
        ] {
            assert_eq!(parse(text), Some(bytes), "{text}");
        }
        for text in [
            "",
            "m",
            " 1",
            "1  m",
            "-1",
            "+1",
            "1e3",
            "1.m",
            ".5g",
            "1.2.3",
            "1,5g",
            "1x",
            "1mm",
            "1bi",
            "1kk",
            "64 m b",
            "0x10",
            "١",
            "9223372036854775808",
            "8192p",
            "99999999999999999999",
            "1ä",
            "1m\n",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_number_of_units_is_that_many_bytes(number in 0..8_000_u64, power in 0..5_usize, end in "(|b|i|ib|B|iB)") {
            let text = format!("{number}{}{end}", UNITS[power]);
            prop_assert_eq!(parse(&text), Some(number << (10 * (power + 1))));
            prop_assert_eq!(parse(&text.to_uppercase()), parse(&text));
        }

        #[test]
        fn a_part_of_a_unit_is_rounded_down(number in 0..1000_u64, places in 0..1000_u64) {
            let thousandths = number * 1000 + places;
            prop_assert_eq!(parse(&format!("{number}.{places:03}k")), Some(thousandths * 1024 / 1000));
        }

        #[test]
        fn any_text_gives_a_size_that_buildkit_can_represent_or_none(text in "\\PC{0,12}|[0-9.kmgtpib ]{0,40}") {
            if let Some(size) = parse(&text) {
                prop_assert!(i64::try_from(size).is_ok(), "{}", size);
            }
        }
    }
}
