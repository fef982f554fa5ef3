//! Where a server is, who asks, and how safely: the address as people write it, and what belongs beside it.
//!
//! An address is seen by everybody who can list processes, so that no password may stand in it. What surprises: unless it
//! says otherwise, a connection that leaves this machine is encrypted, and the server must prove its name.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use tokio::runtime::Handle;
use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, Host, SslMode, TargetSessionAttrs};

use super::tls::{self, Proof};
use crate::outside::{Outside, read_secret, secrets};
use crate::store::engine::absence::Patience;
use crate::store::engine::password::PasswordGiver;
use crate::store::engine::sql::{Session, SqlError, in_time};

/// After what time without an answer a connection counts as broken.
const LONGEST_SILENCE: Duration = Duration::from_secs(20);

/// How long whoever is asked for a password may take: the Azure CLI starts slowly, and a sign-in service may ask to come
/// again.
pub(super) const LONGEST_SIGN_IN: Duration = Duration::from_mins(2);

/// Why an address cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum AddressError {
    /// It does not begin as one.
    #[error("a state is a postgresql:// address")]
    NoAddress,
    /// Everybody on this machine could read it.
    #[error("the address of the state holds a password, which every process list shows")]
    Password,
    /// A parameter that is not known.
    #[error("the address of the state has the unknown parameter {0:?}")]
    UnknownParameter(Box<str>),
    /// No way to be safe that is known.
    #[error("sslmode {0:?} is unknown; use verify-full, verify-ca, require or disable")]
    UnknownMode(Box<str>),
    /// What is sent could be read on its way.
    #[error("sslmode=disable is for this machine only, and {0} is another")]
    NotEncrypted(Box<str>),
    /// Whoever answers there would be given a token, which is worth more than what a server sees of a password.
    #[error("sslmode={mode} does not prove that {host} is the server, and it would be given a token")]
    TokenForAnybody {
        /// How the server is looked at.
        mode: &'static str,
        /// Who is to be called.
        host: Box<str>,
    },
    /// It names no database.
    #[error("the address of the state names no database")]
    NoDatabase,
    /// It cannot be read.
    #[error("the address of the state cannot be read")]
    Malformed,
}

impl AddressError {
    /// What the user can do about it.
    #[must_use]
    pub(crate) const fn hint(&self) -> &'static str {
        match self {
            Self::Password => "give it in PGPASSWORD, a password file (PGPASSFILE) or with --state-password-file",
            Self::UnknownMode(_) | Self::NotEncrypted(_) | Self::TokenForAnybody { .. } => {
                "leave sslmode out: verify-full holds then for every other machine"
            }
            _ => "write postgresql://USER@HOST:PORT/DATABASE?sslmode=verify-full",
        }
    }
}

/// Where the password of the database is.
#[derive(Clone, Debug, Default)]
pub(crate) enum PasswordSource {
    /// There is none: the server knows us otherwise.
    #[default]
    None,
    Given(SecretString),
    /// It is all that a file holds, and read anew for every connection.
    File(PathBuf),
    /// It stands in a file of passwords for several servers, as `PostgreSQL`'s own programs have it.
    List(PathBuf),
    /// Somebody is asked for it, anew for every connection.
    Giver(Arc<dyn PasswordGiver>),
}

/// A server and a database on it, with what is needed to get in.
#[derive(Clone)]
pub(crate) struct ServerAddress {
    config: Config,
    proof: Proof,
    password: PasswordSource,
    /// Certificates that are trusted beside the system's own.
    certificates: Option<PathBuf>,
}

impl fmt::Debug for ServerAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("ServerAddress").field(&self.name()).finish()
    }
}

impl ServerAddress {
    /// Reads an address.
    ///
    /// # Errors
    /// [`AddressError`] says what is wrong with it.
    pub(crate) fn parse(
        text: &str,
        password: PasswordSource,
        certificates: Option<PathBuf>,
    ) -> Result<Self, AddressError> {
        let rest = ["postgresql://", "postgres://"].iter().find_map(|scheme| text.strip_prefix(scheme));
        let rest = rest.ok_or(AddressError::NoAddress)?;
        let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        if secrets::in_address(rest).is_some() {
            return Err(AddressError::Password);
        }
        let mut mode = None;
        let mut socket = None;
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value = percent_decode_str(value).decode_utf8().map_err(|_no_text| AddressError::Malformed)?;
            match name {
                "sslmode" => mode = Some(value.into_owned()),
                "host" if value.starts_with('/') => socket = Some(value.into_owned()),
                "password" => return Err(AddressError::Password),
                other => return Err(AddressError::UnknownParameter(Outside::new(other).kept(40))),
            }
        }
        let mut config: Config = format!("postgresql://{place}").parse().map_err(|_error| AddressError::Malformed)?;
        if let Some(socket) = socket {
            config.host(socket);
        }
        if config.get_dbname().is_none_or(str::is_empty) {
            return Err(AddressError::NoDatabase);
        }
        let proof = Self::proof(&config, mode.as_deref())?;
        config
            .application_name("tagfleet")
            .connect_timeout(Duration::from_secs(5))
            .ssl_mode(if proof == Proof::NotEncrypted { SslMode::Disable } else { SslMode::Require })
            .channel_binding(ChannelBinding::Prefer)
            .target_session_attrs(TargetSessionAttrs::ReadWrite)
            .keepalives_idle(LONGEST_SILENCE / 2)
            .keepalives_interval(LONGEST_SILENCE / 4)
            .keepalives_retries(2)
            .tcp_user_timeout(LONGEST_SILENCE);
        Ok(Self { config, proof, password, certificates })
    }

    fn proof(config: &Config, mode: Option<&str>) -> Result<Proof, AddressError> {
        let elsewhere = config.get_hosts().iter().find(|host| !is_here(host));
        match (mode, elsewhere) {
            (None | Some("disable"), None) => Ok(Proof::NotEncrypted),
            (Some("disable"), Some(host)) => Err(AddressError::NotEncrypted(host_text(host).into())),
            (None | Some("verify-full"), _) => Ok(Proof::Name),
            (Some("verify-ca"), _) => Ok(Proof::Issuer),
            (Some("require"), _) => Ok(Proof::Nothing),
            (Some(other), _) => Err(AddressError::UnknownMode(Outside::new(other).kept(40))),
        }
    }

    /// How it is called in messages: without what is beside the place.
    #[must_use]
    pub(crate) fn name(&self) -> PathBuf {
        let user = self.config.get_user().map(|user| format!("{user}@")).unwrap_or_default();
        let hosts: Vec<String> = self.config.get_hosts().iter().map(host_text).collect();
        let port = self.config.get_ports().first().map(|port| format!(":{port}")).unwrap_or_default();
        let database = self.config.get_dbname().unwrap_or_default();
        format!("postgresql://{user}{}{port}/{database}", hosts.join(",")).into()
    }

    /// Whether what is sent there stays on this machine.
    #[must_use]
    pub(crate) fn is_on_this_machine(&self) -> bool {
        self.config.get_hosts().iter().all(is_here)
    }

    /// The same, with somebody who is asked for the password.
    ///
    /// # Errors
    /// [`AddressError::TokenForAnybody`] when it is not sure who would see what is given.
    pub(crate) fn asking(self, giver: Arc<dyn PasswordGiver>) -> Result<Self, AddressError> {
        let elsewhere = self.config.get_hosts().iter().find(|host| !is_here(host));
        match (self.proof, elsewhere) {
            (Proof::Nothing | Proof::Issuer, Some(host)) => {
                let mode = if self.proof == Proof::Nothing { "require" } else { "verify-ca" };
                Err(AddressError::TokenForAnybody { mode, host: host_text(host).into() })
            }
            _ => Ok(Self { password: PasswordSource::Giver(giver), ..self }),
        }
    }

    /// Connects, to wait for the server as long as this. To be called on a thread that may wait.
    pub(in crate::store) fn connect(&self, patience: &Patience) -> Result<Session, SqlError> {
        let tls = tls::connector(self.proof, self.certificates.as_deref())?;
        let mut config = self.config.clone();
        if let Some(password) = self.password(patience)? {
            // A server may repeat it.
            secrets::learn(&password);
            config.password(password.expose_secret());
        }
        Session::open(&config, tls, patience.clone())
    }

    /// The file that the password comes from, if it comes from one.
    #[must_use]
    pub(crate) fn password_file(&self) -> Option<&Path> {
        match &self.password {
            PasswordSource::None | PasswordSource::Given(_) | PasswordSource::Giver(_) => None,
            PasswordSource::File(path) | PasswordSource::List(path) => Some(path),
        }
    }

    fn password(&self, patience: &Patience) -> Result<Option<SecretString>, SqlError> {
        let failed = |path: &PathBuf| {
            let path = path.clone();
            move |source| SqlError::File { path, source }
        };
        match &self.password {
            PasswordSource::None => Ok(None),
            PasswordSource::Given(password) => Ok(Some(password.clone())),
            PasswordSource::Giver(giver) => {
                let answer = Handle::current().block_on(in_time(LONGEST_SIGN_IN, patience, giver.password()));
                answer.ok_or(SqlError::NoToken)?.map(Some).map_err(SqlError::Password)
            }
            PasswordSource::File(path) => {
                let text = read_secret(path).map_err(failed(path))?;
                Ok(Some(SecretString::from(text.expose_secret().trim_end_matches(['\r', '\n']))))
            }
            PasswordSource::List(path) => match read_secret(path) {
                Ok(text) => Ok(self.password_in(text.expose_secret())),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(failed(path)(error)),
            },
        }
    }

    /// The password of the first line that is about this place, of lines `host:port:database:user:password`.
    fn password_in(&self, list: &str) -> Option<SecretString> {
        let host = self.config.get_hosts().first().map(host_text).unwrap_or_default();
        let host = if host.starts_with('/') { "localhost".to_owned() } else { host };
        let port = self.config.get_ports().first().copied().unwrap_or(5432).to_string();
        let wanted = [
            host.as_str(),
            &port,
            self.config.get_dbname().unwrap_or_default(),
            self.config.get_user().unwrap_or_default(),
        ];
        list.lines().filter(|line| !line.starts_with('#')).map(fields).find_map(|fields| {
            let [place @ .., password] = fields.as_slice() else { return None };
            let is_meant = place.len() == wanted.len()
                && place.iter().zip(wanted).all(|(written, wanted)| written == "*" || written == wanted);
            is_meant.then(|| SecretString::from(password.as_str()))
        })
    }
}

/// The fields of a line, between colons; a backslash takes the meaning from what follows.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut signs = line.chars();
    while let Some(sign) = signs.next() {
        match (sign, fields.last_mut()) {
            (':', _) => fields.push(String::new()),
            ('\\', Some(field)) => field.extend(signs.next()),
            (sign, Some(field)) => field.push(sign),
            (_, None) => {}
        }
    }
    fields
}

fn host_text(host: &Host) -> String {
    match host {
        Host::Tcp(name) => name.clone(),
        #[cfg(unix)]
        Host::Unix(path) => path.to_string_lossy().into_owned(),
    }
}

/// Whether what is sent there does not leave this machine.
fn is_here(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            name == "localhost"
                || name.trim_matches(['[', ']']).parse().is_ok_and(|address: IpAddr| address.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ServerAddress, AddressError> {
        ServerAddress::parse(text, PasswordSource::None, None)
    }

    #[test]
    fn an_address_says_where_and_how_safely() {
        let table = [
            ("postgresql://u@db.example:5433/d", Proof::Name),
            ("postgres://u@db.example/d?sslmode=verify-full", Proof::Name),
            ("postgresql://u@db.example/d?sslmode=verify-ca", Proof::Issuer),
            ("postgresql://u@db.example/d?sslmode=require", Proof::Nothing),
            ("postgresql://u@127.0.0.1/d", Proof::NotEncrypted),
            ("postgresql://u@localhost/d?sslmode=disable", Proof::NotEncrypted),
            ("postgresql://u@localhost/d?sslmode=verify-full", Proof::Name),
            ("postgresql://u@/d?host=/run/postgresql", Proof::NotEncrypted),
        ];
        for (text, proof) in table {
            assert_eq!(parse(text).expect(text).proof, proof, "{text}");
        }
        let name = parse("postgresql://u@db.example:5433/d?sslmode=require").expect("an address").name();
        assert_eq!(name.to_str(), Some("postgresql://u@db.example:5433/d"));
    }

    #[test]
    fn a_wrong_address_names_its_fault() {
        let table = [
            ("/var/lib/state", AddressError::NoAddress),
            ("postgresql://u:secret@db.example/d", AddressError::Password),
            ("postgresql://u:secret/secret@db.example/d", AddressError::Password),
            ("postgresql://u:secret?secret@db.example/d", AddressError::Password),
            ("postgresql://u:secret@secret@db.example:5432/d", AddressError::Password),
            ("postgresql://u@db.example/d?password=secret", AddressError::Password),
            ("postgresql://u@db.example/d?sslmode=prefer", AddressError::UnknownMode("prefer".into())),
            ("postgresql://u@db.example/d?sslmode=disable", AddressError::NotEncrypted("db.example".into())),
            ("postgresql://u@127.0.0.1,db.example/d?sslmode=disable", AddressError::NotEncrypted("db.example".into())),
            ("postgresql://u@db.example/d?options=-c", AddressError::UnknownParameter("options".into())),
            ("postgresql://u@db.example", AddressError::NoDatabase),
            ("postgresql://u@db.example:port/d", AddressError::Malformed),
        ];
        for (text, fault) in table {
            let found = parse(text).expect_err(text);
            assert_eq!(found, fault, "{text}");
            assert!(!found.to_string().contains("secret") && !found.hint().is_empty());
        }
    }

    #[test]
    fn a_password_is_masked_from_its_first_use_on_wherever_it_is_read_from() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, list) = (folder.path().join("password"), folder.path().join("list"));
        std::fs::write(&file, "canary-in-a-file\n").expect("our own file");
        std::fs::write(&list, "*:*:*:*:canary-in-a-list\n").expect("our own file");
        for source in [PasswordSource::File(file), PasswordSource::List(list)] {
            // Nothing ever listens there.
            let address = ServerAddress::parse("postgresql://u@127.0.0.1:1/d", source, None).expect("an address");
            assert!(address.connect(&Patience::default()).is_err());
        }
        let said = Outside::new("refused: canary-in-a-file, canary-in-a-list").line();
        assert_eq!(said, "refused: ***, ***");
    }

    #[test]
    fn a_file_that_is_too_large_for_passwords_is_refused_and_one_that_is_not_there_is_no_list() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("large");
        std::fs::write(&file, "x".repeat(300_000)).expect("our own file");
        let password = |source| {
            let address = ServerAddress::parse("postgresql://u@127.0.0.1:1/d", source, None).expect("an address");
            address.password(&Patience::default())
        };
        for source in [PasswordSource::File(file.clone()), PasswordSource::List(file)] {
            let refused = password(source).expect_err("it is too large");
            assert!(matches!(&refused, SqlError::File { source, .. } if source.to_string().contains("larger than")));
        }
        let absent = || folder.path().join("absent");
        assert!(password(PasswordSource::File(absent())).is_err());
        assert!(password(PasswordSource::List(absent())).expect("no list").is_none());
    }

    #[test]
    fn a_list_of_passwords_is_read_as_the_servers_own_programs_do() {
        let address = parse("postgresql://u@db.example:5433/d").expect("an address");
        let list =
            "# of all\nother:5433:d:u:no\ndb.example:5432:d:u:no\n*:5433:d\\:d:u:no\n*:*:d:u:a\\:b\\\\c\n*:*:*:*:late";
        let found = address.password_in(list).expect("a password");
        assert_eq!(found.expose_secret(), "a:b\\c");
        assert!(address.password_in("db.example:5433:d:u").is_none());
    }
}
