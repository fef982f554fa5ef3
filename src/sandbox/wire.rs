//! Connections that can be broken on purpose.
//!
//! HTTP libraries take care never to send what the faults need: a reset, a closed connection without an answer, half a
//! body. So the server's listener hands out a [`Wire`], a TCP stream with a switch. The handler of a call turns the
//! switch and answers as usual; the wire then does not let the answer pass. HTTP/1.1 has one call at a time on a
//! connection, so nothing but this answer is lost.
//!
//! Clients may be hostile: there are only so many connections at once; one that does not ask for anything soon is closed, and
//! one on which nothing happens.

use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

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

/// Connections at once; more wait until one has ended. Two clients of ours at their largest concurrency have fewer.
const MOST_CONNECTIONS: usize = 640;
/// A connection on which nothing happens for so long is closed; longer than a client of ours waits for an answer, or keeps
/// a connection for the next call.
const LONGEST_SILENCE: Duration = Duration::from_mins(5);

/// How long a client may take for the head of its first request, however it sends it.
const FIRST_HEAD: Duration = Duration::from_secs(10);

/// A TCP listener whose connections can be broken.
#[derive(Debug)]
pub(super) struct WireListener {
    listener: TcpListener,
    places: Arc<Semaphore>,
    longest_silence: Duration,
    first_head: Duration,
}

impl WireListener {
    pub(super) fn new(listener: TcpListener) -> Self {
        let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        Self { listener, places, longest_silence: LONGEST_SILENCE, first_head: FIRST_HEAD }
    }
}

impl Listener for WireListener {
    type Io = Wire;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Wire, SocketAddr) {
        // It is never closed.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        let (stream, address) = Listener::accept(&mut self.listener).await;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "answers of the sandbox may be delayed");
        }
        let longest_silence = self.longest_silence;
        let silence = Box::pin(sleep(self.first_head));
        let (connection, head, asked) = (Connection::default(), HeadScan::default(), HeadScan::default());
        (Wire { stream, connection, head, asked, longest_silence, silence, _place: place }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A TCP stream with a switch.
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    connection: Connection,
    head: HeadScan,
    /// The first request.
    asked: HeadScan,
    longest_silence: Duration,
    /// Over when nothing has passed for that long, or when the first request does not come.
    silence: Pin<Box<Sleep>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Wire {
    /// Something has passed.
    fn is_heard(&mut self) {
        let until = Instant::now() + self.longest_silence;
        self.silence.as_mut().reset(until);
    }

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
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if !self.asked.is_over() {
            self.asked.pass(buffer.filled().get(before..).unwrap_or_default());
        }
        if read.is_ready() && self.asked.is_over() {
            self.is_heard();
        } else if self.silence.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let allowed = self.allowed(bytes)?;
        let passing = bytes.get(..allowed).unwrap_or(bytes);
        let written = Pin::new(&mut self.stream).poll_write(context, passing);
        if written.is_ready() {
            self.is_heard();
        }
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
            let written = Pin::new(&mut self.stream).poll_write_vectored(context, buffers);
            if written.is_ready() {
                self.is_heard();
            }
            return written;
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
                let room = !self.is_over() || self.body_passed < body_bytes;
                self.pass(std::slice::from_ref(byte));
                room
            })
            .count()
    }

    /// Whether the head has ended.
    const fn is_over(&self) -> bool {
        self.matched == END_OF_HEAD.len()
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
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

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

    async fn listener(places: usize, longest_silence: Duration) -> (WireListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let places = Arc::new(Semaphore::new(places));
        (WireListener { listener, places, longest_silence, first_head: LONGEST_SILENCE }, address)
    }

    #[tokio::test]
    async fn a_connection_too_many_waits_until_another_one_has_ended() {
        let (mut listener, address) = listener(1, LONGEST_SILENCE).await;
        let _clients = [TcpStream::connect(address).await, TcpStream::connect(address).await];
        let (first, _) = listener.accept().await;
        let mut second = Box::pin(listener.accept());
        let waits = tokio::time::timeout(Duration::from_millis(20), &mut second).await;
        assert!(waits.is_err(), "there is no place for it");
        drop(first);
        drop(second.await);
    }

    #[tokio::test]
    async fn a_connection_on_which_nothing_happens_is_closed() {
        let (mut listener, address) = listener(1, Duration::from_millis(10)).await;
        let mut client = TcpStream::connect(address).await.expect("a connection");
        let (mut wire, _) = listener.accept().await;
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("a connection");
        let mut request = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(20), wire.read_to_end(&mut request));
        assert_eq!(read.await.expect("the end of it").expect_err("nothing comes").kind(), ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_request_that_is_never_whole_is_given_up_however_it_drips() {
        let (mut listener, address) = listener(1, LONGEST_SILENCE).await;
        listener.first_head = Duration::from_millis(50);
        let mut client = TcpStream::connect(address).await.expect("a connection");
        let (mut wire, _) = listener.accept().await;
        let dripping = async {
            // Until nobody takes it any more.
            while client.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let reading = async {
            let error = wire.read_to_end(&mut Vec::new()).await.expect_err("it does not end");
            drop(wire);
            error.kind()
        };
        let both = async { tokio::join!(reading, dripping).0 };
        let ended = tokio::time::timeout(Duration::from_secs(20), both).await.expect("the end of it");
        assert_eq!(ended, ErrorKind::TimedOut);
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
