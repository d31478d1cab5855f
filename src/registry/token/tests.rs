//! Tokens from servers with planned replies, over real connections on loopback.

mod exchange;
mod trust;

use std::time::Duration;

use secrecy::SecretString;

use super::*;
use crate::http::proxies::Proxies;
use crate::http::retry::Policy;
use crate::registry::fake::Fake;

const PASSWORD: &str = "correct horse";

fn tls() -> rustls::ClientConfig {
    crate::http::roots::client_config(&crate::http::roots::Authorities::default()).unwrap()
}

fn tokens(credentials: impl IntoIterator<Item = Credential>) -> Tokens {
    let reach = Reach::new(&Proxies::default(), &tls(), |client| client);
    Tokens::new(reach.unwrap(), keyring(credentials))
}

fn keyring(credentials: impl IntoIterator<Item = Credential>) -> Arc<Keyring> {
    Arc::new(Keyring::new(credentials.into_iter().collect()))
}

/// The one credential is for `host`.
fn tokens_for(host: &str) -> Tokens {
    tokens([Credential::new(
        host,
        "me".into(),
        SecretString::from(PASSWORD),
    )])
}

fn scopes() -> Vec<String> {
    ["repository:a/b:pull,push", "repository:c:pull"]
        .map(str::to_owned)
        .to_vec()
}

/// Requests a token from the registry's own realm.
async fn fetch_of(tokens: &Tokens, fake: &Fake) -> Result<Token, TokenError> {
    let realm = fake.url("/token");
    tokens
        .fetch(&fake.host(), &realm, "the service", &scopes())
        .await
}
