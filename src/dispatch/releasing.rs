//! When removes may begin: a machine's removes wait until its adds are done.
//!
//! What surprises: an add that was accepted without being shown, or never answered, may be done all the same. The removes
//! that wait for such adds are held back while everybody else's go on; then the adds are read back, and only the removes of
//! those that stay in doubt are left out.

use super::lane::Lane;
use super::{DispatchError, Dispatcher};
use crate::api::Transport;
use crate::model::{ChangeKind, Status};
use crate::store::{Doubt, Guards};

impl<T: Transport> Dispatcher<'_, T> {
    /// Whether calls of this lane may begin. Where machines get tags and lose others, removes begin when all adds have an
    /// outcome; those whose adds failed are left out then, and those whose adds are in doubt are held back.
    pub(super) async fn is_released(&mut self, index: usize) -> Result<bool, DispatchError> {
        let Some(kind) = self.lanes.get(index).map(|lane| lane.kind) else { return Ok(false) };
        let released = self.released.get(usize::from(kind.unlisted)).is_some_and(|released| *released);
        if kind.change != ChangeKind::Remove || self.guards == Guards::None || released {
            return Ok(true);
        }
        let adds_wait = |lane: &Lane| {
            let may_be_of_same_machine = lane.kind.unlisted == kind.unlisted || self.guards == Guards::Mixed;
            lane.kind.change == ChangeKind::Add && may_be_of_same_machine && !lane.is_settled()
        };
        if self.lanes.iter().any(adds_wait) {
            return Ok(false);
        }
        self.leave_out(index, Doubt::MayBeSettled).await?;
        if let Some(released) = self.released.get_mut(usize::from(kind.unlisted)) {
            *released = true;
        }
        Ok(true)
    }

    /// Lets the removes go whose adds were read back, and leaves out the others that were held back. Says whether any were.
    pub(super) async fn release_what_was_proven(&mut self) -> Result<bool, DispatchError> {
        if self.ending.is_some() {
            return Ok(false);
        }
        let mut have_waited = false;
        for index in 0..self.lanes.len() {
            let Some(lane) = self.lanes.get(index) else { continue };
            // What a bucket cannot do any more is for whoever goes on with the run.
            if !lane.holds_back() || self.is_closed(lane.bucket) {
                continue;
            }
            self.leave_out(index, Doubt::Stays).await?;
            have_waited = true;
        }
        if have_waited && let Some(settling) = self.settling.take() {
            self.read_back.extend(settling.asked());
        }
        Ok(have_waited)
    }

    /// Whether any removes wait until their adds are read back.
    pub(super) fn holds_back(&self) -> bool {
        self.lanes.iter().any(Lane::holds_back)
    }

    async fn leave_out(&mut self, index: usize, doubt: Doubt) -> Result<(), DispatchError> {
        let Some(kind) = self.lanes.get(index).map(|lane| lane.kind) else { return Ok(()) };
        let removes = self.store.leave_out_removes_without_adds(self.run, kind.unlisted, doubt).await?;
        if let Some(lane) = self.lanes.get_mut(index) {
            lane.hold_back(removes.held_back);
        }
        let left_out = u64::from(removes.left_out);
        if left_out > 0 {
            *self.progress.outcomes.entry(Status::NotAttempted).or_default() += left_out;
            self.take_off(index, left_out);
        }
        Ok(())
    }
}
