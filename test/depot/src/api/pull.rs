//! `GetPullInfo` and `GetPullToken`.

use super::{Api, random_text, require_user, unknown_build};
use crate::connect::{Code, ConnectError};
use crate::messages::{
    GetPullInfoRequest, GetPullInfoResponse, GetPullTokenRequest, GetPullTokenResponse,
};
use crate::record::TokenKind;

impl Api {
    pub(super) fn get_pull_info(
        &self,
        token: &TokenKind,
        request: &GetPullInfoRequest,
    ) -> Result<GetPullInfoResponse, ConnectError> {
        require_user(token)?;
        self.saved_image(&request.build_id)
    }

    /// The place of a build's image, and the login for it.
    pub(super) fn saved_image(&self, build_id: &str) -> Result<GetPullInfoResponse, ConnectError> {
        let state = self.state();
        let build = state
            .builds
            .get(build_id)
            .ok_or_else(|| unknown_build(build_id))?;
        let Some(pull) = &self.scenario.pull else {
            return Err(ConnectError::new(
                Code::FailedPrecondition,
                "the image of this build was not saved",
            ));
        };
        let reference = pull.reference.replace("{build_id}", build_id);
        Ok(GetPullInfoResponse {
            reference: reference.replace("{project_id}", &build.project_id),
            username: pull.username.clone(),
            password: pull.password.clone(),
            options: build.options.clone(),
            save_for_load: build
                .options
                .iter()
                .any(|options| options.load && !options.save),
        })
    }

    /// No registry accepts the token: the test registries have their own users.
    pub(super) fn get_pull_token(
        &self,
        token: &TokenKind,
        request: &GetPullTokenRequest,
    ) -> Result<GetPullTokenResponse, ConnectError> {
        require_user(token)?;
        if request
            .project_id
            .as_ref()
            .is_some_and(|project| !self.has_project(project))
        {
            return Err(ConnectError::new(Code::NotFound, "project not found"));
        }
        if let Some(build_id) = &request.build_id
            && !self.state().builds.contains_key(build_id)
        {
            return Err(unknown_build(build_id));
        }
        Ok(GetPullTokenResponse {
            token: format!("local-pull-{}", random_text()?),
        })
    }
}
