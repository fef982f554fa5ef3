//! Whether the records of a run are those that it began with.

use super::listing::RunCondition;
use crate::model::identity::OperationsDigest;
use crate::store::forms::run::{RunState, StoredRun};
use crate::store::{Reader, StoreError};

impl Reader {
    /// Whether a run was stored as a whole, and has the rows and the operations that it began with.
    ///
    /// # Errors
    /// Those of [`Self::check_rows`]; [`StoreError::NeverBegan`] also where all rows are there; [`StoreError::Altered`] when its
    /// operations are others.
    pub(crate) async fn check_books(&self, run: &StoredRun) -> Result<(), StoreError> {
        self.check_rows(run).await?;
        let name = &run.description.run_id;
        if run.state == RunState::Preparing && self.run_details(name).await?.entry.condition == RunCondition::NeverBegan
        {
            return Err(StoreError::NeverBegan(name.clone()));
        }
        let (mut found, mut pages) = (OperationsDigest::default(), self.operations_of(run.key));
        while let Some(known) = pages.next().await? {
            for known in &known {
                found.add(&known.operation);
            }
        }
        run.refuse_altered(&found)
    }
}
