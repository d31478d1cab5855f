//! The attributes of compose files and the shapes of their values. An attribute that compose does not know is an error.

mod build;
mod deploy;
mod service;

use super::shape::{INTEGER, Names, Object, Shape};
use Shape::{Any, Bool, Date, Either, List, Map, Null, Number, Set, Text};
use service::SERVICE;

/// An object that allows `x-…`.
const fn object(attributes: &'static [(&'static str, Shape)]) -> Object {
    Object {
        attributes,
        required: &[],
        extensions: true,
    }
}

/// An object with nothing but its attributes.
const fn closed(attributes: &'static [(&'static str, Shape)]) -> Object {
    Object {
        attributes,
        required: &[],
        extensions: false,
    }
}

const TEXTS: Shape = List(&Text);
const TEXT_SET: Shape = Set(&Text);
const TEXT_OR_SET: Shape = Either(&[Text, TEXT_SET]);
const FLAG: Shape = Either(&[Bool, Text]);
const WHOLE: Shape = Either(&[INTEGER, Text]);
const AMOUNT: Shape = Either(&[Number, Text]);
const SCALARS: Shape = Map(Names::Any, &Either(&[Text, Number, Bool, Null, Date]));
const PAIRS: Shape = Either(&[SCALARS, TEXT_SET]);
const OPTIONS: Shape = Map(Names::Any, &Either(&[Number, Text, Date]));
const COMMAND: Shape = Either(&[Null, Text, TEXTS]);
const HOSTS: Shape = Either(&[Map(Names::Any, &Either(&[Text, TEXTS])), TEXT_SET]);

const ULIMITS: Shape = Map(
    Names::LowerChecked,
    &Either(&[INTEGER, Text, Shape::Object(&ULIMIT)]),
);
const ULIMIT: Object = Object {
    attributes: &[("hard", WHOLE), ("soft", WHOLE)],
    required: &["soft", "hard"],
    extensions: true,
};
const MOUNTS: Shape = List(&Either(&[Text, Shape::Object(&MOUNT)]));
const MOUNT: Object = object(&[
    ("source", Text),
    ("target", Text),
    ("uid", Text),
    ("gid", Text),
    ("mode", AMOUNT),
]);

/// A file.
pub(crate) const FILE: Shape = Shape::Object(&object(&[
    ("version", Text),
    ("name", Text),
    ("include", List(&INCLUDE)),
    ("services", Map(Names::Plain, &SERVICE)),
    ("models", Map(Names::PlainChecked, &MODEL)),
    ("networks", Map(Names::PlainChecked, &NETWORK)),
    ("volumes", Map(Names::Plain, &VOLUME)),
    ("secrets", Map(Names::Plain, &SECRET)),
    ("configs", Map(Names::Plain, &CONFIG)),
]));

const INCLUDE: Shape = Either(&[
    Text,
    Shape::Object(&closed(&[
        ("path", TEXT_OR_SET),
        ("env_file", TEXT_OR_SET),
        ("project_directory", Text),
    ])),
]);

const MODEL: Shape = Shape::Object(&Object {
    attributes: &[
        ("name", Text),
        ("model", Text),
        ("context_size", INTEGER),
        ("runtime_flags", TEXTS),
    ],
    required: &["model"],
    extensions: true,
});

const EXTERNAL: Shape = Either(&[Bool, Text, Shape::Object(&object(&[("name", Text)]))]);
const LOOSE_EXTERNAL: Shape = Either(&[Bool, Text, Map(Names::Any, &Any)]);

const NETWORK: Shape = Either(&[
    Null,
    Shape::Object(&object(&[
        ("name", Text),
        ("driver", Text),
        ("driver_opts", OPTIONS),
        (
            "ipam",
            Shape::Object(&object(&[
                ("driver", Text),
                (
                    "config",
                    List(&Shape::Object(&object(&[
                        ("subnet", Text),
                        ("ip_range", Text),
                        ("gateway", Text),
                        ("aux_addresses", Map(Names::Any, &Text)),
                    ]))),
                ),
                ("options", Map(Names::Any, &Text)),
            ])),
        ),
        ("external", EXTERNAL),
        ("internal", FLAG),
        ("enable_ipv4", FLAG),
        ("enable_ipv6", FLAG),
        ("attachable", FLAG),
        ("labels", PAIRS),
    ])),
]);

const VOLUME: Shape = Either(&[
    Null,
    Shape::Object(&object(&[
        ("name", Text),
        ("driver", Text),
        ("driver_opts", OPTIONS),
        ("external", EXTERNAL),
        ("labels", PAIRS),
    ])),
]);

const SECRET: Shape = Shape::Object(&object(&[
    ("name", Text),
    ("environment", Text),
    ("file", Text),
    ("external", LOOSE_EXTERNAL),
    ("labels", PAIRS),
    ("driver", Text),
    ("driver_opts", OPTIONS),
    ("template_driver", Text),
]));

const CONFIG: Shape = Shape::Object(&object(&[
    ("name", Text),
    ("content", Text),
    ("environment", Text),
    ("file", Text),
    ("external", LOOSE_EXTERNAL),
    ("labels", PAIRS),
    ("template_driver", Text),
]));
