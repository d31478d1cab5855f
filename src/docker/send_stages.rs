//! Sends the stages of a load as consecutive archives: the next one is sent while the daemon unpacks the previous ones.

use bytes::Bytes;
use futures_util::stream::FuturesUnordered;
use futures_util::{Stream, StreamExt};
use tokio::sync::oneshot;

use super::archive::{Sent, Source, archive};
use super::blobs::BlobError;
use super::daemon::Daemon;
use super::error::LoadError;
use super::load::{Load, STALL_LIMIT, Transfer};
use super::read_ahead::ReadAhead;
use super::stages::Passing;

/// The number of archives that are being sent or unpacked concurrently.
const MAX_CONCURRENT_ARCHIVES: usize = 3;

/// The end of one archive's request.
struct Completion {
    /// The id of the image in the archive.
    id: String,
    /// The archive omits layers.
    omits_layers: bool,
    /// Notified after the daemon has loaded the archive.
    loaded: oneshot::Sender<()>,
    /// The temporary image of the previous archive.
    below: Option<String>,
}

impl Daemon {
    /// Sends the archives in order. Each one ends only after the daemon has unpacked the one below it.
    pub(super) async fn send_stages(
        &self,
        load: &Load,
        transfer: Transfer<'_>,
    ) -> Result<(), LoadError> {
        let Transfer { image, names, .. } = transfer;
        let Transfer { sent, passing, .. } = transfer;
        let descriptors = load
            .stages
            .iter()
            .flat_map(|stage| &stage.descriptors)
            .cloned();
        let mut reader = Some(ReadAhead::new(transfer.blobs, descriptors.collect()));
        let mut below: Option<(oneshot::Receiver<()>, String)> = None;
        let mut omits_layers = load.present() > 0;
        let mut is_last_sent = false;
        let mut loading = FuturesUnordered::new();
        let count = load.stages.len();
        tracing::debug!("sending {count} archives to the Docker daemon");
        for (number, stage) in (1..).zip(&load.stages) {
            let Some(blobs) = reader.take() else { break };
            let is_last = number == count;
            is_last_sent = is_last;
            let (next, reader_back) = oneshot::channel();
            let (loaded, is_loaded) = oneshot::channel();
            let (below_loaded, id_below) = below.take().unzip();
            let part = (!is_last).then(|| image.below(stage.layers));
            let id = part.as_ref().unwrap_or(image).id().to_owned();
            let temporary = part.is_some().then(|| (passing.clone(), id.clone()));
            let source = Source {
                blobs,
                next: Some(next),
                may_end: Box::pin(may_end(below_loaded, temporary)),
            };
            let (sent_bytes, blobs) = (sent.clone(), &stage.descriptors);
            let stream = match &part {
                Some(part) => archive(load.form, part, &[], blobs, source, sent_bytes),
                None => archive(load.form, image, names, blobs, source, sent_bytes),
            };
            let completion = Completion {
                id: id.clone(),
                omits_layers,
                loaded,
                below: id_below,
            };
            loading.push(self.send_stage(stream, sent, passing, completion));
            if !is_last {
                below = Some((is_loaded, id));
                omits_layers = true;
                reader = self.turn(&mut loading, reader_back).await?;
            }
        }
        while let Some(loaded) = loading.next().await {
            loaded?;
        }
        if !is_last_sent {
            let reason = "it responded before it had received all layers".to_owned();
            return Err(LoadError::Refused { reason });
        }
        Ok(())
    }

    /// Sends one archive. Afterwards the temporary image of the previous one is not needed, and is removed.
    async fn send_stage(
        &self,
        archive: impl Stream<Item = Result<Bytes, BlobError>> + Send + 'static,
        sent: &Sent,
        passing: &Passing,
        completion: Completion,
    ) -> Result<(), LoadError> {
        let sending = self.send(archive, sent, STALL_LIMIT, completion.omits_layers);
        let outcome = sending.await;
        if let Err(LoadError::Refused { .. } | LoadError::LayerGone { .. }) = outcome {
            // The daemon did not create the image.
            passing.forget(&completion.id);
        }
        outcome?;
        // The last archive has no receiver.
        let _last = completion.loaded.send(());
        if let Some(below) = completion.below {
            self.remove_temporary(passing, &below).await;
        }
        Ok(())
    }

    /// Waits until the last blob of an archive is sent, and fewer than [`MAX_CONCURRENT_ARCHIVES`] are unfinished.
    async fn turn(
        &self,
        loading: &mut FuturesUnordered<impl Future<Output = Result<(), LoadError>>>,
        mut reader_back: oneshot::Receiver<ReadAhead>,
    ) -> Result<Option<ReadAhead>, LoadError> {
        let (mut is_passing, mut reader) = (true, None);
        while is_passing || loading.len() >= MAX_CONCURRENT_ARCHIVES {
            tokio::select! {
                biased;
                back = &mut reader_back, if is_passing => {
                    is_passing = false;
                    // Dropped with a failed archive, whose request returns the error.
                    reader = back.ok();
                }
                Some(ended) = loading.next(), if !loading.is_empty() => ended?,
            }
        }
        Ok(reader)
    }
}

/// Waits until the daemon has loaded the archive below, if there is one. Then adds the temporary image that the daemon creates
/// when this archive ends. Returns false if the archive below failed.
async fn may_end(
    below_loaded: Option<oneshot::Receiver<()>>,
    temporary: Option<(Passing, String)>,
) -> bool {
    if let Some(loaded) = below_loaded
        && loaded.await.is_err()
    {
        return false;
    }
    if let Some((passing, id)) = temporary {
        passing.add(&id);
    }
    true
}
