//! What is done within a transaction on a server and could be done again, should another server take over that lacks it.
//!
//! Whoever writes says of it how it could be done again, or that it may be lost, since it is only true for a moment. Of
//! whatever else is written that cannot be said.

use super::done::{Renumbered, number_now};
use super::{Engine, SqlError, Transaction};

/// How something is done again.
type Again = dyn Fn(&Transaction<'_>, &mut Renumbered) -> Result<(), SqlError> + Send;

/// Something that was done, and how to do it again.
pub(in crate::store) struct Deed {
    /// How much is kept in memory for it: calls, and operations of calls.
    pub(in crate::store) weight: usize,
    /// The number that it was given, if it was given one.
    pub(in crate::store) number: Option<i64>,
    again: Box<Again>,
}

impl Deed {
    pub(in crate::store) fn new(
        weight: usize,
        again: impl Fn(&Transaction<'_>, &mut Renumbered) -> Result<(), SqlError> + Send + 'static,
    ) -> Self {
        Self { weight, number: None, again: Box::new(again) }
    }

    /// The same of what was given a number, and will be given another.
    pub(in crate::store) fn numbered(self, number: i64) -> Self {
        Self { number: Some(number), ..self }
    }

    pub(in crate::store) fn do_again(
        &self,
        transaction: &Transaction<'_>,
        renumbered: &mut Renumbered,
    ) -> Result<(), SqlError> {
        (self.again)(transaction, renumbered)
    }
}

impl<'a> Transaction<'a> {
    /// The same, where what is done is remembered.
    pub(in crate::store) const fn remembering(mut self, renumbered: &'a Renumbered) -> Self {
        self.done.renumbered = Some(renumbered);
        self
    }

    /// The number that a row has now.
    pub(in crate::store) fn number_now(&self, number: i64) -> i64 {
        self.done.renumbered.map_or(number, |renumbered| number_now(renumbered, number))
    }

    /// Nothing need be done again of what is being done now.
    pub(in crate::store) fn may_be_lost(&self) {
        self.done.is_spoken_for.set(true);
    }

    /// What is being done now can be done again like this.
    pub(in crate::store) fn can_be_repeated(&self, deed: impl FnOnce() -> Deed) {
        self.may_be_lost();
        if self.done.renumbered.is_some() {
            self.done.deeds.borrow_mut().push(Box::new(deed()));
        }
    }

    /// Does one thing of several.
    pub(in crate::store) fn one_by_one(&self, work: impl FnOnce() -> Result<(), SqlError>) -> Result<(), SqlError> {
        let Engine::Postgres(session) = self.engine else { return work() };
        self.done.is_spoken_for.set(false);
        session.has_written.set(false);
        work()?;
        if session.has_written.get() && !self.done.is_spoken_for.get() {
            self.done.is_beyond_repeat.set(true);
        }
        Ok(())
    }

    /// How to do again all that was done; `None` where that cannot be said of everything.
    pub(in crate::store) fn into_deeds(self) -> Option<Vec<Deed>> {
        let deeds = self.done.deeds.into_inner().into_iter();
        let deeds = deeds.filter_map(|deed| deed.downcast().ok().map(|deed: Box<Deed>| *deed));
        (!self.done.is_beyond_repeat.get()).then(|| deeds.collect())
    }
}
