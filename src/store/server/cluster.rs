//! A server of our own for tests, and the tests of this room on it.
//!
//! With `TAGFLEET_TEST_STATE=postgresql`, whatever tests open as a state directory is a database on that server; what is a
//! matter of files alone is left out. The server is made at the first use and goes with this process, whatever ends that.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{PasswordSource, ServerAddress};
use crate::store::absence::Patience;
use crate::store::sql::Session;

/// How long a server may take to start.
const LONGEST_START: Duration = Duration::from_mins(2);

/// Whether states are databases on a server in this run of the tests.
pub(crate) fn is_wanted() -> bool {
    static WANTED: LazyLock<bool> =
        LazyLock::new(|| std::env::var("TAGFLEET_TEST_STATE").is_ok_and(|state| state == "postgresql"));
    *WANTED
}

/// Places whose states are files whatever is wanted.
static FILES: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Keeps states in this place in files: the test is about those.
pub(crate) fn keep_in_files(place: &Path) {
    FILES.lock().unwrap_or_else(PoisonError::into_inner).push(place.to_owned());
}

/// The database that stands for a state directory, if it is to be one.
pub(crate) fn in_place_of(directory: &Path) -> Option<ServerAddress> {
    static DATABASES: LazyLock<Mutex<HashMap<PathBuf, ServerAddress>>> = LazyLock::new(Mutex::default);
    let stays_a_file = |kept: &Vec<PathBuf>| kept.iter().any(|place| directory.starts_with(place));
    if !is_wanted() || stays_a_file(&FILES.lock().unwrap_or_else(PoisonError::into_inner)) {
        return None;
    }
    let mut databases = DATABASES.lock().unwrap_or_else(PoisonError::into_inner);
    let address = databases.entry(directory.to_owned()).or_insert_with(|| new_database().expect("a server is wanted"));
    Some(address.clone())
}

/// A database with nothing in it; `None`, and a line that says so, where `PostgreSQL` is not installed.
pub(crate) fn new_database() -> Option<ServerAddress> {
    let cluster = CLUSTER.as_ref()?;
    let name = format!("state_{:016x}", fastrand::u64(..));
    cluster.ask("postgres", &format!("CREATE DATABASE {name}"));
    Some(cluster.address(&name))
}

/// The same, with where it is.
pub(crate) fn new_place() -> Option<Place> {
    let address = new_database()?;
    let name = address.name().to_string_lossy().into_owned();
    let database = name.rsplit('/').next().unwrap_or_default().to_owned();
    CLUSTER.as_ref().map(|cluster| Place { address, database, socket: cluster.socket.clone() })
}

/// A database on the server of the tests.
pub(crate) struct Place {
    pub(crate) address: ServerAddress,
    pub(crate) database: String,
    /// The directory that the server's socket is in.
    pub(crate) socket: PathBuf,
}

/// The address of a database behind the socket in this directory.
pub(crate) fn on_socket(directory: &Path, database: &str) -> ServerAddress {
    let text = format!("postgresql://tagfleet@/{database}?host={}", directory.display());
    ServerAddress::parse(&text, PasswordSource::None, None).expect("an address")
}

/// Says something to a database outside of all stores.
pub(crate) fn tell(address: &ServerAddress, sql: &str) -> Option<String> {
    let (address, sql) = (address.clone(), sql.to_owned());
    // A runtime cannot be waited for within another.
    std::thread::spawn(move || {
        let session: Session = address.connect(&Patience::default()).expect("a connection");
        session.simple(&sql).expect("an answer")
    })
    .join()
    .expect("no panic")
}

/// What is told a server when a process dies.
#[derive(Debug)]
pub(crate) struct Death {
    pub(crate) address: ServerAddress,
    pub(crate) process_key: i64,
}

impl Death {
    /// Tells it.
    pub(crate) fn tell(&self) {
        self.say(0);
    }

    /// Has it known as living for ever until then: a virtual clock may let years pass in between.
    pub(crate) fn postpone(&self) {
        self.say(i64::MAX / 2);
    }

    fn say(&self, seen_at: i64) {
        let process_key = self.process_key;
        let sql = format!("UPDATE tagfleet.process SET seen_at = {seen_at} WHERE process_key = {process_key}");
        tell(&self.address, &sql);
    }
}

impl Drop for Death {
    fn drop(&mut self) {
        self.tell();
    }
}

static CLUSTER: LazyLock<Option<Cluster>> = LazyLock::new(Cluster::start);

pub(super) struct Cluster {
    socket: PathBuf,
    /// Whoever waits for the end of this process, to end the server.
    _keeper: Child,
}

impl Cluster {
    fn start() -> Option<Self> {
        Self::start_with(|_place| Vec::new())
    }

    /// Starts one with settings of its own, and what is made for them in its place.
    pub(super) fn start_with(settings: impl FnOnce(&Path) -> Vec<String>) -> Option<Self> {
        let Some(programs) = programs() else {
            let may_skip = std::env::var_os("TAGFLEET_TESTS_SKIP_NOTHING").is_none();
            assert!(may_skip, "PostgreSQL is not installed");
            tracing::warn!("PostgreSQL is not installed, so what needs it is left out");
            return None;
        };
        let place = tempfile::Builder::new().prefix("tagfleet-server-").tempdir().expect("a directory").keep();
        let settings = settings(&place);
        let is_root = rustix::process::geteuid().is_root();
        let script = r#"
            place=$1 programs=$2 user=$3
            shift 3
            as() { if [ -n "$user" ]; then exec setpriv --reuid "$user" --regid "$user" --clear-groups "$@"; else exec "$@"; fi; }
            [ -z "$user" ] || chown -R "$user" "$place"
            (as "$programs/initdb" -D "$place/data" -A trust -U tagfleet -E UTF8 --locale=C --no-sync >/dev/null) || exit 1
            as "$programs/postgres" -D "$place/data" -k "$place" -c listen_addresses= -c fsync=off \
                -c max_connections=400 -c shared_buffers=32MB -c logging_collector=off "$@" >"$place/log" 2>&1 </dev/null &
            server=$!
            cat >/dev/null
            kill -QUIT "$server"
            wait "$server"
            rm -rf "$place"
        "#;
        let keeper = Command::new("sh")
            .args(["-c", script, "sh"])
            .args([place.as_os_str(), programs.as_os_str()])
            .arg(if is_root { "postgres" } else { "" })
            .args(settings)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("a shell");
        let cluster = Self { socket: place, _keeper: keeper };
        let began = Instant::now();
        let address = cluster.address("postgres");
        let connects = || address.connect(&Patience::default()).is_ok();
        let answers = || std::thread::scope(|scope| scope.spawn(connects).join().unwrap_or(false));
        while !answers() {
            assert!(began.elapsed() < LONGEST_START, "the server of the tests does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(cluster)
    }

    /// The directory that its socket is in.
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    fn address(&self, database: &str) -> ServerAddress {
        on_socket(&self.socket, database)
    }

    pub(super) fn ask(&self, database: &str, sql: &str) {
        tell(&self.address(database), sql);
    }
}

/// Where the server's programs are.
fn programs() -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin"))
        .filter(|programs| programs.join("initdb").exists())
        .collect();
    found.sort();
    found.pop()
}
