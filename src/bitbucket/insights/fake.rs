//! Bitbucket's API behind the proxy of a step. It accepts exactly the calls that Bitbucket's documentation describes, keeps the
//! reports, and rejects everything else.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Serves connections until it is dropped.
pub(crate) struct FakeProxy {
    port: u16,
    state: Arc<Mutex<State>>,
    _serving: JoinSet<()>,
}

/// A reply instead of the usual one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    Status(u16),
    /// No reply, and an open connection.
    Hang,
    /// The end of the connection.
    Cut,
}

/// The state of the API.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    /// Methods and paths, in order.
    pub(crate) calls: Vec<String>,
    /// By path.
    pub(crate) reports: BTreeMap<String, Value>,
    /// By the path of the report.
    pub(crate) annotations: BTreeMap<String, Vec<Value>>,
    /// Rejected calls, with the reason.
    pub(crate) rejected: Vec<String>,
    faults: VecDeque<Fault>,
}

impl FakeProxy {
    pub(crate) async fn start(faults: impl IntoIterator<Item = Fault>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State {
            faults: faults.into_iter().collect(),
            ..State::default()
        }));
        let mut serving = JoinSet::new();
        let shared = Arc::clone(&state);
        serving.spawn(async move {
            let mut open = JoinSet::new();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                open.spawn(connection(socket, Arc::clone(&shared)));
            }
        });
        Self {
            port,
            state,
            _serving: serving,
        }
    }

    pub(crate) fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn state(&self) -> State {
        self.state.lock().unwrap().clone()
    }

    /// The only report, with its annotations.
    pub(crate) fn only(&self) -> (Value, Vec<Value>) {
        let state = self.state();
        assert_eq!(state.rejected, Vec::<String>::new());
        assert_eq!(state.reports.len(), 1, "{state:?}");
        let (path, report) = state.reports.into_iter().next().unwrap();
        let annotations = state.annotations.get(&path).cloned();
        (report, annotations.unwrap_or_default())
    }
}

async fn connection(socket: TcpStream, state: Arc<Mutex<State>>) {
    let mut socket = BufReader::new(socket);
    while let Some((head, body)) = request(&mut socket).await {
        let fault = state.lock().unwrap().faults.pop_front();
        let status = match fault {
            Some(Fault::Status(status)) => status,
            Some(Fault::Hang) => return std::future::pending().await,
            Some(Fault::Cut) => return,
            None => state.lock().unwrap().reply(&head, &body),
        };
        let reply = format!("HTTP/1.1 {status} x\r\ncontent-length: 2\r\n\r\n{{}}");
        if socket.write_all(reply.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Head and body of the next request.
async fn request(socket: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if socket.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let mut body = vec![0; header(&head, "content-length")?.parse().unwrap()];
    socket.read_exact(&mut body).await.ok()?;
    Some((head, body))
}

fn header(head: &str, name: &str) -> Option<String> {
    let mut headers = head.lines().filter_map(|line| line.split_once(": "));
    let value =
        headers.find_map(|(known, value)| known.eq_ignore_ascii_case(name).then_some(value));
    match value {
        None if name == "content-length" => Some("0".to_owned()),
        value => value.map(str::to_owned),
    }
}

impl State {
    fn reply(&mut self, head: &str, body: &[u8]) -> u16 {
        let line = head.lines().next().unwrap().to_owned();
        let (status, problem) = match self.checked(head, &line, body) {
            Ok(status) => return status,
            Err(problem) => (400, problem),
        };
        self.rejected.push(format!("{line}: {problem}"));
        status
    }

    fn checked(&mut self, head: &str, line: &str, body: &[u8]) -> Result<u16, String> {
        let words: Vec<_> = line.split(' ').collect();
        let [method, address, "HTTP/1.1"] = words[..] else {
            return Err("not HTTP/1.1".into());
        };
        // A proxy gets the whole address, and adds the authorization itself.
        let path = address.strip_prefix("http://api.bitbucket.org/2.0/repositories/");
        let path = path.ok_or("not an address of the API")?;
        if header(head, "host").as_deref() != Some("api.bitbucket.org") {
            return Err("another host".into());
        }
        if header(head, "authorization").is_some() || header(head, "proxy-authorization").is_some()
        {
            return Err("an authorization".into());
        }
        self.calls.push(format!("{method} {path}"));
        let parts: Vec<_> = path.split('/').collect();
        let [_, _, "commit", commit, "reports", id, rest @ ..] = &parts[..] else {
            return Err("not the path of a report".into());
        };
        if !commit.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err("not a commit".into());
        }
        let report = path.trim_end_matches("/annotations").to_owned();
        match (method, rest) {
            ("DELETE", []) => Ok(match self.reports.remove(&report) {
                Some(_) => {
                    self.annotations.remove(&report);
                    204
                }
                None => 404,
            }),
            ("PUT", []) => {
                let body = json(head, body)?;
                check_report(&body, id)?;
                self.reports.insert(report, body);
                Ok(200)
            }
            ("POST", ["annotations"]) => {
                if !self.reports.contains_key(&report) {
                    return Err("no such report".into());
                }
                let body = json(head, body)?;
                let list = body.as_array().ok_or("not a list")?;
                check_annotations(list)?;
                self.annotations
                    .entry(report)
                    .or_default()
                    .extend(list.iter().cloned());
                Ok(200)
            }
            _ => Err("no such call".into()),
        }
    }
}

fn json(head: &str, body: &[u8]) -> Result<Value, String> {
    if header(head, "content-type").as_deref() != Some("application/json") {
        return Err("not JSON".into());
    }
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

/// The text of a field, within its limit.
fn text<'a>(object: &'a Value, field: &str, limit: usize) -> Result<&'a str, String> {
    let text = object[field].as_str().ok_or(format!("no {field}"))?;
    if text.is_empty() || text.chars().count() > limit {
        return Err(format!("{field} is empty or too long"));
    }
    Ok(text)
}

fn one_of(object: &Value, field: &str, values: &[&str]) -> Result<(), String> {
    let value = text(object, field, 100)?;
    let is_known = values.contains(&value);
    is_known.then_some(()).ok_or(format!("{field} is {value}"))
}

fn only_fields(object: &Value, fields: &[&str]) -> Result<(), String> {
    let object = object.as_object().ok_or("not an object")?;
    match object.keys().find(|key| !fields.contains(&&***key)) {
        None => Ok(()),
        Some(key) => Err(format!("the field {key} is unknown")),
    }
}

fn check_link(object: &Value) -> Result<(), String> {
    match &object["link"] {
        Value::Null => Ok(()),
        _ => text(object, "link", 2000).map(drop),
    }
}

fn check_report(report: &Value, id: &str) -> Result<(), String> {
    let fields = [
        "title",
        "details",
        "external_id",
        "report_type",
        "reporter",
        "result",
        "data",
        "link",
    ];
    only_fields(report, &fields)?;
    text(report, "title", 450)?;
    text(report, "details", 2000)?;
    text(report, "reporter", 450)?;
    check_link(report)?;
    if text(report, "external_id", 450)? != id {
        return Err("another external_id".into());
    }
    one_of(
        report,
        "report_type",
        &["SECURITY", "COVERAGE", "TEST", "BUG"],
    )?;
    one_of(
        report,
        "result",
        &["PASSED", "FAILED", "PENDING", "SKIPPED"],
    )?;
    let data = report["data"].as_array().ok_or("no data")?;
    if data.len() > 10 {
        return Err("more than 10 facts".into());
    }
    for fact in data {
        only_fields(fact, &["title", "type", "value"])?;
        text(fact, "title", 450)?;
        match text(fact, "type", 20)? {
            "TEXT" => drop(text(fact, "value", 450)?),
            "DURATION" if fact["value"].is_u64() => {}
            "LINK" => {
                only_fields(&fact["value"], &["text", "href"])?;
                text(&fact["value"], "text", 450)?;
                text(&fact["value"], "href", 2000)?;
            }
            other => return Err(format!("a fact of type {other}")),
        }
    }
    Ok(())
}

fn check_annotations(list: &[Value]) -> Result<(), String> {
    if list.is_empty() || list.len() > 100 {
        return Err("no annotation, or more than 100".into());
    }
    let mut ids = BTreeSet::new();
    for annotation in list {
        let fields = [
            "external_id",
            "annotation_type",
            "severity",
            "summary",
            "details",
            "path",
            "line",
            "link",
        ];
        only_fields(annotation, &fields)?;
        if !ids.insert(text(annotation, "external_id", 450)?) {
            return Err("an external_id twice".into());
        }
        one_of(
            annotation,
            "annotation_type",
            &["VULNERABILITY", "CODE_SMELL", "BUG"],
        )?;
        one_of(
            annotation,
            "severity",
            &["CRITICAL", "HIGH", "MEDIUM", "LOW"],
        )?;
        text(annotation, "summary", 450)?;
        check_link(annotation)?;
        if !annotation["details"].is_null() {
            text(annotation, "details", 2000)?;
        }
        let (path, line) = (&annotation["path"], &annotation["line"]);
        if path.is_null() != line.is_null() {
            return Err("a path without a line".into());
        }
        if !path.is_null()
            && (path.as_str().is_none_or(|path| path.starts_with('/')) || line.as_u64() < Some(1))
        {
            return Err("a path that is not in the repository, or line 0".into());
        }
    }
    Ok(())
}
