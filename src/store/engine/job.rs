//! What is asked of a connection: one caller's part of a transaction.

use tokio::sync::oneshot;

use super::sql::{SqlError, Transaction};
use crate::store::StoreError;

/// One caller's part of a transaction.
pub(in crate::store) trait Job: Send {
    /// Asks ahead what it will surely ask.
    fn foresee(&self, transaction: &Transaction<'_>);
    /// Does it, and keeps what is needed to do it over where that may come to pass.
    fn run(&mut self, transaction: &Transaction<'_>, may_come_again: bool) -> Result<(), SqlError>;
    /// Tells the caller what came of it.
    fn finish(self: Box<Self>, outcome: Result<(), StoreError>);
}

/// What asks ahead for some work.
pub(in crate::store) type Ahead = Box<dyn Fn(&Transaction<'_>) + Send>;

/// Work, and whom to tell what came of it.
pub(in crate::store) struct TypedJob<Work, Answer> {
    pub(in crate::store) work: Option<Work>,
    pub(in crate::store) ahead: Option<Ahead>,
    /// Whether it is left undone where the caller has gone away before.
    pub(in crate::store) while_wanted: bool,
    pub(in crate::store) answer: Option<Answer>,
    pub(in crate::store) reply: oneshot::Sender<Result<Answer, StoreError>>,
}

impl<Work, Answer> Job for TypedJob<Work, Answer>
where
    Work: FnOnce(&Transaction<'_>) -> Result<Answer, SqlError> + Clone + Send,
    Answer: Send,
{
    fn foresee(&self, transaction: &Transaction<'_>) {
        if let Some(ahead) = self.ahead.as_ref().filter(|_| !(self.while_wanted && self.reply.is_closed())) {
            ahead(transaction);
        }
    }

    fn run(&mut self, transaction: &Transaction<'_>, may_come_again: bool) -> Result<(), SqlError> {
        if self.while_wanted && self.reply.is_closed() {
            return Ok(());
        }
        let work = if may_come_again { self.work.clone() } else { self.work.take() };
        if let Some(work) = work {
            self.answer = Some(work(transaction)?);
        }
        Ok(())
    }

    fn finish(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { answer, reply, .. } = *self;
        // A caller that went away needs no answer; its effect is stored all the same.
        let _gone = reply.send(outcome.and_then(|()| answer.ok_or(StoreError::Closed)));
    }
}
