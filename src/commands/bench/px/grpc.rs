//! A client's connection to etcd: gRPC over HTTP/2, as far as writing takes it.
//!
//! Two calls with a handful of fields: a few lines here are less than a library for all of gRPC, and cost no more at run time than the
//! best of them, so that etcd is not judged by its client.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, ensure};
use bytes::{BufMut as _, Bytes, BytesMut};
use h2::client::{self, SendRequest};
use http::{Method, Request, Version};
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

use super::load::Writer;

/// A connection to a member, with several calls under way at a time.
pub(super) struct Connection {
    requests: SendRequest<Bytes>,
    port: u16,
    _driving: AbortOnDropHandle<()>,
}

impl Connection {
    pub(super) async fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.set_nodelay(true)?;
        let (requests, connection) = client::handshake(stream).await?;
        let driving = tokio::spawn(async move {
            // Whoever waits for an answer hears of the end of the connection.
            let _ = connection.await;
        });
        Ok(Self { requests, port, _driving: AbortOnDropHandle::new(driving) })
    }

    /// Whether the member is the leader. (`Maintenance.Status`: `StatusResponse` has in `header` the member's own ID.)
    pub(super) async fn leads(&self) -> Result<bool> {
        let status = self.call("/etcdserverpb.Maintenance/Status", Bytes::new()).await?;
        let header = bytes_field(&status, 1).context("a status without a header")?;
        let (member, leader) = (number_field(header, 2), number_field(&status, 4));
        Ok(member.is_some() && member == leader)
    }

    /// A unary call: one message there, one back.
    async fn call(&self, path: &str, message: Bytes) -> Result<Bytes> {
        let request = Request::builder()
            .method(Method::POST)
            .version(Version::HTTP_2)
            .uri(format!("http://127.0.0.1:{}{path}", self.port))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())?;
        let mut requests = self.requests.clone().ready().await?;
        let (response, mut body) = requests.send_request(request, false)?;
        let mut framed = BytesMut::with_capacity(PREFIX + message.len());
        framed.put_u8(0);
        framed.put_u32(u32::try_from(message.len())?);
        framed.put(message);
        body.send_data(framed.freeze(), true)?;
        let (_, mut answer) = response.await?.into_parts();
        let mut received = BytesMut::new();
        while let Some(part) = answer.data().await {
            let part = part?;
            answer.flow_control().release_capacity(part.len())?;
            received.extend_from_slice(&part);
        }
        let trailers = answer.trailers().await?.context("an answer without a status")?;
        let status = trailers.get("grpc-status").context("an answer without a status")?;
        ensure!(status.as_bytes() == b"0", "etcd refuses: {status:?} {:?}", trailers.get("grpc-message"));
        ensure!(received.len() >= PREFIX, "an answer without a message");
        Ok(received.freeze().slice(PREFIX..))
    }
}

impl Writer for Connection {
    async fn put(&self, name: &str, value: &str) -> Result<()> {
        let mut message = BytesMut::with_capacity(name.len() + value.len() + 8);
        put_field(&mut message, 1, name.as_bytes());
        put_field(&mut message, 2, value.as_bytes());
        self.call("/etcdserverpb.KV/Put", message.freeze()).await?;
        Ok(())
    }
}

/// Appends a field of Protocol Buffers that holds bytes.
fn put_field(message: &mut BytesMut, number: u64, bytes: &[u8]) {
    put_varint(message, number << 3 | BYTES);
    put_varint(message, bytes.len() as u64);
    message.put_slice(bytes);
}

fn put_varint(message: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        message.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    message.put_u8(value as u8);
}

fn number_field(message: &[u8], number: u64) -> Option<u64> {
    field(message, number).and_then(|field| match field {
        Field::Number(value) => Some(value),
        Field::Bytes(_) => None,
    })
}

fn bytes_field(message: &[u8], number: u64) -> Option<&[u8]> {
    field(message, number).and_then(|field| match field {
        Field::Bytes(bytes) => Some(bytes),
        Field::Number(_) => None,
    })
}

enum Field<'m> {
    Number(u64),
    Bytes(&'m [u8]),
}

/// The first field with this number. No others than numbers and bytes come before those that are looked for.
fn field(mut message: &[u8], wanted: u64) -> Option<Field<'_>> {
    while !message.is_empty() {
        let key = take_varint(&mut message)?;
        let value = take_varint(&mut message)?;
        let field = match key & 7 {
            NUMBER => Field::Number(value),
            BYTES => Field::Bytes(message.split_off(..usize::try_from(value).ok()?)?),
            _ => return None,
        };
        if key >> 3 == wanted {
            return Some(field);
        }
    }
    None
}

fn take_varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *message.split_off_first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// The kinds of fields that are known here.
const NUMBER: u64 = 0;
const BYTES: u64 = 2;

/// In front of each message of gRPC: whether it is compressed, and its length.
const PREFIX: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_among_others() {
        let mut message = BytesMut::new();
        put_field(&mut message, 1, &[b'x'; 200]);
        put_varint(&mut message, 4 << 3 | NUMBER);
        put_varint(&mut message, 1 << 63);
        assert_eq!(bytes_field(&message, 1), Some([b'x'; 200].as_slice()));
        assert_eq!(number_field(&message, 4), Some(1 << 63));
        assert_eq!(number_field(&message, 5), None);
        assert_eq!(number_field(&message[..3], 4), None);
    }
}
