//! The attributes of targets.

/// The attributes of a target, each with patterns of its value.
pub const FIELDS: &[(&str, &[&str])] = &[
    ("context", &["@t", "\"./@w\"", "null"]),
    ("dockerfile", &["@t", "\"@w.Dockerfile\""]),
    (
        "dockerfile-inline",
        &[
            "<<E\nFROM @w\nRUN ${@t}\n  @q\nE\n",
            "<<-E\n    FROM @w\n      ${@t}\n    %{ if @b ~}\n    @q\n    %{ endif ~}\n  E\n",
            "@t",
        ],
    ),
    (
        "args",
        &[
            "@m",
            "merge(@m, { X = @n })",
            "{ X = @t, Y = @n, Z = @b, N = null }",
            "{ for k, v in @m : \"A_${k}\" => v }",
            "{ \"X\" = jsonencode(@a) }",
        ],
    ),
    (
        "labels",
        &["@m", "{ \"org.label\" = @t, n = null }", "{ v = @n }"],
    ),
    (
        "tags",
        &[
            "@l",
            "[@t]",
            "[\"@w/@w:${@t}\"]",
            "@b ? @l : null",
            "[for t in @l : \"r/${t}\"]",
        ],
    ),
    ("target", &["@t", "\"@w\""]),
    (
        "platforms",
        &[
            "[\"linux/amd64\", \"linux/arm64\"]",
            "@b ? [\"linux/amd64\"] : null",
            "@l",
        ],
    ),
    (
        "cache-from",
        &[
            "[\"type=registry,ref=@w/${@t}\"]",
            "[\"@w/@w\", \"type=gha\"]",
            "[{ type = \"registry\", ref = @t }]",
            "[{ type = \"s3\", name = @t, mode = \"@w\" }, { type = \"inline\" }]",
            "@b ? [\"a/b\"] : []",
            "[\"\", \"user/app:@w\"]",
        ],
    ),
    (
        "cache-to",
        &[
            "[\"type=local,dest=@w,mode=max\"]",
            "[\"type=inline\"]",
            "[{ type = \"registry\", ref = \"@w\", oci = @b }]",
            "[@b ? \"type=inline\" : \"\"]",
        ],
    ),
    (
        "output",
        &[
            "[\"type=image,push=${@b}\"]",
            "[\"@w\"]",
            "[{ type = \"local\", dest = @t }]",
            "[\"type=docker\", \"type=tar,dest=@w.tar\"]",
            "[\"type=image,\\\"annotation.a=x,@q\\\"\"]",
            "[\"-\"]",
            "[{ type = \"image\", push = @b }, { type = \"cacheonly\" }]",
        ],
    ),
    (
        "secret",
        &[
            "[\"id=@w,src=@w\"]",
            "[\"id=@w,env=@w\", \"type=env,id=@w\"]",
            "[{ id = @t, env = \"@w\" }]",
            "[{ type = \"file\", id = \"@w\", src = @t }]",
            "[\"id=b\", \"id=a,src=x\", \"id=c\"]",
        ],
    ),
    (
        "ssh",
        &[
            "[\"default\"]",
            "[\"@w=@w,@w\", \"default\"]",
            "[{ id = \"@w\", paths = @l }]",
            "[{ id = @t }]",
        ],
    ),
    (
        "attest",
        &[
            "[\"type=provenance,mode=max\"]",
            "[\"type=sbom\", \"type=provenance,disabled=true\"]",
            "[{ type = \"sbom\", disabled = @b }]",
            "[{ type = \"provenance\", mode = @t }, \"type=sbom,generator=@w\"]",
        ],
    ),
    ("pull", &["@b", "\"true\""]),
    ("no-cache", &["@b", "@b ? true : null"]),
    ("no-cache-filter", &["@l", "[\"@w\"]"]),
    ("network", &["\"host\"", "@t"]),
    ("description", &["@t"]),
    ("shm-size", &["\"128m\"", "@t", "@n"]),
    ("project_id", &["\"@w\"", "@t"]),
    (
        "contexts",
        &[
            "{ @w = \"docker-image://@w\" }",
            "{ a = @t }",
            "{ src = \"./@w\", b = \"https://example.com/@w.git\" }",
        ],
    ),
    ("unknown", &["@t", "missing"]),
];
