//! A chart of a report's ratios, as SVG.
//!
//! Colours and background follow the reader's colour scheme, so that text is legible on every page.

use std::fmt::Write;

use crate::table::{Case, MEASURES, Section, short};

/// The CSS classes of the bars, for the first three measures. Bytes are only in the table, because their ratios differ by
/// orders of magnitude.
const CLASSES: [&str; 3] = ["wall", "cpu", "memory"];

const STYLE: &str = "
svg { font-family: system-ui, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif; font-size: 12px }
.back { fill: #ffffff } .number { stroke: #ffffff } text { fill: #1f2328 } .soft { fill: #59636e }
.title { font-size: 16px; font-weight: 600 } .section { font-weight: 600 } .number { font-size: 10px; stroke-width: 2px; paint-order: stroke }
.grid { stroke: #d1d9e0 } .one { stroke: #1f2328 }
.wall { fill: #0b6bcb } .cpu { fill: #e08a00 } .memory { fill: #11936a }
@media (prefers-color-scheme: dark) {
.back { fill: #0d1117 } .number { stroke: #0d1117 } text { fill: #e6edf3 } .soft { fill: #9198a1 }
.grid { stroke: #30363d } .one { stroke: #e6edf3 }
.wall { fill: #4da3ff } .cpu { fill: #f0a33a } .memory { fill: #35c997 }
}
";

/// Sizes, in pixels.
const WIDTH: f64 = 860.0;
const MARGIN: f64 = 20.0;
/// The start of the bars and the end of the scale.
const LEFT: f64 = 330.0;
const RIGHT: f64 = 790.0;
/// The height of a bar, of the gap after a case, and of a section's heading.
const BAR: f64 = 10.0;
const GAP: f64 = 9.0;
const HEADING: f64 = 28.0;
/// The height above the first section: title, legend, numbers of the scale.
const HEAD: f64 = 92.0;

/// The largest ratio of the scale. A longer bar is cut off there; its number shows the ratio.
const LAST: f64 = 1.5;
const TICKS: [f64; 7] = [0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5];

/// The most characters of a case's name in one line.
const NAME_CHARACTERS: usize = 46;

/// Draws all cases; `source` is printed below them.
pub(crate) fn svg(sections: &[Section], source: &str) -> String {
    let mut body = String::new();
    let mut y = HEAD;
    for section in sections {
        body.push_str(&text(MARGIN, y + 18.0, "section", section.title));
        y += HEADING;
        for case in &section.cases {
            draw_case(&mut body, y, case);
            y += BAR * 3.0 + GAP;
        }
    }
    let height = y + 40.0;
    let mut picture = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"depot-build compared with the depot CLI\">\n\
         <style>{STYLE}</style>\n<rect class=\"back\" width=\"{WIDTH}\" height=\"{height}\"/>\n"
    );
    let title = "depot-build relative to the depot CLI";
    picture.push_str(&text(MARGIN, 32.0, "title", title));
    draw_legend(&mut picture);
    for tick in TICKS {
        let (x, class) = (across(tick), if is_one(tick) { "one" } else { "grid" });
        let _never_fails = writeln!(
            picture,
            "<line class=\"{class}\" x1=\"{x}\" x2=\"{x}\" y1=\"{HEAD}\" y2=\"{y}\"/>"
        );
        let label = if is_one(tick) {
            "1 = CLI".to_owned()
        } else {
            tick.to_string()
        };
        picture.push_str(&middle(x, HEAD - 6.0, &label));
    }
    picture.push_str(&body);
    picture.push_str(&text(MARGIN, y + 26.0, "soft", source));
    picture.push_str("</svg>\n");
    picture
}

fn draw_legend(picture: &mut String) {
    let mut x = MARGIN;
    for (measure, class) in MEASURES.iter().zip(CLASSES) {
        let _never_fails = writeln!(
            picture,
            "<rect class=\"{class}\" x=\"{x}\" y=\"49\" width=\"12\" height=\"12\"/>"
        );
        picture.push_str(&text(x + 18.0, 59.0, "", measure.name));
        x += 115.0;
    }
    picture.push_str(&text(x, 59.0, "soft", "shorter is better"));
}

/// Draws one case, its first bar at `y`: its name in one or two lines, and a bar for each measure.
fn draw_case(picture: &mut String, y: f64, case: &Case) {
    let lines = wrapped(&case.name);
    let mut baseline = if lines.len() == 1 { y + 19.0 } else { y + 12.0 };
    for line in lines {
        picture.push_str(&text(MARGIN, baseline, "", line));
        baseline += 14.0;
    }
    for (row, (measure, class)) in (0_u8..).zip(MEASURES.iter().zip(CLASSES)) {
        let (y, ratio) = (y + f64::from(row) * BAR, case.ratio(measure));
        let mut end = LEFT;
        if ratio.is_finite() {
            end = across(ratio.min(LAST));
            let (width, height) = (end - LEFT, BAR - 1.5);
            let _never_fails = writeln!(
                picture,
                "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{y}\" width=\"{width:.1}\" height=\"{height}\"/>"
            );
        }
        if ratio > LAST {
            // The gap shows that the bar is cut off.
            let (x, y, height) = (end - 14.0, y - 0.5, BAR - 0.5);
            let _never_fails = writeln!(
                picture,
                "<rect class=\"back\" x=\"{x}\" y=\"{y}\" width=\"4\" height=\"{height}\"/>"
            );
        }
        picture.push_str(&text(end + 4.0, y + 8.0, "number", &short(ratio)));
    }
}

/// The horizontal position of a ratio.
fn across(ratio: f64) -> f64 {
    LEFT + (RIGHT - LEFT) * ratio / LAST
}

fn is_one(tick: f64) -> bool {
    (tick - 1.0).abs() < f64::EPSILON
}

/// A name in one line, or wrapped into two at a space.
fn wrapped(name: &str) -> Vec<&str> {
    if name.chars().count() <= NAME_CHARACTERS {
        return vec![name];
    }
    let longest = name.char_indices().nth(NAME_CHARACTERS);
    let first = longest.and_then(|(end, _)| name.get(..end)).unwrap_or(name);
    // Preferably after a punctuation mark.
    let at = ["; ", ": ", ", ", " "]
        .into_iter()
        .find_map(|mark| Some(first.rfind(mark)? + mark.len()));
    match at.and_then(|at| name.split_at_checked(at)) {
        Some((first, second)) => vec![first.trim_end(), second],
        None => vec![name],
    }
}

fn text(x: f64, y: f64, class: &str, words: &str) -> String {
    let words = escaped(words);
    format!("<text class=\"{class}\" x=\"{x:.1}\" y=\"{y}\">{words}</text>\n")
}

fn middle(x: f64, y: f64, words: &str) -> String {
    let words = escaped(words);
    format!(
        "<text class=\"soft number\" x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{words}</text>\n"
    )
}

fn escaped(words: &str) -> String {
    words
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::tests::case;

    fn sections() -> Vec<Section> {
        let name = "load into an empty daemon; the CLI's pull from the registry";
        vec![
            Section {
                title: "Near & far",
                cases: vec![case("cached build", 0.5), case("a <b> & \"c\"", 1.2)],
            },
            Section {
                title: "Loads",
                cases: vec![case(name, 5.06), case("nothing", f64::MIN_POSITIVE)],
            },
        ]
    }

    /// The content of each `<text>`. Panics if an element is not closed, an attribute not quoted or a character not escaped.
    fn texts(svg: &str) -> Vec<String> {
        let (mut open, mut texts) = (Vec::new(), Vec::new());
        let mut rest = svg;
        while let Some((words, after)) = rest.split_once('<') {
            let (tag, after) = after.split_once('>').expect("a tag ends");
            assert!(!words.contains('>'), "{words}");
            for (at, _) in words.match_indices('&') {
                let entities = ["&amp;", "&lt;", "&gt;"];
                assert!(
                    entities
                        .iter()
                        .any(|entity| words[at..].starts_with(entity))
                );
            }
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name), "in {words}");
                if name == "text" {
                    let plain = words.replace("&lt;", "<").replace("&gt;", ">");
                    texts.push(plain.replace("&amp;", "&"));
                }
            } else {
                assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
                let name = tag.split_whitespace().next().expect("a tag has a name");
                if !tag.ends_with('/') {
                    open.push(name);
                }
            }
            rest = after;
        }
        assert!(open.is_empty() && rest.trim().is_empty(), "{open:?} {rest}");
        texts
    }

    #[test]
    fn the_chart_contains_every_case_its_numbers_and_the_source() {
        let texts = texts(&svg(&sections(), "today: pipe & CLI"));
        for expected in [
            "Near & far",
            "cached build",
            "a <b> & \"c\"",
            "load into an empty daemon;",
            "the CLI's pull from the registry",
            "nothing",
            "wall time",
            "CPU time",
            "peak memory",
            "today: pipe & CLI",
        ] {
            assert_eq!(
                texts.iter().filter(|text| *text == expected).count(),
                1,
                "{expected}"
            );
        }
        for (ratio, times) in [("0.50", 3), ("1.20", 3), ("5.06", 3), ("0.00", 3)] {
            let count = texts.iter().filter(|text| *text == ratio).count();
            assert_eq!(count, times, "{ratio} in {texts:?}");
        }
    }

    #[test]
    fn the_length_of_a_bar_is_its_ratio_up_to_the_end_of_the_scale() {
        let svg = svg(&sections(), "");
        let bars = svg
            .lines()
            .filter(|line| line.contains("class=\"wall\" x=\"330\""));
        let widths: Vec<&str> = bars
            .filter_map(|bar| bar.split("width=\"").nth(1)?.split('"').next())
            .collect();
        assert_eq!(widths, ["153.3", "368.0", "460.0", "0.0"]);
        // Bars that are cut off have a gap.
        let cuts = svg.lines().filter(|line| line.contains("width=\"4\""));
        assert_eq!(cuts.count(), 3);
    }

    #[test]
    fn every_element_is_within_the_picture() {
        let svg = svg(&sections(), "");
        let number = |line: &str, name: &str| -> Option<f64> {
            let (_, value) = line.split_once(&format!(" {name}=\""))?;
            value.split('"').next()?.parse().ok()
        };
        let height = number(&svg, "height").unwrap();
        for line in svg.lines() {
            let bottom = number(line, "y").unwrap_or(0.0) + number(line, "height").unwrap_or(0.0);
            let right = number(line, "x").unwrap_or(0.0) + number(line, "width").unwrap_or(0.0);
            assert!(bottom <= height && right <= WIDTH, "{line}");
        }
    }

    #[test]
    fn both_schemes_colour_the_same_classes() {
        let (light, dark) = STYLE
            .split_once("@media (prefers-color-scheme: dark)")
            .unwrap();
        for class in [".back", ".number", "text", ".soft", ".grid", ".one"] {
            assert!(light.contains(class) && dark.contains(class), "{class}");
        }
        for class in CLASSES.map(|class| format!(".{class} {{")) {
            assert!(light.contains(&class) && dark.contains(&class), "{class}");
        }
    }
}
