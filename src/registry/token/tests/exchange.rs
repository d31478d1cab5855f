//! The requests to token servers, and their replies.

use super::*;
use crate::registry::fake::Reply;
use crate::registry::token::reply::MAX_REPLY_BYTES;

fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
}

#[tokio::test]
async fn a_password_is_sent_with_post() {
    let fake = Fake::start([Reply::token()]).await;
    let tokens = tokens_for(&fake.host());
    let token = fetch_of(&tokens, &fake).await.unwrap();
    assert_eq!(token.value.expose_secret(), "the-token");
    assert_eq!((token.expires_in, token.issued_at), (300, None));

    let [seen] = &fake.seen()[..] else {
        panic!("{:?}", fake.seen());
    };
    assert_eq!(
        (seen.method.as_str(), seen.path.as_str()),
        ("POST", "/token")
    );
    assert_eq!((seen.query.len(), &seen.authorization), (0, &None));
    let mut form = seen.form.clone();
    form.sort();
    assert_eq!(
        form,
        pairs([
            ("client_id", "depot-build"),
            ("grant_type", "password"),
            ("password", PASSWORD),
            ("scope", "repository:a/b:pull,push repository:c:pull"),
            ("service", "the service"),
            ("username", "me"),
        ])
    );
}

#[tokio::test]
async fn a_token_server_without_post_is_requested_with_get() {
    for status in [400, 401, 404, 405] {
        let fake = Fake::start([Reply::status(status), Reply::token()]).await;
        let tokens = tokens_for(&fake.host());
        fetch_of(&tokens, &fake).await.unwrap();
        let [_, seen] = &fake.seen()[..] else {
            panic!("{:?}", fake.seen());
        };
        assert_eq!(
            (seen.method.as_str(), seen.path.as_str()),
            ("GET", "/token")
        );
        assert_eq!(seen.basic(), Some(("me".into(), PASSWORD.into())));
        assert_eq!(
            seen.query,
            pairs([
                ("service", "the service"),
                ("scope", "repository:a/b:pull,push"),
                ("scope", "repository:c:pull"),
                ("account", "me"),
            ])
        );
        assert_eq!(seen.form.len(), 0);
    }
}

#[tokio::test]
async fn other_replies_to_a_post_are_final() {
    for (status, denied) in [(403, true), (402, false), (501, false)] {
        let fake = Fake::start([Reply::status(status)]).await;
        let error = fetch_of(&tokens_for(&fake.host()), &fake)
            .await
            .unwrap_err();
        assert_eq!(error.is_denied(), denied, "{error}");
        let text = error.to_string();
        assert!(text.contains(&status.to_string()) && text.contains(&fake.host()));
    }
}

/// Tokens without pauses between attempts.
fn quick(fake: &Fake) -> Tokens {
    let mut tokens = tokens_for(&fake.host());
    tokens.limits.policy.pauses = (Duration::ZERO, Duration::ZERO);
    tokens
}

#[tokio::test]
async fn an_unavailable_token_server_is_requested_again() {
    let fake = Fake::start([
        Reply::status(503),
        Reply::Response(429, "Retry-After: 0\r\n".into(), String::new()),
        Reply::Raw(String::new()),
        Reply::token(),
    ])
    .await;
    fetch_of(&quick(&fake), &fake).await.unwrap();
    assert_eq!(fake.methods(), ["POST"; 4]);
    let seen = fake.seen();
    let mut passwords = seen.iter().map(|seen| seen.field("password"));
    assert!(passwords.all(|password| password == Some(PASSWORD)));

    // Also without a login, and in the middle of a reply.
    let half = "HTTP/1.1 200 X\r\nContent-Length: 40\r\n\r\n{\"token\":";
    let broken = [Reply::Raw(half.into()), Reply::status(502), Reply::token()];
    let fake = Fake::start(broken).await;
    let mut anonymous = tokens([]);
    anonymous.limits.policy.pauses = (Duration::ZERO, Duration::ZERO);
    fetch_of(&anonymous, &fake).await.unwrap();

    // Also the registry that names its realm, and one that requires a password.
    let realm = Fake::start([Reply::token()]).await;
    let challenge = Reply::challenge(&realm.url("/token"));
    let troubled = [Reply::status(503), Reply::Raw(String::new()), challenge];
    let registry = Fake::start(troubled).await;
    let (tokens, host) = (quick(&registry), registry.host());
    let address = realm.url("/token");
    tokens.fetch(&host, &address, "s", &[]).await.unwrap();
    let demand = "WWW-Authenticate: Basic\r\n".to_owned();
    let demand = Reply::Response(401, demand, String::new());
    let registry = Fake::start([Reply::status(503), demand]).await;
    let (tokens, host) = (quick(&registry), registry.host());
    let credential = tokens.credential_without_tokens(&host).await;
    assert!(credential.is_some());
}

#[tokio::test]
async fn retries_are_limited_and_a_long_pause_ends_them() {
    for status in [429, 500, 503] {
        let replies = (0..=LIMITS.policy.retries).map(|_| Reply::status(status));
        let fake = Fake::start(replies).await;
        let error = fetch_of(&quick(&fake), &fake).await.unwrap_err();
        let text = error.to_string();
        let is_named = text.contains(&format!("HTTP {status}")) && text.contains(&fake.host());
        assert!(is_named && error.is_transient(), "{text}");
    }
    let retry_after = "Retry-After: 55\r\n".to_owned();
    let fake = Fake::start([Reply::Response(429, retry_after, String::new())]).await;
    let error = fetch_of(&quick(&fake), &fake).await.unwrap_err();
    assert!(error.to_string().contains("HTTP 429"), "{error}");
}

#[tokio::test]
async fn a_token_without_a_credential_is_anonymous() {
    let fake = Fake::start([Reply::token()]).await;
    let tokens = tokens_for("another.example.com");
    fetch_of(&tokens, &fake).await.unwrap();
    let [seen] = &fake.seen()[..] else {
        panic!("{:?}", fake.seen());
    };
    assert_eq!((seen.method.as_str(), &seen.authorization), ("GET", &None));
    assert_eq!(seen.field("account"), None);
}

#[tokio::test]
async fn a_rejection_is_reported_with_the_message_and_without_the_password() {
    let body = format!(r#"{{"details":"`{PASSWORD}` is wrong"}}"#);
    let fake = Fake::start([Reply::status(401), Reply::with_body(401, body)]).await;
    let error = fetch_of(&tokens_for(&fake.host()), &fake)
        .await
        .unwrap_err();
    assert!(error.is_denied());
    assert_eq!(
        error.to_string(),
        format!(
            "the registry `{}` rejected the credentials of user `me` (HTTP 401): `***` is wrong",
            fake.host()
        )
    );
    assert!(!format!("{error:?}").contains(PASSWORD));

    let fake = Fake::start([Reply::status(401)]).await;
    let error = fetch_of(&tokens([]), &fake).await.unwrap_err();
    assert!(error.is_denied());
    assert!(error.to_string().contains("rejected anonymous access"));
}

#[tokio::test]
async fn a_rejected_post_is_final_if_get_is_not_supported() {
    let grant = r#"{"error":"invalid_grant"}"#;
    for (post, get) in [
        (Reply::status(401), Reply::status(405)),
        (Reply::status(401), Reply::status(404)),
        (Reply::with_body(400, grant), Reply::status(405)),
    ] {
        let fake = Fake::start([post, get]).await;
        let error = fetch_of(&tokens_for(&fake.host()), &fake)
            .await
            .unwrap_err();
        assert!(error.is_denied(), "{error}");
    }
    // A server without either has not rejected the credentials.
    let fake = Fake::start([Reply::status(404), Reply::status(404)]).await;
    let error = fetch_of(&tokens_for(&fake.host()), &fake)
        .await
        .unwrap_err();
    assert!(!error.is_denied(), "{error}");
    assert!(error.to_string().contains("HTTP 404"), "{error}");
}

#[tokio::test]
async fn a_reply_without_a_token_is_an_error() {
    let too_large = format!(r#"{{"token":"{}"}}"#, "x".repeat(MAX_REPLY_BYTES));
    for (body, problem) in [
        ("<html>hello</html>", "the reply is not a token in JSON"),
        ("", "the reply is not a token in JSON"),
        ("{}", "the reply has no token"),
        (r#"{"access_token":""}"#, "the reply has no token"),
        (too_large.as_str(), "longer than 1048576 bytes"),
    ] {
        let fake = Fake::start([Reply::with_body(200, body)]).await;
        let error = fetch_of(&tokens_for(&fake.host()), &fake)
            .await
            .unwrap_err();
        let sentence = format!("the registry `{}` returned no token: ", fake.host());
        let text = error.to_string();
        assert!(
            text.starts_with(&sentence) && text.contains(problem),
            "{text}"
        );
        assert!(!error.is_denied());
    }
}

#[tokio::test]
async fn a_reply_of_the_maximum_length_is_read() {
    let more = "x".repeat(MAX_REPLY_BYTES - r#"{"token":"token","more":""}"#.len());
    let body = format!(r#"{{"token":"token","more":"{more}"}}"#);
    assert_eq!(body.len(), MAX_REPLY_BYTES);
    let fake = Fake::start([Reply::with_body(200, body)]).await;
    let fetched = fetch_of(&tokens_for(&fake.host()), &fake).await.unwrap();
    assert_eq!(fetched.value.expose_secret(), "token");
}

#[tokio::test]
async fn the_query_of_a_realm_is_kept() {
    let fake = Fake::start([Reply::status(404), Reply::token()]).await;
    let realm = fake.url("/token?tenant=a%26b&x");
    let tokens = tokens_for(&fake.host());
    tokens.fetch(&fake.host(), &realm, "", &[]).await.unwrap();
    let [post, get] = &fake.seen()[..] else {
        panic!("{:?}", fake.seen());
    };
    assert_eq!(post.query, pairs([("tenant", "a&b"), ("x", "")]));
    assert_eq!(
        get.query,
        pairs([("tenant", "a&b"), ("x", ""), ("account", "me")])
    );
    // Parameters that the challenge omits are omitted.
    assert_eq!((post.field("service"), post.field("scope")), (None, None));
}

#[tokio::test]
async fn a_token_server_that_hangs_is_an_error() {
    for planned in [vec![Reply::Hang], vec![Reply::status(404), Reply::Hang]] {
        let fake = Fake::start(planned).await;
        let mut tokens = tokens_for(&fake.host());
        tokens.limits = Limits {
            exchange: Duration::from_millis(200),
            policy: Policy {
                retries: 0,
                ..LIMITS.policy
            },
        };
        let error = fetch_of(&tokens, &fake).await.unwrap_err();
        let TokenError::Transport { at, source, .. } = &error else {
            panic!("{error}");
        };
        assert!(source.is_timeout(), "{source:?}");
        assert_eq!(*at, fake.host());
    }
}

#[tokio::test]
async fn every_user_and_password_arrives_unchanged() {
    for (user, password) in [
        (
            "_json_key",
            "{\n  \"type\": \"service_account\",\r\n  \"key\": \"a\\nb\"\n}",
        ),
        ("robot$ci+push", "a&b=c+d%20e%"),
        ("jürgen", "pässwörd 🔑"),
        ("user@example.com", "quotes \" ' ` and $HOME"),
        ("00000000-0000-0000-0000-000000000000", "a:b:c"),
        ("tab\there", " spaces around "),
    ] {
        let fake = Fake::start([Reply::status(405), Reply::token()]).await;
        let credential = Credential::new(&fake.host(), user.into(), password.into());
        fetch_of(&tokens([credential]), &fake).await.unwrap();
        let [post, get] = &fake.seen()[..] else {
            panic!("{:?}", fake.seen());
        };
        assert_eq!(post.field("username"), Some(user));
        assert_eq!(post.field("password"), Some(password));
        assert_eq!(get.field("account"), Some(user));
        assert_eq!(get.basic(), Some((user.into(), password.into())));
    }
}

#[tokio::test]
async fn a_user_with_a_colon_is_sent_only_with_post() {
    let credential = |fake: &Fake| Credential::new(&fake.host(), "a:b".into(), PASSWORD.into());
    let fake = Fake::start([Reply::token()]).await;
    fetch_of(&tokens([credential(&fake)]), &fake).await.unwrap();
    assert_eq!(fake.seen()[0].field("username"), Some("a:b"));

    // With Basic authentication the password would be `b:correct horse`.
    let fake = Fake::start([Reply::status(405)]).await;
    let error = fetch_of(&tokens([credential(&fake)]), &fake)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("colon"), "{error}");
    let fake = Fake::start([Reply::status(401)]).await;
    let error = fetch_of(&tokens([credential(&fake)]), &fake)
        .await
        .unwrap_err();
    assert!(error.is_denied(), "{error}");
}
