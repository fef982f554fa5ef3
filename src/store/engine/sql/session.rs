//! One connection to a server, spoken to from a thread that may wait.
//!
//! It has a runtime of its own, which stands still between two statements: whatever the runtime of the program does, and
//! whatever its clock shows in a simulation, a statement that is never answered ends by real time. Statements have no names
//! and nothing is kept in the server's session, so that each transaction may go through another connection of a pooler.
//!
//! A way to the server and back costs more than most statements. So what nobody needs to know at once is sent with the next
//! statement whose answer is needed, at the latest with the commit, which fails if any of it did; rows of the same statement
//! become one statement; what will surely be asked is asked ahead, with the beginning of the transaction; and so are keys.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, Connection, NoTls, SimpleQueryMessage};
use tokio_postgres_rustls_improved::MakeRustlsConnect;

use super::kept::{Foreseen, Gathered, Kept, list_of, typed};
use super::{OLDEST_VERSION, Parameter, SqlError, Value, dialect};
use crate::store::engine::absence::Patience;
use crate::store::engine::waiting::Waiting;

/// How long a statement is waited for, whatever the server says of its own patience.
pub(in crate::store) const LONGEST_STATEMENT: Duration = Duration::from_secs(35);
/// How long a connection may take to come about.
pub(in crate::store) const LONGEST_CONNECT: Duration = Duration::from_secs(10);
/// How often it is looked whether an answer is still waited for.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A statement on its way.
pub(super) type OnItsWay = Pin<Box<dyn Future<Output = Result<u64, tokio_postgres::Error>> + Send>>;

/// An open connection.
pub(in crate::store) struct Session {
    /// There until this is dropped.
    runtime: Option<Runtime>,
    pub(super) client: Arc<Client>,
    /// What is sent with the next statement.
    pub(super) on_their_way: RefCell<Vec<OnItsWay>>,
    /// What the beginning of the transaction gives, once it is there.
    pub(super) begun: RefCell<Arc<OnceLock<Option<String>>>>,
    /// What was asked ahead.
    pub(super) foreseen: RefCell<Vec<Foreseen>>,
    /// What is not sent yet, since more of the same may come.
    pub(super) gathered: RefCell<Vec<Gathered>>,
    /// How many keys will be needed, by what gives them.
    pub(super) wanted_keys: RefCell<HashMap<&'static str, (&'static str, i64)>>,
    /// Keys that nobody has, by the column that they are for.
    pub(super) keys: RefCell<HashMap<&'static str, VecDeque<i64>>>,
    /// What statements are called there, by what they are called here.
    translated: RefCell<HashMap<Box<str>, Arc<str>>>,
    /// Whether anything was written since somebody looked.
    pub(super) has_written: Cell<bool>,
    waiting: Waiting,
    patience: Patience,
    /// Whether the next commit is to come about.
    #[cfg(test)]
    may_commit: RefCell<Option<MayCommit>>,
}

/// Asked before every commit, of those who let a process die there.
#[cfg(test)]
pub(super) type MayCommit = Box<dyn FnMut() -> bool + Send>;

impl Drop for Session {
    /// Waits for nobody: a session may be dropped by whoever cannot.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Session {
    /// Connects to the server, and waits for it here and later as long as the patience lasts. To be called on a thread that
    /// may wait.
    pub(in crate::store) fn open(
        config: &Config,
        tls: Option<MakeRustlsConnect>,
        patience: Patience,
    ) -> Result<Self, SqlError> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(SqlError::Thread)?;
        let connecting = async {
            match tls {
                Some(tls) => attended(config.connect(tls).await?),
                None => attended(config.connect(NoTls).await?),
            }
        };
        let client = runtime.block_on(in_time(LONGEST_CONNECT, &patience, connecting)).ok_or(SqlError::NoAnswer)??;
        Ok(Self {
            runtime: Some(runtime),
            client: Arc::new(client),
            on_their_way: RefCell::default(),
            begun: RefCell::default(),
            foreseen: RefCell::default(),
            gathered: RefCell::default(),
            wanted_keys: RefCell::default(),
            keys: RefCell::default(),
            translated: RefCell::default(),
            has_written: Cell::default(),
            waiting: Waiting::default(),
            patience,
            #[cfg(test)]
            may_commit: RefCell::default(),
        })
    }

    /// The same, where `waiting` shows for how long an answer has not come.
    pub(in crate::store) fn shown_by(mut self, waiting: Waiting) -> Self {
        self.waiting = waiting;
        self
    }

    /// Whether nothing can be asked here any more.
    pub(in crate::store) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Carries statements out as they are, and gives the first column of the last row.
    pub(in crate::store) fn simple(&self, sql: &str) -> Result<Option<String>, SqlError> {
        self.changes();
        Ok(last_column(&self.wait_for(self.client.simple_query(sql))?))
    }

    /// Carries one statement out, and gives its rows.
    pub(super) fn query(&self, sql: &str, values: &[Value<'_>]) -> Result<Vec<tokio_postgres::Row>, SqlError> {
        if !sql.trim_start().starts_with("SELECT") {
            self.changes();
        }
        let sql = self.translated(sql);
        match self.take_foreseen(&sql, values)? {
            Some(rows) => Ok(rows),
            None => self.wait_for(self.client.query_typed(&sql, &typed(values))),
        }
    }

    /// Carries one statement out, and says how many rows it has touched.
    pub(super) fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<usize, SqlError> {
        self.changes();
        let sql = self.translated(sql);
        let touched = self.wait_for(self.client.execute_typed(&sql, &typed(values)))?;
        Ok(usize::try_from(touched).unwrap_or(usize::MAX))
    }

    /// Has a statement carried out on the way to whatever comes next.
    pub(super) fn send(&self, sql: &str, values: Vec<Kept>) {
        self.changes();
        self.send_gathered();
        let (client, sql) = (Arc::clone(&self.client), self.translated(sql));
        self.on_their_way.borrow_mut().push(Box::pin(async move {
            let values: Vec<Value<'_>> = values.iter().map(Parameter::value).collect();
            client.execute_typed(&sql, &typed(&values)).await
        }));
    }

    /// Has rows added on the way to whatever comes next, given column by column.
    pub(super) fn send_rows(&self, table: &str, columns: &[&'static str], values: Vec<Vec<Kept>>) {
        self.changes();
        self.send_gathered();
        // What no row has is as empty as if it were not named, and has no type.
        let filled: Vec<(&'static str, Type, Vec<Kept>)> = columns
            .iter()
            .zip(values)
            .filter_map(|(name, values)| {
                let first = values.iter().find(|value| **value != Kept::Null)?;
                Some((*name, list_of(first), values))
            })
            .collect();
        let Some((_, _, first)) = filled.first() else { return };
        debug_assert!(filled.iter().all(|(_, _, values)| values.len() == first.len()), "a column is too short");
        let names = filled.iter().map(|(name, ..)| *name).collect::<Vec<_>>().join(", ");
        let lists = (1..=filled.len()).map(|number| format!("${number}")).collect::<Vec<_>>().join(", ");
        let sql = format!("INSERT INTO {table} ({names}) SELECT * FROM unnest({lists})");
        let client = Arc::clone(&self.client);
        self.on_their_way.borrow_mut().push(Box::pin(async move {
            let lists: Vec<(Vec<Value<'_>>, Type)> = filled
                .iter()
                .map(|(_, of, values)| (values.iter().map(Parameter::value).collect(), of.clone()))
                .collect();
            let lists: Vec<_> = lists.iter().map(|(list, of)| (list as &(dyn ToSql + Sync), of.clone())).collect();
            client.execute_typed(&sql, &lists).await
        }));
    }

    /// Has a transaction begun with this, on the way to whatever comes next.
    pub(in crate::store) fn begin(&self, sql: String) {
        self.forget();
        let begun = Arc::new(OnceLock::new());
        let (client, told) = (Arc::clone(&self.client), Arc::clone(&begun));
        *self.begun.borrow_mut() = begun;
        self.on_their_way.borrow_mut().push(Box::pin(async move {
            let _only_once = told.set(last_column(&client.simple_query(&sql).await?));
            Ok(0)
        }));
    }

    /// Whether the transaction has begun.
    pub(in crate::store) fn has_begun(&self) -> bool {
        self.begun.borrow().get().is_some()
    }

    /// Commits the transaction, and what was to be sent before.
    pub(in crate::store) fn commit(&self) -> Result<(), SqlError> {
        #[cfg(test)]
        if self.may_commit.borrow_mut().as_mut().is_some_and(|may_commit| !may_commit()) {
            return Err(SqlError::NoRow);
        }
        self.simple("COMMIT").map(drop)
    }

    /// Undoes the transaction, and what was to be sent is not sent.
    pub(in crate::store) fn roll_back(&self) -> Result<(), SqlError> {
        self.forget();
        self.simple("ROLLBACK").map(drop)
    }

    /// Something is written: what was asked ahead may not hold any more.
    fn changes(&self) {
        self.has_written.set(true);
        self.foreseen.borrow_mut().clear();
    }

    fn forget(&self) {
        self.on_their_way.borrow_mut().clear();
        self.foreseen.borrow_mut().clear();
        self.gathered.borrow_mut().clear();
        self.wanted_keys.borrow_mut().clear();
        self.keys.borrow_mut().clear();
    }

    pub(super) fn translated(&self, sql: &str) -> Arc<str> {
        let mut known = self.translated.borrow_mut();
        if let Some(translated) = known.get(sql) {
            return Arc::clone(translated);
        }
        let translated: Arc<str> = dialect::for_postgres(sql).into();
        known.insert(sql.into(), Arc::clone(&translated));
        translated
    }

    pub(super) fn wait_for<Answer>(
        &self,
        work: impl Future<Output = Result<Answer, tokio_postgres::Error>>,
    ) -> Result<Answer, SqlError> {
        let Some(runtime) = &self.runtime else { return Err(SqlError::NoAnswer) };
        self.send_gathered();
        let before = self.on_their_way.take();
        self.waiting.begin();
        let answered = after_all(before, work, &self.waiting);
        let answer =
            runtime.block_on(in_time(LONGEST_STATEMENT, &self.patience, answered)).ok_or(SqlError::NoAnswer)?;
        // Of a connection that is gone there is no answer: another one is waited for.
        if !self.client.is_closed() {
            self.waiting.end();
        }
        Ok(answer?)
    }
}

/// The first column of the last row.
fn last_column(messages: &[SimpleQueryMessage]) -> Option<String> {
    messages.iter().rev().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    })
}

/// What comes of work that begins now, unless it takes longer than it may, or than anybody waits for it.
pub(in crate::store) async fn in_time<Answer>(
    longest: Duration,
    patience: &Patience,
    work: impl Future<Output = Answer>,
) -> Option<Answer> {
    let mut work = std::pin::pin!(work);
    let asked = Instant::now();
    loop {
        // Patience may end meanwhile.
        let left = patience.left(asked)?.min(longest.checked_sub(asked.elapsed())?).min(LOOK_EVERY);
        if let Ok(answer) = tokio::time::timeout(left, work.as_mut()).await {
            return Some(answer);
        }
    }
}

/// What the last statement gives, sent behind all that go before it; the first that fails is what has failed.
async fn after_all<Answer>(
    mut before: Vec<OnItsWay>,
    work: impl Future<Output = Result<Answer, tokio_postgres::Error>>,
    waiting: &Waiting,
) -> Result<Answer, tokio_postgres::Error> {
    let mut work = std::pin::pin!(work);
    let (mut failed, mut answer) = (None, None);
    poll_fn(|context: &mut Context<'_>| {
        // Each is sent when it is asked for the first time, and so in this order.
        let unanswered = before.len();
        before.retain_mut(|statement| match statement.as_mut().poll(context) {
            Poll::Pending => true,
            Poll::Ready(Ok(_touched)) => false,
            Poll::Ready(Err(error)) => {
                failed.get_or_insert(error);
                false
            }
        });
        if before.len() < unanswered {
            waiting.go_on();
        }
        if answer.is_none()
            && let Poll::Ready(ready) = work.as_mut().poll(context)
        {
            answer = Some(ready);
        }
        if answer.is_some() && before.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    match (failed, answer) {
        (None, Some(answer)) => answer,
        (Some(error), Some(_)) => Err(error),
        (_, None) => unreachable!("it was waited for"),
    }
}

/// The client of a connection that is attended to from now on, whenever the runtime moves. Nothing is asked of a server that
/// says it is too old, nor of a database that cannot hold every text.
fn attended<Stream, Tls>((client, connection): (Client, Connection<Stream, Tls>)) -> Result<Client, SqlError>
where
    Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    Tls: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let version = connection.parameter("server_version").unwrap_or_default();
    let major =
        version.split(|character: char| !character.is_ascii_digit()).next().and_then(|major| major.parse().ok());
    if major.is_some_and(|major: u32| major < OLDEST_VERSION) {
        return Err(SqlError::OldServer(version.into()));
    }
    // What comes from outside may be in any script. A database without an encoding takes what it is given.
    let encoding = connection.parameter("server_encoding").unwrap_or("UTF8");
    if !["UTF8", "SQL_ASCII"].contains(&encoding) {
        return Err(SqlError::Encoding(encoding.into()));
    }
    tokio::spawn(async move {
        // Whoever asks next is told.
        if let Err(error) = connection.await {
            tracing::debug!(%error, "the connection to the state's server has ended");
        }
    });
    Ok(client)
}

#[cfg(test)]
impl Session {
    /// Has this asked before every further commit.
    pub(super) fn ask_before_commits(&self, may_commit: MayCommit) {
        *self.may_commit.borrow_mut() = Some(may_commit);
    }
}
