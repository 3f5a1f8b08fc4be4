//! Streams that do not wait for ever for the other end.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// A stream whose writes fail when the other end takes nothing for too long, and that is closed without losing what
/// was written last.
pub(super) struct Patient<S> {
    stream: S,
    /// How long the other end may take nothing.
    patience: Duration,
    /// When patience ends, while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
    /// When the other end must have closed its side, once ours is closed.
    closing: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Patient<S> {
    pub(super) fn new(stream: S, patience: Duration) -> Self {
        Self { stream, patience, waiting: None, closing: None }
    }

    /// Hands on what a write came to, unless it has waited for too long.
    fn with_patience<T>(&mut self, outcome: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.waiting = None;
            return outcome;
        }
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(self.patience)));
        ready!(waiting.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.with_patience(outcome, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.with_patience(outcome, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(context);
        self.with_patience(outcome, context)
    }

    /// Closes our side, and reads away what the other end still sends, for a moment. If a socket is dropped with
    /// unread bytes in it, the kernel resets the connection, and the other end may never see the answer that says why
    /// its request was refused (RFC 9112, section 9.6).
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.closing.is_none() {
            let outcome = Pin::new(&mut self.stream).poll_shutdown(context);
            ready!(self.with_patience(outcome, context))?;
            self.closing = Some(Box::pin(sleep(LINGER)));
        }
        let mut unread = [0; 4_096];
        loop {
            let mut into = ReadBuf::new(&mut unread);
            match Pin::new(&mut self.stream).poll_read(context, &mut into) {
                Poll::Ready(Ok(())) if into.filled().is_empty() => return Poll::Ready(Ok(())),
                Poll::Ready(Err(_)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) => {
                    // Whoever never stops sending must not keep the task from the check below.
                    if self.closing.as_ref().is_some_and(|closing| closing.deadline() <= Instant::now()) {
                        return Poll::Ready(Ok(()));
                    }
                }
                Poll::Pending => break,
            }
        }
        let closing = self.closing.as_mut().expect("it was set above");
        closing.as_mut().poll(context).map(Ok)
    }
}

/// How long a closed connection reads on.
const LINGER: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_write_that_nobody_takes_fails_in_the_end() {
        let (ours, _theirs) = tokio::io::duplex(16);
        let mut stream = Patient::new(ours, Duration::from_secs(30));
        let written = timeout(Duration::from_secs(60), stream.write_all(&[0; 64])).await.expect("it waits for ever");
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_still_sends_when_we_close_is_heard_out() {
        let (ours, mut theirs) = tokio::io::duplex(16);
        let closing = tokio::spawn(async move { Patient::new(ours, Duration::from_secs(30)).shutdown().await });
        theirs.write_all(&[0; 64]).await.unwrap();
        theirs.shutdown().await.unwrap();
        closing.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn closing_does_not_wait_for_ever_for_the_other_end() {
        let (ours, theirs) = tokio::io::duplex(16);
        let mut stream = Patient::new(ours, Duration::from_secs(30));
        timeout(Duration::from_secs(60), stream.shutdown()).await.expect("it waits for ever").unwrap();
        drop(theirs);
    }
}
