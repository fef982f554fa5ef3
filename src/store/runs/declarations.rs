//! Files of rules by name: what each declared in its last finished run, and so what it owns.
//!
//! A run brings its declaration with it, and the end of the run puts it in the place of the one before: in the same
//! transaction, whoever ends it. A run that is forgotten takes nothing of that with it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::store::engine::sql::{Optional, SqlError, Transaction, params};
use crate::store::forms::encoding::{damaged, timestamp};
use crate::store::forms::run::{AccountKey, RunKey};
use crate::store::{Reader, Store, StoreError};

/// What a file of rules declared, as far as later runs need it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Declared {
    pub name: String,
    /// Beginnings of tags that it owns.
    pub prefixes: Vec<String>,
    /// Whole tags that it owns.
    pub tags: Vec<String>,
    /// How many machines the tenant had.
    pub machines: u64,
    /// How many rows each lookup had.
    pub lookups: BTreeMap<String, u64>,
    /// Tags that rules gave, each with the one that gave it last.
    pub given: BTreeMap<String, String>,
}

/// A declaration that is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeclarationInForce {
    pub declared: Declared,
    /// The file that it came from, as the run named it.
    pub path: String,
    /// When its run was over.
    pub since: Timestamp,
}

impl Reader {
    /// The declarations that are in force in the tenant of this account, by name.
    pub(crate) async fn declarations(
        &self,
        account: AccountKey,
        host: &str,
    ) -> Result<Vec<DeclarationInForce>, StoreError> {
        let host = host.to_owned();
        self.connection
            .run(move |transaction| {
                let mut statement = transaction.prepare_cached(&format!(
                    "SELECT content, path, since FROM declaration WHERE host = ?2 AND account_key IN ({SAME_TENANT})
                     ORDER BY name"
                ))?;
                let declarations = statement.query_map(params![account.0, host], |row| {
                    let declared = serde_json::from_str(&row.get::<String>(0)?);
                    Ok(DeclarationInForce {
                        declared: declared.map_err(|_error| damaged(0, "a declaration of rules"))?,
                        path: row.get(1)?,
                        since: timestamp(row.get(2)?),
                    })
                })?;
                declarations.collect()
            })
            .await
    }
}

impl Reader {
    /// What the rules declare that a run carries out; `None` where it carries out none.
    pub(crate) async fn declared(&self, run: RunKey) -> Result<Option<Declared>, StoreError> {
        self.connection
            .run(move |transaction| {
                let content: Option<String> = transaction
                    .prepare_cached("SELECT content FROM declaration_of_run WHERE run_key = ?1")?
                    .query_row([run.0], |row| row.get(0))
                    .optional()?;
                let declared = content.map(|content| serde_json::from_str(&content)).transpose();
                declared.map_err(|_error| damaged(0, "a declaration of rules"))
            })
            .await
    }
}

impl Store {
    /// Notes what the rules declare that a run carries out.
    pub(crate) async fn declare(&self, run: RunKey, declared: Declared) -> Result<(), StoreError> {
        self.writer
            .run(move |transaction| {
                let content = serde_json::to_string(&declared).unwrap_or_default();
                transaction.execute(
                    "INSERT INTO declaration_of_run (run_key, name, content) VALUES (?1, ?2, ?3)",
                    params![run.0, declared.name, content],
                )?;
                Ok(())
            })
            .await
    }

    /// Gives back what the rules of this name own; says whether there was anything.
    pub(crate) async fn release(&self, account: AccountKey, host: &str, name: &str) -> Result<bool, StoreError> {
        let (host, name) = (host.to_owned(), name.to_owned());
        self.writer
            .run(move |transaction| {
                let released = transaction.execute(
                    &format!(
                        "DELETE FROM declaration WHERE host = ?2 AND name = ?3 AND account_key IN ({SAME_TENANT})"
                    ),
                    params![account.0, host, name],
                )?;
                Ok(released > 0)
            })
            .await
    }
}

/// The accounts of the same tenant as the first parameter's, whatever their apps.
const SAME_TENANT: &str = "SELECT other.account_key FROM account AS other JOIN account AS own USING (tenant)
    WHERE own.account_key = ?1";

/// Puts what a run declared that is over into the place of what its name declared before.
pub(super) fn take_effect(transaction: &Transaction<'_>, run: RunKey, now: i64) -> Result<(), SqlError> {
    transaction
        .prepare_cached(
            "DELETE FROM declaration WHERE EXISTS (SELECT 1 FROM declaration_of_run AS new JOIN run USING (run_key)
                 JOIN account AS own USING (account_key) JOIN account AS other USING (tenant)
                 WHERE new.run_key = ?1 AND other.account_key = declaration.account_key AND run.host = declaration.host
                     AND new.name = declaration.name)",
        )?
        .execute([run.0])?;
    transaction
        .prepare_cached(
            "INSERT INTO declaration (account_key, host, name, path, content, since)
             SELECT account_key, host, name, input_path, content, ?2 FROM declaration_of_run JOIN run USING (run_key)
             WHERE run_key = ?1",
        )?
        .execute(params![run.0, now])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::{BootId, BootTime, VirtualClock};
    use crate::store::{NewRun, RunState};

    #[tokio::test]
    async fn what_a_run_declares_holds_once_it_is_over_and_until_it_is_released() {
        let boot = BootTime::from_microseconds(1_000_000);
        let clock = VirtualClock::new(BootId::new("boot".into()), boot, Timestamp::UNIX_EPOCH);
        let store = Store::in_memory(Arc::new(clock)).expect("memory");
        let account = store.account("tenant", "app").await.expect("an account");
        let other_app = store.account("tenant", "other app").await.expect("an account");
        let other_tenant = store.account("other tenant", "app").await.expect("an account");
        let names = async |account| {
            let declarations = store.declarations(account, "host").await.expect("declarations");
            declarations.into_iter().map(|one| (one.declared.name, one.declared.machines)).collect::<Vec<_>>()
        };
        for (app, machines) in [(account, 1), (account, 2), (other_app, 3)] {
            let run_id = format!("run {machines}");
            let run = store.create_run(NewRun { run_id, ..NewRun::sample(app) }).await.expect("a run");
            let declared = Declared { name: "fleet".to_owned(), machines, ..Declared::default() };
            store.declare(run, declared).await.expect("room");
            store.set_run_state(run, RunState::Stopped).await.expect("room");
            let before = names(account).await;
            assert!(before.iter().all(|(_, known)| *known < machines), "{before:?}");
            store.set_run_state(run, RunState::Finished).await.expect("room");
            assert_eq!(names(account).await, [("fleet".to_owned(), machines)], "one of a name in a tenant");
        }
        assert_eq!(names(other_app).await.len(), 1);
        assert_eq!(names(other_tenant).await, []);
        assert!(!store.release(other_tenant, "host", "fleet").await.expect("room"));
        assert!(!store.release(account, "other host", "fleet").await.expect("room"));
        assert!(store.release(account, "host", "fleet").await.expect("room"));
        assert_eq!(names(account).await, []);
    }
}
