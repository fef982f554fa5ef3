//! Whether the service counts single and bulk tag calls of an app together, as a refusal has shown.

use crate::store::engine::sql::params;

use crate::store::forms::run::AccountKey;
use crate::store::{Store, StoreError};

/// How long that is remembered: services change.
const REMEMBERED_MICROSECONDS: i64 = 30 * 24 * 3600 * 1_000_000;

impl Store {
    /// Notes that a refusal came which is explained if the account's tag calls count together.
    pub(crate) async fn note_tag_calls_together(&self, account: AccountKey) -> Result<(), StoreError> {
        let now = self.clock.wall_time().as_microsecond();
        self.writer
            .run_repeatable(1, move |transaction| {
                transaction
                    .execute(
                        "UPDATE account SET tag_calls_together_at = ?2 WHERE account_key = ?1",
                        params![account.0, now],
                    )
                    .map(drop)
            })
            .await
    }

    /// Whether that was noted within the last 30 days.
    pub(crate) async fn tag_calls_count_together(&self, account: AccountKey) -> Result<bool, StoreError> {
        let since = self.clock.wall_time().as_microsecond().saturating_sub(REMEMBERED_MICROSECONDS);
        self.writer
            .run(move |transaction| {
                transaction.query_row(
                    "SELECT coalesce(tag_calls_together_at > ?2, FALSE) FROM account WHERE account_key = ?1",
                    params![account.0, since],
                    |row| row.get(0),
                )
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;
    use crate::clock::{BootId, BootTime, SharedClock, VirtualClock};

    #[tokio::test(start_paused = true)]
    async fn it_is_remembered_for_thirty_days_and_of_that_app_alone() {
        let origin = BootTime::from_microseconds(1_000_000);
        let clock: SharedClock = Arc::new(VirtualClock::new(BootId::new("b".into()), origin, Timestamp::UNIX_EPOCH));
        let store = Store::in_memory(clock).expect("a store");
        let account = store.account("tenant", "app").await.expect("an account");
        let other = store.account("tenant", "another").await.expect("an account");
        let half_an_hour = Duration::from_mins(30);
        assert!(!store.tag_calls_count_together(account).await.expect("an answer"));
        store.note_tag_calls_together(account).await.expect("a note");
        tokio::time::advance(Duration::from_mins(30 * 24 * 60 - 30)).await;
        assert!(store.tag_calls_count_together(account).await.expect("an answer"));
        assert!(!store.tag_calls_count_together(other).await.expect("an answer"));
        tokio::time::advance(half_an_hour).await;
        assert!(!store.tag_calls_count_together(account).await.expect("an answer"));
    }
}
