//! Definitions of files whose content is part of the request, so that the builder does not have to request them.

use bollard_buildkit_proto::pb::{
    Definition, FileAction, FileActionMkFile, FileOp, Input, Op, OpMetadata, file_action, op,
};
use prost::Message;

use crate::text::digest::sha256;

/// The key of a step's name (`llb.WithCustomName` of BuildKit).
const NAME_KEY: &str = "llb.customname";

/// An action without an input starts with an empty directory; one without an output is not the result.
const NONE: i64 = -1;

/// A file of a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TextFile {
    pub(crate) name: String,
    pub(crate) content: Vec<u8>,
}

/// The definition of a directory with these files. The builder shows it as a step with this name.
///
/// The same files have the same definition, which is the builder's cache key.
pub(crate) fn directory(files: Vec<TextFile>, name: &str) -> Definition {
    let last = files.len().saturating_sub(1);
    let actions = files.into_iter().enumerate().map(|(index, file)| {
        let number = i64::try_from(index).unwrap_or(NONE);
        FileAction {
            // Without inputs of the step, the result of an action has the number of the action.
            input: number - 1,
            secondary_input: NONE,
            output: if index == last { 0 } else { NONE },
            action: Some(file_action::Action::Mkfile(FileActionMkFile {
                path: format!("/{}", file.name),
                mode: 0o644,
                data: file.content,
                owner: None,
                timestamp: 0,
            })),
        }
    });
    let step = Op {
        op: Some(op::Op::File(FileOp {
            actions: actions.collect(),
        })),
        ..Op::default()
    }
    .encode_to_vec();
    let digest = sha256(&step);
    // The last operation names the result (`llb.State.Marshal`).
    let result = Op {
        inputs: vec![Input {
            digest: digest.clone(),
            index: 0,
        }],
        ..Op::default()
    }
    .encode_to_vec();
    let metadata = OpMetadata {
        description: [(NAME_KEY.to_owned(), name.to_owned())].into(),
        caps: [("file.base".to_owned(), true)].into(),
        ..OpMetadata::default()
    };
    // The metadata of an operation must not be empty: protobuf omits an empty value.
    let of_result = OpMetadata {
        caps: [("constraints".to_owned(), true)].into(),
        ..OpMetadata::default()
    };
    Definition {
        metadata: [(digest, metadata), (sha256(&result), of_result)].into(),
        def: vec![step, result],
        source: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, content: &str) -> TextFile {
        TextFile {
            name: name.to_owned(),
            content: content.as_bytes().to_vec(),
        }
    }

    #[test]
    fn each_file_is_made_on_top_of_the_one_before() {
        let files = vec![file("Dockerfile", "FROM a\n"), file("b", "c")];
        let definition = directory(files.clone(), "load");
        assert_eq!(definition, directory(files, "load"));
        let step = Op::decode(&*definition.def[0]).unwrap();
        let Some(op::Op::File(files)) = step.op else {
            panic!("{step:?}")
        };
        let inputs: Vec<_> = files
            .actions
            .iter()
            .map(|it| (it.input, it.output))
            .collect();
        assert_eq!(inputs, [(-1, -1), (0, 0)]);
        let result = Op::decode(&*definition.def[1]).unwrap();
        assert_eq!(result.inputs[0].digest, sha256(&definition.def[0]));
        assert_eq!(
            definition.metadata[&result.inputs[0].digest].description[NAME_KEY],
            "load"
        );
    }
}
