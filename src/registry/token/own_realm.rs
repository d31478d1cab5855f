//! Where tokens of a registry are given out, by the registry's own word: asked once, also where several want to know at a time.

use std::time::Duration;

use url::Url;

use super::TokenError;
use super::slots::Slots;

/// An answer of a registry.
#[derive(Clone, Debug)]
pub(super) struct Told {
    /// Its realm, if it named one.
    pub(super) realm: Option<Url>,
    /// It was about the question, and would be the same again.
    pub(super) is_final: bool,
}

/// What registries have said, by canonical host: the realm of each that has one.
#[derive(Debug, Default)]
pub(super) struct OwnRealms(Slots<String, Option<Url>>);

impl OwnRealms {
    /// What `host` said before, or says to `ask` now. Whoever asks meanwhile waits for that, for `limit` at most. A failure is not
    /// remembered, nor is an answer that may be another one the next time.
    pub(super) async fn of(
        &self,
        host: &str,
        limit: Duration,
        ask: impl AsyncFnOnce() -> Result<Told, TokenError>,
    ) -> Result<Option<Url>, TokenError> {
        let said = self.0.of(host.to_owned());
        let Ok(mut said) = tokio::time::timeout(limit, said.lock()).await else {
            // Somebody else has no luck with it.
            return Ok(ask().await?.realm);
        };
        if let Some(known) = &*said {
            return Ok(known.clone());
        }
        let told = ask().await?;
        if told.is_final {
            *said = Some(told.realm.clone());
        }
        Ok(told.realm)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(15);

    fn unavailable() -> TokenError {
        TokenError::Unavailable {
            host: "registry.test".into(),
            status: 503,
            said: String::new(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_registry_is_asked_once_whatever_it_says() {
        let realm = Url::parse("https://registry.test/token").unwrap();
        for said in [Some(realm), None] {
            let (realms, asked) = (OwnRealms::default(), AtomicUsize::new(0));
            let ask = async || {
                let answer = async || {
                    asked.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    Ok(Told {
                        realm: said.clone(),
                        is_final: true,
                    })
                };
                realms.of("registry.test", LIMIT, answer).await.unwrap()
            };
            let (one, two) = tokio::join!(ask(), ask());
            assert!([one, two, ask().await].iter().all(|told| *told == said));
            assert_eq!(asked.into_inner(), 1);
        }
    }

    #[tokio::test]
    async fn what_may_change_is_not_remembered() {
        let realms = OwnRealms::default();
        let realm = Url::parse("https://registry.test/token").unwrap();
        let told = |realm: Option<&Url>, is_final| Told {
            realm: realm.cloned(),
            is_final,
        };
        let strange = async || Ok(told(None, false));
        let works = async || Ok(told(Some(&realm), true));
        assert_eq!(
            realms.of("registry.test", LIMIT, strange).await.unwrap(),
            None
        );
        assert_eq!(
            realms.of("registry.test", LIMIT, works).await.unwrap(),
            Some(realm.clone())
        );
        assert_eq!(
            realms.of("registry.test", LIMIT, strange).await.unwrap(),
            Some(realm.clone())
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_not_remembered_and_keeps_nobody_for_long() {
        let realms = OwnRealms::default();
        let fails = async || Err(unavailable());
        let works = async || {
            Ok(Told {
                realm: None,
                is_final: true,
            })
        };
        assert!(realms.of("registry.test", LIMIT, fails).await.is_err());
        assert_eq!(
            realms.of("registry.test", LIMIT, works).await.unwrap(),
            None
        );

        let begun = tokio::time::Instant::now();
        let hangs = async || {
            tokio::time::sleep(LIMIT * 10).await;
            Err(unavailable())
        };
        let (_, other) = tokio::join!(
            tokio::time::timeout(LIMIT * 2, realms.of("other.test", LIMIT, hangs)),
            async {
                let said = realms.of("other.test", LIMIT, works).await;
                (said.unwrap(), begun.elapsed())
            }
        );
        assert_eq!(other, (None, LIMIT));
    }
}
