//! `ReportTimings`, `ReportBuildContext`, and the messages of `ReportStatusStream`.

use super::{Api, require_build};
use crate::connect::ConnectError;
use crate::messages::{
    Empty, ReportBuildContextRequest, ReportStatusStreamRequest, ReportTimingsRequest,
};
use crate::record::TokenKind;

impl Api {
    pub(super) fn report_timings(
        &self,
        token: &TokenKind,
        request: &ReportTimingsRequest,
    ) -> Result<Empty, ConnectError> {
        require_build(token, &request.build_id)?;
        self.state().running(&request.build_id)?;
        self.recorder.change_build(&request.build_id, |build| {
            build.timings.extend(request.build_steps.iter().cloned());
        });
        Ok(Empty {})
    }

    pub(super) fn report_build_context(
        &self,
        token: &TokenKind,
        request: &ReportBuildContextRequest,
    ) -> Result<Empty, ConnectError> {
        require_build(token, &request.build_id)?;
        self.state().running(&request.build_id)?;
        self.recorder.change_build(&request.build_id, |build| {
            build
                .dockerfiles
                .extend(request.dockerfiles.iter().cloned());
        });
        Ok(Empty {})
    }

    /// A stream may outlive its build: the CLI keeps one open until it exits, after `FinishBuild`.
    pub(super) fn report_status(
        &self,
        token: &TokenKind,
        request: &ReportStatusStreamRequest,
    ) -> Result<(), ConnectError> {
        require_build(token, &request.build_id)?;
        let vertices = request
            .statuses
            .iter()
            .flat_map(|status| status.vertexes.iter().cloned());
        self.recorder
            .change_build(&request.build_id, |build| build.vertices.extend(vertices));
        Ok(())
    }
}
