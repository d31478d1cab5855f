//! The sessions on a machine. Solves whose images have the same context share one, so that it is transferred once.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::join_all;

use super::super::Result;
use super::super::contexts::Contexts;
use super::super::failure::Failure;
use super::{Link, Machine};
use crate::buildkit::session::{Auth, Changes, Health, Service, Services, Session, Ssh};
use crate::cancel::Cancel;

/// How often a context is sent if its files change while it is being sent.
pub(in super::super) const MAX_TRANSFERS: u32 = 3;

/// The open sessions of a machine.
#[derive(Default)]
pub(super) struct Sessions {
    open: Mutex<Vec<Arc<SharedSession>>>,
    /// Those that others have replaced, and that steps may still name.
    retired: Mutex<Vec<Arc<SharedSession>>>,
}

/// An open session of images with the same context.
pub(in super::super) struct SharedSession {
    pub(in super::super) session: Session,
    contexts: Arc<Contexts>,
    /// The number of the transfer, from one on. A changed file ends all but the last one, [`MAX_TRANSFERS`].
    pub(in super::super) transfer: u32,
    /// Increases with each session of these contexts.
    number: usize,
    generation: usize,
}

impl Machine<'_> {
    /// The session for the files of `contexts`. The first caller opens it.
    ///
    /// `previous` is not used again: a newer session replaces it, with at least the number `transfer`. A session that has ended by
    /// itself is replaced too.
    pub(in super::super) async fn session(
        &self,
        link: &Link,
        contexts: &Arc<Contexts>,
        (previous, transfer): (Option<&Arc<SharedSession>>, u32),
        cancel: &Cancel,
    ) -> Result<Arc<SharedSession>> {
        // Computed before the lock is taken, which is not held across an await.
        let key = cancel.unless_fired(contexts.key()).await;
        let key = key.map_err(Failure::Canceled)?;
        let mut sessions = self.sessions.locked();
        let position = sessions.iter().position(|session| {
            Arc::ptr_eq(&session.contexts, contexts) && session.generation == link.generation
        });
        let current = position.map(|index| sessions.swap_remove(index));
        let (mut number, mut transfer) = (0, transfer);
        if let Some(current) = current {
            let is_newer = previous.is_none_or(|previous| previous.number < current.number);
            if is_newer && !current.session.has_ended() {
                sessions.push(Arc::clone(&current));
                return Ok(current);
            }
            number = current.number + 1;
            transfer = transfer.max(current.transfer);
        }
        let session = Arc::new(SharedSession {
            session: open(link, self.services(key, contexts, transfer))?,
            contexts: Arc::clone(contexts),
            transfer,
            number,
            generation: link.generation,
        });
        sessions.push(Arc::clone(&session));
        Ok(session)
    }

    /// Closes a session that another one has replaced, unless an image still uses it. If images use the results of others, whose steps
    /// name their sessions, it stays open until the end of the run.
    pub(in super::super) async fn retire(&self, replaced: Arc<SharedSession>, may_close: bool) {
        if !may_close {
            self.sessions.retired().push(replaced);
        } else if let Some(unused) = Arc::into_inner(replaced) {
            unused.session.close().await;
        }
    }

    /// A session of its own for a solve whose exporter sends its result to `sink`. `transfer`: the number of the transfer.
    pub(in super::super) async fn session_with_sink(
        &self,
        link: &Link,
        contexts: &Contexts,
        (sink, transfer): (impl Service + 'static, u32),
        cancel: &Cancel,
    ) -> Result<Session> {
        let key = cancel.unless_fired(contexts.key()).await;
        let key = key.map_err(Failure::Canceled)?;
        let services = self.services(key, contexts, transfer).with(sink);
        open(link, services)
    }

    /// The services for the files of `contexts` and for registries.
    fn services(&self, shared_key: String, contexts: &Contexts, transfer: u32) -> Services {
        // A file that changes constantly must not fail every build.
        let changes = if transfer < MAX_TRANSFERS {
            Changes::Refused
        } else {
            Changes::Tolerated
        };
        let services = Services::new(shared_key)
            .with(Health)
            .with(contexts.files(changes))
            .with(contexts.secrets())
            .with(Auth::new(self.authorizer()));
        let agents = contexts.agents();
        if agents.is_empty() {
            services
        } else {
            services.with(Ssh::new(agents.clone()))
        }
    }
}

fn open(link: &Link, services: Services) -> Result<Session> {
    let opened = link.connection.open_session(services);
    opened.map_err(|error| Failure::Solve {
        error: Box::new(error),
        target: None,
    })
}

impl Sessions {
    /// Gives the contexts of all sessions new keys; see [`Contexts::renew_key`].
    pub(super) fn renew_keys(&self) {
        for session in self.locked().iter() {
            session.contexts.renew_key();
        }
    }

    /// Closes all sessions.
    pub(super) async fn close(&self) {
        let mut sessions = std::mem::take(&mut *self.locked());
        sessions.append(&mut self.retired());
        join_all(sessions.iter().map(|shared| shared.session.close())).await;
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Vec<Arc<SharedSession>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn retired(&self) -> std::sync::MutexGuard<'_, Vec<Arc<SharedSession>>> {
        self.retired.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
