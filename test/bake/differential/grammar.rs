//! The patterns of `expression`, and the literals in them.
//!
//! Functions whose results are random or depend on the time are absent, as are arguments for which `docs/bake.md` documents a
//! difference from the CLI: fractions as exponents, negative `newbits`, special IP addresses, letters without a simple upper case.

mod productions;

use super::expression::Kind;
pub use productions::PRODUCTIONS;

type Table = &'static [(Kind, &'static [&'static str])];

/// The literals of a letter.
pub fn literals(letter: char) -> &'static [&'static str] {
    match letter {
        'q' => &[
            "a", "b-c", "v1.2", "é", "日本", "", " ", "\\n", "\\\"", "\\t", "$${x}", "%%{ y }",
            "\\u00e9", "\\\\", "x/y", "A_b", "100%", "e\u{301}", "a  b", "'",
        ],
        'w' => &["a", "b", "app", "x1", "rel-2", "Main"],
        's' => &[
            "\"\"", "\"-\"", "\",\"", "\"a\"", "\" \"", "\"ab\"", "\"é\"",
        ],
        'k' => &["\"a\"", "\"b\"", "\"c\"", "\"A\""],
        'i' => &["0", "1", "2", "3", "5"],
        'r' => &[
            "\"[a-c]+\"",
            "\"(\\\\w)(\\\\d*)\"",
            "\"^v(?P<major>\\\\d+)\"",
            "\"\\\\s\"",
            "\"[^a]\"",
            "\"(?i)A|B\"",
            "\"x*\"",
        ],
        'R' => &["\"_\"", "\"$1-$2\"", "\"$${1}\"", "\"\"", "\"$0$0\""],
        'd' => &[
            "\"2024-02-29T12:30:05Z\"",
            "\"2020-01-01T00:00:00+02:00\"",
            "\"1999-12-31T23:59:59.5Z\"",
        ],
        'D' => &["\"1h\"", "\"-36h5m\"", "\"1.5s\"", "\"100ms\"", "\"0\""],
        'F' => &[
            "\"YYYY-MM-DD\"",
            "\"EEE, D MMM YY hh:mm:ss ZZZZ\"",
            "\"H'h'mm AA\"",
            "\"MMMM EEEE ZZZ Z\"",
            "\"HH-m-s aa\"",
        ],
        'c' => &["\"10.0.0.0/8\"", "\"192.168.4.0/22\"", "\"fd00::/48\""],
        'y' => &[
            "string",
            "number",
            "bool",
            "list(string)",
            "set(string)",
            "map(string)",
            "list(number)",
            "any",
            "tuple([string, number])",
        ],
        'v' => &[
            "%s", "%v", "%q", "%d", "%05.2f", "%x", "%-6s|", "%+d", "%t", "%#v", "%e", "%g", "%3d",
            "%o", "%b", "%%s", "%[1]s",
        ],
        'f' => &[
            "1",
            "2.5",
            "0.1",
            "1e3",
            "1e-7",
            "18446744073709551617",
            "0",
            "1.0",
            "123456789.125",
        ],
        letter => unreachable!("no literals for @{letter}"),
    }
}

/// Expressions without others in them.
pub const LEAVES: Table = &[
    (Kind::Text, &["\"@q\"", "\"@q@q\"", "\"@w\"", "\"@w\""]),
    (Kind::Number, &["@i", "@f", "-@f"]),
    (Kind::Boolean, &["true", "false"]),
    (
        Kind::Texts,
        &[
            "[\"@w\", \"@q\"]",
            "[\"@q\"]",
            "[\"@w\", \"@w\", \"@w\"]",
            "[]",
        ],
    ),
    (Kind::Numbers, &["[@f, @i]", "[@i]", "[]"]),
    (
        Kind::Map,
        &["{ a = \"@q\", b = \"@w\" }", "{ c = \"@w\" }", "{}"],
    ),
    (
        Kind::Object,
        &["{ name = \"@q\", count = @f, on = true, tags = [\"@w\"] }"],
    ),
    (
        Kind::Objects,
        &[
            "[{ name = \"@w\", count = @i, on = false, tags = [] }]",
            "[{ name = \"a\", count = 1, on = true, tags = [\"@q\"] }, { name = \"b\", count = @f, on = false, tags = [\"@w\"] }]",
        ],
    ),
];

/// Expressions that are wrong, or wrong in most places.
pub const MISTAKES: &[&str] = &[
    "missing",
    "missing.name",
    "var.v0",
    "upper()",
    "upper(@t, @t)",
    "nofunction(@t)",
    "@a",
    "null",
    "\"${@l}\"",
    "\"${@o}\"",
    "@t + 1",
    "@n && true",
    "@b ? @l : @n",
    "@i / 0",
    "@l[9]",
    "@l[\"a\"]",
    "@m.zzz",
    "@o.zzz",
    "@t.name",
    "element([], 0)",
    "parseint(@t, 10)",
    "parseint(\"1\", 99)",
    "convert(@a, @y)",
    "split(@l, @t)",
    "join(@t, @t)",
    "slice(@l, 2, 1)",
    "regex(\"(\", @t)",
    "regex(\"[0-9]{3}\", @t)",
    "jsondecode(@t)",
    "base64decode(@t)",
    "formatdate(\"Q\", @d)",
    "timeadd(@t, @D)",
    "format(\"%d\", @t)",
    "format(\"@v\", @a)",
    "format(\"@v\")",
    "zipmap([\"a\"], [])",
    "merge(@m, @l)",
    "flatten(@t)",
    "chunklist(@l, -1)",
    "substr(@t, @a, 1)",
    "range(@a)",
    "concat(@a, @l)",
    "contains(@a, @t)",
    "length(@a)",
    "keys(@a)",
    "sort(@a)",
    "lookup(@m, \"zzz\")",
    "coalesce(@a, @a)",
    "max(@a, @n)",
    "@a < @a",
    "!@a",
    "-@a",
    "@a ? 1 : 2",
    "[for x in @a : x]",
    "{ for x in @l : \"a\" => x }",
    "{ for x in @a : x => x }",
    "@a[*]",
    "@a[0]",
    "@a.a",
    "setproduct(@a, @l)",
    "target.none.tags",
    "target.t0",
    "group.g0.targets",
    "cidrhost(\"10.0.0.0/33\", 1)",
    "\"\\q\"",
    "\"%{ if @b }\"",
    "[@t, ",
    "(@t",
    "@t @t",
    "@w",
    "max(@l...)",
    "upper(@l...)",
    "[for x in @l : x...]",
    "length(@o)",
    "hasindex(@o, @k)",
    "zipmap(@l, @l)",
    "concat(setunion(@l, @l), @l)",
    "max(@N...)",
    "element(@l, @i)",
    "convert(@n, string)",
    "formatlist(\"%s=%s\", @l, @l)",
];
