//! Sending the stages of a load: one archive after the other, each under way while the daemon unpacks those before it.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::oneshot;

use super::archive::{Sent, Source, archive};
use super::blobs::Blobs;
use super::daemon::Daemon;
use super::error::LoadError;
use super::image::Image;
use super::load::{Load, STALL_LIMIT};
use super::read_ahead::ReadAhead;
use super::stages::Passing;
use crate::registry::reference::Reference;

/// Archives that a daemon has the most of, or is still to unpack, at a time.
const AT_A_TIME: usize = 3;

impl Daemon {
    /// Sends one archive after the other. Each ends only when the daemon has unpacked the one below it.
    pub(super) async fn send_stages(
        &self,
        image: &Image,
        names: &[Reference],
        load: &Load,
        blobs: Arc<dyn Blobs>,
        sent: &Sent,
        passing: &Passing,
    ) -> Result<(), LoadError> {
        let wanted = load.stages.iter().flat_map(|stage| &stage.wanted).cloned();
        let mut reader = Some(ReadAhead::new(blobs, wanted.collect()));
        let mut below: Option<(oneshot::Receiver<()>, String)> = None;
        let mut left_out = load.present() > 0;
        let mut is_last_sent = false;
        let mut loading = FuturesUnordered::new();
        tracing::debug!("the daemon gets {} archives", load.stages.len());
        for (number, stage) in (1..).zip(&load.stages) {
            let Some(blobs) = reader.take() else { break };
            let is_last = number == load.stages.len();
            is_last_sent = is_last;
            let (next, reader_back) = oneshot::channel();
            let (there, is_there) = oneshot::channel();
            let (is_below_there, id_below) = below.take().unzip();
            let (part, part_names) = if is_last {
                (image.clone(), names)
            } else {
                (image.below(stage.layers), &[][..])
            };
            let id = part.id().to_owned();
            let noted = (!is_last).then(|| (passing.clone(), id.clone()));
            let may_end = async move {
                if let Some(there) = is_below_there
                    && there.await.is_err()
                {
                    return false;
                }
                if let Some((passing, id)) = noted {
                    passing.add(&id);
                }
                true
            };
            let source = Source {
                blobs,
                next: Some(next),
                may_end: Box::pin(may_end),
            };
            let wanted = &stage.wanted;
            let stream = archive(load.form, &part, part_names, wanted, source, sent.clone());
            let (is_cut, own_id) = (left_out, id.clone());
            loading.push(async move {
                let outcome = self.send(stream, sent, STALL_LIMIT, is_cut).await;
                if let Err(LoadError::Refused { .. } | LoadError::LayerGone { .. }) = outcome {
                    // Nothing comes of it.
                    passing.forget(&own_id);
                }
                outcome?;
                // Nobody waits for the last one.
                let _last = there.send(());
                if let Some(below) = id_below {
                    self.pass(passing, &below).await;
                }
                Ok::<_, LoadError>(())
            });
            if !is_last {
                below = Some((is_there, id));
                left_out = true;
                reader = self.turn(&mut loading, reader_back).await?;
            }
        }
        while let Some(loaded) = loading.next().await {
            loaded?;
        }
        if !is_last_sent {
            let told = "it answered before it had all layers".to_owned();
            return Err(LoadError::Refused { told });
        }
        Ok(())
    }

    /// Waits until the last blob of an archive has passed, and the daemon has not too many to unpack.
    async fn turn(
        &self,
        loading: &mut FuturesUnordered<impl Future<Output = Result<(), LoadError>>>,
        mut reader_back: oneshot::Receiver<ReadAhead>,
    ) -> Result<Option<ReadAhead>, LoadError> {
        let (mut is_passing, mut reader) = (true, None);
        while is_passing || loading.len() >= AT_A_TIME {
            tokio::select! {
                biased;
                back = &mut reader_back, if is_passing => {
                    is_passing = false;
                    // An archive that broke off takes it along. Its request ends as well, and tells why.
                    reader = back.ok();
                }
                Some(ended) = loading.next(), if !loading.is_empty() => ended?,
            }
        }
        Ok(reader)
    }
}
