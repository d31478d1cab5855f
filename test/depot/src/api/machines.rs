//! `GetBuildKitConnection` and `ReportBuildHealth`.

use std::sync::atomic::Ordering;

use time::{Duration, OffsetDateTime};

use super::{Api, require_build};
use crate::connect::{Code, ConnectError};
use crate::messages::{
    ActiveConnection, BuilderPlatform, CompressorChoice, Connection, Empty,
    GetBuildKitConnectionRequest, GetBuildKitConnectionResponse, PemPair, PendingConnection,
    ReportBuildHealthRequest, ReportBuildHealthResponse, Timestamp,
};
use crate::record::TokenKind;
use crate::{Architecture, Compressor};

impl Api {
    pub(super) fn get_buildkit_connection(
        &self,
        token: &TokenKind,
        request: &GetBuildKitConnectionRequest,
    ) -> Result<GetBuildKitConnectionResponse, ConnectError> {
        require_build(token, &request.build_id)?;
        let architecture = architecture(request.platform)?;
        let plan = self.scenario.plan(architecture);
        let mut state = self.state();
        let polls = state
            .running(&request.build_id)?
            .polls
            .entry(architecture)
            .or_default();
        if *polls < plan.pending_polls {
            *polls += 1;
            let wait_ms = i32::try_from(plan.pending_wait.as_millis()).unwrap_or(i32::MAX);
            let connection = Some(Connection::Pending(PendingConnection { wait_ms }));
            return Ok(GetBuildKitConnectionResponse { connection });
        }
        let machine = self.machines.get(&architecture).ok_or_else(|| {
            ConnectError::new(Code::Internal, format!("no machine for {architecture}"))
        })?;
        let active = ActiveConnection {
            endpoint: format!("tcp://{}", machine.address),
            server_name: machine.server_name.clone(),
            cert: machine.credentials.as_ref().map(|credentials| PemPair {
                cert: credentials.client_certificate.clone(),
                key: credentials.client_key.clone(),
            }),
            ca_cert: machine.credentials.as_ref().map(|credentials| PemPair {
                cert: credentials.authority.clone(),
                key: String::new(),
            }),
            compressor: match plan.compressor {
                Compressor::Unset => None,
                Compressor::Identity => Some(CompressorChoice::Identity(Empty {})),
                Compressor::Gzip => Some(CompressorChoice::Gzip(Empty {})),
            },
        };
        Ok(GetBuildKitConnectionResponse {
            connection: Some(Connection::Active(active)),
        })
    }

    pub(super) fn report_build_health(
        &self,
        token: &TokenKind,
        request: &ReportBuildHealthRequest,
    ) -> Result<ReportBuildHealthResponse, ConnectError> {
        require_build(token, &request.build_id)?;
        let architecture = architecture(request.platform)?;
        let mut state = self.state();
        let build = state.running(&request.build_id)?;
        build.health_reports = build.health_reports.saturating_add(1);
        self.recorder
            .change_build(&request.build_id, |record| record.health.push(architecture));
        let planned = self
            .scenario
            .cancel_at_health_report
            .is_some_and(|report| build.health_reports >= report);
        let cancels_at = (planned || self.cancel_all.load(Ordering::SeqCst))
            .then(|| Timestamp::from(OffsetDateTime::now_utc() - Duration::SECOND));
        Ok(ReportBuildHealthResponse { cancels_at })
    }
}

fn architecture(platform: i32) -> Result<Architecture, ConnectError> {
    match BuilderPlatform::try_from(platform) {
        Ok(BuilderPlatform::Amd64) => Ok(Architecture::Amd64),
        Ok(BuilderPlatform::Arm64) => Ok(Architecture::Arm64),
        _ => Err(ConnectError::new(
            Code::InvalidArgument,
            "platform must be AMD64 or ARM64",
        )),
    }
}
