//! Builder machines: asking for one until it is there, and telling Depot that we are alive.

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
use crate::shape;

/// Depot takes a machine away from a build that it has not heard of for some of these.
const HEALTH_INTERVAL: Duration = Duration::from_secs(5);

/// A machine that is not there after this time will not come.
const LAUNCH_LIMIT: Duration = Duration::from_mins(30);

/// The bounds for the pause that the API asks for between two questions.
const PAUSE_BOUNDS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(30));

impl BuilderPlatform {
    /// The name that people know: `amd64` or `arm64`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Arm64 => "arm64",
            Self::Amd64 | Self::Unspecified => "amd64",
        }
    }
}

impl fmt::Display for BuilderPlatform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A machine that is there, and how to reach it.
#[derive(Debug)]
pub struct Machine {
    /// Its architecture.
    pub platform: BuilderPlatform,
    /// Where it listens.
    pub endpoint: Endpoint,
    /// How it is trusted; absent on a local Depot without certificates.
    pub tls: Option<MachineTls>,
    /// It wants gRPC messages compressed with gzip.
    pub gzip: bool,
}

/// A TCP address, not resolved yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// A name or an address; an IPv6 address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Endpoint {
    /// Reads `tcp://host:port`.
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
        if self.host.contains(':') {
            write!(formatter, "[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{}:{}", self.host, self.port)
        }
    }
}

/// The certificates of one machine, PEM. They stay in memory.
#[derive(Debug)]
pub struct MachineTls {
    /// The name that the machine's certificate must carry.
    pub server_name: String,
    /// The one authority to trust.
    pub authority: String,
    /// Our certificate.
    pub certificate: String,
    /// Our private key.
    pub key: SecretString,
}

/// Why there is no machine.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// The API said no, or nothing.
    #[error("Depot gave no {platform} machine")]
    Api {
        /// The machine asked for.
        platform: BuilderPlatform,
        /// What the API said.
        #[source]
        source: ApiError,
    },
    /// It was announced and did not come.
    #[error("the {platform} machine was still not there after {} minutes", LAUNCH_LIMIT.as_secs() / 60)]
    TooSlow {
        /// The machine asked for.
        platform: BuilderPlatform,
    },
    /// The API described a machine that cannot be reached.
    #[error("Depot described the {platform} machine in a way that this version cannot use: {what}")]
    Unusable {
        /// The machine asked for.
        platform: BuilderPlatform,
        /// The field, and what is wrong with it.
        what: String,
    },
}

impl Build {
    /// Asks for a machine until it is there.
    ///
    /// Cancel safe. While it waits and as long as the machine is used, [`Build::report_health`] has
    /// to run beside it.
    pub async fn machine(&self, platform: BuilderPlatform) -> Result<Machine, MachineError> {
        let deadline = Instant::now() + LAUNCH_LIMIT;
        let request = self.machine_request(platform);
        loop {
            let answer: GetBuildKitConnectionResponse = self
                .api
                .unary(Call::GET_MACHINE, &self.token, &request)
                .await
                .map_err(|source| MachineError::Api { platform, source })?;
            match answer.connection {
                Some(MachineConnection::Active(active)) => return machine(platform, active),
                Some(MachineConnection::Pending(pending)) => {
                    let pause = match u64::try_from(pending.wait_ms) {
                        Ok(asked @ 1..) => Duration::from_millis(asked),
                        // "Not at all" would be a loop without rest.
                        Ok(0) | Err(_) => Duration::from_secs(1),
                    };
                    let pause = pause.clamp(PAUSE_BOUNDS.0, PAUSE_BOUNDS.1);
                    if Instant::now() + pause > deadline {
                        return Err(MachineError::TooSlow { platform });
                    }
                    tracing::debug!(
                        "the {platform} machine is being started; asking again in {pause:?}"
                    );
                    tokio::time::sleep(pause).await;
                }
                None => {
                    return Err(MachineError::Unusable {
                        platform,
                        what: "its state is neither pending nor active".into(),
                    });
                }
            }
        }
    }

    /// Tells Depot every few seconds that the machine is in use; returns when Depot wants the build
    /// stopped, and otherwise never.
    ///
    /// A report that fails is not the end of a build: the next one may come through. Cancel safe.
    pub async fn report_health(&self, platform: BuilderPlatform) {
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

    /// Whether Depot wants the build stopped, as far as one report tells. Cancel safe.
    pub async fn is_canceled(&self, platform: BuilderPlatform) -> bool {
        self.health(platform).await == Some(Duration::ZERO)
    }

    /// Sends one report. `Some` is the time until Depot wants the build stopped, zero if it is over.
    async fn health(&self, platform: BuilderPlatform) -> Option<Duration> {
        let request = self.machine_request(platform);
        let answer: Result<ReportBuildHealthResponse, _> = self
            .api
            .unary(Call::REPORT_HEALTH, &self.token, &request)
            .await;
        match answer {
            Ok(answer) => answer.cancels_at.and_then(time_left),
            Err(error) => {
                tracing::debug!("health report failed: {}", crate::cause::one_line(&error));
                None
            }
        }
    }

    fn machine_request(&self, platform: BuilderPlatform) -> MachineRequest {
        MachineRequest {
            build_id: self.id.to_string(),
            platform: platform.into(),
        }
    }
}

/// How long it is until `moment`: zero once it has passed, `None` for a moment that no clock shows.
pub(crate) fn time_left(moment: prost_types::Timestamp) -> Option<Duration> {
    let moment = SystemTime::try_from(moment).ok()?;
    Some(moment.duration_since(SystemTime::now()).unwrap_or_default())
}

pub(crate) fn machine(
    platform: BuilderPlatform,
    active: ActiveConnection,
) -> Result<Machine, MachineError> {
    let unusable = |what: String| MachineError::Unusable { platform, what };
    let endpoint = Endpoint::parse(&active.endpoint).ok_or_else(|| {
        unusable(format!(
            "`{}` is not an address of the form tcp://host:port",
            active.endpoint.escape_debug()
        ))
    })?;
    // As the released CLI has it: plain text only where neither side has a certificate.
    let tls = match (active.cert, active.ca_cert) {
        (Some(own), Some(authority)) => Some(MachineTls {
            server_name: active.server_name,
            authority: authority.cert,
            certificate: own.cert,
            key: own.key.into(),
        }),
        (None, None) => None,
        _ => {
            return Err(unusable(
                "only one of its two certificates was given".into(),
            ));
        }
    };
    Ok(Machine {
        platform,
        endpoint,
        tls,
        gzip: matches!(active.compressor, Some(Compressor::Gzip(_))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read_with_and_without_brackets() {
        let cases = [
            ("tcp://10.1.2.3:443", Some(("10.1.2.3", 443))),
            (
                "tcp://builder.example:8080/",
                Some(("builder.example", 8080)),
            ),
            ("tcp://[::1]:1", Some(("::1", 1))),
            // Both become part of a request to a proxy.
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
    fn one_certificate_of_two_is_refused_rather_than_spoken_to_in_plain_text() {
        let active = ActiveConnection {
            endpoint: "tcp://h:1".into(),
            ca_cert: Some(super::super::messages::Certificate::default()),
            ..Default::default()
        };
        let refused = machine(BuilderPlatform::Amd64, active);
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
