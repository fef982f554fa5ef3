//! Where a command stands, put up for whoever watches it from afar: its metrics and its pings.
//!
//! The run hands in what it tells anyway (events, what became of the rows) and, once it is known whose quota is used, the
//! books. What calls were made and what of the quota is used is read from the ledger, not counted a second time; so the
//! calls that read the machines are among them, and calls of other processes count in the quota. What surprises: the last
//! look at the books comes before the state is left in order, and stays; whoever watches may read it much later.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::SharedClock;
use crate::dispatch::{Event, Observer, Progress};
use crate::model::{Bucket, Status};
use crate::quota::window::counted_for;
use crate::quota::{Quota, QuotaLimit, QuotaScope};
use crate::report::results::verification::VerificationTotals;
use crate::report::results::writing::Totals;
use crate::store::{AccountKey, AttemptKey, CallTally, Store, StoreError};

/// How long the last look at the books may take.
const LAST_LOOK: Duration = Duration::from_secs(5);

/// Where a command stands. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct LiveStatus {
    board: Arc<Mutex<Board>>,
    /// The exit status of its work, once that is done.
    ended: watch::Sender<Option<u8>>,
}

#[derive(Debug, Default)]
struct Board {
    standing: StatusSnapshot,
    books: Option<Books>,
}

/// What is known of a command at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct StatusSnapshot {
    /// Where its calls and its time go.
    pub(super) progress: Progress,
    /// Rows with each status, once all are answered.
    pub(super) rows: Option<BTreeMap<Status, u64>>,
    /// What a verification has found.
    pub(super) drift: Option<VerificationTotals>,
    /// The calls that are over.
    pub(super) calls: Vec<CallTally>,
    /// What of the quota is used, for each bucket and limit.
    pub(super) quota: Vec<QuotaUse>,
}

/// What is used of one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) struct QuotaUse {
    /// The bucket; `None` where all calls count together.
    pub(super) bucket: Option<Bucket>,
    pub(super) limit: QuotaLimit,
    /// Calls that count in its window now, whoever made them.
    pub(super) used: u32,
}

/// The ledger, and whose quota is looked up there.
#[derive(Clone, Debug)]
struct Books {
    store: Store,
    clock: SharedClock,
    account: AccountKey,
    quota: Quota,
    scope: QuotaScope,
    /// The last attempt before the first of this command.
    began_after: AttemptKey,
}

impl LiveStatus {
    /// From now on the ledger tells of calls and quota. Where it cannot be read, nothing is told of them: whoever needs it
    /// for the work will say why.
    pub(crate) async fn open_books(
        &self,
        store: &Store,
        clock: &SharedClock,
        account: AccountKey,
        quota: &Quota,
        scope: QuotaScope,
    ) {
        let Ok(began_after) = store.latest_attempt().await else { return };
        let (store, clock, quota) = (store.clone(), clock.clone(), quota.clone());
        self.lock().books = Some(Books { store, clock, account, quota, scope, began_after });
    }

    /// Looks at the books for the last time, before the state is left.
    pub(crate) async fn close_books(&self) {
        let _too_slow = tokio::time::timeout(LAST_LOOK, self.look()).await;
        self.lock().books = None;
    }

    /// The work is done, and whatever comes of it stands in the state: somebody may still have to read what is said of it.
    pub(crate) fn note_end(&self, exit_status: u8) {
        let _earlier = self.ended.send_replace(Some(exit_status));
    }

    /// The exit status of the work, once it is done.
    pub(crate) fn ended(&self) -> watch::Receiver<Option<u8>> {
        self.ended.subscribe()
    }

    /// Every row has its answer.
    pub(crate) fn note_rows(&self, totals: &Totals) {
        self.lock().standing.rows = Some(totals.statuses.clone());
    }

    /// Every row was compared with the tenant.
    pub(crate) fn note_drift(&self, totals: &VerificationTotals) {
        self.lock().standing.drift = Some(totals.clone());
    }

    /// Where the command stands now. Where the books cannot be read, what they said last still stands.
    pub(crate) async fn standing(&self) -> StatusSnapshot {
        self.look().await;
        self.last_standing()
    }

    /// Where the command stood when somebody looked last.
    pub(crate) fn last_standing(&self) -> StatusSnapshot {
        self.lock().standing.clone()
    }

    /// Brings what the books say up to date, if there are any.
    async fn look(&self) {
        let Some(books) = self.lock().books.clone() else { return };
        let (calls, quota) = (books.calls().await, books.quota_use().await);
        let standing = &mut self.lock().standing;
        if let Ok(calls) = calls {
            standing.calls = calls;
        }
        if let Ok(quota) = quota {
            standing.quota = quota;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for LiveStatus {
    fn observe(&mut self, event: &Event, progress: &Progress) -> io::Result<()> {
        match event {
            // Each outcome would be much, and the next tick comes soon.
            Event::Settled(_) | Event::Notice(_) => {}
            Event::Started | Event::Stopping(_) | Event::Tick | Event::Ended => {
                self.lock().standing.progress.clone_from(progress);
            }
        }
        Ok(())
    }
}

impl Books {
    async fn calls(&self) -> Result<Vec<CallTally>, StoreError> {
        self.store.own_calls_since(self.began_after).await
    }

    /// What counts in each window, by the rule that admits calls. Of calls that nobody knows of, as many count as the limit
    /// has.
    async fn quota_use(&self) -> Result<Vec<QuotaUse>, StoreError> {
        let most = self.quota.limits().iter().map(|limit| limit.calls.get()).max().unwrap_or(0);
        let mut all = Vec::new();
        for group in self.scope.groups().iter().filter(|_| !self.quota.is_off()) {
            let bucket = group.first().copied().filter(|_| self.scope != QuotaScope::App);
            let ends = self.store.latest_ends(self.account, group.to_vec(), most).await?;
            let now = self.clock.boot_time();
            all.extend(self.quota.limits().iter().map(|limit| {
                let counting = ends.iter().filter(|end| now.since(**end) < counted_for(limit.window)).count();
                let used = u32::try_from(counting).unwrap_or(u32::MAX).min(limit.calls.get());
                QuotaUse { bucket, limit: *limit, used }
            }));
        }
        Ok(all)
    }
}

/// A run may be shown and watched.
impl<Shown: Observer> Observer for (Shown, Option<LiveStatus>) {
    fn observe(&mut self, event: &Event, progress: &Progress) -> io::Result<()> {
        if let Some(live_status) = &mut self.1 {
            live_status.observe(event, progress)?;
        }
        self.0.observe(event, progress)
    }
}
