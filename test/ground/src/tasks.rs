//! The owner of a server's tasks.
//!
//! Every connection is a task, and so is each HTTP/2 call. All of them run under one token and end, wherever they are,
//! when it fires; the server fires it when it is dropped.

use std::future::Future;

use hyper::rt::Executor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A group of tasks that end together.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    running: TaskTracker,
    stop: CancellationToken,
}

impl Tasks {
    /// Creates a group that ends with this one, or earlier.
    #[must_use]
    pub fn child(&self) -> Self {
        Self {
            running: self.running.clone(),
            stop: self.stop.child_token(),
        }
    }

    /// Runs `task` until it ends or the group is stopped.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.running.spawn(async move {
            stop.run_until_cancelled(task).await;
        });
    }

    /// Stops the group without waiting.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Stops the group and waits until every task of it, of its parent and of the parent's other children has ended.
    pub async fn end(&self) {
        self.stop.cancel();
        self.running.close();
        self.running.wait().await;
    }
}

/// hyper spawns a future for each HTTP/2 call.
impl<F> Executor<F> for Tasks
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.spawn(future);
    }
}
