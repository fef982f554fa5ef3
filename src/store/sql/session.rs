//! One connection to a server, spoken to from a thread that may wait.
//!
//! It has a runtime of its own, which stands still between two statements: whatever the runtime of the program does, and
//! whatever its clock shows in a simulation, a statement that is never answered ends by real time. Statements have no names
//! and nothing is kept in the server's session, so that each transaction may go through another connection of a pooler.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Config, Connection, NoTls, SimpleQueryMessage};
use tokio_postgres_rustls_improved::MakeRustlsConnect;

use super::{SqlError, Value, dialect};

/// How long a statement is waited for, whatever the server says of its own patience.
const LONGEST_STATEMENT: Duration = Duration::from_secs(35);
/// How long a connection may take to come about.
const LONGEST_CONNECT: Duration = Duration::from_secs(10);

/// An open connection.
pub(in crate::store) struct Session {
    /// There until this is dropped.
    runtime: Option<Runtime>,
    client: Client,
    /// What statements are called there, by what they are called here.
    translated: RefCell<HashMap<Box<str>, Arc<str>>>,
}

impl Drop for Session {
    /// Waits for nobody: a session may be dropped by whoever cannot.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Session {
    /// Connects to the server. To be called on a thread that may wait.
    pub(in crate::store) fn open(config: &Config, tls: Option<MakeRustlsConnect>) -> Result<Self, SqlError> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(SqlError::Thread)?;
        let connecting = async {
            Ok(match tls {
                Some(tls) => attended(config.connect(tls).await?),
                None => attended(config.connect(NoTls).await?),
            })
        };
        let connected = runtime.block_on(async { tokio::time::timeout(LONGEST_CONNECT, connecting).await });
        let client = connected.unwrap_or(Err(SqlError::NoAnswer))?;
        Ok(Self { runtime: Some(runtime), client, translated: RefCell::default() })
    }

    /// Whether nothing can be asked here any more.
    pub(in crate::store) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Carries statements out as they are, and gives the first column of the last row.
    pub(in crate::store) fn simple(&self, sql: &str) -> Result<Option<String>, SqlError> {
        let messages = self.wait_for(self.client.simple_query(sql))?;
        Ok(messages.iter().rev().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        }))
    }

    /// Carries one statement out, and gives its rows.
    pub(super) fn query(&self, sql: &str, values: &[Value<'_>]) -> Result<Vec<tokio_postgres::Row>, SqlError> {
        let sql = self.translated(sql);
        self.wait_for(self.client.query_typed(&sql, &typed(values)))
    }

    /// Carries one statement out, and says how many rows it has touched.
    pub(super) fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<usize, SqlError> {
        let sql = self.translated(sql);
        let touched = self.wait_for(self.client.execute_typed(&sql, &typed(values)))?;
        Ok(usize::try_from(touched).unwrap_or(usize::MAX))
    }

    fn translated(&self, sql: &str) -> Arc<str> {
        let mut known = self.translated.borrow_mut();
        if let Some(translated) = known.get(sql) {
            return Arc::clone(translated);
        }
        let translated: Arc<str> = dialect::for_postgres(sql).into();
        known.insert(sql.into(), Arc::clone(&translated));
        translated
    }

    fn wait_for<Answer>(
        &self,
        work: impl Future<Output = Result<Answer, tokio_postgres::Error>>,
    ) -> Result<Answer, SqlError> {
        let Some(runtime) = &self.runtime else { return Err(SqlError::NoAnswer) };
        let answer = runtime.block_on(async { tokio::time::timeout(LONGEST_STATEMENT, work).await });
        Ok(answer.map_err(|_late| SqlError::NoAnswer)??)
    }
}

/// The client of a connection that is attended to from now on, whenever the runtime moves.
fn attended<Stream, Tls>((client, connection): (Client, Connection<Stream, Tls>)) -> Client
where
    Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    Tls: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    tokio::spawn(async move {
        // Whoever asks next is told.
        if let Err(error) = connection.await {
            tracing::debug!(%error, "the connection to the state's server has ended");
        }
    });
    client
}

/// Each value with its type, so that nobody has to ask the server for it.
fn typed<'a>(values: &'a [Value<'a>]) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
    let type_of = |value: &Value<'_>| match value {
        // To be found out from where it stands.
        Value::Null => Type::UNKNOWN,
        Value::Integer(_) => Type::INT8,
        Value::Real(_) => Type::FLOAT8,
        Value::Text(_) => Type::TEXT,
        Value::Blob(_) => Type::BYTEA,
    };
    values.iter().map(|value| (value as &(dyn ToSql + Sync), type_of(value))).collect()
}

impl ToSql for Value<'_> {
    fn to_sql(&self, of: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match *self {
            Self::Null => Ok(IsNull::Yes),
            Self::Integer(number) => number.to_sql(of, out),
            Self::Real(number) => number.to_sql(of, out),
            // No text there holds a NUL; nothing that is compared does either.
            Self::Text(text) if text.contains('\0') => text.replace('\0', "").to_sql(of, out),
            Self::Text(text) => text.to_sql(of, out),
            Self::Blob(bytes) => bytes.to_sql(of, out),
        }
    }

    fn accepts(_of: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Value<'a> {
    fn from_sql(of: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(match *of {
            Type::BOOL => Self::Integer(bool::from_sql(of, raw)?.into()),
            Type::INT2 => Self::Integer(i16::from_sql(of, raw)?.into()),
            Type::INT4 => Self::Integer(i32::from_sql(of, raw)?.into()),
            Type::INT8 => Self::Integer(i64::from_sql(of, raw)?),
            Type::FLOAT8 => Self::Real(f64::from_sql(of, raw)?),
            Type::BYTEA => Self::Blob(raw),
            _ => Self::Text(<&str>::from_sql(of, raw)?),
        })
    }

    fn from_sql_null(_of: &Type) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self::Null)
    }

    fn accepts(of: &Type) -> bool {
        matches!(*of, Type::BOOL | Type::INT2 | Type::INT4 | Type::INT8 | Type::FLOAT8 | Type::BYTEA)
            || <&str as FromSql>::accepts(of)
    }
}
