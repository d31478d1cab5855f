//! `CreateBuild`, `GetBuild`, `FinishBuild`, `ListProjects`.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Api, Build, MAX_BUILDS, random_text, require_build, require_user, unknown_build};
use crate::HostCredential;
use crate::connect::{Code, ConnectError};
use crate::messages::{
    AdditionalCredential, AdditionalTag, BuildOptions, Command, CreateBuildRequest,
    CreateBuildResponse, Empty, FinishBuildRequest, FinishResult, GetBuildRequest,
    GetBuildResponse, ListProjectsRequest, ListProjectsResponse, Project, Registry,
};
use crate::record::{BuildRecord, BuildState, TokenKind};

impl Api {
    pub(super) fn create_build(
        &self,
        token: &TokenKind,
        request: &CreateBuildRequest,
    ) -> Result<CreateBuildResponse, ConnectError> {
        require_user(token)?;
        self.check_create(request)?;
        let response = self.created(request)?;
        let mut state = self.state();
        if state.builds.len() >= MAX_BUILDS {
            return Err(ConnectError::new(
                Code::ResourceExhausted,
                format!("{MAX_BUILDS} builds were created"),
            ));
        }
        self.recorder.build(BuildRecord {
            id: response.build_id.clone(),
            project_id: response.project_id.clone(),
            url: response.build_url.clone(),
            options: request.options.clone(),
            state: BuildState::Created,
            health: Vec::new(),
            vertices: Vec::new(),
            timings: Vec::new(),
            dockerfiles: Vec::new(),
        });
        let build = Build {
            token: response.build_token.clone(),
            project_id: response.project_id.clone(),
            url: response.build_url.clone(),
            options: request.options.clone(),
            finished: false,
            health_reports: 0,
            polls: HashMap::new(),
        };
        state.builds.insert(response.build_id.clone(), build);
        Ok(response)
    }

    fn check_create(&self, request: &CreateBuildRequest) -> Result<(), ConnectError> {
        let project = request.project_id.as_ref();
        if !project.is_some_and(|project| self.has_project(project)) {
            return Err(ConnectError::new(Code::NotFound, "project not found"));
        }
        let has_command = |options: &BuildOptions| {
            Command::try_from(options.command).is_ok_and(|command| command != Command::Unspecified)
        };
        if request.options.is_empty() || !request.options.iter().all(has_command) {
            return Err(ConnectError::new(
                Code::InvalidArgument,
                "options must name the command of each target",
            ));
        }
        Ok(())
    }

    /// The response to a valid request, with a new id and token.
    fn created(&self, request: &CreateBuildRequest) -> Result<CreateBuildResponse, ConnectError> {
        let planned = &self.scenario.answer;
        let id = random_text()?.chars().take(10).collect::<String>();
        let token = match &self.scenario.tokens {
            Some((_, build)) => build.clone(),
            None => format!("local-build-{}", random_text()?),
        };
        let project_id = planned
            .project_id
            .clone()
            .or_else(|| request.project_id.clone())
            .unwrap_or_else(|| self.project_id.clone());
        let fill_in = |text: &str| {
            text.replace("{build_id}", &id)
                .replace("{project_id}", &project_id)
        };
        let mut response = CreateBuildResponse {
            build_id: id.clone(),
            build_token: token,
            registry: Some(Registry {
                can_use_local_registry: true,
                load_using_registry: planned.load_using_registry,
                ..Registry::default()
            }),
            build_url: fill_in(&planned.build_url),
            project_id: project_id.clone(),
            ..CreateBuildResponse::default()
        };
        let is_saved =
            |options: &BuildOptions| options.save || (options.load && planned.load_using_registry);
        if request.options.iter().any(is_saved) {
            let tag = |tag: &String| AdditionalTag {
                tag: fill_in(tag),
                push: true,
            };
            response.additional_tags = planned.additional_tags.iter().map(tag).collect();
            let credential = |credential: &HostCredential| AdditionalCredential {
                host: credential.host.clone(),
                token: STANDARD.encode(format!("{}:{}", credential.username, credential.password)),
            };
            let credentials = planned.additional_credentials.iter();
            response.additional_credentials = credentials.map(credential).collect();
        }
        Ok(response)
    }

    pub(super) fn get_build(
        &self,
        token: &TokenKind,
        request: &GetBuildRequest,
    ) -> Result<GetBuildResponse, ConnectError> {
        // A program that joins a build may use either token.
        require_user(token).or_else(|_| require_build(token, &request.build_id))?;
        let state = self.state();
        let build = state
            .builds
            .get(&request.build_id)
            .ok_or_else(|| unknown_build(&request.build_id))?;
        Ok(GetBuildResponse {
            build_id: request.build_id.clone(),
            project_id: build.project_id.clone(),
            build_url: build.url.clone(),
        })
    }

    pub(super) fn finish_build(
        &self,
        token: &TokenKind,
        request: &FinishBuildRequest,
    ) -> Result<Empty, ConnectError> {
        require_build(token, &request.build_id)?;
        let finished = match &request.result {
            Some(FinishResult::Success(_)) => BuildState::Succeeded,
            Some(FinishResult::Error(error)) => BuildState::Failed(error.error.clone()),
            Some(FinishResult::Canceled(_)) => BuildState::Canceled,
            None => {
                return Err(ConnectError::new(
                    Code::InvalidArgument,
                    "result must be set",
                ));
            }
        };
        let mut state = self.state();
        state.running(&request.build_id)?.finished = true;
        self.recorder
            .change_build(&request.build_id, |build| build.state = finished);
        Ok(Empty {})
    }

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "as every method takes its request"
    )]
    pub(super) fn list_projects(
        &self,
        token: &TokenKind,
        _request: &ListProjectsRequest,
    ) -> Result<ListProjectsResponse, ConnectError> {
        require_user(token)?;
        let project = Project {
            id: self.project_id.clone(),
            name: "local".to_owned(),
            org_id: "local-org".to_owned(),
            org_name: "Local".to_owned(),
        };
        Ok(ListProjectsResponse {
            projects: vec![project],
        })
    }
}
