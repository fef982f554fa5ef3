//! What a run still has to send, read from the store as it goes.

use std::collections::VecDeque;

use crate::model::{Bucket, OperationId};
use crate::store::{RunKey, Store, StoreError, WorkItem, WorkKind};

/// Operations read from the store at a time.
const WORK_PAGE: u32 = 500;

/// Operations of one kind that are still to be sent.
pub(super) struct Supply {
    pub(super) kind: WorkKind,
    pub(super) bucket: Bucket,
    page: VecDeque<WorkItem>,
    last: Option<OperationId>,
    pub(super) exhausted: bool,
    /// Operations without an outcome.
    pub(super) left: u64,
}

impl Supply {
    /// What is still to be sent, in the order in which calls of one bucket are made: adds come before removes.
    pub(super) async fn all(store: &Store, run: RunKey) -> Result<Vec<Self>, StoreError> {
        let kinds = [
            (WorkKind::Adds, Bucket::Tags),
            (WorkKind::Removes, Bucket::Tags),
            (WorkKind::RemovesAfterAdds, Bucket::Tags),
            (WorkKind::DeviceValues, Bucket::Value),
        ];
        let mut supplies = Vec::with_capacity(kinds.len());
        for (kind, bucket) in kinds {
            let left = u64::from(store.count_work(run, kind).await?);
            supplies.push(Self { kind, bucket, page: VecDeque::new(), last: None, exhausted: left == 0, left });
        }
        Ok(supplies)
    }

    /// The next operation, read from the store a page at a time.
    pub(super) async fn next(&mut self, store: &Store, run: RunKey) -> Result<Option<WorkItem>, StoreError> {
        if self.page.is_empty() {
            self.page = store.next_work(run, self.kind, self.last, WORK_PAGE).await?.into();
            self.exhausted = self.page.is_empty();
            self.last = self.page.back().map_or(self.last, |item| Some(item.id));
        }
        Ok(self.page.pop_front())
    }
}
