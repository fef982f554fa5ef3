//! One call that a lane wants to be made, and the operations that it carries.

use crate::api::ApiRequest;
use crate::call::{CallOperation, History, NOT_FOUND_BELIEVED_AFTER};
use crate::model::{Change, MachineId, Operation, OperationId};

/// An operation on its way through a lane.
#[derive(Clone, Debug)]
pub(in crate::dispatch) struct Member {
    pub(super) id: OperationId,
    pub(super) machine: MachineId,
    pub(super) history: History,
}

/// One call to be made.
#[derive(Clone, Debug)]
pub(in crate::dispatch) struct LaneCall {
    pub(super) change: Change,
    pub(super) members: Vec<Member>,
    pub(super) purpose: Purpose,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It is sent for the first time.
    Fresh,
    /// The same as a bulk call, though it holds one machine: single calls have no room.
    Relief,
    /// It is part of a search for bad ids.
    Trial {
        search: u64,
        /// Whether a call was refused that held these machines and few others.
        is_suspected: bool,
    },
    /// It is sent once more, in the company of others that are.
    SecondTrip,
    /// It kept failing, and now everybody else has been sent.
    PutOff,
}

impl LaneCall {
    /// What is sent; `None` for several device values, which have no bulk call and are packed one by one.
    pub(in crate::dispatch) fn request(&self) -> Option<ApiRequest> {
        match (self.members.as_slice(), &self.change) {
            ([only], change) if !self.is_bulk() => {
                let operation = Operation { machine: only.machine.clone(), change: change.clone() };
                Some(ApiRequest::for_operation(operation))
            }
            (members, Change::Tag(action, tag)) => {
                let machines = members.iter().map(|member| member.machine.clone()).collect();
                Some(ApiRequest::ChangeTagOnMachines { machines, action: *action, tag: tag.clone() })
            }
            (_, Change::DeviceValue(_)) => None,
        }
    }

    /// Whether it is made as a bulk call.
    pub(in crate::dispatch) fn is_bulk(&self) -> bool {
        self.members.len() > 1 || self.purpose == Purpose::Relief
    }

    /// How many operations it carries.
    pub(in crate::dispatch) const fn len(&self) -> usize {
        self.members.len()
    }

    /// The numbers of its operations, in order.
    pub(in crate::dispatch) fn ids(&self) -> Vec<OperationId> {
        self.members.iter().map(|member| member.id).collect()
    }

    /// Its operations, each with what speaks against its machine: where something does, fewer 404s are believed.
    pub(in crate::dispatch) fn operations(&self) -> Vec<CallOperation> {
        let operation = |member: &Member| {
            let known = if member.history.named || member.history.unlisted {
                NOT_FOUND_BELIEVED_AFTER - 1
            } else {
                u32::from(matches!(self.purpose, Purpose::Trial { .. }))
            };
            let not_found = member.history.not_found.max(known);
            let trouble = member.history.trouble.filter(|_| self.is_suspected());
            CallOperation { id: member.id, history: History { not_found, trouble, ..member.history } }
        };
        self.members.iter().map(operation).collect()
    }

    /// What is known of the call as a whole: the refusal of a trial needs no second look.
    pub(in crate::dispatch) fn history(&self) -> History {
        let is_first = matches!(self.purpose, Purpose::Fresh | Purpose::Relief);
        let believed_at_once = !is_first || self.members.iter().all(|one| one.history.unlisted);
        let trouble = self.members.first().and_then(|member| member.history.trouble);
        let trouble = trouble.filter(|_| self.is_suspected());
        History { not_found: u32::from(believed_at_once), trouble, ..History::default() }
    }

    /// Whether it meets again what an earlier call with its machines met, if that was trouble.
    const fn is_suspected(&self) -> bool {
        matches!(self.purpose, Purpose::Trial { is_suspected: true, .. } | Purpose::PutOff)
    }
}
