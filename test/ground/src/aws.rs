//! A local AWS: a real moto, which serves STS and ECR among others.
//!
//! It is installed once, from the Python package index, into a Python environment of its own in a folder of this clone. It
//! keeps everything in memory and ends with its handle or with this process.

use std::env;
use std::io::{self, Write};
use std::path::Path;

use bytes::Bytes;
use http::{Request, Response};
use serde_json::Value;

use crate::engine::Address;
use crate::engine::http::send;
use crate::process::{Kind, NotReady, RunFolder, RunFolderError, Supervised};
use crate::python;

/// The packages for pip. The parts of moto that need more than these are not used here.
const PACKAGES: [&str; 3] = ["moto==5.1.15", "flask==3.1.3", "flask-cors==6.0.5"];
/// The folder's name; change it when the packages change.
const FOLDER: &str = "moto-5.1.15";

/// The account that owns everything.
pub const ACCOUNT: &str = "123456789012";

/// The start of the log is searched for moto's port.
const LOG_HEAD_BYTES: usize = 64 << 10;
const RESPONSE_LIMIT_BYTES: usize = 1 << 20;

/// A running moto. Dropping this ends it.
#[derive(Debug)]
pub struct Moto {
    daemon: Supervised,
    address: String,
}

/// Access keys of a user that was created for a test.
#[derive(Clone, Debug)]
pub struct UserKeys {
    /// The access key id.
    pub id: String,
    /// The secret access key.
    pub secret: String,
}

/// Why moto cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MotoError {
    /// It could not be installed.
    #[error("moto cannot be installed (python3 with venv and pip is required): {0}")]
    Install(String),
    /// No run folder could be claimed.
    #[error("no run folder for moto")]
    RunFolder(#[from] RunFolderError),
    /// Its process could not be started, or a request to it failed.
    #[error("moto cannot be used")]
    Io(#[from] io::Error),
    /// It did not respond in time.
    #[error("moto does not respond")]
    NotReady(#[from] NotReady),
}

impl Moto {
    /// Installs moto if necessary, starts it, and waits until it responds. `state` is the folder that it is installed into.
    pub async fn start(state: &Path) -> Result<Self, MotoError> {
        let state = state.to_owned();
        let prepared = tokio::task::spawn_blocking(move || {
            let python = python::install(&state, FOLDER, &PACKAGES).map_err(MotoError::Install)?;
            Ok::<_, MotoError>((python, RunFolder::claim(Kind::Aws, None)?))
        });
        let (python, folder) = prepared.await.map_err(io::Error::other)??;
        let command = [
            "env".as_ref(),
            "-i".as_ref(),
            "PYTHONUNBUFFERED=1".as_ref(),
            python.as_os_str(),
            "-m".as_ref(),
            "moto.server".as_ref(),
            "-H".as_ref(),
            "127.0.0.1".as_ref(),
            "-p".as_ref(),
            "0".as_ref(),
        ];
        let mut daemon = Supervised::start(folder, &command)?;
        let ready = async |daemon: &Supervised| {
            let log = daemon.log_head(LOG_HEAD_BYTES).ok()?;
            let (_, rest) = log.split_once("Running on http://")?;
            let (address, _) = rest.split_once(char::is_whitespace)?;
            let address = address.to_owned();
            let request = Request::get("/moto-api/").body(Bytes::new()).ok()?;
            let place = Address::Tcp(address.clone());
            send(&place, request, RESPONSE_LIMIT_BYTES)
                .await
                .ok()
                .map(|_| address)
        };
        let address = daemon.until_ready(ready).await?;
        Ok(Self { daemon, address })
    }

    /// The endpoint to use instead of all AWS endpoints.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// As [`Moto::start`], for tests: if moto cannot be installed, reports that and returns `None`; in CI that is an error.
    ///
    /// # Errors
    /// If moto cannot be installed in CI, or is installed and does not run.
    pub async fn for_tests(state: &Path) -> Result<Option<Self>, MotoError> {
        match Self::start(state).await {
            Ok(moto) => Ok(Some(moto)),
            Err(MotoError::Install(why)) if env::var_os("CI").is_none() => {
                // Not `eprintln!`: the test harness hides its output if the test passes.
                let notice = format!(
                    "skipped: moto cannot be installed (python3 with venv and pip is required): {why}\n"
                );
                let _not_shown = io::stderr().write_all(notice.as_bytes());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The names of all repositories in a region.
    pub async fn repositories(&self, region: &str) -> Result<Vec<String>, MotoError> {
        let response = self.ecr(region, "DescribeRepositories").await?;
        let listed = response.get("repositories").and_then(Value::as_array);
        let names = listed.into_iter().flatten();
        Ok(names
            .filter_map(|repository| repository.get("repositoryName")?.as_str())
            .map(str::to_owned)
            .collect())
    }

    /// Creates a user without any permission.
    pub async fn user(&self, name: &str) -> Result<UserKeys, MotoError> {
        let call = |action: &str| format!("Action={action}&Version=2010-05-08&UserName={name}");
        self.form("iam", &call("CreateUser")).await?;
        let response = self.form("iam", &call("CreateAccessKey")).await?;
        let text = |name: &str| {
            let (_, rest) = response.split_once(&format!("<{name}>"))?;
            Some(rest.split_once('<')?.0.to_owned())
        };
        match (text("AccessKeyId"), text("SecretAccessKey")) {
            (Some(id), Some(secret)) => Ok(UserKeys { id, secret }),
            _ => Err(MotoError::Io(io::Error::other(
                "moto returned no access keys",
            ))),
        }
    }

    /// From now on moto verifies the signature of every call and the permissions of its signer.
    pub async fn check_signatures(&self) -> Result<(), MotoError> {
        let request = Request::post("/moto-api/reset-auth").header("content-type", "text/plain");
        self.send(request.body(Bytes::from_static(b"0"))).await?;
        Ok(())
    }

    /// Stops moto and waits until everything of it is removed.
    pub async fn stop(self) -> io::Result<()> {
        self.daemon.stop().await
    }

    async fn ecr(&self, region: &str, action: &str) -> Result<Value, MotoError> {
        let request = Request::post("/")
            .header("authorization", scope(region, "ecr"))
            .header("content-type", "application/x-amz-json-1.1")
            .header(
                "x-amz-target",
                format!("AmazonEC2ContainerRegistry_V20150921.{action}"),
            );
        let response = self.send(request.body(Bytes::from_static(b"{}"))).await?;
        serde_json::from_slice(response.body()).map_err(|error| MotoError::Io(error.into()))
    }

    async fn form(&self, service: &str, form: &str) -> Result<String, MotoError> {
        let request = Request::post("/")
            .header("authorization", scope("us-east-1", service))
            .header("content-type", "application/x-www-form-urlencoded");
        let response = self.send(request.body(form.to_owned().into())).await?;
        Ok(String::from_utf8_lossy(response.body()).into_owned())
    }

    async fn send(
        &self,
        request: Result<Request<Bytes>, http::Error>,
    ) -> Result<Response<Bytes>, MotoError> {
        let request = request.map_err(io::Error::other)?;
        let address = Address::Tcp(self.address.clone());
        let response = send(&address, request, RESPONSE_LIMIT_BYTES).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        let message = String::from_utf8_lossy(response.body()).into_owned();
        Err(MotoError::Io(io::Error::other(message)))
    }
}

/// An `Authorization` header that names the service and the region. moto ignores the signature until
/// [`Moto::check_signatures`].
fn scope(region: &str, service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20200101/{region}/{service}/aws4_request, \
         SignedHeaders=host, Signature=none"
    )
}
