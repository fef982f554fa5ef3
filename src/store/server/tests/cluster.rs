//! A server of our own for tests, and the tests of this room on it.
//!
//! The newest version that is installed is taken, or the programs in the folder `TAGFLEET_TEST_POSTGRESQL`.
//! With `TAGFLEET_TEST_STATE=postgresql`, whatever tests open as a state directory is a database on that server; what is a
//! matter of files alone is left out. The server is made at the first use and goes with this process, whatever ends that.

pub(in crate::store) mod virtual_time;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use self::virtual_time::ServerClock;
use crate::store::engine::absence::Patience;
use crate::store::engine::sql::Session;
use crate::store::server::{PasswordSource, ServerAddress};

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

/// What stands for which directory.
static DATABASES: LazyLock<Mutex<HashMap<PathBuf, ServerAddress>>> = LazyLock::new(Mutex::default);

/// The database that stands for a state directory, if it is to be one.
pub(crate) fn in_place_of(directory: &Path) -> Option<ServerAddress> {
    let stays_a_file = |kept: &Vec<PathBuf>| kept.iter().any(|place| directory.starts_with(place));
    if !is_wanted() || stays_a_file(&FILES.lock().unwrap_or_else(PoisonError::into_inner)) {
        return None;
    }
    let mut databases = DATABASES.lock().unwrap_or_else(PoisonError::into_inner);
    let address = databases.entry(directory.to_owned()).or_insert_with(|| new_database().expect("a server is wanted"));
    Some(address.clone())
}

/// A database that stands for a state directory for as long as this does, in a simulation with virtual time.
pub(crate) struct InPlace {
    directory: PathBuf,
    address: ServerAddress,
}

impl InPlace {
    /// Has a database stand for the directory if states are wanted there, and its server go by this clock.
    pub(crate) fn of(directory: &Path, clock: ServerClock) -> Option<Self> {
        let address = in_place_of(directory)?;
        virtual_time::begin(&address, clock);
        Some(Self { directory: directory.to_owned(), address })
    }
}

impl Drop for InPlace {
    fn drop(&mut self) {
        virtual_time::end(&self.address);
        DATABASES.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.directory);
        if let Some(cluster) = &*CLUSTER {
            cluster.drop_database(&self.address);
        }
    }
}

/// A database with nothing in it; `None`, and a line that says so, where `PostgreSQL` is not installed.
pub(crate) fn new_database() -> Option<ServerAddress> {
    new_place().map(|place| place.address)
}

/// The same, with where it is.
pub(crate) fn new_place() -> Option<Place> {
    CLUSTER.as_ref().map(Cluster::new_place)
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

/// The same to a server that may only follow another.
pub(super) fn tell_any(place: &Place, sql: &str) -> Option<String> {
    let mut config = tokio_postgres::Config::new();
    config.host_path(&place.socket).user("tagfleet").dbname(&place.database);
    let sql = sql.to_owned();
    std::thread::spawn(move || {
        let session = Session::open(&config, None, Patience::default()).expect("a connection");
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
    pub(crate) fn tell(&self) {
        self.say(-1);
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
        let place = new_directory();
        let settings = settings(&place);
        Self::start_in(place, &settings, None)
    }

    /// Starts one, and another that follows it, as one that may take over does.
    pub(super) fn start_two() -> Option<(Self, Self)> {
        let (place, of_follower) = (new_directory(), new_directory());
        let settings = ["-c", "wal_keep_size=256MB"].map(str::to_owned);
        let first = Self::start_in(place, &settings, Some(&of_follower.join("data")))?;
        let data = of_follower.join("data");
        std::fs::write(data.join("standby.signal"), "").expect("our own file");
        let follow = format!("primary_conninfo = 'host={} user=tagfleet'\n", first.socket.display());
        std::fs::write(data.join("postgresql.auto.conf"), follow).expect("our own file");
        let follower = Self::start_in(of_follower, &[], None)?;
        Some((first, follower))
    }

    /// Starts one in this place, and copies what it has at first to another one.
    fn start_in(place: PathBuf, settings: &[String], copy: Option<&Path>) -> Option<Self> {
        let Some(programs) = programs() else {
            let may_skip = std::env::var_os("TAGFLEET_TESTS_SKIP_NOTHING").is_none();
            assert!(may_skip, "PostgreSQL is not installed");
            tracing::warn!("PostgreSQL is not installed, so what needs it is left out");
            return None;
        };
        let is_root = rustix::process::geteuid().is_root();
        let script = r#"
            place=$1 programs=$2 user=$3 copy=$4
            shift 4
            as() { if [ -n "$user" ]; then exec setpriv --reuid "$user" --regid "$user" --clear-groups "$@"; else exec "$@"; fi; }
            [ -z "$user" ] || chown -R "$user" "$place"
            if [ ! -d "$place/data" ]; then
                (as "$programs/initdb" -D "$place/data" -A trust -U tagfleet -E UTF8 --locale=C --no-sync >/dev/null) || exit 1
            fi
            [ -z "$copy" ] || cp -a "$place/data" "$copy"
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
            .arg(copy.unwrap_or(Path::new("")))
            .args(settings)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("a shell");
        let cluster = Self { socket: place, _keeper: keeper };
        let began = Instant::now();
        let address = cluster.address("postgres");
        let connects = || match address.connect(&Patience::default()) {
            Ok(_session) => true,
            Err(error) => error.is_standby(),
        };
        let answers = || std::thread::scope(|scope| scope.spawn(connects).join().unwrap_or(false));
        while !answers() {
            assert!(began.elapsed() < LONGEST_START, "the server of the tests does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(cluster)
    }

    /// A database with nothing in it.
    pub(super) fn new_place(&self) -> Place {
        let name = format!("state_{:016x}", fastrand::u64(..));
        self.ask("postgres", &format!("CREATE DATABASE {name}"));
        self.place(name)
    }

    fn drop_database(&self, address: &ServerAddress) {
        let name = address.name();
        let database = name.file_name().and_then(|name| name.to_str()).expect("our own name");
        self.ask("postgres", &format!("DROP DATABASE {database} WITH (FORCE)"));
    }

    /// A database that is there.
    pub(super) fn place(&self, database: String) -> Place {
        Place { address: self.address(&database), database, socket: self.socket.clone() }
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

fn new_directory() -> PathBuf {
    tempfile::Builder::new().prefix("tagfleet-server-").tempdir().expect("a directory").keep()
}

/// Where the server's programs are: those of the newest version, unless a folder of them is named.
fn programs() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("TAGFLEET_TEST_POSTGRESQL") {
        return Some(folder.into());
    }
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
