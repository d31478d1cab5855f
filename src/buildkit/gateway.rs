//! Builds whose result other builds use as an input, over the builder's gateway.
//!
//! A solve without a frontend waits for calls of `moby.buildkit.v1.frontend.LLBBridge` that name it in their metadata (`client/build.go`
//! of BuildKit). The result of such a call has the definition of its steps, which another solve gets as the input of its frontend.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::future::pending;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bollard_buildkit_proto::google::rpc::Status as RpcStatus;
use bollard_buildkit_proto::moby::buildkit::v1::frontend::llb_bridge_client::LlbBridgeClient;
use bollard_buildkit_proto::moby::buildkit::v1::frontend::{
    CacheOptionsEntry, Ref, Result as FrontendResult, ReturnRequest, SolveRequest, result,
};
use bollard_buildkit_proto::moby::buildkit::v1::{SolveRequest as ControlRequest, StatusResponse};
use bollard_buildkit_proto::pb::Definition;
use prost::Message;
use serde_json::json;
use tokio::sync::mpsc;
use tonic::metadata::AsciiMetadataValue;
use tonic::{Code, Request, Status};

use super::connect::{Connection, MESSAGE_LIMIT_BYTES};
use super::error::{ErrorKind, SolveError};
use super::session::Session;
use super::solve::{Solve, cache_options, failure, frontend_attributes};

/// The header with the id of the solve that a call belongs to.
const BUILD_HEADER: &str = "buildkit-controlapi-buildid";

/// The key of the configuration of an image in the metadata of a result.
const CONFIG_KEY: &str = "containerimage.config";

/// The prefix of the keys of inputs.
const KEY_PREFIX: &str = "linked-";

/// The limit for the response to the last call of a solve that has ended.
const RETURN_LIMIT: Duration = Duration::from_secs(20);

/// The limit for all definitions of a result, in bytes. A definition has some hundred bytes for each step.
const DEFINITIONS_LIMIT_BYTES: usize = 16 << 20;

/// The result of a build, as an input of others.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Input {
    /// The definition of each platform, or of the only one under an empty name.
    definitions: BTreeMap<String, (Definition, Option<Vec<u8>>)>,
}

impl Input {
    fn of(result: FrontendResult) -> Result<Self, Status> {
        let FrontendResult {
            metadata, result, ..
        } = result;
        let refs: Vec<(String, Ref)> = match result {
            Some(result::Result::Ref(only)) => vec![(String::new(), only)],
            Some(result::Result::Refs(map)) => map.refs.into_iter().collect(),
            _ => Vec::new(),
        };
        let mut definitions = BTreeMap::new();
        let mut size = 0_usize;
        for (platform, reference) in refs {
            let Some(mut definition) = reference.def else {
                return Err(Status::internal("the builder returned no definition"));
            };
            remove_empty_locations(&mut definition);
            for step in definition.metadata.values_mut() {
                // The step has just run. Another run could have another result.
                step.ignore_cache = false;
            }
            size = size.saturating_add(definition.encoded_len());
            let key = if platform.is_empty() {
                CONFIG_KEY.to_owned()
            } else {
                format!("{CONFIG_KEY}/{platform}")
            };
            let config = metadata.get(&key).cloned();
            definitions.insert(platform, (definition, config));
        }
        if definitions.is_empty() {
            return Err(Status::internal("the builder returned no result"));
        }
        if size > DEFINITIONS_LIMIT_BYTES {
            return Err(Status::internal(
                "the builder returned a definition that is too large",
            ));
        }
        Ok(Self { definitions })
    }

    /// Makes this result the named context `name` of a solve (`addInputs` of buildx, `frontend/dockerui/namedcontext.go` of BuildKit).
    pub(crate) fn add_to(&self, solve: &mut Solve, name: &str) {
        for (platform, (definition, config)) in &self.definitions {
            let suffix = if platform.is_empty() {
                String::new()
            } else {
                format!("::{platform}")
            };
            // Frontends take an input named `context` or `dockerfile` for the context or the Dockerfile itself.
            let key = format!("{KEY_PREFIX}{name}{suffix}");
            let attributes = &mut solve.frontend_attributes;
            attributes.insert(format!("context:{name}{suffix}"), format!("input:{key}"));
            if let Some(config) = config {
                let metadata = json!({ CONFIG_KEY: STANDARD.encode(config) });
                attributes.insert(format!("input-metadata:{key}"), metadata.to_string());
            }
            solve.inputs.insert(key, definition.clone());
        }
    }
}

impl Connection {
    /// Builds the result of a solve as an input of others. Its steps run, and nothing but its caches is exported.
    ///
    /// Stops when `cancel` completes. See [`Self::solve`].
    pub(crate) async fn input(
        &self,
        solve: &Solve,
        session: &Session,
        status: mpsc::Sender<StatusResponse>,
        cancel: impl Future<Output = ()>,
    ) -> Result<Input, SolveError> {
        let reference = uuid::Uuid::new_v4().simple().to_string();
        tracing::debug!("{solve}, as the input {reference} of others");
        let request = ControlRequest {
            r#ref: reference.clone(),
            session: session.id().to_owned(),
            entitlements: solve.entitlements.clone(),
            cache: Some(cache_options(solve)),
            internal: solve.internal,
            ..ControlRequest::default()
        };
        // Ends the solve if it does not end by itself after the bridge has failed.
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let is_canceled = Cell::new(false);
        let cancel = async {
            tokio::select! {
                () = cancel => is_canceled.set(true),
                Ok(()) = stopped => {}
            }
        };
        // Large futures, on the heap.
        let mut running = Box::pin(self.run(request, session, status, cancel));
        let mut bridging = Box::pin(self.bridge(&reference, solve));
        let (bridged, outcome) = tokio::select! {
            bridged = &mut bridging => {
                let outcome = match &bridged {
                    Ok(_) => running.await,
                    Err(status) => {
                        let ending = async {
                            let ended = self.end(&reference, status).await;
                            if ended.is_err() || tokio::time::timeout(RETURN_LIMIT, pending::<()>()).await.is_err() {
                                let _ended = stop.send(());
                            }
                            pending::<()>().await;
                        };
                        tokio::select! {
                            outcome = &mut running => outcome,
                            () = ending => None,
                        }
                    }
                };
                (Some(bridged), outcome)
            }
            outcome = &mut running => {
                let bridged = if matches!(outcome, Some(Ok(_))) {
                    // The solve has its result; the response to the call that ended it follows.
                    tokio::time::timeout(RETURN_LIMIT, bridging).await.ok()
                } else {
                    // Canceled, or failed before the frontend has ended.
                    None
                };
                (bridged, outcome)
            }
        };
        if is_canceled.get() {
            return Err(SolveError::local(ErrorKind::Canceled, "canceled"));
        }
        match (bridged, outcome) {
            (Some(Ok(input)), Some(Ok(_))) => Ok(input),
            // After a lost connection or session, the solve knows the reason.
            (Some(Err(bridged)), Some(Err(status))) if bridged.code() == Code::Cancelled => {
                Err(failure(&status, session))
            }
            // The error of the frontend names the failed step.
            (Some(Err(status)), _) | (_, Some(Err(status))) => Err(failure(&status, session)),
            _ => Err(failure(
                &Status::deadline_exceeded("the builder did not return the result of a build"),
                session,
            )),
        }
    }

    /// Ends a solve with the failure of its frontend, after which the builder sends the rest of its status.
    async fn end(&self, reference: &str, status: &Status) -> Result<(), Status> {
        let details = RpcStatus::decode(status.details()).unwrap_or_default();
        let ending = ReturnRequest {
            result: None,
            error: Some(RpcStatus {
                code: status.code().into(),
                message: status.message().to_owned(),
                details: details.details,
            }),
        };
        let mut request = Request::new(ending);
        request
            .metadata_mut()
            .insert(BUILD_HEADER, header(reference)?);
        LlbBridgeClient::new(self.channel())
            .r#return(request)
            .await?;
        Ok(())
    }

    /// Makes the calls of the gateway: solves with the frontend, and ends the solve with its result.
    async fn bridge(&self, reference: &str, solve: &Solve) -> Result<Input, Status> {
        let header = header(reference)?;
        let with_header = |message| {
            let mut request = Request::new(message);
            request.metadata_mut().insert(BUILD_HEADER, header.clone());
            request
        };
        let mut bridge =
            LlbBridgeClient::new(self.channel()).max_decoding_message_size(MESSAGE_LIMIT_BYTES);
        let imports = solve.cache_imports.iter();
        let imports = imports.map(|cache| CacheOptionsEntry {
            r#type: cache.kind.clone(),
            attrs: cache.attributes.clone(),
        });
        let request = SolveRequest {
            frontend: "dockerfile.v0".into(),
            frontend_opt: frontend_attributes(solve),
            frontend_inputs: solve.inputs.clone(),
            cache_imports: imports.collect(),
            allow_result_return: true,
            allow_result_array_ref: true,
            evaluate: true,
            ..SolveRequest::default()
        };
        let mut request = Request::new(request);
        request.metadata_mut().insert(BUILD_HEADER, header.clone());
        let response = bridge.solve(request).await?.into_inner();
        let result = response
            .result
            .ok_or_else(|| Status::internal("the builder returned no result"))?;
        let ending = ReturnRequest {
            result: Some(without_definitions(&result)),
            error: None,
        };
        let input = Input::of(result)?;
        bridge.r#return(with_header(ending)).await?;
        Ok(input)
    }
}

/// The value of [`BUILD_HEADER`].
fn header(reference: &str) -> Result<AsciiMetadataValue, Status> {
    AsciiMetadataValue::try_from(reference)
        .map_err(|_| Status::internal("the id of a solve is no header"))
}

/// Removes the steps without places from the map of places in the Dockerfile, also in nested definitions.
///
/// Protobuf allows a writer to omit an empty value of a map, and this one does. `BuildKit` then reads a null pointer and crashes
/// (`NewDefinitionOp` in `client/llb/definition.go`).
fn remove_empty_locations(definition: &mut Definition) {
    let Some(source) = &mut definition.source else {
        return;
    };
    let locations = &mut source.locations;
    locations.retain(|_, places| !places.locations.is_empty());
    for info in &mut source.infos {
        if let Some(nested) = &mut info.definition {
            remove_empty_locations(nested);
        }
    }
}

/// The result that ends a solve: its references only.
fn without_definitions(result: &FrontendResult) -> FrontendResult {
    let id = |reference: &Ref| Ref {
        id: reference.id.clone(),
        def: None,
    };
    let references = match &result.result {
        Some(result::Result::Ref(only)) => Some(result::Result::Ref(id(only))),
        Some(result::Result::Refs(map)) => {
            let refs: HashMap<String, Ref> = map
                .refs
                .iter()
                .map(|(platform, reference)| (platform.clone(), id(reference)))
                .collect();
            let map = bollard_buildkit_proto::moby::buildkit::v1::frontend::RefMap { refs };
            Some(result::Result::Refs(map))
        }
        other => other.clone(),
    };
    FrontendResult {
        metadata: result.metadata.clone(),
        attestations: HashMap::new(),
        result: references,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(id: &str) -> Ref {
        Ref {
            id: id.to_owned(),
            def: Some(Definition {
                def: vec![id.as_bytes().to_vec()],
                ..Definition::default()
            }),
        }
    }

    #[test]
    fn the_result_of_several_platforms_is_a_context_of_each() {
        let refs =
            ["linux/amd64", "linux/386"].map(|platform| (platform.to_owned(), reference(platform)));
        let map =
            bollard_buildkit_proto::moby::buildkit::v1::frontend::RefMap { refs: refs.into() };
        let config = ("containerimage.config/linux/386".to_owned(), b"{}".to_vec());
        let input = Input::of(FrontendResult {
            metadata: [config].into(),
            result: Some(result::Result::Refs(map)),
            ..FrontendResult::default()
        });
        let mut solve = Solve::default();
        input.unwrap().add_to(&mut solve, "base");
        assert_eq!(
            solve.frontend_attributes["context:base::linux/386"],
            "input:linked-base::linux/386"
        );
        assert_eq!(
            solve.frontend_attributes["input-metadata:linked-base::linux/386"],
            r#"{"containerimage.config":"e30="}"#
        );
        assert!(
            !solve
                .frontend_attributes
                .contains_key("input-metadata:linked-base::linux/amd64")
        );
        assert_eq!(
            solve.inputs["linked-base::linux/amd64"].def,
            [b"linux/amd64"]
        );
    }

    #[test]
    fn a_result_without_a_definition_is_an_error() {
        for result in [
            None,
            Some(result::Result::Ref(Ref::default())),
            Some(result::Result::RefDeprecated("id".into())),
        ] {
            let result = FrontendResult {
                result,
                ..FrontendResult::default()
            };
            assert!(Input::of(result).is_err());
        }
    }
}
