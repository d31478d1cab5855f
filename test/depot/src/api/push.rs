//! `StartPush` and `FinishPush`.

use super::{Api, random_text, require_user, unknown_build};
use crate::connect::{Code, ConnectError};
use crate::messages::{Empty, FinishPushRequest, StartPushRequest, StartPushResponse};
use crate::record::{PushRecord, PushState, TokenKind};

impl Api {
    pub(super) fn start_push(
        &self,
        token: &TokenKind,
        request: &StartPushRequest,
    ) -> Result<StartPushResponse, ConnectError> {
        require_user(token)?;
        if !self.state().builds.contains_key(&request.build_id) {
            return Err(unknown_build(&request.build_id));
        }
        if request.tag.is_empty() {
            return Err(ConnectError::new(
                Code::InvalidArgument,
                "tag must not be empty",
            ));
        }
        let push_id = random_text()?;
        self.recorder.push(PushRecord {
            id: push_id.clone(),
            build_id: request.build_id.clone(),
            tag: request.tag.clone(),
            state: PushState::Started,
        });
        Ok(StartPushResponse { push_id })
    }

    pub(super) fn finish_push(
        &self,
        token: &TokenKind,
        request: &FinishPushRequest,
    ) -> Result<Empty, ConnectError> {
        require_user(token)?;
        let state = request
            .error
            .clone()
            .map_or(PushState::Succeeded, PushState::Failed);
        if self
            .recorder
            .finish_push(&request.push_id, &request.build_id, state)
        {
            return Ok(Empty {});
        }
        let message = format!("push {} is not running", request.push_id);
        Err(ConnectError::new(Code::NotFound, message))
    }
}
