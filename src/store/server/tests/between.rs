//! What tests put between a store and its server: a line that loses the answers to commits, and can be cut and frozen, and a
//! pooler that lends every transaction another connection.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::cluster::{Place, on_socket};
use crate::store::server::ServerAddress;

/// The name of a server's socket in its directory.
const SOCKET: &str = ".s.PGSQL.5432";
/// A statement that commits, as it ends on the wire.
const COMMIT: &[u8] = b"COMMIT\0";
/// How all that a server says to a commit ends: it is ready, and in no transaction.
const OUTSIDE_TRANSACTION: &[u8] = b"Z\0\0\0\x05I";

/// A line to a server that can lose what the server says to a commit.
pub(in crate::store) struct Line {
    directory: tempfile::TempDir,
    /// A bit for each commit to come, the next one first: whether its answer is lost.
    to_lose: Arc<AtomicU32>,
    lost: Arc<AtomicU32>,
    /// How often something was said to the server.
    flights: Arc<AtomicU32>,
    /// How many statements were among it that have parameters.
    statements: Arc<AtomicU32>,
    /// The socket that it leads to.
    far: Arc<Mutex<PathBuf>>,
    /// Whether nothing comes through, and what has come through before.
    is_cut: Arc<AtomicBool>,
    carried: Arc<Mutex<Vec<UnixStream>>>,
    valve: Valve,
}

/// What may stop all that is on its way, and let it go on later.
#[derive(Clone, Default)]
struct Valve(Arc<(Mutex<bool>, Condvar)>);

impl Valve {
    fn set(&self, is_closed: bool) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = is_closed;
        self.0.1.notify_all();
    }

    fn pass(&self) {
        let (is_closed, changed) = &*self.0;
        let guard = is_closed.lock().unwrap_or_else(PoisonError::into_inner);
        drop(changed.wait_while(guard, |is_closed| *is_closed));
    }
}

impl Line {
    pub(super) fn to(server: &Place) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let listener = UnixListener::bind(directory.path().join(SOCKET)).expect("a socket");
        let line = Self {
            directory,
            to_lose: Arc::default(),
            lost: Arc::default(),
            flights: Arc::default(),
            statements: Arc::default(),
            far: Arc::new(Mutex::new(server.socket.join(SOCKET))),
            is_cut: Arc::default(),
            carried: Arc::default(),
            valve: Valve::default(),
        };
        let (flights, is_cut, carried) = (line.flights.clone(), line.is_cut.clone(), line.carried.clone());
        let (far, to_lose, lost) = (line.far.clone(), line.to_lose.clone(), line.lost.clone());
        let (valve, statements) = (line.valve.clone(), line.statements.clone());
        // It ends with the process: whoever listens is told nothing of the end of a test.
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let far = far.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let Ok(far) = UnixStream::connect(far) else { continue };
                let mut carried = carried.lock().unwrap_or_else(PoisonError::into_inner);
                if is_cut.load(Ordering::SeqCst) {
                    continue;
                }
                carried.push(near.try_clone().expect("a stream"));
                carry(&near, &far, &valve, &to_lose, &lost, &flights, &statements);
            }
        });
        line
    }

    pub(super) fn address(&self, server: &Place) -> ServerAddress {
        on_socket(self.directory.path(), &server.database)
    }

    /// Loses the answer to the next commit but so many, and the connection.
    pub(super) fn lose_an_answer_after(&self, commits: u32) {
        self.to_lose.fetch_or(1 << commits, Ordering::SeqCst);
    }

    /// Lets nothing through from now on: connections end, and no new one comes about.
    pub(super) fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
        for near in self.carried.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // It may have ended before.
            let _gone = near.shutdown(Shutdown::Both);
        }
    }

    /// Lets nothing through from now on, while connections stay open and new ones come about.
    pub(super) fn freeze(&self) {
        self.valve.set(true);
    }

    /// Lets everything through again.
    pub(super) fn mend(&self) {
        self.is_cut.store(false, Ordering::SeqCst);
        self.valve.set(false);
    }

    /// Leads to another server from the next connection on.
    pub(super) fn lead_to(&self, server: &Place) {
        *self.far.lock().unwrap_or_else(PoisonError::into_inner) = server.socket.join(SOCKET);
    }

    /// How often something was said to the server so far.
    pub(super) fn flights(&self) -> u32 {
        self.flights.load(Ordering::SeqCst)
    }

    /// How many statements with parameters it was asked to carry out so far.
    pub(super) fn statements(&self) -> u32 {
        self.statements.load(Ordering::SeqCst)
    }

    pub(super) fn lost(&self) -> u32 {
        self.lost.load(Ordering::SeqCst)
    }
}

/// The kind and the length of the first message, if all of it is there. The first one of all has no kind.
fn message(bytes: &[u8], is_greeted: bool) -> Option<(u8, usize)> {
    let (kind, body) = if is_greeted { bytes.split_first()? } else { (&0, bytes) };
    let length = u32::from_be_bytes(*body.first_chunk()?) as usize + usize::from(is_greeted);
    (bytes.len() >= length).then_some((*kind, length))
}

/// Carries everything both ways until one side is gone.
fn carry(
    near: &UnixStream,
    far: &UnixStream,
    valve: &Valve,
    to_lose: &Arc<AtomicU32>,
    lost: &Arc<AtomicU32>,
    flights: &Arc<AtomicU32>,
    statements: &Arc<AtomicU32>,
) {
    let loses = Arc::new(AtomicBool::new(false));
    let copies = || (near.try_clone().expect("a stream"), far.try_clone().expect("a stream"));
    let ((from_near, to_far), (to_near, from_far)) = (copies(), copies());
    let (to_lose, loses_too, flights) = (to_lose.clone(), loses.clone(), flights.clone());
    let (there, back, statements) = (valve.clone(), valve.clone(), statements.clone());
    // How much is left to pass of a message whose beginning has passed, or that says hello and has no kind.
    let mut rest = Vec::new();
    let mut is_greeted = false;
    std::thread::spawn(move || {
        pass(&from_near, &to_far, |bytes| {
            there.pass();
            flights.fetch_add(1, Ordering::SeqCst);
            rest.extend_from_slice(bytes);
            while let Some((kind, length)) = message(&rest, is_greeted) {
                is_greeted = true;
                statements.fetch_add(u32::from(kind == b'P'), Ordering::SeqCst);
                rest.drain(..length);
            }
            if bytes.ends_with(COMMIT) {
                let of_commits = to_lose.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |bits| Some(bits >> 1));
                loses.store(of_commits.is_ok_and(|bits| bits & 1 == 1), Ordering::SeqCst);
            }
            true
        });
    });
    let lost = lost.clone();
    std::thread::spawn(move || {
        pass(&from_far, &to_near, |answer| {
            back.pass();
            // What was sent before it may be answered only now.
            let is_lost = answer.ends_with(OUTSIDE_TRANSACTION) && loses_too.load(Ordering::SeqCst);
            lost.fetch_add(is_lost.into(), Ordering::SeqCst);
            !is_lost
        });
    });
}

/// Has a server there that greets everybody as one of this version, says that it can be written, and then goes away; also tells
/// whether anything else was asked of it.
pub(super) fn greet(directory: &Path, version: &str) -> Arc<AtomicBool> {
    let message = |kind: u8, body: &[u8]| {
        let length = u32::try_from(body.len() + 4).expect("short");
        [&[kind], length.to_be_bytes().as_slice(), body].concat()
    };
    let ready = message(b'Z', b"I");
    let told = message(b'S', format!("server_version\0{version}\0").as_bytes());
    let hello = [message(b'R', &[0; 4]), told, ready.clone()].concat();
    let column = [b"\0\x01read_only\0".as_slice(), &[0; 6], &25_u32.to_be_bytes(), &[0xff; 6], &[0; 2]].concat();
    let row = message(b'D', b"\0\x01\0\0\0\x03off");
    let can_be_written = [message(b'T', &column), row, message(b'C', b"SHOW\0"), ready].concat();
    let listener = UnixListener::bind(directory.join(SOCKET)).expect("a socket");
    let asked_more = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&asked_more);
    std::thread::spawn(move || {
        for mut near in listener.incoming().flatten() {
            let mut buffer = [0; 4096];
            for answer in [&hello, &can_be_written] {
                let heard = near.read(&mut buffer).is_ok_and(|length| length > 0);
                if !heard || near.write_all(answer).is_err() {
                    break;
                }
            }
            while near.read(&mut buffer).is_ok_and(|length| length > 0 && buffer[0] != b'X') {
                asked.store(true, Ordering::SeqCst);
                let refusal = message(b'E', b"SERROR\0VERROR\0C42501\0Mno more\0\0");
                let refusal = [refusal, message(b'Z', b"I")].concat();
                // Nobody need hear it.
                let _gone = near.write_all(&refusal);
            }
        }
    });
    asked_more
}

/// Passes on what comes, as long as it may; then both sides are told that the line is gone.
fn pass(mut from: &UnixStream, mut to: &UnixStream, mut may_pass: impl FnMut(&[u8]) -> bool) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let bytes = buffer.get(..length).unwrap_or_default();
        if !may_pass(bytes) || to.write_all(bytes).is_err() {
            break;
        }
    }
    for side in [from, to] {
        // The other side may have gone first.
        let _gone = side.shutdown(Shutdown::Both);
    }
}

/// A pooler with two connections to the server, each lent for one transaction.
pub(super) struct Pooler {
    socket: PathBuf,
    _keeper: Child,
}

impl Pooler {
    /// Starts one; `None`, and a line that says so, where pgbouncer is not installed.
    pub(super) fn to(server: &Place) -> Option<Self> {
        let program = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"].into_iter().find(|path| Path::new(path).exists());
        let Some(program) = program else {
            let may_skip = std::env::var_os("TAGFLEET_TESTS_SKIP_NOTHING").is_none();
            assert!(may_skip, "pgbouncer is not installed");
            tracing::warn!("pgbouncer is not installed, so what needs it is left out");
            return None;
        };
        let place = tempfile::Builder::new().prefix("tagfleet-pooler-").tempdir().expect("a directory").keep();
        let settings = format!(
            "[databases]\n* = user=tagfleet host={far}\n[pgbouncer]\nunix_socket_dir = {near}\nlisten_port = 5432\nauth_type = any\n\
             pool_mode = transaction\ndefault_pool_size = 2\nlogfile = {near}/log\n",
            far = server.socket.display(),
            near = place.display()
        );
        std::fs::write(place.join("settings.ini"), settings).expect("a file");
        let is_root = rustix::process::geteuid().is_root();
        let script = r#"
            place=$1 program=$2 user=$3
            as() { if [ -n "$user" ]; then exec setpriv --reuid "$user" --regid "$user" --clear-groups "$@"; else exec "$@"; fi; }
            [ -z "$user" ] || chown -R "$user" "$place"
            as "$program" -q "$place/settings.ini" >/dev/null 2>&1 </dev/null &
            pooler=$!
            cat >/dev/null
            kill "$pooler"
            wait "$pooler"
            rm -rf "$place"
        "#;
        let keeper = Command::new("sh")
            .args(["-c", script, "sh"])
            .args([place.as_os_str(), program.as_ref()])
            .arg(if is_root { "postgres" } else { "" })
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("a shell");
        let began = Instant::now();
        while UnixStream::connect(place.join(SOCKET)).is_err() {
            assert!(began.elapsed() < Duration::from_mins(2), "the pooler of the tests does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(Self { socket: place, _keeper: keeper })
    }

    pub(super) fn address(&self, server: &Place) -> ServerAddress {
        on_socket(&self.socket, &server.database)
    }
}
