//! A server that answers as its test says, for what the sandbox cannot be asked to do.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::process::PATIENCE;

/// The answer to one request.
pub(crate) enum Reply {
    /// This status with this JSON.
    Json(u16, String),
    /// None at all, until the client gives up.
    Silence,
    /// This text byte by byte, and then spaces, until the client gives up.
    Trickle(&'static str),
}

impl Reply {
    /// This status with this JSON.
    pub(crate) fn json(status: u16, body: impl Into<String>) -> Self {
        Self::Json(status, body.into())
    }
}

/// A request that has arrived whole.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The method.
    pub(crate) method: String,
    /// The path, with the query.
    pub(crate) path: String,
    /// The body.
    pub(crate) body: String,
    /// When it had arrived.
    pub(crate) at: Instant,
}

/// A server on loopback; dropping it ends it.
pub(crate) struct StandIn {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    /// How connections are encrypted, if they are.
    encryption: Option<Arc<rustls::ServerConfig>>,
    answer: Box<dyn Fn(&Request) -> Reply + Send + Sync>,
    requests: Mutex<Vec<Request>>,
    arrived: Condvar,
    over: AtomicBool,
}

impl StandIn {
    /// The calls that came and change something.
    pub(crate) fn writes(&self) -> usize {
        self.requests().iter().filter(|request| request.method == "POST" && request.path.starts_with("/api/")).count()
    }

    /// Answers every request as this function says.
    pub(crate) fn answering(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::start(None, Box::new(answer))
    }

    /// The same over TLS, with the certificate of this configuration.
    pub(crate) fn encrypted(
        encryption: Arc<rustls::ServerConfig>,
        answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::start(Some(encryption), Box::new(answer))
    }

    fn start(
        encryption: Option<Arc<rustls::ServerConfig>>,
        answer: Box<dyn Fn(&Request) -> Reply + Send + Sync>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            encryption,
            answer,
            requests: Mutex::default(),
            arrived: Condvar::new(),
            over: AtomicBool::new(false),
        });
        let server = Arc::clone(&shared);
        thread::spawn(move || {
            for connection in listener.incoming() {
                if server.over.load(Ordering::SeqCst) {
                    return;
                }
                let server = Arc::clone(&server);
                // A client may go away whenever it likes.
                thread::spawn(move || connection.and_then(|connection| server.welcome(connection)));
            }
        });
        Self { address, shared }
    }

    /// Where it listens, and a ready token, so that nobody signs in.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let scheme = if self.shared.encryption.is_some() { "https" } else { "http" };
        let base_url = format!("{scheme}://{}", self.address);
        [
            ("TAGFLEET_BASE_URL", base_url.as_str()),
            ("AZURE_AUTHORITY_HOST", &base_url),
            ("TAGFLEET_TOKEN", "ready-made"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    /// What has arrived so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().expect("no server panics").clone()
    }

    /// Waits until so many requests have arrived.
    #[track_caller]
    pub(crate) fn waits_for_requests(&self, count: usize) {
        let requests = self.shared.requests.lock().expect("no server panics");
        let (requests, _) = self
            .shared
            .arrived
            .wait_timeout_while(requests, PATIENCE, |requests| requests.len() < count)
            .expect("no server panics");
        assert!(requests.len() >= count, "only {} requests have come", requests.len());
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        // Whoever waits for a connection gets one, and sees that it is over.
        let _refused = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn welcome(&self, connection: TcpStream) -> std::io::Result<()> {
        match &self.encryption {
            None => self.serve(connection),
            Some(encryption) => {
                let session = rustls::ServerConnection::new(Arc::clone(encryption)).expect("a session");
                self.serve(rustls::StreamOwned::new(session, connection))
            }
        }
    }

    /// Answers requests on one connection until the client closes it.
    fn serve(&self, connection: impl Read + Write) -> std::io::Result<()> {
        let mut reader = BufReader::new(connection);
        while let Some(request) = read_request(&mut reader)? {
            let reply = (self.answer)(&request);
            self.requests.lock().expect("no server panics").push(request);
            self.arrived.notify_all();
            let (status, body) = match reply {
                Reply::Json(status, body) => (status, body),
                // Both return when the client gives up.
                Reply::Silence => return reader.read(&mut [0]).map(|_count| ()),
                Reply::Trickle(text) => return trickle(reader.get_mut(), text),
            };
            let length = body.len();
            let head = "Content-Type: application/json\r\nConnection: keep-alive";
            // In one piece: pieces would each wait for the client's acknowledgement.
            let answer = format!("HTTP/1.1 {status} Status\r\n{head}\r\nContent-Length: {length}\r\n\r\n{body}");
            reader.get_mut().write_all(answer.as_bytes())?;
            reader.get_mut().flush()?;
        }
        Ok(())
    }
}

/// Writes the text, one byte after the other, and then nothing but spaces, until nobody takes them.
fn trickle(connection: &mut impl Write, text: &str) -> std::io::Result<()> {
    for byte in text.bytes().chain(std::iter::repeat(b' ')) {
        connection.write_all(&[byte])?;
        connection.flush()?;
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Reads a request; `None` when the client has closed the connection.
fn read_request(reader: &mut impl BufRead) -> std::io::Result<Option<Request>> {
    let mut first = String::new();
    if reader.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(Request { method, path, body: String::from_utf8_lossy(&body).into_owned(), at: Instant::now() }))
}
