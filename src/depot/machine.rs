//! Builder machines: requesting one until it is active, and sending health reports.

use std::fmt;
use std::time::{Duration, SystemTime};

use secrecy::SecretString;
use tokio::time::Instant;

use super::build::Build;
use super::error::ApiError;
use super::messages::{
    ActiveConnection, BuilderPlatform, Compressor, GetBuildKitConnectionResponse,
    MachineConnection, MachineRequest, ReportBuildHealthResponse,
};
use super::retry::Call;
use crate::http::authority;
use crate::platform::Architecture;
use crate::text::shape;

/// The interval of health reports. Depot releases the machine of a build after several missing ones.
const HEALTH_INTERVAL: Duration = Duration::from_secs(5);

/// The limit for the start of a machine.
const LAUNCH_LIMIT: Duration = Duration::from_mins(30);

/// The bounds for the pause that the API requests between two requests.
const PAUSE_BOUNDS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(30));

/// An active machine, and how to connect to it.
#[derive(Debug)]
pub(crate) struct Machine {
    /// Where it listens.
    pub(crate) endpoint: Endpoint,
    /// The certificates; `None` on a local Depot without any.
    pub(crate) tls: Option<MachineTls>,
    /// Whether it requires gRPC messages compressed with gzip.
    pub(crate) gzip: bool,
}

/// A TCP address, not resolved yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// A name or an address; an IPv6 address without brackets.
    pub(crate) host: String,
    /// The port.
    pub(crate) port: u16,
}

impl Endpoint {
    /// Parses `tcp://host:port`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let authority = text.strip_prefix("tcp://").unwrap_or(text);
        let (host, port) = authority.trim_end_matches('/').rsplit_once(':')?;
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let host = bare.unwrap_or(host);
        let port = port.parse().ok().filter(|&port| port > 0)?;
        shape::is_host(host).then(|| Self {
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&authority(&self.host, self.port))
    }
}

/// The certificates of one machine, PEM. They stay in memory.
#[derive(Debug)]
pub(crate) struct MachineTls {
    /// The name that the machine's certificate must contain.
    pub(crate) server_name: String,
    /// The one authority to trust.
    pub(crate) authority: String,
    /// The client certificate.
    pub(crate) certificate: String,
    /// The client's private key.
    pub(crate) key: SecretString,
}

/// Why no machine was obtained.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MachineError {
    /// The call failed.
    #[error("cannot obtain an {platform} machine from Depot")]
    Api {
        /// The requested machine.
        platform: Architecture,
        /// The error of the call.
        #[source]
        source: ApiError,
    },
    /// It did not become active in time.
    #[error("the {platform} machine did not start within {} minutes", LAUNCH_LIMIT.as_secs() / 60)]
    TooSlow {
        /// The requested machine.
        platform: Architecture,
    },
    /// The API returned an invalid description of the machine.
    #[error("this version cannot use Depot's description of the {platform} machine: {problem}")]
    Unusable {
        /// The requested machine.
        platform: Architecture,
        /// The field and its problem.
        problem: String,
    },
}

impl Build {
    /// Requests a machine until it is active.
    ///
    /// Cancel safe. [`Build::report_health`] must run concurrently, here and as long as the machine is
    /// used.
    pub(crate) async fn machine(&self, platform: Architecture) -> Result<Machine, MachineError> {
        let deadline = Instant::now() + LAUNCH_LIMIT;
        let request = self.machine_request(platform);
        loop {
            let response: GetBuildKitConnectionResponse = self
                .api
                .unary(Call::GET_MACHINE, &self.token, &request)
                .await
                .map_err(|source| MachineError::Api { platform, source })?;
            match response.connection {
                Some(MachineConnection::Active(active)) => return machine(platform, active),
                Some(MachineConnection::Pending(pending)) => {
                    let pause = match u64::try_from(pending.wait_ms) {
                        Ok(millis @ 1..) => Duration::from_millis(millis),
                        // Without a pause this would be a busy loop.
                        Ok(0) | Err(_) => Duration::from_secs(1),
                    };
                    let pause = pause.clamp(PAUSE_BOUNDS.0, PAUSE_BOUNDS.1);
                    if Instant::now() + pause > deadline {
                        return Err(MachineError::TooSlow { platform });
                    }
                    tracing::debug!(
                        "the {platform} machine is starting; next request in {pause:?}"
                    );
                    tokio::time::sleep(pause).await;
                }
                None => {
                    return Err(MachineError::Unusable {
                        platform,
                        problem: "its state is neither pending nor active".into(),
                    });
                }
            }
        }
    }

    /// Reports to Depot every few seconds that the machine is in use. Returns only when Depot cancels
    /// the build.
    ///
    /// A failed report does not end the build: the next one may succeed. Cancel safe.
    pub(crate) async fn report_health(&self, platform: Architecture) {
        loop {
            let sent = Instant::now();
            let left = self.health(platform).await;
            if left == Some(Duration::ZERO) {
                return;
            }
            let pause = HEALTH_INTERVAL.saturating_sub(sent.elapsed());
            let pause = left.map_or(pause, |left| pause.min(left));
            tokio::time::sleep(pause.max(PAUSE_BOUNDS.0)).await;
        }
    }

    /// Sends one report and returns whether Depot has canceled the build. Cancel safe.
    pub(crate) async fn is_canceled(&self, platform: Architecture) -> bool {
        self.health(platform).await == Some(Duration::ZERO)
    }

    /// Sends one report. Returns the time until Depot cancels the build: zero if it has, `None` if it does not.
    async fn health(&self, platform: Architecture) -> Option<Duration> {
        let request = self.machine_request(platform);
        let response: Result<ReportBuildHealthResponse, _> = self
            .api
            .unary(Call::REPORT_HEALTH, &self.token, &request)
            .await;
        match response {
            Ok(response) => response.cancels_at.and_then(time_left),
            Err(error) => {
                tracing::debug!(
                    "health report failed: {}",
                    crate::text::cause::one_line(&error)
                );
                None
            }
        }
    }

    fn machine_request(&self, platform: Architecture) -> MachineRequest {
        MachineRequest {
            build_id: self.id.to_string(),
            platform: BuilderPlatform::from(platform).into(),
        }
    }
}

/// The time until `moment`: zero if it has passed, `None` if it is out of range.
pub(crate) fn time_left(moment: prost_types::Timestamp) -> Option<Duration> {
    let moment = SystemTime::try_from(moment).ok()?;
    Some(moment.duration_since(SystemTime::now()).unwrap_or_default())
}

pub(crate) fn machine(
    platform: Architecture,
    active: ActiveConnection,
) -> Result<Machine, MachineError> {
    let unusable = |problem: String| MachineError::Unusable { platform, problem };
    let endpoint = Endpoint::parse(&active.endpoint).ok_or_else(|| {
        unusable(format!(
            "`{}` is not an address of the form tcp://host:port",
            active.endpoint.escape_debug()
        ))
    })?;
    // Like the released CLI: plain text only if neither certificate is present.
    let tls = match (active.cert, active.ca_cert) {
        (Some(own), Some(authority)) => Some(MachineTls {
            server_name: active.server_name,
            authority: authority.cert,
            certificate: own.cert,
            key: own.key.into(),
        }),
        (None, None) => None,
        _ => {
            return Err(unusable("one of its two certificates is missing".into()));
        }
    };
    Ok(Machine {
        endpoint,
        tls,
        gzip: matches!(active.compressor, Some(Compressor::Gzip(_))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_parsed_with_and_without_brackets() {
        let cases = [
            ("tcp://10.1.2.3:443", Some(("10.1.2.3", 443))),
            (
                "tcp://builder.example:8080/",
                Some(("builder.example", 8080)),
            ),
            ("tcp://[::1]:1", Some(("::1", 1))),
            // Host and port become part of a request to a proxy.
            ("tcp://host\r\nX-Header: x:443", None),
            ("tcp://user@host:443", None),
            ("tcp://host/path:443", None),
            ("tcp://a b:443", None),
            ("tcp://[::1:443", None),
            ("tcp://host:0", None),
            ("host:70000", None),
            ("tcp://:1", None),
            ("tcp://host", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let parsed = Endpoint::parse(text);
            let parsed = parsed
                .as_ref()
                .map(|endpoint| (&*endpoint.host, endpoint.port));
            assert_eq!(parsed, expected, "{text}");
        }
    }

    #[test]
    fn a_machine_with_only_one_certificate_is_rejected() {
        let active = ActiveConnection {
            endpoint: "tcp://h:1".into(),
            ca_cert: Some(super::super::messages::Certificate::default()),
            ..Default::default()
        };
        let refused = machine(Architecture::Amd64, active);
        assert!(matches!(refused, Err(MachineError::Unusable { .. })));
    }

    #[test]
    fn a_moment_in_the_past_has_no_time_left() {
        let past = prost_types::Timestamp {
            seconds: 1,
            nanos: 0,
        };
        assert_eq!(time_left(past), Some(Duration::ZERO));
        let broken = prost_types::Timestamp {
            seconds: i64::MIN,
            nanos: -1,
        };
        let _no_panic = time_left(broken);
    }
}
