//! A local Amazon: a real moto, which answers for STS and ECR among others.
//!
//! It comes from the Python package index, once, into a folder of this clone, in a Python environment of its own. It keeps all in memory, and
//! ends with its handle or with this process.

use std::env;
use std::io::{self, Write};
use std::path::Path;

use bytes::Bytes;
use http::{Request, Response};
use serde_json::Value;

use crate::engine::{Address, http::send};
use crate::process::{Kind, NotReady, RunFolder, RunFolderError, Supervised};
use crate::python;

/// What pip installs. The parts of moto that need more than this are none of ours.
const PACKAGES: [&str; 3] = ["moto==5.1.15", "flask==3.1.3", "flask-cors==6.0.5"];
/// The folder's name; give it a new one when what it holds changes.
const FOLDER: &str = "moto-5.1.15";

/// The account that everything belongs to.
pub const ACCOUNT: &str = "123456789012";

/// Where in its log it says which port it got.
const LOG_HEAD_BYTES: usize = 64 << 10;
const ANSWER_LIMIT: usize = 1 << 20;

/// A running moto. Dropping this ends it.
#[derive(Debug)]
pub struct Moto {
    daemon: Supervised,
    address: String,
}

/// Keys of a user that was made for a test.
#[derive(Clone, Debug)]
pub struct UserKeys {
    /// The id.
    pub id: String,
    /// The key.
    pub secret: String,
}

/// Why there is no moto.
#[derive(Debug, thiserror::Error)]
pub enum MotoError {
    /// It could not be installed.
    #[error("moto cannot be installed, which takes python3 with venv and pip: {0}")]
    Install(String),
    /// It has no folder to run in.
    #[error("moto has no folder to run in")]
    RunFolder(#[from] RunFolderError),
    /// Its process could not be started, or it could not be spoken to.
    #[error("moto cannot be used")]
    Io(#[from] io::Error),
    /// It never answered.
    #[error("moto does not answer")]
    NotReady(#[from] NotReady),
}

impl Moto {
    /// Installs it unless it is there, starts it, and waits until it answers. `state` is where it is installed.
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
            send(&place, request, ANSWER_LIMIT)
                .await
                .ok()
                .map(|_| address)
        };
        let address = daemon.until_ready(ready).await?;
        Ok(Self { daemon, address })
    }

    /// What stands in place of all of Amazon's addresses.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// The same for tests: `None` where it cannot be installed, which is told, and which fails in CI.
    ///
    /// # Errors
    /// In CI, and where it is installed and does not run.
    pub async fn for_tests(state: &Path) -> Result<Option<Self>, MotoError> {
        match Self::start(state).await {
            Ok(moto) => Ok(Some(moto)),
            Err(MotoError::Install(why)) if env::var_os("CI").is_none() => {
                // Not through `eprintln!`: what a passing test prints with that is not shown.
                let told = format!(
                    "left out: no local Amazon, which takes python3 with venv and pip: {why}\n"
                );
                let _not_shown = io::stderr().write_all(told.as_bytes());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The names of all repositories in a region.
    pub async fn repositories(&self, region: &str) -> Result<Vec<String>, MotoError> {
        let answer = self.ecr(region, "DescribeRepositories").await?;
        let listed = answer.get("repositories").and_then(Value::as_array);
        let names = listed.into_iter().flatten();
        Ok(names
            .filter_map(|repository| repository.get("repositoryName")?.as_str())
            .map(str::to_owned)
            .collect())
    }

    /// Makes a user who may do nothing.
    pub async fn user(&self, name: &str) -> Result<UserKeys, MotoError> {
        let call = |action: &str| format!("Action={action}&Version=2010-05-08&UserName={name}");
        self.form("iam", &call("CreateUser")).await?;
        let answer = self.form("iam", &call("CreateAccessKey")).await?;
        let text = |name: &str| {
            let (_, rest) = answer.split_once(&format!("<{name}>"))?;
            Some(rest.split_once('<')?.0.to_owned())
        };
        match (text("AccessKeyId"), text("SecretAccessKey")) {
            (Some(id), Some(secret)) => Ok(UserKeys { id, secret }),
            _ => Err(MotoError::Io(io::Error::other("a user without keys"))),
        }
    }

    /// From now on every call is looked at: who signed it, and whether he may.
    pub async fn check_signatures(&self) -> Result<(), MotoError> {
        let request = Request::post("/moto-api/reset-auth").header("content-type", "text/plain");
        self.sent(request.body(Bytes::from_static(b"0"))).await?;
        Ok(())
    }

    /// Ends it and waits until nothing of it is left.
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
        let answer = self.sent(request.body(Bytes::from_static(b"{}"))).await?;
        serde_json::from_slice(answer.body()).map_err(|error| MotoError::Io(error.into()))
    }

    async fn form(&self, service: &str, form: &str) -> Result<String, MotoError> {
        let request = Request::post("/")
            .header("authorization", scope("us-east-1", service))
            .header("content-type", "application/x-www-form-urlencoded");
        let answer = self.sent(request.body(form.to_owned().into())).await?;
        Ok(String::from_utf8_lossy(answer.body()).into_owned())
    }

    async fn sent(
        &self,
        request: Result<Request<Bytes>, http::Error>,
    ) -> Result<Response<Bytes>, MotoError> {
        let request = request.map_err(io::Error::other)?;
        let place = Address::Tcp(self.address.clone());
        let answer = send(&place, request, ANSWER_LIMIT).await?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let told = String::from_utf8_lossy(answer.body()).into_owned();
        Err(MotoError::Io(io::Error::other(told)))
    }
}

/// What tells moto the service and the region. It looks at no signature before it is told to.
fn scope(region: &str, service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20200101/{region}/{service}/aws4_request, \
         SignedHeaders=host, Signature=none"
    )
}
