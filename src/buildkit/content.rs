//! Reads blobs from the builder, and makes calls for which there are no generated stubs.
//!
//! BuildKit serves containerd's content service on the same connection (`containerd/api/services/content/v1`,
//! `Content/Read`). Its messages are written by hand, with fields that share their buffers.

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use http::uri::PathAndQuery;
use tonic::codec::CompressionEncoding;
use tonic::transport::Channel;
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

use super::connect::{Connection, MESSAGE_LIMIT_BYTES};

/// `ReadContentRequest`.
#[derive(Clone, PartialEq, prost::Message)]
struct ReadRequest {
    #[prost(string, tag = "1")]
    digest: String,
    #[prost(int64, tag = "2")]
    offset: i64,
    /// Zero for the whole blob.
    #[prost(int64, tag = "3")]
    size: i64,
}

/// `ReadContentResponse`.
#[derive(Clone, PartialEq, prost::Message)]
struct ReadResponse {
    #[prost(int64, tag = "1")]
    offset: i64,
    #[prost(bytes = "bytes", tag = "2")]
    data: Bytes,
}

impl Connection {
    /// Reads `length` bytes of a blob, starting at `offset`, in pieces. A length of zero reads to the end. The digest is not
    /// verified.
    ///
    /// If the builder does not have or does not serve the blob, the first piece is an error. Dropping the stream ends the read.
    pub(crate) fn read_blob(
        &self,
        digest: &str,
        offset: u64,
        length: u64,
    ) -> impl Stream<Item = Result<Bytes, Status>> + Send + 'static {
        let request = ReadRequest {
            digest: digest.to_owned(),
            offset: offset.cast_signed(),
            size: length.cast_signed(),
        };
        let mut client = self.grpc();
        tracing::debug!("reading {digest} from the builder");
        let opening = async move {
            ready(&mut client).await?;
            let path = PathAndQuery::from_static("/containerd.services.content.v1.Content/Read");
            let codec: ProstCodec<ReadRequest, ReadResponse> = ProstCodec::default();
            let response = client.server_streaming(Request::new(request), path, codec);
            Ok::<_, Status>(response.await?.into_inner())
        };
        stream::once(opening)
            .try_flatten()
            .map_ok(|response| response.data)
    }

    /// Reads a whole blob of at most `limit` bytes, such as a manifest.
    pub(crate) async fn read_document(&self, digest: &str, limit: usize) -> Result<Bytes, Status> {
        let mut pieces = std::pin::pin!(self.read_blob(digest, 0, 0));
        let mut document = BytesMut::new();
        while let Some(piece) = pieces.next().await {
            document.extend_from_slice(&piece?);
            if document.len() > limit {
                return Err(Status::out_of_range(format!(
                    "{digest} is larger than {limit} bytes"
                )));
            }
        }
        Ok(document.freeze())
    }

    /// Makes a unary call that has no generated stub.
    pub(crate) async fn call<Request, Response>(
        &self,
        path: PathAndQuery,
        request: Request,
    ) -> Result<Response, Status>
    where
        Request: prost::Message + Send + Sync + 'static,
        Response: prost::Message + Default + Send + Sync + 'static,
    {
        let mut client = self.grpc();
        ready(&mut client).await?;
        let codec: ProstCodec<Request, Response> = ProstCodec::default();
        let response = client.unary(tonic::Request::new(request), path, codec);
        Ok(response.await?.into_inner())
    }

    /// A client for calls without generated stubs.
    fn grpc(&self) -> tonic::client::Grpc<Channel> {
        let client = tonic::client::Grpc::new(self.channel.clone())
            .max_decoding_message_size(MESSAGE_LIMIT_BYTES)
            .accept_compressed(CompressionEncoding::Gzip);
        match self.compression {
            Some(encoding) => client.send_compressed(encoding),
            None => client,
        }
    }
}

async fn ready(client: &mut tonic::client::Grpc<Channel>) -> Result<(), Status> {
    let ready = client.ready().await;
    ready.map_err(|error| Status::unavailable(error.to_string()))
}
