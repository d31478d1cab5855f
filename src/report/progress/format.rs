//! Sizes and times in progress lines.

use std::time::Duration;

/// Bytes in decimal units, at most one digit after the point: `532B`, `1.2MB`, `5MB`.
pub(crate) fn size(bytes: u64) -> String {
    let units = [
        ("TB", 1_000_000_000_000_u64),
        ("GB", 1_000_000_000),
        ("MB", 1_000_000),
        ("kB", 1000),
    ];
    match units.into_iter().find(|&(_, unit)| bytes >= unit) {
        Some((name, unit)) => {
            let tenths = bytes / (unit / 10);
            match (tenths / 10, tenths % 10) {
                (whole, 0) => format!("{whole}{name}"),
                (whole, tenth) => format!("{whole}.{tenth}{name}"),
            }
        }
        None => format!("{bytes}B"),
    }
}

/// Time since the start of a step, in seconds. Longer times have fewer digits.
pub(super) fn offset(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    let digits = match time.as_secs() {
        0..10 => 3,
        10..100 => 2,
        _ => 1,
    };
    format!("{seconds:.digits$}")
}

/// A duration: `1.2s`.
pub(super) fn duration(time: Duration) -> String {
    format!("{:.1}s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        let shown = [
            0,
            1,
            999,
            1000,
            1_250_000,
            5_000_000,
            999_999_999,
            12_340_000_000,
            u64::MAX,
        ]
        .map(size);
        assert_eq!(
            shown,
            [
                "0B",
                "1B",
                "999B",
                "1kB",
                "1.2MB",
                "5MB",
                "999.9MB",
                "12.3GB",
                "18446744TB"
            ]
        );
    }

    #[test]
    fn longer_offsets_have_fewer_digits() {
        let shown = [0, 312, 12_345, 123_456]
            .map(|milliseconds| offset(Duration::from_millis(milliseconds)));
        assert_eq!(shown, ["0.000", "0.312", "12.35", "123.5"]);
    }
}
