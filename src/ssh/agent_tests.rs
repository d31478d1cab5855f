//! The sockets of other agents.

use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use super::*;
use crate::ssh::frames::length_of;
use crate::ssh::key::tests::key;
use crate::ssh::message::{FAILURE, IDENTITIES_ANSWER, REQUEST_IDENTITIES};

/// Accepts connections, records all messages, and responds to each of them with `response`.
async fn serve(listener: UnixListener, response: Vec<u8>, messages: &mut Vec<Vec<u8>>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut length = [0; 4];
        while stream.read_exact(&mut length).await.is_ok() {
            let mut message = vec![0; length_of(length).unwrap()];
            stream.read_exact(&mut message).await.unwrap();
            messages.push(message);
            stream.write_all(&response).await.unwrap();
        }
    }
}

async fn respond(path: &Path, messages: &[&[u8]]) -> Vec<Vec<u8>> {
    let agent = Arc::new(Agent::Socket(path.to_owned()));
    let mut connection = agent.connect().await.unwrap();
    let mut responses = Vec::new();
    for message in messages {
        responses.push(connection.respond(message).await);
    }
    responses
}

#[tokio::test]
async fn only_requests_for_identities_and_signatures_reach_another_agent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let answer = framed(&[IDENTITIES_ANSWER, 0, 0, 0, 0]);
    let mut messages = Vec::new();
    let add = [17, 0, 0, 0, 0];
    let signature = [13, 0, 0, 0, 1, 7, 0, 0, 0, 1, 8, 0, 0, 0, 0];
    let requests: [&[u8]; 5] = [&add, &[REQUEST_IDENTITIES], &[19], &[22], &signature];
    let responses = tokio::select! {
        () = serve(listener, answer.clone(), &mut messages) => unreachable!(),
        responses = respond(&path, &requests) => responses,
    };
    let failure = framed(&[FAILURE]);
    // The last one is the response to another request.
    let expected = [&failure, &answer, &failure, &failure, &failure];
    assert_eq!(responses.iter().collect::<Vec<_>>(), expected);
    assert_eq!(messages, [&[REQUEST_IDENTITIES][..], &signature]);
}

#[tokio::test]
async fn a_connection_to_another_agent_is_not_used_after_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let mut messages = Vec::new();
    let too_long = vec![0xff; 8];
    let responses = tokio::select! {
        () = serve(listener, too_long, &mut messages) => unreachable!(),
        responses = respond(&path, &[&[REQUEST_IDENTITIES], &[REQUEST_IDENTITIES]]) => responses,
    };
    assert_eq!(responses, [framed(&[FAILURE]), framed(&[FAILURE])]);
    assert_eq!(messages.len(), 1);
}

#[tokio::test]
async fn a_socket_without_an_agent_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.sock");
    let agents = Agents::new([
        ("keys".into(), Agent::Keys(vec![key("ed25519")])),
        ("default".into(), Agent::Socket(path.clone())),
    ]);
    let listener = UnixListener::bind(&path).unwrap();
    let error = {
        let mut messages = Vec::new();
        tokio::select! {
            () = serve(listener, framed(&[FAILURE]), &mut messages) => unreachable!(),
            checked = agents.check() => checked.unwrap_err(),
        }
    };
    assert!(
        error
            .to_string()
            .ends_with("agent.sock` is not the socket of an SSH agent: it did not list its keys"),
        "{error}"
    );
    // The listener is gone, and the file of the socket is left.
    let error = agents.check().await.unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("could not connect to the SSH agent at `"),
        "{error}"
    );
}

#[tokio::test]
async fn keys_of_this_process_need_no_check() {
    let agents = Agents::new([("default".into(), Agent::Keys(vec![key("p256")]))]);
    agents.check().await.unwrap();
    assert!(agents == agents.clone() && agents != Agents::default());
    assert_eq!(
        format!("{agents:?}"),
        "{\"default\": Keys([PrivateKey(ecdsa-sha2-nistp256)])}"
    );
}
