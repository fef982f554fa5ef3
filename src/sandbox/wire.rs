//! Connections that can be broken on purpose.
//!
//! HTTP libraries take care never to send what the faults need: a reset, a closed connection without an answer, half a
//! body. So the server's listener hands out a [`Wire`], a TCP stream with a switch. The handler of a call turns the
//! switch and answers as usual; the wire then does not let the answer pass. HTTP/1.1 has one call at a time on a
//! connection, so nothing but this answer is lost.

use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

const WHOLE: u8 = 0;
const CLOSED: u8 = 1;
const RESET: u8 = 2;
const CUT: u8 = 3;

/// The end of a response's head.
const END_OF_HEAD: &[u8; 4] = b"\r\n\r\n";

/// The switch of one connection; handlers find it in the extensions of their request.
#[derive(Debug, Clone, Default)]
pub(super) struct Connection(Arc<Switch>);

#[derive(Debug, Default)]
struct Switch {
    state: AtomicU8,
    /// How many bytes of the body pass before the connection is cut.
    body_bytes: AtomicUsize,
}

impl Connection {
    /// Closes the connection in place of the next byte.
    pub(super) fn close(&self) {
        self.0.state.store(CLOSED, Ordering::Release);
    }

    /// Resets the connection in place of the next byte.
    pub(super) fn reset(&self) {
        self.0.state.store(RESET, Ordering::Release);
    }

    /// Lets the head of the next answer pass, and so many bytes of its body; then closes the connection.
    pub(super) fn cut_after(&self, body_bytes: usize) {
        self.0.body_bytes.store(body_bytes, Ordering::Release);
        self.0.state.store(CUT, Ordering::Release);
    }
}

impl Connected<IncomingStream<'_, WireListener>> for Connection {
    fn connect_info(stream: IncomingStream<'_, WireListener>) -> Self {
        stream.io().connection.clone()
    }
}

/// A TCP listener whose connections can be broken.
#[derive(Debug)]
pub(super) struct WireListener(pub(super) TcpListener);

impl Listener for WireListener {
    type Io = Wire;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Wire, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "answers of the sandbox may be delayed");
        }
        (Wire { stream, connection: Connection::default(), head: HeadScan::default() }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// A TCP stream with a switch.
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    connection: Connection,
    head: HeadScan,
}

impl Wire {
    /// How many bytes may pass now, or why none may.
    fn allowed(&self, bytes: &[u8]) -> io::Result<usize> {
        match self.connection.0.state.load(Ordering::Acquire) {
            WHOLE => Ok(bytes.len()),
            RESET => {
                // With no time to linger, dropping the stream sends a reset.
                self.stream.set_zero_linger()?;
                Err(ErrorKind::ConnectionReset.into())
            }
            CUT => {
                let allowed = self.head.left_in(bytes, self.connection.0.body_bytes.load(Ordering::Acquire));
                if allowed == 0 { Err(ErrorKind::BrokenPipe.into()) } else { Ok(allowed) }
            }
            _ => Err(ErrorKind::BrokenPipe.into()),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let allowed = self.allowed(bytes)?;
        let passing = bytes.get(..allowed).unwrap_or(bytes);
        let written = Pin::new(&mut self.stream).poll_write(context, passing);
        if let Poll::Ready(Ok(count)) = written
            && self.connection.0.state.load(Ordering::Acquire) == CUT
        {
            self.head.pass(passing.get(..count).unwrap_or(passing));
        }
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.connection.0.state.load(Ordering::Acquire) == WHOLE {
            return Pin::new(&mut self.stream).poll_write_vectored(context, buffers);
        }
        let first = buffers.iter().find(|buffer| !buffer.is_empty()).map_or(&[][..], |buffer| buffer);
        self.poll_write(context, first)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Follows an answer over its bytes: where the head ends and how much of the body has passed.
#[derive(Debug, Clone, Copy, Default)]
struct HeadScan {
    /// How much of [`END_OF_HEAD`] the last bytes match.
    matched: usize,
    body_passed: usize,
}

impl HeadScan {
    /// How many of these bytes may pass if so many of the body may pass in all.
    fn left_in(mut self, bytes: &[u8], body_bytes: usize) -> usize {
        bytes
            .iter()
            .take_while(|byte| {
                let room = self.matched < END_OF_HEAD.len() || self.body_passed < body_bytes;
                self.pass(std::slice::from_ref(byte));
                room
            })
            .count()
    }

    fn pass(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match END_OF_HEAD.get(self.matched) {
                None => self.body_passed += 1,
                Some(expected) if expected == byte => self.matched += 1,
                // The only proper beginning of the end that a mismatch can leave is its first byte.
                Some(_) => self.matched = usize::from(END_OF_HEAD.first() == Some(byte)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_cut_in_its_body_wherever_its_bytes_were_parted() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n0123456789";
        let expected = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n0123";
        for part in 1..answer.len() {
            let mut scan = HeadScan::default();
            let mut passed = Vec::new();
            for bytes in answer.chunks(part) {
                let allowed = scan.left_in(bytes, 4);
                let passing = bytes.get(..allowed).expect("no more than there is");
                scan.pass(passing);
                passed.extend_from_slice(passing);
            }
            assert_eq!(String::from_utf8_lossy(&passed), expected, "in parts of {part}");
        }
    }

    #[test]
    fn a_carriage_return_too_many_does_not_end_the_head() {
        let mut scan = HeadScan::default();
        scan.pass(b"a\r\r\n\r");
        assert_eq!((scan.matched, scan.body_passed), (3, 0));
        scan.pass(b"\nb");
        assert_eq!((scan.matched, scan.body_passed), (4, 1));
    }
}
